// The trace viewer of Pounce's admin listener: which view an address stands for, and what all views share.

import { Live, status } from "./view/api.js";
import { compareView } from "./view/compare.js";
import { byId, fill, h } from "./view/dom.js";
import * as keys from "./view/keys.js";
import { listView } from "./view/list.js";
import * as theme from "./view/theme.js";
import { traceView } from "./view/trace.js";

/**
 * @typedef {object} View
 * @property {string} title
 * @property {() => void} stop nobody looks at it any more
 *
 * @typedef {object} App what views have of the application
 * @property {Live} live
 * @property {(address: string) => void} go to another view
 * @property {(address: string) => void} rename the address of this view
 */

const main = byId("main");
const live = new Live();
/** @type {View | null} */
let view = null;

/** @type {App} */
const app = {
  live,
  go(address) {
    history.pushState(null, "", address);
    show();
    main.focus({ preventScroll: true });
  },
  rename(address) {
    history.replaceState(null, "", address);
  },
};

function show() {
  view?.stop();
  live.onchange = () => {};
  keys.use([]);
  const path = location.pathname.replace(/\/+$/, "");
  const id = /^\/traces\/([0-9a-f]{32})$/i.exec(path)?.[1];
  if (id !== undefined) view = traceView(main, app, id.toLowerCase());
  else if (path === "/traces/compare") view = compareView(main, app);
  else view = listView(main, app);
  document.title = `${view.title} · Pounce`;
  live.watch(id === undefined && path !== "/traces/compare");
}

/** Links within the viewer change the view, unless another tab is asked for. */
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (link === null || !isPlain || link.hasAttribute("download") || link.target !== "") return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || !/^\/traces(\/|$)/.test(to.pathname) || to.hash !== "") return;
  event.preventDefault();
  app.go(to.pathname + to.search);
});

async function tellServer() {
  try {
    const { version, phase, components } = await status();
    const names = /** @type {any[]} */ (components ?? []).map((component) => String(component.name));
    const shown =
      names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
    fill(
      byId("server"),
      h("span", { class: `phase phase-${phase === "ready" ? "ready" : "other"}` }, String(phase)),
      h("span", {}, shown),
      h("span", { class: "weak" }, `v${version}`),
    );
  } catch {
    fill(byId("server"), "");
  }
}

const nextTheme = theme.start();
keys.start([{ keys: ["t"], shown: "t", what: "Light, dark or as the system", run: nextTheme }]);
window.addEventListener("popstate", show);
show();
void tellServer();
