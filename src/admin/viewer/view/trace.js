// One trace: what it is, its waterfall, and the details of what is selected.

import { bySpan, criticalPath } from "../model/critical.js";
import { counted, duration, moment } from "../model/format.js";
import * as otlp from "../model/otlp.js";
import { complete, outline as outlineOf } from "../model/outline.js";
import { phases } from "../model/phases.js";
import { waterfall as drawn } from "../model/svg.js";
import { addLogs, tree as treeOf } from "../model/tree.js";
import * as api from "./api.js";
import { logDetails, outlineDetails, spanDetails } from "./details.js";
import { button, fill, h, painted, save, say } from "./dom.js";
import * as keys from "./keys.js";
import { Waterfall } from "./waterfall.js";

/** @typedef {import("../model/types.d.ts").Node} Node */
/** @typedef {import("../model/types.d.ts").Row} Row */
/** @typedef {import("../model/types.d.ts").Trace} Trace */
/** @typedef {import("../model/types.d.ts").Tree} Tree */

/** How often a trace that is not here yet is asked for, and the pause between. */
const TRIES = 10;
const PAUSE = 1000;

/**
 * @param {HTMLElement} main
 * @param {import("../app.js").App} app
 * @param {string} id
 * @returns {import("../app.js").View}
 */
export function traceView(main, app, id) {
  let isOver = false;
  /** @type {Waterfall | null} */
  let shown = null;
  let tries = 0;
  const back = { keys: ["Escape"], shown: "Esc", what: "Back to the list", run: () => app.go("/traces") };

  async function load() {
    try {
      const logs = api.logs(id);
      // Told below; it may come before anybody waits for it.
      logs.catch(() => {});
      const first = await api.outline(id);
      if (isOver) return;
      const outline = outlineOf(first, id);
      if (outline !== null) return await showLarge(outline, logs);
      const trace = otlp.trace(first);
      const records = await logs;
      if (isOver) return;
      if (trace !== null) return void show(trace, records);
      tries += 1;
      if (tries < TRIES) setTimeout(() => !isOver && void load(), PAUSE);
      missing(tries < TRIES);
    } catch (error) {
      if (!isOver) failed(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * Shows the rows of a large trace, and reads the rest of it once the browser has painted them.
   * @param {Trace} outline
   * @param {Promise<any>} logs
   */
  async function showLarge(outline, logs) {
    const take = show(outline, null);
    await painted();
    const [spans, records] = await Promise.all([api.trace(id), logs]);
    const trace = otlp.trace(spans);
    if (isOver) return;
    if (trace === null) missing(false);
    else if (complete(outline, trace)) take(records);
    else show(trace, records);
  }

  /** @param {boolean} isAwaited */
  function missing(isAwaited) {
    fill(
      main,
      h(
        "div",
        { class: "empty" },
        h("h1", {}, "This trace is not here"),
        h("p", { class: "mono" }, id),
        h(
          "p",
          {},
          isAwaited
            ? "It may still be on its way: asking again …"
            : "It was not recorded, has not ended, or newer ones have taken its place (admin.recent-traces).",
        ),
        h("a", { class: "button", href: "/traces" }, "All traces"),
      ),
    );
  }

  /** @param {string} why */
  function failed(why) {
    fill(
      main,
      h(
        "div",
        { class: "empty", role: "alert" },
        h("h1", {}, "The trace cannot be shown"),
        h("p", {}, why),
        button("Try again", () => void load()),
      ),
    );
  }

  /**
   * Shows a trace, and gives what takes the log records of one that came without, and is whole by then.
   * @param {Trace} trace
   * @param {any} logs null where they are still to come
   */
  function show(trace, logs) {
    shown?.stop();
    const tree = treeOf(trace.spans);
    let records = otlp.logs(logs, trace.base);
    addLogs(tree, records);
    const critical = bySpan(criticalPath(tree.main));
    const details = h("aside", {
      class: "details",
      id: "details",
      "aria-labelledby": "details-title",
      tabindex: "0",
    });
    const describe = (/** @type {Row} */ row) => {
      if (row.kind === "log") fill(details, logDetails(row.log, row.node, go));
      else fill(details, (trace.isWhole ? spanDetails : outlineDetails)(trace, row.node, go));
    };
    const waterfall = new Waterfall(trace, tree, critical, (row) => {
      describe(row);
      details.scrollTop = 0;
      if (row.kind === "span")
        app.rename(row.node === tree.main ? `/traces/${id}` : `/traces/${id}?span=${row.node.span.id}`);
      say(
        row.kind === "log"
          ? row.log.body
          : `${row.node.span.name}, ${duration(row.node.span.end - row.node.span.start)}${row.node.span.isError ? ", error" : ""}`,
      );
    });
    const go = (/** @type {Node} */ node) => waterfall.selectNode(node);
    shown = waterfall;

    const toggles = h("div", { class: "toggles", role: "group", "aria-label": "What is shown" });
    const criticalToggle = toggle(
      "Critical path",
      true,
      (isOn) => ((waterfall.showsCritical = isOn), waterfall.update()),
    );
    const logToggle = toggle("Log", true, (isOn) => ((waterfall.showsLogs = isOn), waterfall.update()));
    const tellLogs = () => {
      logToggle.textContent = `Log (${records.length})`;
      logToggle.hidden = records.length === 0;
    };
    tellLogs();
    fill(
      toggles,
      criticalToggle,
      logToggle,
      button("Open all", () => waterfall.openAll(true)),
      button("Close all", () => waterfall.openAll(false)),
      button("Zoom to span", () => waterfall.zoom(true)),
      button("Whole trace", () => waterfall.zoom(false)),
    );
    const exported = () =>
      save(
        `trace-${id}.svg`,
        "image/svg+xml",
        drawn(trace, waterfall.rows, waterfall.showsCritical ? critical : new Map()),
      );

    let top = head(trace, tree);
    fill(
      main,
      top,
      h("div", { class: "bar-of-tools" }, toggles, actions(exported)),
      h("div", { class: "panes" }, waterfall.element, details),
    );
    const wanted = new URLSearchParams(location.search).get("span");
    waterfall.start((wanted !== null && tree.byId.get(wanted)) || tree.main);
    document.title = `${tree.main?.span.name ?? id} · Pounce`;
    keys.use([
      { keys: ["ArrowDown", "j"], shown: "↓ j", what: "Next row", run: () => waterfall.move(1) },
      { keys: ["ArrowUp", "k"], shown: "↑ k", what: "Previous row", run: () => waterfall.move(-1) },
      {
        keys: ["ArrowLeft", "h"],
        shown: "← h",
        what: "Close the span, or go to its parent",
        run: () => waterfall.left(),
      },
      {
        keys: ["ArrowRight"],
        shown: "→",
        what: "Open the span, or go to its first child",
        run: () => waterfall.right(),
      },
      { keys: ["PageDown"], shown: "PgDn", what: "Further down", run: () => waterfall.move(20) },
      { keys: ["PageUp"], shown: "PgUp", what: "Further up", run: () => waterfall.move(-20) },
      { keys: ["Home"], shown: "Home", what: "First row", run: () => waterfall.move(-Infinity) },
      { keys: ["End"], shown: "End", what: "Last row", run: () => waterfall.move(Infinity) },
      { keys: ["n"], shown: "n", what: "Next error", run: () => waterfall.nextError() },
      { keys: ["c"], shown: "c", what: "Critical path, or not", run: () => criticalToggle.click() },
      { keys: ["l"], shown: "l", what: "Log records, or not", run: () => logToggle.click() },
      { keys: ["z"], shown: "z", what: "Zoom to the span", run: () => waterfall.zoom(true) },
      { keys: ["0"], shown: "0", what: "The whole trace", run: () => waterfall.zoom(false) },
      { keys: ["r"], shown: "r", what: "Read the trace again", run: () => void load() },
      back,
    ]);
    return (/** @type {any} */ logs) => {
      records = otlp.logs(logs, trace.base);
      addLogs(tree, records);
      tellLogs();
      const before = top;
      top = head(trace, tree);
      before.replaceWith(top);
      waterfall.update();
      if (waterfall.selected !== null) describe(waterfall.selected);
    };
  }

  /**
   * @param {Trace} trace
   * @param {Tree} tree
   */
  function head(trace, tree) {
    const errors = trace.spans.filter((span) => span.isError).length;
    const components = [...new Set(trace.spans.map((span) => span.component).filter((name) => name !== ""))];
    const copied = () => {
      const done = navigator.clipboard?.writeText(id) ?? Promise.reject(new Error("no clipboard here"));
      done.then(
        () => say("Copied"),
        () => say("The browser does not let pages copy here"),
      );
    };
    return h(
      "header",
      { class: "trace-head" },
      h("p", { class: "crumbs" }, h("a", { href: "/traces" }, "← All traces")),
      h("h1", {}, tree.main?.span.name ?? id),
      h(
        "p",
        { class: "facts" },
        h("strong", {}, duration(trace.duration)),
        h("span", {}, moment(trace.startMillis)),
        h("span", {}, counted(trace.spans.length, "span")),
        errors > 0 && h("span", { class: "bad" }, counted(errors, "error")),
        ...components.slice(0, 4).map((name) => h("span", { class: "tag" }, name)),
        h("code", { class: "mono", id: "trace-id" }, id),
        h("button", { type: "button", class: "button small", onclick: copied }, "Copy id"),
      ),
      phaseBar(tree.main),
    );
  }

  /** @param {() => void} exported */
  function actions(exported) {
    return h(
      "div",
      { class: "actions" },
      h(
        "a",
        {
          class: "button",
          href: `/api/traces?trace_id=${id}`,
          download: `trace-${id}.json`,
          id: "download-json",
        },
        "OTLP JSON",
      ),
      button("SVG", exported, { id: "download-svg" }),
      h("a", { class: "button", href: `/traces/compare?a=${id}`, id: "compare" }, "Compare …"),
      button("Reload", () => void load()),
    );
  }

  fill(main, h("p", { class: "empty weak" }, "Reading the trace …"));
  keys.use([back]);
  void load();
  return {
    title: `Trace ${id.slice(0, 8)}`,
    stop() {
      isOver = true;
      shown?.stop();
    },
  };
}

/**
 * @param {string} text
 * @param {boolean} isOn
 * @param {(isOn: boolean) => void} onchange
 */
function toggle(text, isOn, onchange) {
  const element = button(
    text,
    () => {
      const next = element.getAttribute("aria-pressed") !== "true";
      element.setAttribute("aria-pressed", String(next));
      onchange(next);
    },
    { "aria-pressed": String(isOn) },
  );
  return element;
}

/**
 * The phases of the invocation, by their share of the request's time.
 * @param {Node | null} node
 */
function phaseBar(node) {
  const found = node === null ? [] : phases(node);
  if (node === null || found.length === 0) return null;
  return h(
    "ul",
    { class: "legend", "aria-label": "Phases of the invocation" },
    ...found.map(({ name, label, duration: length }) =>
      h(
        "li",
        {},
        h("span", { class: `swatch phase-${name}`, "aria-hidden": "true" }),
        `${label} `,
        h("strong", {}, duration(length)),
      ),
    ),
  );
}
