// All that is known of one span, or of one log record.

import { bytes, duration, value } from "../model/format.js";
import * as otlp from "../model/otlp.js";
import { phases } from "../model/phases.js";
import { breakable, h } from "./dom.js";

/** @typedef {import("../model/types.d.ts").Attribute} Attribute */
/** @typedef {import("../model/types.d.ts").LogRecord} LogRecord */
/** @typedef {import("../model/types.d.ts").Node} Node */
/** @typedef {import("../model/types.d.ts").Trace} Trace */

const EXCEPTION = {
  type: "exception.type",
  message: "exception.message",
  stacktrace: "exception.stacktrace",
};

/**
 * @param {Trace} trace
 * @param {Node} node
 * @param {(node: Node) => void} select
 */
export function spanDetails(trace, node, select) {
  const { span } = node;
  const attributes = otlp.attributes(span);
  const events = otlp.events(span, trace.base);
  const exceptions = events.filter((event) => event.name === "exception");
  const others = events.filter((event) => event.name !== "exception");
  const links = otlp.links(span);
  const own = node.children.reduce(
    (sum, child) =>
      sum + Math.max(Math.min(child.span.end, span.end) - Math.max(child.span.start, span.start), 0),
    0,
  );
  const isRemote = span.parentId !== "" && node.parent === null;
  return h(
    "div",
    { class: "details-body" },
    h("h2", { id: "details-title" }, span.name === "" ? "(no name)" : span.name),
    h(
      "p",
      { class: "facts" },
      h(
        "span",
        { class: `kind kind-${span.kind}`, "aria-hidden": "true" },
        span.kind.charAt(0).toUpperCase(),
      ),
      h("span", {}, span.kind),
      h("span", {}, duration(span.end - span.start)),
      h("span", { class: "weak" }, `after ${duration(span.start)}`),
      span.component !== "" && h("span", { class: "tag" }, span.component),
    ),
    span.isError &&
      h(
        "p",
        { class: "failure" },
        h("strong", {}, "Error"),
        span.statusMessage !== "" && `: ${span.statusMessage}`,
      ),
    ...exceptions.map((event) => exception(event, span.start)),
    phaseSection(node),
    node.logs.length > 0 &&
      section(
        `Log (${node.logs.length})`,
        h(
          "ol",
          { class: "log" },
          ...node.logs.map((log) =>
            h(
              "li",
              {},
              h("span", { class: "weak" }, `+${duration(log.time - span.start)}`),
              h("span", { class: `severity severity-${level(log)}` }, log.severity),
              h("span", { class: "said" }, log.body),
            ),
          ),
        ),
      ),
    section(
      "Attributes",
      attributes.length === 0 ? h("p", { class: "weak" }, "None") : table(sorted(attributes)),
    ),
    others.length > 0 &&
      section(
        `Events (${others.length})`,
        ...others.map((event) =>
          h(
            "div",
            { class: "part" },
            h(
              "p",
              {},
              h("strong", {}, event.name),
              h("span", { class: "weak" }, ` +${duration(event.time - span.start)}`),
            ),
            event.attributes.length > 0 && table(event.attributes),
          ),
        ),
      ),
    links.length > 0 &&
      section(
        `Links (${links.length})`,
        ...links.map((link) =>
          h(
            "div",
            { class: "part" },
            linkTo(trace, link),
            link.attributes.length > 0 && table(link.attributes),
          ),
        ),
      ),
    section(
      "Span",
      table([
        { key: "span id", value: span.id },
        { key: "trace id", value: span.traceId },
        ...(span.parentId === ""
          ? []
          : [{ key: isRemote ? "parent (not here)" : "parent", value: span.parentId }]),
        { key: "time in children", value: duration(own) },
        ...(node.below === 0 ? [] : [{ key: "spans below", value: node.below }]),
        ...(span.scope === "" ? [] : [{ key: "scope", value: span.scope }]),
        ...(span.traceState === "" ? [] : [{ key: "trace state", value: span.traceState }]),
        ...(span.dropped === 0 ? [] : [{ key: "dropped over limits", value: span.dropped }]),
      ]),
      node.parent !== null &&
        h(
          "p",
          {},
          h(
            "button",
            {
              type: "button",
              class: "button small",
              onclick: () => node.parent !== null && select(node.parent),
            },
            "Go to the parent",
          ),
        ),
    ),
    h("details", { class: "resource" }, h("summary", {}, "Resource"), table(sorted(span.resource))),
  );
}

/**
 * What stands there until the rest of a large trace has come.
 * @param {Trace} _trace
 * @param {Node} node
 */
export function outlineDetails(_trace, { span }) {
  return h(
    "div",
    { class: "details-body" },
    h("h2", { id: "details-title" }, span.name === "" ? "(no name)" : span.name),
    h("p", { class: "weak" }, "Reading the rest of the trace …"),
  );
}

/**
 * @param {LogRecord} log
 * @param {Node | null} node
 * @param {(node: Node) => void} select
 */
export function logDetails(log, node, select) {
  return h(
    "div",
    { class: "details-body" },
    h("h2", { id: "details-title" }, "Log record"),
    h(
      "p",
      { class: "facts" },
      h("span", { class: `severity severity-${level(log)}` }, log.severity),
      h("span", { class: "weak" }, `after ${duration(log.time)}`),
      log.eventName !== "" && h("span", { class: "tag" }, log.eventName),
    ),
    h("pre", { class: "said", tabindex: "0" }, log.body),
    log.attributes.length > 0 && section("Attributes", table(sorted(log.attributes))),
    node === null
      ? h("p", { class: "weak" }, "Its span is not here.")
      : h(
          "p",
          {},
          h(
            "button",
            { type: "button", class: "button small", onclick: () => select(node) },
            `Go to ${node.span.name}`,
          ),
        ),
  );
}

/** @param {LogRecord} log */
function level(log) {
  return log.severityNumber >= 17 ? "bad" : log.severityNumber >= 13 ? "warn" : "plain";
}

/** @param {Node} node */
function phaseSection(node) {
  const found = phases(node);
  if (found.length === 0) return null;
  const { span } = node;
  const whole = Math.max(span.end - span.start, 1);
  return section(
    "Phases",
    h(
      "table",
      { class: "phases" },
      h(
        "tbody",
        {},
        ...found.map(({ name, label, duration: length }) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row" },
              h("span", { class: `swatch phase-${name}`, "aria-hidden": "true" }),
              label,
            ),
            h("td", { class: "number" }, duration(length)),
            h(
              "td",
              { class: "number weak" },
              `${((length / whole) * 100).toFixed(length / whole < 0.1 ? 1 : 0)} %`,
            ),
          ),
        ),
      ),
    ),
  );
}

/**
 * @param {import("../model/types.d.ts").Event} event
 * @param {number} start
 */
function exception(event, start) {
  const of = (/** @type {string} */ key) => {
    const found = event.attributes.find((attribute) => attribute.key === key);
    return found === undefined ? "" : value(found.value);
  };
  const [type, message, stacktrace] = [of(EXCEPTION.type), of(EXCEPTION.message), of(EXCEPTION.stacktrace)];
  const known = Object.values(EXCEPTION);
  const others = event.attributes.filter(({ key }) => !known.includes(key));
  return h(
    "section",
    { class: "exception" },
    h(
      "h3",
      {},
      type === "" ? "Exception" : type,
      h("span", { class: "weak" }, ` +${duration(event.time - start)}`),
    ),
    message !== "" && h("p", { class: "message" }, message),
    stacktrace !== "" && h("pre", { class: "stack", tabindex: "0", "aria-label": "Backtrace" }, stacktrace),
    others.length > 0 && table(others),
  );
}

/**
 * @param {Trace} trace
 * @param {import("../model/types.d.ts").Link} link
 */
function linkTo(trace, link) {
  const isHex = /^[0-9a-f]{32}$/.test(link.traceId) && /^[0-9a-f]{16}$/.test(link.spanId);
  if (!isHex) return h("p", { class: "mono" }, `${link.traceId} ${link.spanId}`);
  const here = link.traceId === trace.id ? "In this trace" : "In another trace";
  return h(
    "p",
    {},
    `${here}: `,
    h(
      "a",
      { class: "mono", href: `/traces/${link.traceId}?span=${link.spanId}` },
      `${link.traceId.slice(0, 8)}… / ${link.spanId}`,
    ),
  );
}

/**
 * @param {string} title
 * @param {...import("./dom.js").Child} children
 */
function section(title, ...children) {
  return h("section", {}, h("h3", {}, title), ...children);
}

/** @param {Attribute[]} attributes */
function sorted(attributes) {
  return [...attributes].sort((one, other) => (one.key < other.key ? -1 : 1));
}

/** @param {Attribute[]} attributes */
function table(attributes) {
  return h(
    "table",
    { class: "attributes" },
    h(
      "tbody",
      {},
      ...attributes.map((attribute) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, ...breakable(attribute.key)),
          h("td", {}, value(attribute.value), reading(attribute)),
        ),
      ),
    ),
  );
}

/** What a number means, where its name says so. @param {Attribute} attribute */
function reading({ key, value: given }) {
  if (typeof given !== "number") return null;
  if (/(\.duration|cpu_time)$/.test(key))
    return h("span", { class: "weak" }, ` s = ${duration(given * 1e9)}`);
  if (/(\.memory\.peak|body\.size|content_length)$/.test(key) && given >= 1024)
    return h("span", { class: "weak" }, ` = ${bytes(given)}`);
  return null;
}
