// Elements. Text is always text: nothing that is shown is ever read as markup.

/**
 * @typedef {Record<string, string | number | boolean | null | undefined | EventListener | Record<string, string>>} Props
 * @typedef {Node | string | null | undefined | false} Child
 */

/**
 * An element. Of `props`, `on…` are listeners, `style` are properties of CSS, `class`, `aria-…`, `data-…` and the like are
 * attributes; those that are null, undefined or false are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (typeof value === "object")
      for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, children);
  return element;
}

/**
 * Adds children that are there.
 * @param {Element} element
 * @param {Child[]} children
 */
function put(element, children) {
  for (const child of children)
    if (child !== null && child !== undefined && child !== false) element.append(child);
}

/**
 * Replaces what is in an element.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

/**
 * The element with this id, which the page has.
 * @param {string} id
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Tells a screen reader, without showing anything.
 * @param {string} text
 */
export function say(text) {
  byId("said").textContent = text;
}

/**
 * A name that may go on in the next line after its dots and underscores rather than within its words.
 * @param {string} name
 */
export function breakable(name) {
  const parts = name.split(/(?<=[._])/);
  return parts.flatMap((part, at) => (at === 0 ? [part] : [h("wbr"), part]));
}

/** Resolves once what has changed is painted; soon where nothing is, in a hidden tab. */
export function painted() {
  return new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done, 0));
    setTimeout(done, 500);
  });
}

/**
 * Hands over a file to be saved.
 * @param {string} name
 * @param {string} type
 * @param {string} content
 */
export function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  // After the browser has taken it.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * A button.
 * @param {string} text
 * @param {EventListener} onclick
 * @param {Props} [props]
 */
export function button(text, onclick, props = {}) {
  return h("button", { type: "button", class: "button", onclick, ...props }, text);
}
