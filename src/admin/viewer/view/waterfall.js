// The waterfall: spans nested, each a bar on the trace's time, with log records in their place.

import { duration, ticks } from "../model/format.js";
import * as otlp from "../model/otlp.js";
import { joined, phases } from "../model/phases.js";
import { canClose, rows as rowsOf } from "../model/tree.js";
import { fill, h } from "./dom.js";
import { Rows } from "./rows.js";

/** @typedef {import("../model/types.d.ts").Node} Node */
/** @typedef {import("../model/types.d.ts").Row} Row */
/** @typedef {import("../model/types.d.ts").Span} Span */
/** @typedef {import("../model/types.d.ts").Stretch} Stretch */

const ROW = 26;
const HEAD = 30;
const INDENT = 14;
/** Deeper spans are indented no further: their level is told. */
const DEEPEST = 20;

export class Waterfall {
  /** @type {Row[]} */
  rows = [];
  /** @type {Set<Node>} */
  closed = new Set();
  showsLogs = true;
  showsCritical = true;
  /** @type {Row | null} */
  selected = null;

  /**
   * @param {import("../model/types.d.ts").Trace} trace
   * @param {import("../model/types.d.ts").Tree} tree
   * @param {Map<Span, Stretch[]>} critical
   * @param {(row: Row) => void} onselect
   */
  constructor(trace, tree, critical, onselect) {
    this.trace = trace;
    this.tree = tree;
    this.critical = critical;
    this.onselect = onselect;
    this.from = 0;
    this.to = Math.max(trace.duration, 1);
    this.axis = h("span", { class: "axis", role: "columnheader" });
    this.element = h(
      "div",
      {
        class: "waterfall",
        role: "treegrid",
        tabindex: "0",
        "aria-label": "Spans of the trace",
        id: "waterfall",
      },
      h(
        "div",
        { class: "fall-row fall-head", role: "row", "aria-rowindex": "1" },
        h("span", { class: "fall-name", role: "columnheader" }, "Span"),
        this.axis,
      ),
    );
    this.virtual = new Rows(this.element, ROW, HEAD, (at) => this.#row(at));
  }

  /** Shows the rows anew, as spans are closed or opened, or something else has changed. */
  update() {
    const { selected } = this;
    this.rows = rowsOf(this.tree, this.closed, this.showsLogs);
    if (selected !== null) this.selected = this.rows.find((row) => isSame(row, selected)) ?? null;
    this.#show();
  }

  #show() {
    this.element.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.#drawAxis();
    this.virtual.update(this.rows.length);
    this.#point();
  }

  /** Shows the rows for the first time, with this span selected: drawn once, since a large trace is waited for. @param {Node | null} node */
  start(node) {
    this.rows = rowsOf(this.tree, this.closed, this.showsLogs);
    const at = this.rows.findIndex((row) => row.kind === "span" && row.node === node);
    this.selected = this.rows[at] ?? null;
    this.#show();
    if (this.selected === null) return;
    this.virtual.reveal(at);
    this.onselect(this.selected);
  }

  /** @param {Row} row */
  select(row) {
    const before = this.selected === null ? -1 : this.rows.indexOf(this.selected);
    const at = this.rows.indexOf(row);
    if (at < 0) return;
    this.selected = row;
    this.virtual.reveal(at);
    this.virtual.refresh(before);
    this.virtual.refresh(at);
    this.#point();
    this.onselect(row);
  }

  /** Selects a span, and opens what it is in. @param {Node} node */
  selectNode(node) {
    let isHidden = false;
    for (let above = node.parent; above !== null; above = above.parent)
      isHidden = this.closed.delete(above) || isHidden;
    if (isHidden) this.update();
    const row = this.rows.find((row) => row.kind === "span" && row.node === node);
    if (row !== undefined) this.select(row);
  }

  /** @param {number} by */
  move(by) {
    if (this.rows.length === 0) return;
    const at = this.selected === null ? -1 : this.rows.indexOf(this.selected);
    const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), this.rows.length - 1);
    this.select(/** @type {Row} */ (this.rows[next]));
  }

  /** Closes the selected span, or goes to what it is in. */
  left() {
    const { selected } = this;
    if (selected === null) return this.move(0);
    if (selected.kind === "span" && selected.isOpen && canClose(selected.node, this.showsLogs))
      return this.toggle(selected.node);
    const above = selected.kind === "span" ? selected.node.parent : selected.node;
    if (above !== null) this.selectNode(above);
  }

  /** Opens the selected span, or goes to what is in it. */
  right() {
    const { selected } = this;
    if (selected === null || selected.kind !== "span" || !canClose(selected.node, this.showsLogs)) return;
    if (selected.isOpen) this.move(1);
    else this.toggle(selected.node);
  }

  /** @param {Node} node */
  toggle(node) {
    if (!this.closed.delete(node)) this.closed.add(node);
    this.update();
  }

  /** Opens all, or closes all but the roots. @param {boolean} isOpen */
  openAll(isOpen) {
    this.closed.clear();
    if (!isOpen)
      for (const node of this.tree.byId.values()) if (canClose(node, this.showsLogs)) this.closed.add(node);
    let root = this.selected?.node ?? null;
    this.update();
    if (isOpen || root === null) return;
    while (root.parent !== null) root = root.parent;
    this.selectNode(root);
  }

  /** The next failed span after the selected one. */
  nextError() {
    const failed = [...this.tree.byId.values()].filter((node) => node.span.isError);
    if (failed.length === 0) return;
    this.openAll(true);
    const { selected } = this;
    const at = selected === null ? -1 : this.rows.findIndex((row) => isSame(row, selected));
    const next = [...this.rows.slice(at + 1), ...this.rows].find(
      (row) => row.kind === "span" && row.node.span.isError,
    );
    if (next !== undefined) this.select(next);
  }

  /** Shows the time of the selected span alone, or all of it. @param {boolean} isNear */
  zoom(isNear) {
    const { selected, trace } = this;
    const span = selected?.node?.span;
    [this.from, this.to] = [0, Math.max(trace.duration, 1)];
    if (isNear && span !== undefined && span.end > span.start) {
      const around = (span.end - span.start) * 0.05;
      this.from = Math.max(span.start - around, 0);
      this.to = Math.min(span.end + around, this.to);
    }
    this.update();
  }

  stop() {
    this.virtual.stop();
  }

  #point() {
    const at = this.selected === null ? -1 : this.rows.indexOf(this.selected);
    if (at >= 0) this.element.setAttribute("aria-activedescendant", `row-${at}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #drawAxis() {
    // One at the very end would stand over the edge.
    const shown = ticks(this.from, this.to, 6).filter((at) => this.#share(at) <= 0.94);
    const tick = (/** @type {number} */ at) =>
      h("span", { class: "tick", style: { left: this.#x(at) } }, duration(at));
    fill(this.axis, h("span", { class: "unseen" }, "Time"), ...shown.map(tick));
  }

  /** @param {number} at */
  #share(at) {
    return Math.min(Math.max((at - this.from) / (this.to - this.from), 0), 1);
  }

  /** @param {number} at */
  #x(at) {
    return `${(this.#share(at) * 100).toFixed(3)}%`;
  }

  /** @param {number} from @param {number} to */
  #place(from, to) {
    const [left, right] = [this.#share(from), this.#share(to)];
    return { left: `${(left * 100).toFixed(3)}%`, width: `${((right - left) * 100).toFixed(3)}%` };
  }

  /** @param {number} at */
  #row(at) {
    const row = /** @type {Row} */ (this.rows[at]);
    const indent = { "padding-left": `${8 + Math.min(row.depth, DEEPEST) * INDENT}px` };
    const isSelected = row === this.selected;
    const shared = {
      role: "row",
      id: `row-${at}`,
      "aria-rowindex": String(at + 2),
      "aria-level": String(row.depth + 1),
      "aria-selected": String(isSelected),
      onclick: () => this.select(row),
    };
    const current = isSelected ? " current" : "";
    if (row.kind === "log") return this.#log(row, shared, current, indent);
    const { node } = row;
    const { span } = node;
    const isParent = canClose(node, this.showsLogs);
    const name = span.name === "" ? "(no name)" : span.name;
    return h(
      "div",
      {
        class: `fall-row${span.isError ? " failed" : ""}${current}`,
        ...shared,
        "aria-expanded": isParent ? String(row.isOpen) : null,
        ondblclick: () => isParent && this.toggle(node),
      },
      h(
        "span",
        { class: "fall-name", role: "gridcell", style: indent },
        h("span", {
          class: `twist${isParent ? (row.isOpen ? " open" : " shut") : ""}`,
          "aria-hidden": "true",
          onclick: (event) => isParent && (event.stopPropagation(), this.toggle(node)),
        }),
        h("span", { class: `kind kind-${span.kind}`, title: span.kind }, KIND_LETTERS[span.kind]),
        span.isError &&
          h("span", { class: "mark-error", title: "Error" }, "!", h("span", { class: "unseen" }, " Error: ")),
        h("span", { class: "name" }, name),
        !row.isOpen &&
          node.hasError &&
          !span.isError &&
          h("span", { class: "mark-error", title: "An error below" }, "!"),
        !row.isOpen &&
          h("span", { class: "tag" }, `+${node.below + (this.showsLogs ? node.logs.length : 0)}`),
      ),
      h("span", { class: "fall-time", role: "gridcell" }, ...this.#bar(node)),
    );
  }

  /**
   * @param {Row & { kind: "log" }} row
   * @param {import("./dom.js").Props} shared
   * @param {string} current
   * @param {Record<string, string>} indent
   */
  #log(row, shared, current, indent) {
    const { log } = row;
    const level = log.severityNumber >= 17 ? "bad" : log.severityNumber >= 13 ? "warn" : "plain";
    return h(
      "div",
      { class: `fall-row fall-log${current}`, ...shared },
      h(
        "span",
        { class: "fall-name", role: "gridcell", style: indent },
        h("span", { class: "twist", "aria-hidden": "true" }),
        h("span", { class: `severity severity-${level}` }, log.severity),
        h("span", { class: "name" }, log.body),
      ),
      h(
        "span",
        { class: "fall-time", role: "gridcell" },
        h("span", { class: `dot dot-${level}`, style: { left: this.#x(log.time) } }),
        h("span", { class: "unseen" }, `after ${duration(log.time)}`),
      ),
    );
  }

  /** @param {Node} node */
  #bar(node) {
    const { span } = node;
    const [left, right] = [this.#share(span.start), this.#share(span.end)];
    const parts = [];
    // A request with 1,000 calls has as many stretches, most of them less than a pixel apart.
    const near = (this.to - this.from) / 2000;
    if (right > left || (span.start >= this.from && span.start <= this.to)) {
      parts.push(
        h("span", {
          class: `span-bar bar-${span.kind}${span.isError ? " bar-error" : ""}`,
          style: this.#place(span.start, span.end),
        }),
      );
      for (const phase of phases(node)) {
        for (const stretch of joined(phase.stretches ?? [], near)) {
          parts.push(
            h("span", {
              class: `phase-part phase-${phase.name}`,
              title: `${phase.label}: ${duration(phase.duration)}`,
              style: this.#place(stretch.from, stretch.to),
            }),
          );
        }
      }
    }
    if (this.showsCritical) {
      for (const stretch of joined(this.critical.get(span) ?? [], near))
        parts.push(h("span", { class: "critical", style: this.#place(stretch.from, stretch.to) }));
    }
    if (otlp.hasEvents(span)) {
      for (const event of otlp.events(span, this.trace.base).slice(0, 40)) {
        if (event.time >= this.from && event.time <= this.to)
          parts.push(
            h("span", {
              class: `event${event.name === "exception" ? " event-bad" : ""}`,
              title: event.name,
              style: { left: this.#x(event.time) },
            }),
          );
      }
    }
    // Beside the bar where there is room, else in it.
    /** @type {Record<string, string>} */
    const where =
      right < 0.86
        ? { left: `calc(${(right * 100).toFixed(3)}% + 6px)` }
        : left > 0.14
          ? { right: `calc(${((1 - left) * 100).toFixed(3)}% + 6px)` }
          : { right: "8px" };
    const isInside = right >= 0.86 && left <= 0.14;
    parts.push(
      h(
        "span",
        { class: `bar-text${isInside ? " inside" : ""}`, style: where },
        duration(span.end - span.start),
      ),
    );
    return parts;
  }
}

/** @type {Record<import("../model/types.d.ts").Kind, string>} */
const KIND_LETTERS = { server: "S", client: "C", internal: "I", producer: "P", consumer: "Q" };

/** @param {Row} one @param {Row} other */
function isSame(one, other) {
  if (one.kind === "log" || other.kind === "log")
    return one.kind === "log" && other.kind === "log" && one.log === other.log;
  return one.node === other.node;
}
