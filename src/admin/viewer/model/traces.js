// The list of traces as it stands in the browser: the newest first, kept up to date by what the server says has changed.

/** @typedef {import("./types.d.ts").Summary} Summary */

export class Traces {
  /** The newest first. @type {Summary[]} */
  all = [];
  /** Traces that the server keeps at most; null before the first answer. @type {number | null} */
  limit = null;
  /** @type {string | null} */
  cursor = null;

  /**
   * Takes over an answer of `/api/traces/summary`; whether anything has changed.
   * @param {any} answer
   */
  take(answer) {
    const given = /** @type {Summary[]} */ (Array.isArray(answer?.traces) ? answer.traces : []);
    const isFirst = this.limit === null;
    this.limit = Number(answer?.limit ?? 0);
    this.cursor = typeof answer?.cursor === "string" && answer.cursor !== "" ? answer.cursor : null;
    const isWhole = answer?.is_whole === true;
    const heldFrom = /** @type {number[]} */ (Array.isArray(answer?.held_from) ? answer.held_from : []);
    // The server says of each of its parts how far it has evicted traces, which is seldom in the order of their starts.
    const isHeld = (/** @type {Summary} */ trace) =>
      trace.places.some(([part, place]) => place >= (heldFrom[part] ?? 0));
    const before = this.all;
    const stillHeld = isWhole ? [] : before.filter(isHeld);
    if (given.length === 0 && !isFirst && stillHeld.length === before.length) return false;
    /** @type {Map<string, Summary>} */
    const byId = new Map();
    for (const trace of [...stillHeld, ...given]) byId.set(trace.trace_id, trace);
    this.all = [...byId.values()].sort(newestFirst).slice(0, this.limit);
    return true;
  }

  forget() {
    this.all = [];
  }
}

/**
 * By text: as many digits, so that order of text is order of time.
 * @param {Summary} one
 * @param {Summary} other
 */
function newestFirst(one, other) {
  const [a, b] = [one.start_unix_nano.padStart(20, "0"), other.start_unix_nano.padStart(20, "0")];
  return a < b ? 1 : a > b ? -1 : 0;
}

/**
 * What a trace is called where it is grouped: its route, else its path.
 * @param {Summary} trace
 */
export function routeOf(trace) {
  return trace.route ?? trace.path ?? trace.name;
}
