// Latencies by route, in buckets that grow by the same factor.

import { hasFailed } from "./filters.js";
import { routeOf } from "./traces.js";

/** @typedef {import("./types.d.ts").Bucket} Bucket */
/** @typedef {import("./types.d.ts").RouteTimes} RouteTimes */
/** @typedef {import("./types.d.ts").Summary} Summary */

/** From 10 µs to 100 s: six buckets for each power of ten; the first and the last have no bound. */
const FIRST = 1e4;
const PER_DECADE = 6;
const BUCKETS = 7 * PER_DECADE + 2;

/** @param {number} at */
function bound(at) {
  return Number((FIRST * 10 ** (at / PER_DECADE)).toPrecision(3));
}

/** @param {number} nanos */
export function bucketOf(nanos) {
  let at = Math.min(
    Math.max(Math.floor(Math.log10(Math.max(nanos, 1) / FIRST) * PER_DECADE) + 1, 0),
    BUCKETS - 1,
  );
  // Bounds are rounded: what lies between them and the formula is on the side that the bounds say.
  if (at > 0 && nanos < bound(at - 1)) at -= 1;
  if (at < BUCKETS - 1 && nanos >= bound(at)) at += 1;
  return at;
}

/**
 * The buckets from the first to the last that has a trace in it.
 * @param {Summary[]} traces
 * @returns {Bucket[]}
 */
export function buckets(traces) {
  /** @type {Bucket[]} */
  const all = Array.from({ length: BUCKETS }, (_, at) => ({
    from: at === 0 ? 0 : bound(at - 1),
    to: at === BUCKETS - 1 ? Infinity : bound(at),
    count: 0,
    errors: 0,
  }));
  for (const trace of traces) {
    const bucket = /** @type {Bucket} */ (all[bucketOf(trace.duration_nano)]);
    bucket.count += 1;
    if (hasFailed(trace)) bucket.errors += 1;
  }
  return all;
}

/**
 * The part of each list of buckets that is not empty in all of them.
 * @param {Bucket[][]} lists
 * @returns {{ first: number, last: number }}
 */
export function extent(lists) {
  let [first, last] = [Infinity, -1];
  for (const list of lists) {
    list.forEach((bucket, at) => {
      if (bucket.count === 0) return;
      first = Math.min(first, at);
      last = Math.max(last, at);
    });
  }
  if (last < 0) return { first: 0, last: -1 };
  // A few on either side: a single bar says nothing.
  return { first: Math.max(first - 2, 0), last: Math.min(last + 2, BUCKETS - 1) };
}

/**
 * Times of all traces and of each route, the busiest first.
 * @param {Summary[]} traces
 * @returns {{ all: RouteTimes, routes: RouteTimes[] }}
 */
export function byRoute(traces) {
  /** @type {Map<string, Summary[]>} */
  const groups = new Map();
  for (const trace of traces) {
    const route = routeOf(trace);
    const group = groups.get(route);
    if (group === undefined) groups.set(route, [trace]);
    else group.push(trace);
  }
  const routes = [...groups].map(([route, group]) => times(route, group));
  routes.sort((one, other) => other.count - one.count || (one.route < other.route ? -1 : 1));
  return { all: times("", traces), routes };
}

/**
 * @param {string} route
 * @param {Summary[]} traces
 * @returns {RouteTimes}
 */
function times(route, traces) {
  const sorted = traces.map((trace) => trace.duration_nano).sort((one, other) => one - other);
  const quantile = (/** @type {number} */ share) =>
    sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] ?? NaN;
  return {
    route,
    count: traces.length,
    errors: traces.filter(hasFailed).length,
    p50: quantile(0.5),
    p95: quantile(0.95),
    max: quantile(1),
    buckets: buckets(traces),
  };
}
