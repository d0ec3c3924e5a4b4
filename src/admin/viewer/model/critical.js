// The critical path: who holds up the end of a span, from its end backwards. Whatever shortens one of these stretches
// shortens the whole.

/** @typedef {import("./types.d.ts").Node} Node */
/** @typedef {import("./types.d.ts").Stretch} Stretch */

/**
 * The stretches of the critical path of `root`, in no order.
 * @param {Node | null} root
 * @returns {Stretch[]}
 */
export function criticalPath(root) {
  if (root === null) return [];
  /** @type {Stretch[]} */
  const path = [];
  const waiting = [{ node: root, until: root.span.end }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { node, until } = next;
    const { span } = node;
    let now = Math.min(until, span.end);
    const children = [...node.children].sort((one, other) => other.span.end - one.span.end);
    for (const child of children) {
      if (now <= span.start) break;
      // One that goes on after its parent, or after what came later, counts as far as it is waited for.
      const from = Math.max(child.span.start, span.start);
      const to = Math.min(child.span.end, now);
      if (from >= to) continue;
      if (to < now) path.push({ span, from: to, to: now });
      waiting.push({ node: child, until: to });
      now = from;
    }
    if (now > span.start) path.push({ span, from: span.start, to: now });
  }
  return path;
}

/**
 * The stretches by span.
 * @param {Stretch[]} path
 */
export function bySpan(path) {
  /** @type {Map<import("./types.d.ts").Span, Stretch[]>} */
  const found = new Map();
  for (const stretch of path) {
    const known = found.get(stretch.span);
    if (known === undefined) found.set(stretch.span, [stretch]);
    else known.push(stretch);
  }
  return found;
}
