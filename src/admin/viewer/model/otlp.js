// Reading OTLP JSON. What comes is written by anybody: whatever is missing or of another type is read as nothing.

/** @typedef {import("./types.d.ts").Attribute} Attribute */
/** @typedef {import("./types.d.ts").Moment} Moment */
/** @typedef {import("./types.d.ts").Span} Span */
/** @typedef {import("./types.d.ts").Trace} Trace */

/** By OTLP's numbers. @type {import("./types.d.ts").Kind[]} */
export const KINDS = ["internal", "internal", "server", "client", "producer", "consumer"];
const SEVERITIES = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const ERROR = 2;

/**
 * A time of OTLP, nanoseconds of Unix time as text: more than a number holds.
 * @param {unknown} text
 * @returns {Moment}
 */
export function moment(text) {
  const digits = typeof text === "string" || typeof text === "number" ? String(text) : "0";
  const seconds = Number(digits.slice(0, -9) || "0");
  const nanos = Number(digits.slice(-9));
  return Number.isFinite(seconds + nanos) ? { seconds, nanos } : { seconds: 0, nanos: 0 };
}

/**
 * Nanoseconds from one moment to another.
 * @param {Moment} from
 * @param {Moment} to
 */
export function since(from, to) {
  return (to.seconds - from.seconds) * 1e9 + (to.nanos - from.nanos);
}

/** @param {Moment} moment */
export function unixMillis(moment) {
  return moment.seconds * 1e3 + moment.nanos / 1e6;
}

/** @param {unknown} value @returns {any[]} */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}

/** @param {unknown} value */
function number(value) {
  const read = Number(value ?? 0);
  return Number.isFinite(read) ? read : 0;
}

/**
 * A value of OTLP JSON. Integers come as text, since they may be larger than a number holds; those that are stay text.
 * @param {any} any
 * @param {number} [depth]
 * @returns {import("./types.d.ts").Value}
 */
export function value(any, depth = 0) {
  if (typeof any !== "object" || any === null || depth > 64) return null;
  if ("stringValue" in any) return text(any.stringValue);
  if ("boolValue" in any) return any.boolValue === true;
  if ("intValue" in any) {
    const read = Number(any.intValue);
    return Number.isSafeInteger(read) ? read : String(any.intValue);
  }
  if ("doubleValue" in any) return any.doubleValue;
  if ("bytesValue" in any) return text(any.bytesValue);
  if ("arrayValue" in any) return list(any.arrayValue?.values).map((one) => value(one, depth + 1));
  if ("kvlistValue" in any) {
    const entries = list(any.kvlistValue?.values).map((one) => [
      text(one?.key),
      value(one?.value, depth + 1),
    ]);
    return Object.fromEntries(entries);
  }
  return null;
}

/**
 * @param {unknown} given
 * @returns {Attribute[]}
 */
function read(given) {
  return list(given).map((one) => ({ key: text(one?.key), value: value(one?.value) }));
}

/**
 * The value of one attribute, without reading the others.
 * @param {unknown} given
 * @param {string} key
 */
function find(given, key) {
  const found = list(given).find((one) => one?.key === key);
  return found === undefined ? null : value(found.value);
}

/**
 * The trace in an answer of `/api/traces?trace_id=`; null where there is none.
 * @param {any} answer
 * @returns {Trace | null}
 */
export function trace(answer) {
  /** @type {Span[]} */
  const spans = [];
  /** The time of the first span that is found, until the earliest is known. @type {Moment | null} */
  let found = null;
  let earliest = Infinity;
  for (const ofResource of list(answer?.resourceSpans)) {
    const given = ofResource?.resource?.attributes;
    const [resource, service] = [read(given), text(find(given, "service.name"))];
    for (const ofScope of list(ofResource?.scopeSpans)) {
      const scope = text(ofScope?.scope?.name);
      for (const raw of list(ofScope?.spans)) {
        if (typeof raw !== "object" || raw === null) continue;
        const at = moment(raw.startTimeUnixNano);
        found ??= at;
        const start = since(found, at);
        const end = Math.max(start, since(found, moment(raw.endTimeUnixNano)));
        if (start < earliest) earliest = start;
        spans.push(spanOf(raw, start, end, resource, service, scope));
      }
    }
  }
  if (found === null) return null;
  for (const span of spans) {
    span.start -= earliest;
    span.end -= earliest;
  }
  const base = { seconds: found.seconds, nanos: found.nanos + earliest };
  const duration = spans.reduce((longest, span) => Math.max(longest, span.end), 0);
  return { id: spans[0]?.traceId ?? "", startMillis: unixMillis(base), base, duration, spans, isWhole: true };
}

/**
 * @param {any} raw
 * @param {number} start
 * @param {number} end
 * @param {Attribute[]} resource
 * @param {string} service
 * @param {string} scope
 * @returns {Span}
 */
function spanOf(raw, start, end, resource, service, scope) {
  return {
    traceId: text(raw.traceId),
    id: text(raw.spanId),
    parentId: text(raw.parentSpanId),
    name: text(raw.name),
    kind: KINDS[number(raw.kind)] ?? "internal",
    start,
    end,
    isError: number(raw.status?.code) === ERROR,
    statusMessage: text(raw.status?.message),
    component: text(find(raw.attributes, "pounce.component")) || service,
    scope,
    traceState: text(raw.traceState),
    dropped:
      number(raw.droppedAttributesCount) + number(raw.droppedEventsCount) + number(raw.droppedLinksCount),
    resource,
    raw,
  };
}

/**
 * The log records in an answer of `/api/logs`, in the order of their times.
 * @param {any} answer
 * @param {Moment} base
 * @returns {import("./types.d.ts").LogRecord[]}
 */
export function logs(answer, base) {
  const found = [];
  for (const ofResource of list(answer?.resourceLogs)) {
    for (const ofScope of list(ofResource?.scopeLogs)) {
      for (const raw of list(ofScope?.logRecords)) {
        const severityNumber = number(raw?.severityNumber);
        const body = value(raw?.body);
        found.push({
          time: since(base, moment(raw?.timeUnixNano ?? raw?.observedTimeUnixNano)),
          spanId: text(raw?.spanId),
          severity: text(raw?.severityText) || (SEVERITIES[Math.floor((severityNumber - 1) / 4)] ?? "LOG"),
          severityNumber,
          body: typeof body === "string" ? body : JSON.stringify(body),
          eventName: text(raw?.eventName),
          attributes: read(raw?.attributes),
        });
      }
    }
  }
  return found.sort((one, other) => one.time - other.time);
}

/** @param {Span} span */
export function attributes(span) {
  return read(span.raw.attributes);
}

/** @param {Span} span @param {string} key */
export function attribute(span, key) {
  return find(span.raw.attributes, key);
}

/** @param {Span} span */
export function hasEvents(span) {
  return list(span.raw.events).length > 0;
}

/**
 * @param {Span} span
 * @param {Moment} base
 * @returns {import("./types.d.ts").Event[]}
 */
export function events(span, base) {
  return list(span.raw.events).map((event) => ({
    time: since(base, moment(event?.timeUnixNano)),
    name: text(event?.name),
    attributes: read(event?.attributes),
  }));
}

/**
 * @param {Span} span
 * @returns {import("./types.d.ts").Link[]}
 */
export function links(span) {
  return list(span.raw.links).map((link) => ({
    traceId: text(link?.traceId),
    spanId: text(link?.spanId),
    attributes: read(link?.attributes),
  }));
}
