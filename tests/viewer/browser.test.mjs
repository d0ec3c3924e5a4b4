// The viewer in Chromium, against a real server with real guests.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { after, before, describe, test } from "node:test";

import { accessible, close, eventually, launch, open, shot } from "./page.mjs";
import { get, id, parent, start, times } from "./server.mjs";

const TRACES = 5000;
const SPANS = 10_000;
/** Rows that may exist of a list, however long it is: what is in sight of a tall window, and a few more. */
const MOST_ROWS = 80;
const HOSTILE = `"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e\u0000\u001b[2J{{7*7}}`;

/** @type {import("./server.mjs").Server} */
let server;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  [server, browser] = await Promise.all([
    start(["--admin-recent-traces", String(TRACES), "--log-level", "error"]),
    launch(),
  ]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const ask = (/** @type {string} */ path, headers = {}) => get(server.url + path, headers);
const api = async (/** @type {string} */ path) => (await fetch(server.admin + path)).json();

/** Waits for a trace to be there with so many spans. @param {number} n @param {number} spans */
function recorded(n, spans) {
  const count = async () =>
    (await api(`/api/traces?trace_id=${id(n)}`)).resourceSpans.flatMap((of) =>
      of.scopeSpans.flatMap((scope) => scope.spans),
    ).length;
  return eventually(`trace ${n} with ${spans} spans`, count, (count) => count >= spans);
}

const count = (page) => page.locator("#count").textContent();
const listRows = (page) => page.locator("#traces .canvas .list-row");
const fallRows = (page) => page.locator("#waterfall .canvas .fall-row");

describe("the list", () => {
  test("is empty at first, and live", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    await page.getByText("No traces yet").waitFor();
    await accessible(page, "an empty list");
    await shot(page, "empty-light");
    assert.equal(await ask("/items/1"), 200);
    await page.getByRole("link", { name: "GET /items/{id}" }).waitFor();
    assert.equal(await count(page), "1 trace");
    await page.keyboard.press("l");
    await page.getByRole("button", { name: "Paused" }).waitFor();
    assert.equal(await ask("/items/2"), 200);
    await eventually(
      "the second to be recorded",
      () => api("/api/traces/summary"),
      ({ traces }) => traces.length === 2,
    );
    await page.waitForFunction(
      () => document.querySelector("#live")?.getAttribute("aria-pressed") === "false",
    );
    assert.equal(await count(page), "1 trace", "it is paused");
    await page.keyboard.press("l");
    await eventually(
      "the second to be shown",
      () => count(page),
      (shown) => shown === "2 traces",
    );
    await close(page);
  });

  test("tells a server that is away, and goes on when it is back", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    await eventually(
      "the list",
      () => count(page),
      (shown) => shown === "2 traces",
    );
    await page.context().setOffline(true);
    await page.getByRole("alert").filter({ hasText: "No news from the server" }).waitFor();
    assert.equal(await listRows(page).count(), 2, "what was there stays");
    await page.context().setOffline(false);
    await page.getByRole("alert").waitFor({ state: "hidden" });
    const others = page.faults.filter((fault) => !fault.includes("ERR_INTERNET_DISCONNECTED"));
    page.faults.splice(0, Infinity, ...others);
    await close(page);
  });

  test("of 5,000 traces shows those in sight, and filters all", async () => {
    await times(TRACES + 20, (at) => ask(`/items/${at}${at % 50 === 0 ? "?code=503" : ""}`));
    for (let at = 0; at < 10; at += 1)
      assert.equal(await ask(`/orders/${at}?wait=60&status=error:late`), 200);
    assert.equal(await ask("/panic"), 500);
    assert.equal(await ask("/nowhere"), 404);
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    await eventually(
      "the list",
      () => count(page),
      (shown) => shown === "5,000 traces",
    );
    assert.ok((await listRows(page).count()) <= MOST_ROWS, `${await listRows(page).count()} rows`);
    assert.equal(await page.locator("#traces").getAttribute("aria-rowcount"), "5001");
    await shot(page, "list-light");

    const shown = async () => (await count(page))?.replace(/ of .*/, "");
    await page.getByLabel("Search").fill("get /orders/7");
    await eventually("the search", shown, (shown) => shown === "1");
    await page.keyboard.press("Escape");
    await page.keyboard.press("x");
    await page.locator("#component").selectOption("trap");
    assert.equal(await shown(), "1");
    await page.getByRole("link", { name: "GET /panic" }).waitFor();
    await page.keyboard.press("x");
    await page.locator("#route").selectOption("/orders/{id}");
    assert.equal(await shown(), "10");
    await page.locator("#route").selectOption("");
    await page.locator("#status").selectOption("4");
    assert.equal(await shown(), "1");
    await page.locator("#status").selectOption("");
    await page.getByLabel("Shortest duration in milliseconds").fill("60");
    const slow = (await api("/api/traces/summary")).traces.filter(
      (trace) => trace.duration_nano >= 60e6,
    ).length;
    assert.equal(await shown(), slow.toLocaleString("en-US"));
    await page.keyboard.press("Escape");
    await page.keyboard.press("x");
    await page.getByLabel("Errors only").check();
    const failed = (await api("/api/traces/summary")).traces.filter((trace) => trace.errors > 0).length;
    assert.ok(failed >= 100, `${failed}`);
    assert.equal(await shown(), failed.toLocaleString("en-US"));

    // The address has it all, also after another look.
    assert.match(page.url(), /\/traces\?errors=1$/);
    await page.locator("#route").selectOption("/orders/{id}");
    await page.reload();
    await eventually("the list", shown, (shown) => shown === "10");
    assert.equal(await page.getByLabel("Errors only").isChecked(), true);
    await accessible(page, "a list with filters");
    await page.getByRole("button", { name: "Clear", exact: true }).click();
    assert.match(page.url(), /\/traces$/);

    await page.getByRole("button", { name: "Duration" }).click();
    const first = await page.locator("#traces .canvas .list-row").first().textContent();
    const slowest = Math.max(
      ...(await api("/api/traces/summary")).traces.map((trace) => trace.duration_nano),
    );
    assert.ok(slowest >= 60e6 && /ms|s/.test(first ?? ""));
    await page.locator("#traces").evaluate((list) => list.scrollTo(0, list.scrollHeight));
    await page.locator("#traces [aria-rowindex='5001']").waitFor();
    assert.ok((await listRows(page).count()) <= MOST_ROWS);
    await close(page);
  });

  test("a bar of the histogram leads to its traces", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    const bar = page.getByRole("button", { name: /^\/orders\/\{id\}, .*: \d+ traces?/ }).last();
    const label = (await bar.getAttribute("aria-label")) ?? "";
    const wanted = /: (\d+) trace/.exec(label)?.[1];
    await bar.focus();
    await page.keyboard.press("Enter");
    await eventually(
      "its traces",
      () => count(page),
      (shown) => shown?.startsWith(`${wanted} of `) ?? false,
    );
    assert.match(page.url(), /route=%2Forders%2F%7Bid%7D&min=[\d.]+&max=[\d.]+$/);
    const again = page.getByRole("button", { name: label, exact: true });
    assert.equal(await again.getAttribute("aria-pressed"), "true");
    assert.equal(
      await again.evaluate((bar) => bar === document.activeElement),
      true,
      "the keyboard stays where it was",
    );
    await again.click();
    await eventually(
      "the route alone",
      () => count(page),
      (shown) => shown?.startsWith("10 of ") ?? false,
    );
    await close(page);
  });

  test("stands still while new traces come above what is in sight", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    await eventually(
      "the list",
      () => count(page),
      (shown) => shown === "5,000 traces",
    );
    await page.locator("#traces").evaluate((list) => list.scrollTo(0, 3400));
    const inSight = () => page.evaluate(() => document.elementFromPoint(300, 700)?.closest(".list-row")?.id);
    const before = await eventually("a row", inSight, (row) => row !== undefined);
    const cursor = async () => (await api("/api/traces/summary")).traces[0].trace_id;
    await times(25, (at) => ask(`/items/new-${at}`));
    const newest = await cursor();
    await eventually(
      "the new ones",
      () => page.evaluate(() => document.querySelector("#traces")?.scrollTop ?? 0),
      (top) => top >= 3400 + 25 * 34,
    );
    assert.equal(await inSight(), before);
    await page.locator("#traces").evaluate((list) => list.scrollTo(0, 0));
    await page.locator(`#t${newest}`).waitFor();
    await close(page);
  });

  test("is worked by keys", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    await listRows(page).first().waitFor();
    await page.keyboard.press("l");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "text");
    await page.keyboard.type("jjj");
    assert.equal(await page.getByLabel("Search").inputValue(), "jjj", "who writes keeps the keys");
    await page.getByText("No trace matches").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("x");
    await page.keyboard.press("j");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("k");
    const current = await page.locator("#traces").getAttribute("aria-activedescendant");
    assert.equal(await page.locator(`#${current}`).getAttribute("aria-rowindex"), "2");
    assert.equal(await page.locator(`#${current}`).getAttribute("aria-selected"), "true");
    await page.keyboard.press("End");
    await page.locator("#traces [aria-rowindex='5001'][aria-selected='true']").waitFor();
    await page.keyboard.press("Home");
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await accessible(page, "the keys");
    await shot(page, "keys-light");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/traces\/[0-9a-f]{32}$/);
    await fallRows(page).first().waitFor();
    await page.keyboard.press("Escape");
    await page.waitForURL(/\/traces$/);
    await page.goBack();
    await page.waitForURL(/\/traces\/[0-9a-f]{32}$/);
    await close(page);
  });
});

describe("a trace", () => {
  test("shows spans nested, log records in their place, and what each says", async () => {
    const inner = encodeURIComponent(`${server.url}/items/3?wait=5&log.info=from+inside&log.error=worse`);
    assert.equal(await ask(`/calls?n=1&span&url=${inner}`, parent(1)), 200);
    await recorded(1, 4);
    const page = await open(browser, server.admin);
    await page.goto(`/traces/${id(1)}`);
    await fallRows(page).nth(5).waitFor();
    const rows = await fallRows(page).evaluateAll((rows) =>
      rows.map((row) => [Number(row.getAttribute("aria-level")), row.querySelector(".name")?.textContent]),
    );
    rows.sort(() => 0);
    assert.deepEqual(rows, [
      [1, "GET /calls"],
      [2, "calls"],
      [3, "GET"],
      [4, "GET /items/{id}"],
      [5, "from inside"],
      [5, "worse"],
    ]);
    assert.equal(await page.title(), "GET /calls · Pounce");
    for (const phase of ["Queue", "Guest on the processor", "Calls"])
      await page.getByRole("list", { name: "Phases of the invocation" }).getByText(phase).waitFor();
    await page.getByRole("cell", { name: "/calls", exact: true }).first().waitFor();

    // A bar begins where its span does, after its parent's, and all are on the trace's time.
    const boxes = await page
      .locator("#waterfall .span-bar")
      .evaluateAll((bars) =>
        bars.map((bar) => [bar.getBoundingClientRect().left, bar.getBoundingClientRect().right]),
      );
    const [left, right] = await page
      .locator("#waterfall .axis")
      .evaluate((axis) => [axis.getBoundingClientRect().left, axis.getBoundingClientRect().right]);
    boxes.forEach(([from, to], at) =>
      assert.ok(from >= (boxes[at - 1]?.[0] ?? left) - 1 && to <= right + 1, JSON.stringify(boxes)),
    );
    assert.ok((await page.locator("#waterfall .critical").count()) > 3);
    await page.getByRole("button", { name: "Critical path" }).click();
    assert.equal(await page.locator("#waterfall .critical").count(), 0);
    await page.getByRole("button", { name: "Log (2)" }).click();
    assert.equal(await fallRows(page).count(), 4);
    await page.keyboard.press("l");
    assert.equal(await fallRows(page).count(), 6);

    await page.getByText("worse", { exact: true }).click();
    await page.getByRole("heading", { name: "Log record" }).waitFor();
    await page.getByRole("button", { name: "Go to GET /items/{id}" }).click();
    await page.getByRole("heading", { name: "GET /items/{id}" }).waitFor();
    assert.match(page.url(), /\?span=[0-9a-f]{16}$/);
    await accessible(page, "a trace");
    await shot(page, "trace-light");

    // What is selected is part of the address.
    await page.reload();
    await page.getByRole("complementary").getByRole("heading", { name: "GET /items/{id}" }).waitFor();
    await close(page);
  });

  test("is worked by keys", async () => {
    assert.equal(await ask("/parents", parent(2)), 200);
    await recorded(2, 5);
    const page = await open(browser, server.admin);
    await page.goto(`/traces/${id(2)}`);
    await fallRows(page).first().waitFor();
    const all = await fallRows(page).count();
    const selected = () => page.locator("#waterfall .current .name").textContent();
    assert.equal(await selected(), "GET /parents");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await fallRows(page).count(), 1);
    assert.equal(await page.locator("#waterfall .current").getAttribute("aria-expanded"), "false");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    assert.notEqual(await selected(), "GET /parents");
    assert.equal(await fallRows(page).count(), all);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("End");
    const active = await page.locator("#waterfall").getAttribute("aria-activedescendant");
    assert.equal(await page.locator(`#${active}`).getAttribute("aria-selected"), "true");
    await page.keyboard.press("z");
    await page.keyboard.press("0");
    await page.keyboard.press("Home");
    assert.equal(await selected(), "GET /parents");
    await close(page);
  });

  test("of a guest that trapped shows the cause and the backtrace", async () => {
    assert.equal(await ask("/panic", parent(3)), 500);
    await recorded(3, 1);
    const page = await open(browser, server.admin);
    await page.goto("/traces?errors=1");
    await page.getByRole("link", { name: "GET /panic" }).first().click();
    await page.getByRole("heading", { name: /^wasm_trap\.unreachable/ }).waitFor();
    assert.match((await page.getByLabel("Backtrace").textContent()) ?? "", /trap::kinds::fail/);
    await page.getByText("the guest panicked on purpose").first().waitFor();
    await page.keyboard.press("Home");
    await page.keyboard.press("n");
    assert.equal(await page.locator("#waterfall .current .mark-error").count(), 1);
    await accessible(page, "a trace that failed");
    await shot(page, "error-light");
    await close(page);
  });

  test("links lead to other traces", async () => {
    assert.equal(await ask("/links", parent(4)), 200);
    await recorded(4, 2);
    const other = "0af7651916cd43dd8448eb211c80319c";
    const page = await open(browser, server.admin);
    await page.goto(`/traces/${id(4)}`);
    await page.locator("#waterfall").getByText("links", { exact: true }).click();
    await page
      .getByRole("link", { name: /^0af76519/ })
      .first()
      .click();
    await page.waitForURL(`/traces/${other}?span=b7ad6b7169203331`);
    await page.getByRole("heading", { name: "This trace is not here" }).waitFor();
    await accessible(page, "a trace that is not there");
    await page.goBack();
    await page.locator("#waterfall").getByText("links", { exact: true }).waitFor();
    await close(page);
  });

  test("that is still on its way appears when it ends", async () => {
    const page = await open(browser, server.admin);
    await page.goto(`/traces/${id(5)}`);
    await page.getByText("asking again").waitFor();
    assert.equal(await ask("/items/5", parent(5)), 200);
    await fallRows(page).first().waitFor();
    await close(page);
  });

  test("is saved as OTLP JSON and as SVG", async () => {
    const page = await open(browser, server.admin);
    await page.goto(`/traces/${id(1)}`);
    const saved = async (/** @type {string} */ button) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.locator(button).click()]);
      return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
    };
    const json = await saved("#download-json");
    assert.equal(json.name, `trace-${id(1)}.json`);
    const { resourceSpans } = JSON.parse(json.text);
    assert.deepEqual(resourceSpans, (await api(`/api/traces?trace_id=${id(1)}`)).resourceSpans);
    const svg = await saved("#download-svg");
    assert.equal(svg.name, `trace-${id(1)}.svg`);
    const drawn = await page.evaluate((text) => {
      const read = new DOMParser().parseFromString(text, "image/svg+xml");
      return {
        faults: read.querySelectorAll("parsererror").length,
        texts: [...read.querySelectorAll("text")].map((text) => text.textContent),
      };
    }, svg.text);
    assert.equal(drawn.faults, 0);
    for (const name of ["GET /calls", "calls", "GET /items/{id}", "from inside"])
      assert.ok(drawn.texts.includes(name), `${name} in ${drawn.texts}`);
    await close(page);
  });

  test("of 10,000 spans is drawn as fast as its window is filled", async () => {
    // A request has 1,000 spans below it at most: eleven of one trace.
    await times(11, () => ask("/many?count=915", parent(6)));
    await recorded(6, SPANS);
    // A trace of a few spans is the measure of this machine.
    assert.equal(await ask("/many?count=5", parent(60)), 200);
    await recorded(60, 6);
    /** @type {Record<"small" | "large", Awaited<ReturnType<typeof timed>>[]>} */
    const measured = { small: [], large: [] };
    for (let round = 0; round < 5; round += 1) {
      const small = await open(browser, server.admin);
      measured.small.push(await timed(small, 60));
      await close(small);
      const page = await open(browser, server.admin);
      const large = await timed(page, 6);
      measured.large.push(large);
      assert.ok((await fallRows(page).count()) <= MOST_ROWS, `${await fallRows(page).count()} rows`);
      assert.ok(
        (await page.evaluate(() => document.querySelectorAll("*").length)) < 2500,
        "what is not in sight does not exist",
      );
      // The rest is asked for when the rows are there.
      await page.locator("#details").getByText("pounce.component").waitFor();
      const rest = await page.evaluate(
        () =>
          performance.getEntriesByType("resource").find(({ name }) => name.includes("/api/traces?"))
            ?.startTime,
      );
      assert.ok(rest !== undefined && rest > large.rows, `${rest} after ${large.rows}`);
      if (round < 4) {
        await close(page);
        continue;
      }
      assert.equal(await page.locator("#waterfall").getAttribute("aria-rowcount"), String(11 * 916 + 1));
      await page.keyboard.press("End");
      await page.locator(`#waterfall [aria-rowindex="${11 * 916 + 1}"][aria-selected="true"]`).waitFor();
      await page.getByRole("button", { name: "Close all" }).click();
      await eventually(
        "the roots",
        () => fallRows(page).count(),
        (rows) => rows === 11,
      );
      await shot(page, "large-light");
      await close(page);
    }
    const median = (/** @type {"small" | "large"} */ which, /** @type {"painted" | "browser"} */ what) =>
      measured[which].map((one) => one[what]).sort((one, other) => one - other)[2] ?? NaN;
    const told = (/** @type {"painted" | "browser"} */ what) =>
      `${Math.round(median("large", what))} ms, of a few spans ${Math.round(median("small", what))} ms`;
    console.log(`# from navigation to the painted waterfall, median of 5: ${told("painted")}`);
    console.log(`# of which after the answer and the script have come: ${told("browser")}`);
    assert.ok(median("large", "browser") <= 3 * median("small", "browser"), told("browser"));
  });
});

/**
 * Opens a trace, and tells when its rows are in the page and when they are painted, and how much of that came after all
 * that they need had come: the rest is the server's time, in a debug build. Nothing else is run in the page meanwhile: what playwright puts into it for that takes longer than rows.
 * @param {import("./page.mjs").Watched} page
 * @param {number} n
 */
async function timed(page, n) {
  await page.addInitScript(() => {
    const watching = new MutationObserver(() => {
      if (document.querySelector("#waterfall .canvas .fall-row") === null) return;
      watching.disconnect();
      const rows = performance.now();
      // The frame after the one that has the rows.
      requestAnimationFrame(() =>
        requestAnimationFrame(() => {
          Object.assign(window, { shown: { rows, painted: performance.now() } });
          console.debug("painted");
        }),
      );
    });
    watching.observe(document, { childList: true, subtree: true });
  });
  const painted = page.waitForEvent("console", (message) => message.text() === "painted");
  await page.goto(`/traces/${id(n)}`, { waitUntil: "commit" });
  await painted;
  return page.evaluate(() => {
    const needed = performance
      .getEntriesByType("resource")
      .filter(({ name }) => name.includes("/api/traces/outline?") || name.endsWith("/app.js"));
    const came = needed.map((one) => /** @type {PerformanceResourceTiming} */ (one).responseEnd);
    const { rows, painted } = /** @type {any} */ (window).shown;
    return { rows, painted, browser: painted - Math.max(...came) };
  });
}

describe("two traces", () => {
  test("are compared side by side", async () => {
    assert.equal(await ask("/deeds?set.colour=red&wait=2", parent(7)), 200);
    assert.equal(await ask("/deeds?set.colour=blue&wait=40&code=503", parent(8)), 503);
    await recorded(7, 1);
    await recorded(8, 1);
    const page = await open(browser, server.admin);
    await page.goto("/traces?route=/deeds");
    for (const n of [7, 8])
      await page
        .locator(`#t${id(n)}`)
        .getByRole("checkbox")
        .check();
    await page.getByRole("link", { name: "Compare" }).click();
    await page.waitForURL(`/traces/compare?a=${id(7)}&b=${id(8)}`);
    const row = page.locator("#pairs .canvas .pair-row");
    await row.waitFor();
    assert.match((await row.locator(".change").textContent()) ?? "", /^\+/);
    const lines = await page
      .getByRole("complementary", { name: "What differs" })
      .locator("tbody tr")
      .allTextContents();
    for (const line of ["colourredblue", "http.response.status_code200503"])
      assert.ok(lines.includes(line), `${line} of ${lines}`);
    await accessible(page, "two traces");
    await shot(page, "compare-light");

    await page.goto(`/traces/compare?a=${id(1)}&b=${id(7)}`);
    await page.getByText("only in the second").waitFor();
    await page.getByLabel("Second trace").fill(id(1));
    await page.getByLabel("Second trace").press("Enter");
    await eventually(
      "the same twice",
      () => page.locator("#pairs .change-same").count(),
      (same) => same === 4,
    );
    await page.goto(`/traces/compare?a=${id(1)}&b=${"1".repeat(32)}`);
    await page.getByText("The second trace is not here.").waitFor();
    await close(page);
  });
});

describe("what others have written", () => {
  test("is text, wherever it is shown", async () => {
    const said = encodeURIComponent(HOSTILE);
    const deeds = ["name", "set.html", "event", "log.error", "route"]
      .map((key) => `${key}=${said}`)
      .join("&");
    assert.equal(
      await ask(`/deeds?${deeds}&exception=${said}&status=error:${said}&code=500`, parent(9)),
      500,
    );
    assert.equal(await ask(`/deeds?name=${said}&set.html=other`, parent(10)), 200);
    await recorded(9, 1);
    await recorded(10, 1);
    const page = await open(browser, server.admin);
    for (const path of ["/traces", `/traces/${id(9)}`, `/traces/compare?a=${id(9)}&b=${id(10)}`]) {
      await page.goto(path);
      await page.getByText("onerror=alert(1)").locator("visible=true").first().waitFor();
      const found = await page.evaluate(() => ({
        scripts: document.querySelectorAll("body script").length,
        images: document.querySelectorAll("main img").length,
        handlers: document.querySelectorAll("[onerror]").length,
      }));
      assert.deepEqual(found, { scripts: 0, images: 0, handlers: 0 }, path);
      await accessible(page, path);
    }
    await page.goto(`/traces/${id(9)}`);
    await fallRows(page).nth(1).waitFor();
    await shot(page, "hostile-light");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.locator("#download-svg").click(),
    ]);
    const svg = await readFile(await download.path(), "utf8");
    assert.ok(!/<script|<img/.test(svg) && svg.includes("&lt;script&gt;"));
    // Nor is it read as part of an address.
    for (const path of [
      "/traces?text=%3Cimg%20src%3Dx%3E&route=%22%3E&status=9&min=x",
      "/traces/compare?a=%3Cb%3E&b=../x",
    ]) {
      await page.goto(path);
      await page.locator("h1").waitFor({ state: "attached" });
    }
    await close(page);
  });

  test("cannot run even if it were read as markup", async () => {
    const page = await open(browser, server.admin);
    await page.goto("/traces");
    const refused = await page.evaluate(async () => {
      /** @type {string[]} */
      const refused = [];
      document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
      const main = /** @type {Element} */ (document.querySelector("main"));
      main.insertAdjacentHTML(
        "beforeend",
        `<img src="http://127.0.0.1:9/x" onerror="window.ran = 1"><iframe src="/traces"></iframe><p style="color: red">`,
      );
      const script = document.createElement("script");
      script.textContent = "window.ran = 2";
      main.append(script);
      await fetch("http://127.0.0.1:9/").catch(() => {});
      await new Promise((done) => setTimeout(done, 200));
      return { refused: [...new Set(refused)].sort(), ran: "ran" in window };
    });
    assert.equal(refused.ran, false);
    for (const directive of ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-attr"])
      assert.ok(refused.refused.includes(directive), `${directive} of ${refused.refused}`);
    // They were meant to fail.
    page.faults.length = 0;
    await close(page);
  });
});

describe("other web pages", () => {
  test("see nothing: neither by a name of theirs, nor from their origin, nor in a frame", async () => {
    const port = new URL(server.admin).port;
    const rebound = await launch(["--host-resolver-rules=MAP evil.example 127.0.0.1"]);
    const foreign = http.createServer((_, answer) =>
      answer.setHeader("content-type", "text/html").end(`<iframe src="${server.admin}/traces"></iframe>`),
    );
    await new Promise((done) => foreign.listen(0, "127.0.0.1", () => done(null)));
    try {
      const page = await rebound.newPage();
      for (const path of ["/traces", "/api/traces", "/api/traces/summary", "/status"]) {
        const answer = await page.goto(`http://evil.example:${port}${path}`);
        assert.equal(answer?.status(), 421, path);
      }
      await page.goto(`http://127.0.0.1:${foreign.address().port}/`);
      const seen = await page.evaluate(async (admin) => {
        const ask = (options) =>
          fetch(`${admin}/api/traces`, options).then(
            (answer) => answer.text(),
            () => "refused",
          );
        return [
          await ask({}),
          await ask({ mode: "no-cors" }),
          await ask({ method: "POST", mode: "no-cors" }),
        ];
      }, server.admin);
      assert.deepEqual(seen, ["refused", "refused", "refused"]);
      assert.equal(await page.frames()[1]?.locator("#traces").count(), 0);
    } finally {
      foreign.close();
      await rebound.close();
    }
  });
});

describe("light and dark", () => {
  for (const colorScheme of /** @type {const} */ (["dark", "light"])) {
    test(`every view can be read in ${colorScheme}`, async () => {
      const page = await open(browser, server.admin, { colorScheme });
      for (const [name, path, ready] of [
        ["list", "/traces", "#traces .canvas .list-row"],
        ["trace", `/traces/${id(1)}`, "#waterfall .canvas .fall-row"],
        ["error", `/traces/${id(9)}`, "#waterfall .canvas .fall-row"],
        ["compare", `/traces/compare?a=${id(1)}&b=${id(7)}`, "#pairs .canvas .pair-row"],
      ]) {
        await page.goto(path);
        await page.locator(ready).first().waitFor();
        const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.equal(background, colorScheme === "dark" ? "rgb(18, 21, 27)" : "rgb(246, 247, 249)");
        await accessible(page, `${name} in ${colorScheme}`);
        await shot(page, `${name}-${colorScheme}`);
      }
      await close(page);
    });
  }

  test("the switch counts before the system, and is remembered", async () => {
    const page = await open(browser, server.admin, { colorScheme: "dark" });
    await page.goto("/traces");
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(await background(), "rgb(18, 21, 27)");
    await page.getByRole("button", { name: "Theme: system" }).click();
    assert.equal(await background(), "rgb(246, 247, 249)");
    await page.reload();
    await page.getByRole("button", { name: "Theme: light" }).waitFor();
    assert.equal(await background(), "rgb(246, 247, 249)");
    await page.keyboard.press("t");
    await page.getByRole("button", { name: "Theme: dark" }).waitFor();
    await page.keyboard.press("t");
    await close(page);
  });

  test("a narrow window shows all of it", async () => {
    const page = await open(browser, server.admin, {
      viewport: { width: 700, height: 900 },
      colorScheme: "light",
    });
    for (const path of ["/traces", `/traces/${id(1)}`]) {
      await page.goto(path);
      await page.locator(".canvas > *").first().waitFor();
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth),
        `${path} is not wider than the window`,
      );
      await accessible(page, `narrow ${path}`);
    }
    await shot(page, "narrow-light");
    await close(page);
  });
});
