// The list of traces: filters, what is live, and a row for each trace.

import * as filtering from "../model/filters.js";
import { clock, counted, duration, whole } from "../model/format.js";
import { routeOf } from "../model/traces.js";
import { button, fill, h, say } from "./dom.js";
import * as keys from "./keys.js";
import { routesPanel } from "./routes.js";
import { Rows } from "./rows.js";

/** @typedef {import("../model/types.d.ts").Filters} Filters */
/** @typedef {import("../model/types.d.ts").Summary} Summary */

const ROW = 34;
const HEAD = 32;

/**
 * @param {HTMLElement} main
 * @param {import("../app.js").App} app
 * @returns {import("../app.js").View}
 */
export function listView(main, app) {
  const { live } = app;
  let filters = filtering.fromQuery(location.search);
  let isSlowestFirst = new URLSearchParams(location.search).get("order") === "slowest";
  /** @type {Summary[]} */
  let shown = [];
  /** The trace that the keyboard is at. */
  let current = "";
  /** Traces to be compared. @type {string[]} */
  let marked = [];

  const text = h("input", {
    type: "search",
    id: "text",
    placeholder: "Name, route, error, id …",
    autocomplete: "off",
    spellcheck: "false",
  });
  const component = h("select", { id: "component" });
  const route = h("select", { id: "route" });
  const status = h("select", { id: "status" }, ...statuses());
  const min = h("input", {
    type: "number",
    id: "min",
    min: "0",
    step: "any",
    inputmode: "decimal",
    placeholder: "0",
  });
  const max = h("input", {
    type: "number",
    id: "max",
    min: "0",
    step: "any",
    inputmode: "decimal",
    placeholder: "∞",
  });
  const errors = h("input", { type: "checkbox", id: "errors" });
  const liveButton = button("Live", () => live.turn(!live.isOn), { id: "live", class: "button live" });
  const count = h("p", { class: "count", id: "count" });
  const clear = button("Clear", () => set(filtering.none()), { id: "clear" });
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const comparing = h("div", { class: "comparing", hidden: true });
  const empty = h("div", { class: "empty", hidden: true });
  const slowest = h(
    "button",
    { type: "button", class: "sort", "aria-pressed": "false", onclick: order },
    "Duration",
  );
  const grid = h(
    "div",
    { class: "list", role: "grid", tabindex: "0", "aria-label": "Traces", id: "traces" },
    h(
      "div",
      { class: "list-row list-head", role: "row", "aria-rowindex": "1" },
      ...["", "Time", "Request", "Status", "Component"].map((name) =>
        h("span", { role: "columnheader" }, name || h("span", { class: "unseen" }, "Compare")),
      ),
      h("span", { role: "columnheader" }, slowest),
      h("span", { role: "columnheader", class: "number" }, "Spans"),
      h("span", { role: "columnheader", class: "number" }, "Errors"),
    ),
  );
  const rows = new Rows(grid, ROW, HEAD, row);
  const panel = routesPanel((wanted) => set({ ...filters, ...wanted }));

  fill(
    main,
    h("h1", { class: "unseen" }, "Traces"),
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault(), oninput: read },
      field("Search", text, "wide"),
      field("Component", component),
      field("Route", route),
      field("Status", status),
      h(
        "div",
        { class: "field" },
        h("span", { class: "label", id: "bounds" }, "Duration, ms"),
        h(
          "span",
          { class: "range" },
          named(min, "Shortest duration in milliseconds"),
          "–",
          named(max, "Longest duration in milliseconds"),
        ),
      ),
      h("label", { class: "check" }, errors, "Errors only"),
      clear,
      h("span", { class: "grow" }),
      count,
      liveButton,
    ),
    notice,
    panel.element,
    comparing,
    empty,
    grid,
  );

  /** The filters as somebody has set them. */
  function read() {
    const bound = (/** @type {HTMLInputElement} */ input) =>
      input.value === "" || !(input.valueAsNumber >= 0) ? null : input.valueAsNumber;
    filters = {
      text: text.value,
      component: component.value,
      route: route.value,
      status: status.value,
      min: bound(min),
      max: bound(max),
      errors: errors.checked,
    };
    changed();
  }

  /** @param {Filters} wanted */
  function set(wanted) {
    filters = wanted;
    changed();
    write();
  }

  function order() {
    isSlowestFirst = !isSlowestFirst;
    changed();
  }

  function changed() {
    const query = new URLSearchParams(filtering.toQuery(filters));
    if (isSlowestFirst) query.set("order", "slowest");
    app.rename(query.size === 0 ? "/traces" : `/traces?${query}`);
    grid.scrollTop = 0;
    show();
    say(counted(shown.length, "trace"));
  }

  /** Has the form show the filters. */
  function write() {
    const put = (/** @type {HTMLInputElement} */ input, /** @type {number | null} */ bound) => {
      input.value = bound === null ? "" : String(bound);
    };
    if (text.value !== filters.text) text.value = filters.text;
    put(min, filters.min);
    put(max, filters.max);
    errors.checked = filters.errors;
    choices();
  }

  /** Components and routes that there are, as choices. */
  function choices() {
    const all = live.traces.all;
    const components = new Set(all.flatMap((trace) => (trace.component === null ? [] : [trace.component])));
    const routes = new Set(all.map(routeOf));
    choose(component, "All", components, filters.component);
    choose(route, "All", routes, filters.route);
    status.value = filters.status;
    // A code that is no choice of the list comes from an address.
    if (status.value !== filters.status) {
      status.append(h("option", { value: filters.status }, filters.status));
      status.value = filters.status;
    }
  }

  function show() {
    const all = live.traces.all;
    const matching = filtering.matches(filters);
    const top = Math.floor(grid.scrollTop / ROW);
    const anchor = shown[top]?.trace_id;
    shown = all.filter(matching);
    if (isSlowestFirst) shown.sort((one, other) => other.duration_nano - one.duration_nano);
    const before = anchor === undefined ? 0 : shown.findIndex((trace) => trace.trace_id === anchor) - top;
    longest = shown.reduce((longest, trace) => Math.max(longest, trace.duration_nano), 1);
    rows.update(shown.length, Math.max(before, 0));
    grid.setAttribute("aria-rowcount", String(shown.length + 1));
    grid.hidden = shown.length === 0;
    slowest.setAttribute("aria-pressed", String(isSlowestFirst));
    const isFiltered = filtering.areAny(filters);
    clear.disabled = !isFiltered;
    count.textContent = isFiltered
      ? `${whole(shown.length)} of ${counted(all.length, "trace")}`
      : counted(all.length, "trace");
    // The bars are of all durations: a click on one should not take away the others.
    panel.update(all.filter(filtering.matches({ ...filters, min: null, max: null, route: "" })), filters);
    tellNothing(isFiltered);
    tellLive();
    tellMarked();
    point();
  }

  function tellLive() {
    liveButton.setAttribute("aria-pressed", String(live.isOn));
    liveButton.textContent = live.isOn ? "Live" : "Paused";
    notice.hidden = live.trouble === "";
    notice.textContent = live.trouble === "" ? "" : `No news from the server: ${live.trouble}`;
  }

  /** @param {boolean} isFiltered */
  function tellNothing(isFiltered) {
    const { limit } = live.traces;
    empty.hidden = shown.length > 0 || limit === null;
    if (empty.hidden) return;
    if (limit === 0) {
      fill(
        empty,
        h("h2", {}, "No traces are kept"),
        h(
          "p",
          {},
          "They are with admin.recent-traces above 0 and otel.exporter other than none, and while OTEL_SDK_DISABLED is not set.",
        ),
      );
    } else if (isFiltered) {
      fill(
        empty,
        h("h2", {}, "No trace matches"),
        h("p", {}, `${counted(live.traces.all.length, "trace is", "traces are")} kept; none is like this.`),
        button("Clear the filters", () => set(filtering.none())),
      );
    } else {
      fill(
        empty,
        h("h2", {}, "No traces yet"),
        h("p", {}, "Send the server a request: its trace appears here as it ends."),
      );
    }
  }

  function tellMarked() {
    const [a, b] = marked;
    comparing.hidden = a === undefined;
    if (a === undefined) return;
    const name = (/** @type {string | undefined} */ id) =>
      live.traces.all.find((trace) => trace.trace_id === id);
    const shownName = (/** @type {string | undefined} */ id) => name(id)?.name ?? id ?? "";
    fill(
      comparing,
      h(
        "span",
        {},
        b === undefined
          ? `${shownName(a)}: mark another trace to compare it with`
          : `${shownName(a)} and ${shownName(b)}`,
      ),
      b !== undefined &&
        h("a", { class: "button primary", href: `/traces/compare?a=${a}&b=${b}` }, "Compare"),
      button("Forget", () => mark(null)),
    );
  }

  let longest = 1;

  /** @param {number} at */
  function row(at) {
    const trace = /** @type {Summary} */ (shown[at]);
    const id = trace.trace_id;
    const hasFailed = filtering.hasFailed(trace);
    const isMarked = marked.includes(id);
    const share = Math.max(Math.sqrt(trace.duration_nano / longest) * 100, 1);
    return h(
      "div",
      {
        class: `list-row${hasFailed ? " failed" : ""}${id === current ? " current" : ""}`,
        role: "row",
        id: `t${id}`,
        "aria-rowindex": String(at + 2),
        "aria-selected": String(id === current),
        onclick: (event) => {
          current = id;
          if (!(event.target instanceof Element && event.target.closest("a, button, input")))
            app.go(`/traces/${id}`);
        },
      },
      h(
        "span",
        { role: "gridcell" },
        h("input", {
          type: "checkbox",
          tabindex: "-1",
          "aria-label": `Compare ${trace.name}`,
          checked: isMarked,
          onchange: () => mark(id),
        }),
      ),
      h("span", { role: "gridcell", class: "time" }, clock(Number(trace.start_unix_nano) / 1e6)),
      h(
        "span",
        { role: "gridcell", class: "request" },
        h("a", { href: `/traces/${id}`, tabindex: "-1" }, trace.name === "" ? "(no name)" : trace.name),
        trace.requests > 1 && h("span", { class: "tag" }, `${trace.requests} requests`),
        trace.path !== null && !trace.name.includes(trace.path) && h("span", { class: "weak" }, trace.path),
      ),
      h(
        "span",
        { role: "gridcell" },
        h(
          "span",
          { class: `status status-${Math.floor((trace.status ?? 0) / 100)}` },
          String(trace.status ?? "–"),
        ),
        // Where it is the status once more, it says nothing.
        trace.error_type !== null &&
          trace.error_type !== String(trace.status) &&
          h("span", { class: "error-type" }, trace.error_type),
      ),
      h("span", { role: "gridcell", class: "weak component" }, trace.component ?? ""),
      h(
        "span",
        { role: "gridcell", class: "length" },
        h(
          "span",
          { class: "length-bar" },
          h("span", { class: "length-fill", style: { width: `${share}%` } }),
        ),
        h("span", { class: "length-text" }, duration(trace.duration_nano)),
      ),
      h("span", { role: "gridcell", class: "number" }, whole(trace.spans)),
      h(
        "span",
        { role: "gridcell", class: "number" },
        trace.errors === 0 ? "" : h("strong", { class: "bad" }, whole(trace.errors)),
      ),
    );
  }

  /** @param {string | null} id marks it or no longer; null forgets all */
  function mark(id) {
    if (id === null) marked = [];
    else if (marked.includes(id)) marked = marked.filter((one) => one !== id);
    else marked = [...marked.slice(-1), id];
    show();
  }

  /** @param {number} by */
  function move(by) {
    if (shown.length === 0) return;
    const at = shown.findIndex((trace) => trace.trace_id === current);
    const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), shown.length - 1);
    current = shown[next]?.trace_id ?? "";
    rows.reveal(next);
    if (at >= 0) rows.refresh(at);
    rows.refresh(next);
    point();
  }

  function point() {
    const isThere = current !== "" && document.getElementById(`t${current}`) !== null;
    if (isThere) grid.setAttribute("aria-activedescendant", `t${current}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  keys.use([
    { keys: ["ArrowDown", "j"], shown: "↓ j", what: "Next trace", run: () => move(1) },
    { keys: ["ArrowUp", "k"], shown: "↑ k", what: "Previous trace", run: () => move(-1) },
    { keys: ["PageDown"], shown: "PgDn", what: "Further down", run: () => move(15) },
    { keys: ["PageUp"], shown: "PgUp", what: "Further up", run: () => move(-15) },
    { keys: ["Home"], shown: "Home", what: "First trace", run: () => move(-Infinity) },
    { keys: ["End"], shown: "End", what: "Last trace", run: () => move(Infinity) },
    {
      keys: ["Enter"],
      shown: "Enter",
      what: "Open the trace",
      run: () => current !== "" && app.go(`/traces/${current}`),
    },
    {
      keys: ["c", " "],
      shown: "c",
      what: "Mark the trace to compare it",
      run: () => current !== "" && mark(current),
    },
    { keys: ["/"], shown: "/", what: "Search", run: () => text.focus() },
    {
      keys: ["e"],
      shown: "e",
      what: "Errors only, or all",
      run: () => set({ ...filters, errors: !filters.errors }),
    },
    { keys: ["l"], shown: "l", what: "Live, or paused", run: () => live.turn(!live.isOn) },
    { keys: ["x"], shown: "x", what: "Clear the filters", run: () => set(filtering.none()) },
  ]);
  live.onchange = (hasNews) => {
    if (!hasNews) return tellLive();
    choices();
    show();
  };
  write();
  show();
  return { title: "Traces", stop: () => rows.stop() };
}

function statuses() {
  const all = { "": "All", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx", none: "No response" };
  const order = ["", "2", "3", "4", "5", "none"];
  return order.map((value) =>
    h("option", { value }, /** @type {Record<string, string>} */ (all)[value] ?? value),
  );
}

/**
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [more]
 */
function field(label, control, more = "") {
  return h("label", { class: `field ${more}` }, h("span", { class: "label" }, label), control);
}

/** @param {HTMLElement} control @param {string} name */
function named(control, name) {
  control.setAttribute("aria-label", name);
  return control;
}

/**
 * The choices of a list, with one for everything; the one that is chosen stays a choice.
 * @param {HTMLSelectElement} select
 * @param {string} everything
 * @param {Set<string>} values
 * @param {string} chosen
 */
function choose(select, everything, values, chosen) {
  const wanted = ["", ...[...values, ...(chosen === "" || values.has(chosen) ? [] : [chosen])].sort()];
  const isSame =
    wanted.length === select.options.length &&
    wanted.every((value, at) => select.options[at]?.value === value);
  if (!isSame)
    fill(select, ...wanted.map((value) => h("option", { value }, value === "" ? everything : value)));
  select.value = chosen;
}
