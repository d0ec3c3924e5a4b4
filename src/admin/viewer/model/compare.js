// Two traces, place by place: spans of the same name below the same names are one place.

import { attributes } from "./otlp.js";
import { value } from "./format.js";

/** @typedef {import("./types.d.ts").Difference} Difference */
/** @typedef {import("./types.d.ts").Node} Node */
/** @typedef {import("./types.d.ts").Pair} Pair */
/** @typedef {import("./types.d.ts").Side} Side */
/** @typedef {import("./types.d.ts").Tree} Tree */

/** Attributes that differ between any two requests and say nothing. */
const IDLE = new Set([
  "network.peer.port",
  "client.port",
  "pounce.queue.duration",
  "pounce.instantiate.duration",
  "pounce.guest.cpu_time",
  "pounce.response.head.duration",
]);

/**
 * The places of both trees, parents before what is below them.
 * @param {Tree} a
 * @param {Tree} b
 * @returns {Pair[]}
 */
export function pairs(a, b) {
  /** @type {Pair[]} */
  const found = [];
  /** @type {{ path: string, depth: number, a: Node[], b: Node[] }[]} */
  const waiting = [{ path: "", depth: 0, a: a.roots, b: b.roots }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { path, depth } = next;
    if (depth > 0) {
      const name = /** @type {Node} */ (next.a[0] ?? next.b[0]).span.name;
      found.push({ key: path, name, depth: depth - 1, a: side(next.a), b: side(next.b) });
    }
    const [inA, inB] = depth === 0 ? [next.a, next.b] : [below(next.a), below(next.b)];
    const groups = grouped(inA, inB);
    for (const [name, group] of [...groups].reverse()) {
      waiting.push({ path: `${path}\u0000${name}`, depth: depth + 1, ...group });
    }
  }
  return found;
}

/** @param {Node[]} nodes */
function below(nodes) {
  return nodes.flatMap((node) => node.children);
}

/**
 * By kind and name, in the order of A, then what is in B alone.
 * @param {Node[]} a
 * @param {Node[]} b
 */
function grouped(a, b) {
  /** @type {Map<string, { a: Node[], b: Node[] }>} */
  const groups = new Map();
  for (const [which, nodes] of /** @type {const} */ ([
    ["a", a],
    ["b", b],
  ])) {
    for (const node of nodes) {
      const key = `${node.span.kind} ${node.span.name}`;
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { a: [], b: [] }));
      group[which].push(node);
    }
  }
  return groups;
}

/**
 * @param {Node[]} nodes
 * @returns {Side | null}
 */
function side(nodes) {
  if (nodes.length === 0) return null;
  return {
    count: nodes.length,
    duration: nodes.reduce((sum, { span }) => sum + span.end - span.start, 0),
    isError: nodes.some((node) => node.span.isError),
    nodes,
  };
}

/**
 * The attributes that two spans do not share.
 * @param {Node | null} a
 * @param {Node | null} b
 * @returns {Difference[]}
 */
export function differences(a, b) {
  const of = (/** @type {Node | null} */ node) =>
    new Map(node === null ? [] : attributes(node.span).map(({ key, value: given }) => [key, value(given)]));
  const [inA, inB] = [of(a), of(b)];
  const keys = [...new Set([...inA.keys(), ...inB.keys()])].sort();
  const found = keys.map((key) => ({ key, a: inA.get(key) ?? null, b: inB.get(key) ?? null }));
  return found.filter(({ key, a, b }) => a !== b && !IDLE.has(key));
}
