// Rows of one height of which only those in sight exist, however many there are.

import { h } from "./dom.js";

/** Rows beyond the edge that exist already, so that a short scroll finds them. */
const BEYOND = 8;

export class Rows {
  /** @type {Map<number, HTMLElement>} */
  #shown = new Map();
  #count = 0;
  #isWaiting = false;

  /**
   * @param {HTMLElement} scroller what scrolls; its children before the rows, such as a head that stays in sight, are kept
   * @param {number} height of a row, in pixels
   * @param {number} head the height of what stands before the rows
   * @param {(at: number) => HTMLElement} render
   */
  constructor(scroller, height, head, render) {
    this.scroller = scroller;
    this.height = height;
    this.head = head;
    this.render = render;
    this.canvas = h("div", { class: "canvas", role: "rowgroup" });
    scroller.append(this.canvas);
    scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    this.watching = new ResizeObserver(() => this.#later());
    this.watching.observe(scroller);
  }

  get count() {
    return this.#count;
  }

  /** Rows that exist now. */
  get existing() {
    return this.#shown.size;
  }

  /**
   * Shows so many rows, all anew; what is in sight stays there if `before` rows have come before it.
   * @param {number} count
   * @param {number} [before]
   */
  update(count, before = 0) {
    this.#count = count;
    this.canvas.style.setProperty("height", `${count * this.height}px`);
    if (before > 0 && this.scroller.scrollTop > 0) this.scroller.scrollTop += before * this.height;
    for (const row of this.#shown.values()) row.remove();
    this.#shown.clear();
    this.#draw();
  }

  /** @param {number} at */
  refresh(at) {
    const shown = this.#shown.get(at);
    if (shown === undefined) return;
    const row = this.#make(at);
    shown.replaceWith(row);
    this.#shown.set(at, row);
  }

  /** @param {number} at */
  reveal(at) {
    const { scroller, height, head } = this;
    const top = at * height;
    const room = scroller.clientHeight - head - height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top > scroller.scrollTop + room) scroller.scrollTop = top - room;
    this.#draw();
  }

  stop() {
    this.watching.disconnect();
  }

  #later() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => {
      this.#isWaiting = false;
      this.#draw();
    });
  }

  /** @param {number} at */
  #make(at) {
    const row = this.render(at);
    row.style.setProperty("top", `${at * this.height}px`);
    return row;
  }

  #draw() {
    const { scroller, height } = this;
    const first = Math.max(Math.floor(scroller.scrollTop / height) - BEYOND, 0);
    const last =
      Math.min(Math.ceil((scroller.scrollTop + scroller.clientHeight) / height) + BEYOND, this.#count) - 1;
    for (const [at, row] of this.#shown) {
      if (at >= first && at <= last) continue;
      row.remove();
      this.#shown.delete(at);
    }
    const made = document.createDocumentFragment();
    for (let at = first; at <= last; at += 1) {
      if (this.#shown.has(at)) continue;
      const row = this.#make(at);
      this.#shown.set(at, row);
      made.append(row);
    }
    this.canvas.append(made);
  }
}
