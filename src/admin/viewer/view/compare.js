// Two traces side by side: what both have, what one has alone, and what of it differs.

import { differences, pairs } from "../model/compare.js";
import { clock, counted, duration } from "../model/format.js";
import * as otlp from "../model/otlp.js";
import { tree as treeOf } from "../model/tree.js";
import * as api from "./api.js";
import { breakable, fill, h } from "./dom.js";
import * as keys from "./keys.js";
import { Rows } from "./rows.js";

/** @typedef {import("../model/types.d.ts").Node} Node */
/** @typedef {import("../model/types.d.ts").Pair} Pair */
/** @typedef {import("../model/types.d.ts").Side} Side */
/** @typedef {import("../model/types.d.ts").Trace} Trace */
/** @typedef {import("../model/types.d.ts").Tree} Tree */
/** @typedef {{ trace: Trace, tree: Tree }} Read */

const ROW = 28;
const HEAD = 30;

/**
 * @param {HTMLElement} main
 * @param {import("../app.js").App} app
 * @returns {import("../app.js").View}
 */
export function compareView(main, app) {
  let isOver = false;
  /** @type {Rows | null} */
  let rows = null;
  const given = new URLSearchParams(location.search);
  const ids = { a: given.get("a") ?? "", b: given.get("b") ?? "" };
  const result = h("div", { class: "compared" });

  fill(
    main,
    h(
      "header",
      { class: "trace-head" },
      h("p", { class: "crumbs" }, h("a", { href: "/traces" }, "← All traces")),
      h("h1", {}, "Two traces"),
    ),
    h("div", { class: "sides" }, choice("a", "First trace"), choice("b", "Second trace")),
    result,
  );

  /**
   * @param {"a" | "b"} which
   * @param {string} label
   */
  function choice(which, label) {
    const input = h("input", {
      id: `trace-${which}`,
      value: ids[which],
      list: "recent",
      spellcheck: "false",
      autocomplete: "off",
      class: "mono",
      placeholder: "Trace id: 32 hex digits",
    });
    input.addEventListener("change", () => {
      ids[which] = input.value.trim().toLowerCase();
      app.rename(`/traces/compare?${new URLSearchParams(ids)}`);
      void load();
    });
    return h("label", { class: "field side" }, h("span", { class: "label" }, label), input);
  }

  async function offer() {
    await app.live.ask();
    if (isOver) return;
    const known = app.live.traces.all.slice(0, 200);
    const told = (/** @type {import("../model/types.d.ts").Summary} */ trace) =>
      `${clock(Number(trace.start_unix_nano) / 1e6)} ${trace.name} ${duration(trace.duration_nano)}`;
    main.append(
      h(
        "datalist",
        { id: "recent" },
        ...known.map((trace) => h("option", { value: trace.trace_id }, told(trace))),
      ),
    );
  }

  /** @param {string} id @returns {Promise<Read | null>} */
  async function read(id) {
    if (!/^[0-9a-f]{32}$/.test(id)) return null;
    const trace = otlp.trace(await api.trace(id));
    return trace === null ? null : { trace, tree: treeOf(trace.spans) };
  }

  async function load() {
    rows?.stop();
    rows = null;
    try {
      const [a, b] = await Promise.all([read(ids.a), read(ids.b)]);
      if (isOver) return;
      if (a !== null && b !== null) return show(a, b);
      const missing = [
        ["first", ids.a, a],
        ["second", ids.b, b],
      ].filter(([, id, found]) => id !== "" && found === null);
      const why =
        missing.length > 0
          ? `The ${missing.map(([which]) => which).join(" and the ")} trace is not here.`
          : "Choose two traces: mark them in the list, or enter their ids.";
      fill(result, h("p", { class: "empty" }, why));
    } catch (error) {
      if (!isOver)
        fill(
          result,
          h("p", { class: "empty", role: "alert" }, error instanceof Error ? error.message : String(error)),
        );
    }
  }

  /** @param {Read} a @param {Read} b */
  function show(a, b) {
    const all = pairs(a.tree, b.tree);
    const scale = Math.max(a.trace.duration, b.trace.duration, 1);
    let current = 0;
    const aside = h("aside", { class: "details", "aria-label": "What differs", tabindex: "0" });
    const grid = h(
      "div",
      {
        class: "pairs",
        role: "treegrid",
        tabindex: "0",
        "aria-label": "Spans of both traces",
        "aria-rowcount": String(all.length + 1),
        id: "pairs",
      },
      h(
        "div",
        { class: "pair-row pair-head", role: "row", "aria-rowindex": "1" },
        ...["Span", "First", "Second", "Difference"].map((name) => h("span", { role: "columnheader" }, name)),
      ),
    );
    const virtual = new Rows(grid, ROW, HEAD, (at) => line(/** @type {Pair} */ (all[at]), at));
    rows = virtual;

    /** @param {Pair} pair @param {number} at */
    function line(pair, at) {
      const only = pair.b === null ? "only in the first" : pair.a === null ? "only in the second" : "";
      return h(
        "div",
        {
          class: `pair-row${only === "" ? "" : " only"}${at === current ? " current" : ""}`,
          role: "row",
          id: `pair-${at}`,
          "aria-level": String(pair.depth + 1),
          "aria-rowindex": String(at + 2),
          "aria-selected": String(at === current),
          onclick: () => select(at),
        },
        h(
          "span",
          {
            role: "gridcell",
            class: "fall-name",
            style: { "padding-left": `${8 + Math.min(pair.depth, 20) * 14}px` },
          },
          h("span", { class: "name" }, pair.name === "" ? "(no name)" : pair.name),
        ),
        cell(pair.a, scale),
        cell(pair.b, scale),
        h(
          "span",
          { role: "gridcell", class: "difference" },
          only === "" ? change(pair) : h("span", { class: "tag" }, only),
        ),
      );
    }

    /** @param {number} at */
    function select(at) {
      const before = current;
      current = Math.min(Math.max(at, 0), all.length - 1);
      virtual.reveal(current);
      virtual.refresh(before);
      virtual.refresh(current);
      grid.setAttribute("aria-activedescendant", `pair-${current}`);
      const pair = all[current];
      if (pair !== undefined) fill(aside, differing(pair));
    }

    fill(
      result,
      h("div", { class: "sides" }, card("First", a, b), card("Second", b, a)),
      h("div", { class: "panes" }, grid, aside),
    );
    virtual.update(all.length);
    select(0);
    keys.use([
      { keys: ["ArrowDown", "j"], shown: "↓ j", what: "Next row", run: () => select(current + 1) },
      { keys: ["ArrowUp", "k"], shown: "↑ k", what: "Previous row", run: () => select(current - 1) },
      { keys: ["Home"], shown: "Home", what: "First row", run: () => select(0) },
      { keys: ["End"], shown: "End", what: "Last row", run: () => select(all.length - 1) },
      back,
    ]);
  }

  const back = { keys: ["Escape"], shown: "Esc", what: "Back to the list", run: () => app.go("/traces") };
  keys.use([back]);
  void offer();
  void load();
  return {
    title: "Two traces",
    stop() {
      isOver = true;
      rows?.stop();
    },
  };
}

/**
 * @param {string} which
 * @param {Read} own
 * @param {Read} other
 */
function card(which, own, other) {
  const { trace, tree } = own;
  const errors = trace.spans.filter((span) => span.isError).length;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, h("a", { href: `/traces/${trace.id}` }, tree.main?.span.name ?? trace.id)),
    h(
      "p",
      { class: "facts" },
      h("span", { class: "tag" }, which),
      h("strong", {}, duration(trace.duration)),
      h("span", {}, factor(trace.duration, other.trace.duration)),
      h("span", {}, counted(trace.spans.length, "span")),
      errors > 0 && h("span", { class: "bad" }, counted(errors, "error")),
    ),
  );
}

/** @param {number} own @param {number} other */
function factor(own, other) {
  if (other <= 0 || own <= 0) return "";
  const times = own / other;
  return times >= 1 ? `${times.toFixed(2)} × the other` : `${(times * 100).toFixed(0)} % of the other`;
}

/**
 * @param {Side | null} side
 * @param {number} scale
 */
function cell(side, scale) {
  if (side === null)
    return h("span", { role: "gridcell", class: "fall-time" }, h("span", { class: "unseen" }, "none"));
  const first = side.nodes[0]?.span;
  const kind = first?.kind ?? "internal";
  const style = {
    left: `${((first?.start ?? 0) / scale) * 100}%`,
    width: `${Math.min(side.duration / scale, 1) * 100}%`,
  };
  return h(
    "span",
    { role: "gridcell", class: "fall-time" },
    h("span", { class: `span-bar bar-${kind}${side.isError ? " bar-error" : ""}`, style }),
    h(
      "span",
      { class: "bar-text pair-text" },
      `${side.count > 1 ? `${side.count} × ` : ""}${duration(side.duration)}`,
    ),
  );
}

/** @param {Pair} pair */
function change(pair) {
  const [a, b] = [pair.a?.duration ?? 0, pair.b?.duration ?? 0];
  const by = b - a;
  const share = a > 0 ? by / a : 0;
  // A few per cent are noise.
  const way = Math.abs(share) < 0.05 ? "same" : by > 0 ? "slower" : "faster";
  const counts =
    pair.a !== null && pair.b !== null && pair.a.count !== pair.b.count
      ? `, ${pair.b.count - pair.a.count > 0 ? "+" : ""}${pair.b.count - pair.a.count} spans`
      : "";
  return h(
    "span",
    { class: `change change-${way}` },
    `${by >= 0 ? "+" : "−"}${duration(Math.abs(by))}${counts}`,
  );
}

/** @param {Pair} pair */
function differing(pair) {
  const [a, b] = [pair.a?.nodes[0] ?? null, pair.b?.nodes[0] ?? null];
  const found = differences(a, b);
  const title = h("h2", {}, pair.name);
  if (found.length === 0)
    return h(
      "div",
      { class: "details-body" },
      title,
      h("p", { class: "weak" }, "The attributes are the same."),
    );
  const shown = (/** @type {string | null} */ text) =>
    text === null ? h("span", { class: "weak" }, "–") : text;
  return h(
    "div",
    { class: "details-body" },
    title,
    h(
      "table",
      { class: "attributes differing" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Attribute"),
          h("th", { scope: "col" }, "First"),
          h("th", { scope: "col" }, "Second"),
        ),
      ),
      h(
        "tbody",
        {},
        ...found.map(({ key, a, b }) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, ...breakable(key)),
            h("td", {}, shown(a)),
            h("td", {}, shown(b)),
          ),
        ),
      ),
    ),
  );
}
