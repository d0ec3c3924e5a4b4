// docs/viewer.png: one request to five components in the viewer, as `make picture` takes it.

import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

import { close, eventually, launch, open } from "./page.mjs";
import { get, start } from "./server.mjs";

const PICTURE = join(resolve(import.meta.dirname, "../.."), "docs/viewer.png");
const LARGEST = 150_000;
/** The checkout asks the cart, which asks stock and prices at once, then the mail, then the invoices, which fail. */
const SPANS = 12;
const trace = (/** @type {number} */ n) => `4bf92f3577b34da6a3ce929d0e0e473${n}`;

const server = await start(
  ["--log-level", "error"],
  [
    ["checkout", "calls-p3", ["/checkout/{order}"]],
    ["cart", "calls-p3", ["/cart/{customer}"]],
    ["stock", "slow-p3", ["/stock/{item}"]],
    ["prices", "slow", ["/prices/{item}"]],
    ["mail", "stdio", ["/mail/{order}"]],
    ["invoices", "error-code", ["/invoices/{order}"]],
  ],
);
const browser = await launch();
try {
  const url = (/** @type {string} */ path, /** @type {[string, string][]} */ query) =>
    `${server.url}${path}?${new URLSearchParams(query)}`;
  const cart = url("/cart/ada", [
    ["how", "concurrent"],
    ["url", url("/stock/7", [["ms", "18"]])],
    ["url", url("/prices/7", [["ms", "9"]])],
  ]);
  const mail = url("/mail/1047", [
    ["lines", "2"],
    ["only", "stdout"],
  ]);
  const invoices = url("/invoices/1047", [["code", "connection-refused"]]);
  const checkout = url("/checkout/1047", [
    ["span", ""],
    ...[cart, mail, invoices].map((to) => /** @type {[string, string]} */ (["url", to])),
  ]);
  // The first warms up: the picture is of how it goes.
  for (const n of [4, 5, 6]) await get(checkout, { traceparent: `00-${trace(n)}-00f067aa0ba902b7-01` });
  const spans = async () => {
    const { resourceSpans } = await (await fetch(`${server.admin}/api/traces?trace_id=${trace(6)}`)).json();
    return resourceSpans.flatMap((of) => of.scopeSpans.flatMap((scope) => scope.spans)).length;
  };
  await eventually("all spans", spans, (count) => count >= SPANS);

  const page = await open(browser, server.admin, {
    viewport: { width: 1100, height: 640 },
    colorScheme: "light",
  });
  await page.goto(`/traces/${trace(6)}`);
  await page.locator("#waterfall .canvas .fall-row").first().waitFor();
  const picture = await page.screenshot();
  await close(page);
  if (picture.length > LARGEST) throw new Error(`${picture.length} bytes are more than ${LARGEST}`);
  await writeFile(PICTURE, picture);
  console.log(`${PICTURE}: ${picture.length} bytes, ${await spans()} spans`);
} finally {
  await browser.close();
  await server.stop();
}
