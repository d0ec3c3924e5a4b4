// What an invocation spent its time on, as far as its span says: queue, instantiation, the guest's own time on the
// processor, calls that it waited for, the rest of the body after the head.

import { attribute } from "./otlp.js";

/** @typedef {import("./types.d.ts").Node} Node */
/** @typedef {import("./types.d.ts").Phase} Phase */

/**
 * The phases of a SERVER span; empty for others, and where nothing is known.
 * @param {Node} node
 * @returns {Phase[]}
 */
export function phases(node) {
  const { span } = node;
  if (span.kind !== "server") return [];
  const seconds = (/** @type {string} */ key) => {
    const found = attribute(span, key);
    return typeof found === "number" && found >= 0 ? found * 1e9 : null;
  };
  const within = (/** @type {number} */ at) => Math.min(Math.max(at, span.start), span.end);
  const queue = seconds("pounce.queue.duration");
  const instantiate = seconds("pounce.instantiate.duration");
  const cpu = seconds("pounce.guest.cpu_time");
  const head = seconds("pounce.response.head.duration");
  /** @type {Phase[]} */
  const found = [];
  let at = span.start;
  for (const [name, label, duration] of /** @type {const} */ ([
    ["queue", "Queue", queue],
    ["instantiate", "Instantiate", instantiate],
  ])) {
    if (duration === null) continue;
    const to = within(at + duration);
    found.push({ name, label, stretches: [{ from: at, to }], duration });
    at = to;
  }
  if (cpu !== null)
    found.push({ name: "guest", label: "Guest on the processor", stretches: null, duration: cpu });
  const calls = waited(node);
  if (calls.length > 0) {
    const duration = calls.reduce((sum, { from, to }) => sum + to - from, 0);
    found.push({ name: "calls", label: "Calls", stretches: calls, duration });
  }
  if (head !== null && span.start + head < span.end) {
    const from = within(span.start + head);
    found.push({
      name: "body",
      label: "Body after the head",
      stretches: [{ from, to: span.end }],
      duration: span.end - from,
    });
  }
  return found;
}

/**
 * When a request waited for calls: the CLIENT spans below it, without those of requests below it, together.
 * @param {Node} node
 */
function waited(node) {
  const { span } = node;
  const found = [];
  const waiting = [...node.children];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (next.span.kind === "client") {
      found.push({ from: Math.max(next.span.start, span.start), to: Math.min(next.span.end, span.end) });
    } else if (next.span.kind !== "server") {
      waiting.push(...next.children);
    }
  }
  return joined(found);
}

/**
 * Stretches that do not overlap, in order; those with no more than `gap` between them are one.
 * @param {{ from: number, to: number }[]} stretches
 * @param {number} [gap]
 */
export function joined(stretches, gap = 0) {
  const sorted = stretches.filter(({ from, to }) => to > from).sort((one, other) => one.from - other.from);
  /** @type {{ from: number, to: number }[]} */
  const found = [];
  for (const { from, to } of sorted) {
    const last = found.at(-1);
    if (last !== undefined && from <= last.to + gap) last.to = Math.max(last.to, to);
    else found.push({ from, to });
  }
  return found;
}
