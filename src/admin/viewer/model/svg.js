// A waterfall as an SVG file of its own: no script, no font and no picture from elsewhere.

import { duration, ticks } from "./format.js";

/** @typedef {import("./types.d.ts").Row} Row */

const ROW = 22;
const NAMES = 380;
const TIMES = 800;
const HEAD = 64;
const COLOURS = {
  server: "#2f6fd8",
  client: "#0f8a7e",
  internal: "#7b62c9",
  producer: "#b0670f",
  consumer: "#b0670f",
};
const ERROR = "#c93a3a";

/**
 * Text for XML: without what has a meaning there, and without characters that it may not hold.
 * @param {string} text
 */
export function escaped(text) {
  const allowed = text.replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "\u{fffd}");
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
  return allowed.replace(/[&<>"']/g, (char) => names[/** @type {keyof typeof names} */ (char)]);
}

/** @param {string} text @param {number} most */
function shortened(text, most) {
  const chars = [...text.slice(0, most * 2 + 2)];
  return chars.length > most ? `${chars.slice(0, most - 1).join("")}…` : text;
}

/**
 * @param {import("./types.d.ts").Trace} trace
 * @param {Row[]} rows
 * @param {Map<import("./types.d.ts").Span, import("./types.d.ts").Stretch[]>} critical
 * @returns {string}
 */
export function waterfall(trace, rows, critical) {
  const height = HEAD + rows.length * ROW + 12;
  const width = NAMES + TIMES + 100;
  const scale = TIMES / Math.max(trace.duration, 1);
  const x = (/** @type {number} */ at) => (NAMES + at * scale).toFixed(1);
  const wide = (/** @type {number} */ length) => Math.max(length * scale, 1).toFixed(1);
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${escaped(`Trace ${trace.id}`)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<g font-family="system-ui, sans-serif" font-size="12" fill="#1c2230">`,
    `<text x="12" y="22" font-size="14" font-weight="600">${escaped(`Trace ${trace.id}`)}</text>`,
    `<text x="12" y="42" fill="#566072">${escaped(`${new Date(trace.startMillis).toISOString()} · ${duration(trace.duration)} · ${trace.spans.length} spans`)}</text>`,
  ];
  for (const tick of ticks(0, trace.duration, 8)) {
    out.push(
      `<path d="M${x(tick)} ${HEAD - 12}V${height - 8}" stroke="#e3e7ee"/>`,
      `<text x="${x(tick)}" y="${HEAD - 16}" fill="#566072" font-size="11">${escaped(duration(tick))}</text>`,
    );
  }
  rows.forEach((row, at) => {
    const top = HEAD + at * ROW;
    const indent = 12 + Math.min(row.depth, 16) * 12;
    if (row.kind === "log") {
      out.push(
        `<text x="${indent}" y="${top + 15}" fill="#566072" font-size="11">${escaped(shortened(row.log.body, 52))}</text>`,
        `<circle cx="${x(Math.min(Math.max(row.log.time, 0), trace.duration))}" cy="${top + 11}" r="3" fill="#566072"/>`,
      );
      return;
    }
    const { span } = row.node;
    const fill = span.isError ? ERROR : COLOURS[span.kind];
    out.push(
      `<text x="${indent}" y="${top + 15}">${escaped(shortened(span.name, Math.max(52 - row.depth, 24)))}</text>`,
      `<rect x="${x(span.start)}" y="${top + 4}" width="${wide(span.end - span.start)}" height="14" rx="2" fill="${fill}" fill-opacity="0.75"/>`,
    );
    for (const stretch of critical.get(span) ?? []) {
      out.push(
        `<rect x="${x(stretch.from)}" y="${top + 16}" width="${wide(stretch.to - stretch.from)}" height="2" fill="#1c2230"/>`,
      );
    }
    const after = NAMES + span.end * scale + 6;
    out.push(
      `<text x="${after.toFixed(1)}" y="${top + 15}" fill="#566072" font-size="11">${escaped(duration(span.end - span.start))}</text>`,
    );
  });
  out.push("</g>", "</svg>", "");
  return out.join("\n");
}
