// One trace of 10,000 spans in Pounce's viewer and in Zipkin's: time from the navigation to the frame that shows spans.
// ZIPKIN is the executable jar (io.zipkin:zipkin-server, exec), POUNCE_BINARY a release build; needs Java.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";

import { eventually, launch } from "./page.mjs";
import { get, id, parent, start, times } from "./server.mjs";

const ROUNDS = 7;
/** Milliseconds that a page has to show a span. */
const LIMIT = Number(process.env["LIMIT"] ?? 120_000);
const PORT = process.env["ZIPKIN_PORT"] ?? "9411";
const zipkinUrl = `http://127.0.0.1:${PORT}`;
const jar = process.env["ZIPKIN"];
assert.ok(jar, "ZIPKIN names the executable jar of zipkin-server");

/** A span of OTLP JSON as Zipkin has it. @param {any} span */
function converted(span) {
  const value = (/** @type {any} */ any) => String(Object.values(any ?? {})[0] ?? "");
  const [from, to] = [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)];
  const kind = { 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER" }[span.kind];
  const tags = Object.fromEntries(
    (span.attributes ?? []).map(({ key, value: given }) => [key, value(given)]),
  );
  return {
    traceId: span.traceId,
    id: span.spanId,
    parentId: span.parentSpanId || undefined,
    name: span.name,
    kind,
    timestamp: Number(from / 1000n),
    duration: Math.max(Number((to - from) / 1000n), 1),
    localEndpoint: { serviceName: tags["pounce.component"] ?? "pounce" },
    tags,
  };
}

/**
 * Time to the frame after the one that has the name of a span in it, and elements that there are then.
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {string} shot
 */
async function painted(browser, url, shot) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const isShown = () =>
      document.evaluate("//body//*[starts-with(text(), 'many ')]", document, null, XPathResult.BOOLEAN_TYPE)
        .booleanValue;
    const look = () => {
      if (document.body === null || !isShown()) return requestAnimationFrame(look);
      return requestAnimationFrame(() => {
        Object.assign(window, { painted: performance.now() });
        console.debug("painted");
      });
    };
    requestAnimationFrame(look);
  });
  // What playwright puts into a page to wait there would take part of the time.
  const isShown = page.waitForEvent("console", {
    predicate: (message) => message.text() === "painted",
    timeout: LIMIT,
  });
  isShown.catch(() => {});
  await page.goto(url, { waitUntil: "commit" });
  const isLate = await isShown.then(
    () => false,
    () => true,
  );
  if (isLate) {
    // Its page may be busy for long: it goes with its browser.
    return { millis: Infinity, elements: NaN };
  }
  const millis = await page.evaluate(() => /** @type {any} */ (window).painted);
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  if (process.env["POUNCE_VIEWER_SHOTS"])
    await page.screenshot({ path: join(process.env["POUNCE_VIEWER_SHOTS"], `${shot}.png`) });
  await context.close();
  return { millis, elements };
}

const zipkin = spawn("java", ["-jar", jar], { env: { ...process.env, QUERY_PORT: PORT }, stdio: "ignore" });
const [server, browser] = await Promise.all([start(["--log-level", "error"]), launch()]);
try {
  await times(11, () => get(`${server.url}/many?count=915`, parent(1)));
  const read = async () =>
    (await (await fetch(`${server.admin}/api/traces?trace_id=${id(1)}`)).json()).resourceSpans.flatMap((of) =>
      of.scopeSpans.flatMap((scope) => scope.spans),
    );
  const spans = await eventually("the trace", read, (spans) => spans.length === 11 * 916);
  await eventually(
    "zipkin",
    () =>
      fetch(`${zipkinUrl}/health`).then(
        (answer) => answer.ok,
        () => false,
      ),
    (isReady) => isReady,
  );
  for (let at = 0; at < spans.length; at += 1000) {
    const answer = await fetch(`${zipkinUrl}/api/v2/spans`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(spans.slice(at, at + 1000).map(converted)),
    });
    assert.equal(answer.status, 202, await answer.text());
  }
  const stored = () =>
    fetch(`${zipkinUrl}/api/v2/trace/${id(1)}`).then(async (answer) =>
      answer.ok ? (await answer.json()).length : 0,
    );
  await eventually("zipkin to have the trace", stored, (count) => count === spans.length);

  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const own = await painted(browser, `${server.admin}/traces/${id(1)}`, "beside-pounce");
    const other = await painted(browser, `${zipkinUrl}/zipkin/traces/${id(1)}`, "beside-zipkin");
    rounds.push({ own, other });
    if (other.millis === Infinity) break;
  }
  const late = (/** @type {number} */ millis) =>
    millis === Infinity ? `more than ${LIMIT}` : Math.round(millis);
  const median = (/** @type {number[]} */ all) =>
    [...all].sort((one, other) => one - other)[Math.floor(all.length / 2)] ?? NaN;
  const shown = (/** @type {"own" | "other"} */ which) => {
    const millis = rounds.map((round) => round[which].millis);
    return `${late(median(millis))} ms (${late(Math.min(...millis))}–${late(Math.max(...millis))}), ${rounds[0]?.[which].elements} elements`;
  };
  console.log(
    `${spans.length} spans, from navigation to the frame that shows them, median of ${rounds.length}:`,
  );
  console.log(`  Pounce  ${shown("own")}`);
  console.log(`  Zipkin  ${shown("other")}`);
} finally {
  await browser.close();
  await server.stop();
  zipkin.kill();
}
