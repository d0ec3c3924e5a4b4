// Which traces of the list are shown, and the same as the query of an address, so that it can be passed on.

import { routeOf } from "./traces.js";

/** @typedef {import("./types.d.ts").Filters} Filters */
/** @typedef {import("./types.d.ts").Summary} Summary */

/** @returns {Filters} */
export function none() {
  return { text: "", component: "", route: "", status: "", min: null, max: null, errors: false };
}

/** @param {Filters} filters */
export function areAny(filters) {
  return toQuery(filters) !== "";
}

/**
 * @param {string} query
 * @returns {Filters}
 */
export function fromQuery(query) {
  const given = new URLSearchParams(query);
  const number = (/** @type {string} */ key) => {
    const text = given.get(key);
    const read = Number(text);
    return text !== null && text !== "" && Number.isFinite(read) && read >= 0 ? read : null;
  };
  const status = given.get("status") ?? "";
  return {
    text: given.get("text") ?? "",
    component: given.get("component") ?? "",
    route: given.get("route") ?? "",
    status: /^([2-5]|[1-5][0-9][0-9]|none)$/.test(status) ? status : "",
    min: number("min"),
    max: number("max"),
    errors: given.get("errors") === "1",
  };
}

/** @param {Filters} filters */
export function toQuery(filters) {
  const query = new URLSearchParams();
  for (const key of /** @type {const} */ (["text", "component", "route", "status"])) {
    if (filters[key] !== "") query.set(key, filters[key]);
  }
  for (const key of /** @type {const} */ (["min", "max"])) {
    const bound = filters[key];
    if (bound !== null) query.set(key, String(bound));
  }
  if (filters.errors) query.set("errors", "1");
  return query.toString();
}

/** @param {Summary} trace */
export function hasFailed(trace) {
  return trace.errors > 0 || trace.error_type !== null || (trace.status ?? 0) >= 500;
}

/**
 * A test for traces. Each word of the text is in the trace's name, route, path, component, error or id.
 * @param {Filters} filters
 * @returns {(trace: Summary) => boolean}
 */
export function matches(filters) {
  const words = filters.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  return (trace) => {
    if (filters.errors && !hasFailed(trace)) return false;
    if (filters.component !== "" && trace.component !== filters.component) return false;
    if (filters.route !== "" && routeOf(trace) !== filters.route) return false;
    if (filters.status !== "" && !hasStatus(trace, filters.status)) return false;
    if (filters.min !== null && trace.duration_nano < filters.min * 1e6) return false;
    if (filters.max !== null && trace.duration_nano >= filters.max * 1e6) return false;
    if (words.length === 0) return true;
    const { name, method, route, path, component, error_type, status, trace_id } = trace;
    const said = [name, method, route, path, component, error_type, status, trace_id].join(" ").toLowerCase();
    return words.every((word) => said.includes(word));
  };
}

/**
 * @param {Summary} trace
 * @param {string} wanted
 */
function hasStatus(trace, wanted) {
  if (wanted === "none") return trace.status === null;
  const status = String(trace.status ?? "");
  return wanted.length === 1 ? status.startsWith(wanted) : status === wanted;
}
