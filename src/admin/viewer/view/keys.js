// The keyboard: what a key does depends on the view, and `?` tells.

import { byId, button, fill, h } from "./dom.js";

/**
 * @typedef {object} Key
 * @property {string[]} keys as `KeyboardEvent.key` has them
 * @property {string} shown
 * @property {string} what
 * @property {() => void} run
 */

/** @type {Key[]} */
let ofView = [];
/** @type {Key[]} */
let always = [];

/**
 * The keys of the view that is shown now.
 * @param {Key[]} keys
 */
export function use(keys) {
  ofView = keys;
}

/** @param {Key[]} keys those of every view */
export function start(keys) {
  const help = /** @type {HTMLDialogElement} */ (byId("help"));
  const open = () => {
    if (help.open) return help.close();
    const lines = [...ofView, ...always].map(({ shown, what }) => [
      h("dt", {}, ...shown.split(" ").map((key) => h("kbd", {}, key))),
      h("dd", {}, what),
    ]);
    fill(
      help,
      h("h2", { id: "help-title" }, "Keys"),
      h("dl", { class: "keys" }, ...lines.flat()),
      button("Close", () => help.close(), { autofocus: true }),
    );
    help.showModal();
  };
  always = [...keys, { keys: ["?"], shown: "?", what: "These keys", run: open }];
  byId("help-open").addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = /** @type {Element | null} */ (event.target);
    const isWriting = target !== null && target.matches("input:not([type=checkbox]), select, textarea");
    // Keys belong to a field while somebody writes in it; Escape leaves the field.
    if (isWriting) {
      if (event.key === "Escape") /** @type {HTMLElement} */ (target).blur();
      return;
    }
    if (help.open && event.key !== "?") return;
    const isButton = target !== null && target.matches("button, a, summary, input");
    if (isButton && (event.key === "Enter" || event.key === " ")) return;
    const found = [...ofView, ...always].find(({ keys }) => keys.includes(event.key));
    if (found === undefined) return;
    event.preventDefault();
    found.run();
  });
}
