// The outline of a large trace: what the rows of its spans need and no more, in columns. It is read in a tenth of the
// time that the whole takes, which comes after the rows are there.

import * as otlp from "./otlp.js";

/** @typedef {import("./types.d.ts").Span} Span */
/** @typedef {import("./types.d.ts").Trace} Trace */

/** Digits of a span's id. */
const ID = 16;

/**
 * The trace in an answer of `/api/traces/outline` that is an outline; null where it is whole.
 * @param {any} answer
 * @param {string} traceId
 * @returns {Trace | null}
 */
export function outline(answer, traceId) {
  const given = answer?.outline;
  if (given === undefined) return null;
  const { ids, parents, names, kinds, starts, durations, components, component } = given;
  const failed = new Set(given.errors);
  const idAt = (/** @type {number} */ at) => ids.slice(at * ID, at * ID + ID);
  let duration = 0;
  const spans = /** @type {string[]} */ (names).map((name, at) => {
    const start = starts[at];
    const end = start + durations[at];
    if (end > duration) duration = end;
    return {
      traceId,
      id: idAt(at),
      parentId: parents[at] < 0 ? "" : idAt(parents[at]),
      name,
      kind: otlp.KINDS[kinds[at]] ?? "internal",
      start,
      end,
      isError: failed.has(at),
      statusMessage: "",
      component: components[component[at]] ?? "",
      scope: "",
      traceState: "",
      dropped: 0,
      resource: [],
      raw: {},
    };
  });
  const base = otlp.moment(given.start_unix_nano);
  return { id: traceId, startMillis: otlp.unixMillis(base), base, duration, spans, isWhole: false };
}

/**
 * Gives the spans of an outline what else the trace says of them, which has come meanwhile; false where it has other
 * spans, as some have ended since.
 * @param {Trace} outline
 * @param {Trace} whole
 */
export function complete(outline, whole) {
  /** @type {Map<string, Span>} */
  const byId = new Map();
  for (const span of outline.spans) byId.set(span.id, span);
  if (whole.spans.length !== byId.size) return false;
  for (const span of whole.spans) {
    const known = byId.get(span.id);
    if (known === undefined) return false;
    Object.assign(known, span);
  }
  outline.isWhole = true;
  return true;
}
