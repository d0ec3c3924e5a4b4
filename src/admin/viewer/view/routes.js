// Latency by route: a row of bars for each, and a click on a bar leads to its traces.

import { counted, duration, millis, whole } from "../model/format.js";
import { byRoute, extent } from "../model/histogram.js";
import { fill, h } from "./dom.js";

/** @typedef {import("../model/types.d.ts").Bucket} Bucket */
/** @typedef {import("../model/types.d.ts").Filters} Filters */
/** @typedef {import("../model/types.d.ts").RouteTimes} RouteTimes */
/** @typedef {import("../model/types.d.ts").Summary} Summary */

const FIRST_ROUTES = 5;

/**
 * @param {(wanted: Partial<Filters>) => void} onchoose
 */
export function routesPanel(onchoose) {
  let areAllShown = false;
  /** @type {[Summary[], Filters] | null} */
  let last = null;
  const body = h("tbody");
  const more = h("button", {
    type: "button",
    class: "button small",
    onclick: () => ((areAllShown = !areAllShown), again()),
  });
  const element = h(
    "details",
    { class: "routes", open: true, id: "routes" },
    h("summary", {}, "Latency by route"),
    h(
      "div",
      { class: "routes-scroll", tabindex: "0", role: "region", "aria-label": "Latency by route" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ...["Route", "Traces", "Failed", "p50", "p95", "Max"].map((name, at) =>
              h("th", { scope: "col", class: at > 0 && "number" }, name),
            ),
            h("th", { scope: "col", class: "bars-head" }, "Shorter ← duration → longer"),
          ),
        ),
        body,
      ),
    ),
    more,
  );
  element.addEventListener("toggle", again);

  function again() {
    if (last !== null) update(...last);
  }

  /** @param {Summary[]} traces @param {Filters} filters */
  function update(traces, filters) {
    last = [traces, filters];
    element.hidden = traces.length === 0;
    if (!element.open || traces.length === 0) return;
    const { all, routes } = byRoute(traces);
    const chosen = routes.filter((one) => one.route === filters.route);
    const first = routes.slice(0, areAllShown ? 200 : FIRST_ROUTES);
    const shown = [...first, ...chosen.filter((one) => !first.includes(one))];
    const { first: from, last: to } = extent([all, ...shown].map((one) => one.buckets));
    const focused =
      document.activeElement instanceof HTMLElement ? document.activeElement.dataset["bar"] : undefined;
    fill(
      body,
      ...[...(routes.length > 1 ? [all] : []), ...shown].map((one) =>
        line(one, one.buckets.slice(from, to + 1), filters),
      ),
    );
    if (focused !== undefined)
      body.querySelector(`[data-bar=${CSS.escape(focused)}]`)?.dispatchEvent(new CustomEvent("refocus"));
    more.hidden = routes.length <= FIRST_ROUTES;
    more.textContent = areAllShown ? "Fewer routes" : `${routes.length - FIRST_ROUTES} more routes`;
  }

  /**
   * @param {RouteTimes} times
   * @param {Bucket[]} buckets
   * @param {Filters} filters
   */
  function line(times, buckets, filters) {
    const { route, count, errors, p50, p95, max } = times;
    const isChosen = route === filters.route;
    const most = buckets.reduce((most, bucket) => Math.max(most, bucket.count), 1);
    const name = route === "" ? "All routes" : route;
    let hasStop = false;
    const bars = buckets.map((bucket) => {
      if (bucket.count === 0) return h("span", { class: "bar" });
      const span =
        bucket.to === Infinity
          ? `${duration(bucket.from)} or more`
          : `${duration(bucket.from)} to ${duration(bucket.to)}`;
      const failed = bucket.errors > 0 ? `, ${bucket.errors} failed` : "";
      const isInForce =
        isChosen && filters.min === millis(bucket.from) && (filters.max ?? Infinity) === millis(bucket.to);
      const bar = h(
        "button",
        {
          type: "button",
          class: "bar",
          title: `${span}: ${counted(bucket.count, "trace")}${failed}`,
          "aria-label": `${name}, ${span}: ${counted(bucket.count, "trace")}${failed}`,
          "aria-pressed": String(isInForce),
          "data-bar": `${route}|${bucket.from}`,
          tabindex: hasStop ? "-1" : "0",
          onclick: () =>
            onchoose(
              isInForce
                ? { route, min: null, max: null }
                : { route, min: millis(bucket.from), max: bucket.to === Infinity ? null : millis(bucket.to) },
            ),
        },
        h(
          "span",
          { class: "bar-fill", style: { height: `${(bucket.count / most) * 100}%` } },
          bucket.errors > 0 &&
            h("span", { class: "bar-bad", style: { height: `${(bucket.errors / bucket.count) * 100}%` } }),
        ),
      );
      bar.addEventListener("refocus", () => bar.focus({ preventScroll: true }));
      hasStop = true;
      return bar;
    });
    return h(
      "tr",
      { class: isChosen && route !== "" && "chosen" },
      h(
        "th",
        { scope: "row" },
        h(
          "button",
          {
            type: "button",
            class: "route",
            "aria-pressed": String(isChosen && route !== ""),
            onclick: () => onchoose({ route: isChosen ? "" : route, min: null, max: null }),
          },
          name,
        ),
      ),
      h("td", { class: "number" }, whole(count)),
      h("td", { class: "number" }, errors === 0 ? "" : h("strong", { class: "bad" }, whole(errors))),
      h("td", { class: "number" }, duration(p50)),
      h("td", { class: "number" }, duration(p95)),
      h("td", { class: "number" }, duration(max)),
      h("td", { class: "bars-cell" }, h("div", { class: "bars", onkeydown: walk }, ...bars)),
    );
  }

  return { element, update };
}

/** Left and right lead from bar to bar. @param {Event} event */
function walk(event) {
  const { key } = /** @type {KeyboardEvent} */ (event);
  if (key !== "ArrowLeft" && key !== "ArrowRight") return;
  const bars = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const at = bars.findIndex((bar) => bar === document.activeElement);
  const next = bars[at + (key === "ArrowLeft" ? -1 : 1)];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  next.focus();
}
