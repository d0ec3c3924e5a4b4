// Spans as a tree, and the tree as rows. Parents may be missing, be their own children, or have the same id: every span is
// shown once, whatever it says. Nothing here recurses, as a trace may be as deep as it has spans.

/** @typedef {import("./types.d.ts").Node} Node */
/** @typedef {import("./types.d.ts").Row} Row */
/** @typedef {import("./types.d.ts").Span} Span */
/** @typedef {import("./types.d.ts").Tree} Tree */

/** The depth of a node that no root has led to yet. */
const UNSEEN = -1;
/** Children and log records of nodes that have none: of 10,000 spans most are leaves. @type {any} */
const NONE = Object.freeze([]);

/** @param {Node} one @param {Node} other */
function byStart(one, other) {
  return one.span.start - other.span.start || other.span.end - one.span.end;
}

/**
 * @param {Span[]} spans
 * @returns {Tree}
 */
export function tree(spans) {
  /** @type {Node[]} */
  const nodes = spans.map((span) => ({
    span,
    parent: null,
    children: NONE,
    depth: UNSEEN,
    below: 0,
    hasError: span.isError,
    logs: NONE,
  }));
  /** @type {Map<string, Node>} */
  const byId = new Map();
  for (const node of nodes) if (!byId.has(node.span.id)) byId.set(node.span.id, node);
  const roots = [];
  for (const node of nodes) {
    const parent = byId.get(node.span.parentId);
    if (parent === undefined || parent === node) {
      roots.push(node);
    } else {
      node.parent = parent;
      if (parent.children === NONE) parent.children = [node];
      else parent.children.push(node);
    }
  }
  /** Parents before their children. @type {Node[]} */
  const order = [];
  for (const root of roots) reach(root, order);
  // What no root leads to is a circle: it is cut at the first of its spans.
  for (const node of nodes) {
    if (node.depth !== UNSEEN) continue;
    if (node.parent !== null) {
      node.parent.children = node.parent.children.filter((child) => child !== node);
      node.parent = null;
    }
    roots.push(node);
    reach(node, order);
  }
  roots.sort(byStart);
  for (const node of order) if (node.children.length > 1) node.children.sort(byStart);
  for (const node of order.reverse()) {
    if (node.parent === null) continue;
    node.parent.below += node.below + 1;
    node.parent.hasError ||= node.hasError;
  }
  return { roots, byId, main: main(roots), strayLogs: [] };
}

/**
 * Gives what a root leads to its depth, and adds it to `order`.
 * @param {Node} root
 * @param {Node[]} order
 */
function reach(root, order) {
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    node.depth = node.parent === null ? 0 : node.parent.depth + 1;
    order.push(node);
    if (node.children === NONE) continue;
    for (const child of node.children) if (child.depth === UNSEEN) waiting.push(child);
  }
}

/**
 * The first request, else the first span.
 * @param {Node[]} roots
 */
function main(roots) {
  return roots.find((root) => root.span.kind === "server") ?? roots[0] ?? null;
}

/**
 * Puts log records to their spans.
 * @param {Tree} tree
 * @param {import("./types.d.ts").LogRecord[]} logs
 */
export function addLogs(tree, logs) {
  tree.strayLogs = [];
  for (const node of tree.byId.values()) node.logs = NONE;
  for (const log of logs) {
    const node = tree.byId.get(log.spanId);
    if (node === undefined) tree.strayLogs.push(log);
    else if (node.logs === NONE) node.logs = [log];
    else node.logs.push(log);
  }
}

/**
 * The rows that are shown: spans, and log records in their place among the children of their span.
 * @param {Tree} tree
 * @param {Set<Node>} closed
 * @param {boolean} withLogs
 * @returns {Row[]}
 */
export function rows(tree, closed, withLogs) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {(Node | Row)[]} */
  const waiting = [...tree.roots].reverse();
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if ("kind" in next) {
      rows.push(next);
      continue;
    }
    const node = next;
    const isOpen = !closed.has(node);
    rows.push({ kind: "span", node, depth: node.depth, isOpen });
    if (!isOpen) continue;
    const logs = withLogs ? node.logs : [];
    if (logs.length === 0) {
      for (let at = node.children.length - 1; at >= 0; at -= 1)
        waiting.push(/** @type {Node} */ (node.children[at]));
      continue;
    }
    // Both are in order of time: merged from their ends, since the last that is put there comes first.
    let [child, log] = [node.children.length - 1, logs.length - 1];
    while (child >= 0 || log >= 0) {
      const [span, record] = [node.children[child], logs[log]];
      if (record !== undefined && (span === undefined || record.time >= span.span.start)) {
        waiting.push({ kind: "log", node, depth: node.depth + 1, log: record });
        log -= 1;
      } else if (span !== undefined) {
        waiting.push(span);
        child -= 1;
      }
    }
  }
  if (withLogs) for (const log of tree.strayLogs) rows.push({ kind: "log", node: null, depth: 0, log });
  return rows;
}

/**
 * Whether a node has anything that can be closed.
 * @param {Node} node
 * @param {boolean} withLogs
 */
export function canClose(node, withLogs) {
  return node.children.length > 0 || (withLogs && node.logs.length > 0);
}
