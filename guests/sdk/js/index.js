// Telemetry from inside a component that Pounce serves, over the bindings that componentize-js makes of
// `pounce:telemetry` (wit/telemetry.wit). What is here is documented in index.d.ts.

import * as hostLogs from "pounce:telemetry/logs@0.1.0";
import * as hostMetrics from "pounce:telemetry/metrics@0.1.0";
import * as hostPropagation from "pounce:telemetry/propagation@0.1.0";
import * as hostScopes from "pounce:telemetry/scopes@0.1.0";
import * as hostTracing from "pounce:telemetry/tracing@0.1.0";

// --- values ------------------------------------------------------------------------------------------------------------

const INT_MAX = 2n ** 63n;

// OTLP has no larger integers: what does not fit is kept as text, not as another number.
function integer(given) {
  return given >= -INT_MAX && given < INT_MAX ? { tag: "int", val: given } : { tag: "text", val: String(given) };
}

function value(given) {
  switch (typeof given) {
    case "boolean":
      return { tag: "boolean", val: given };
    case "bigint":
      return integer(given);
    case "number":
      return Number.isSafeInteger(given) ? integer(BigInt(given)) : { tag: "double", val: given };
    case "object":
      if (given instanceof Uint8Array) return { tag: "bytes", val: given };
      if (Array.isArray(given)) return list(given);
  }
  return { tag: "text", val: text(given) };
}

function list(given) {
  const all = (test) => given.length > 0 && given.every(test);
  if (all((item) => typeof item === "boolean")) return { tag: "booleans", val: given };
  const isWhole = (item) =>
    Number.isSafeInteger(item) || (typeof item === "bigint" && item >= -INT_MAX && item < INT_MAX);
  if (all(isWhole)) return { tag: "ints", val: BigInt64Array.from(given, BigInt) };
  if (all((item) => typeof item === "number")) return { tag: "doubles", val: Float64Array.from(given) };
  return { tag: "texts", val: given.map(text) };
}

// Telemetry never throws: not of an object whose `toString` does either.
function text(given) {
  try {
    return String(given);
  } catch {
    return Object.prototype.toString.call(given);
  }
}

function attributes(given) {
  return Object.entries(given ?? {})
    .filter(([, item]) => item !== undefined && item !== null)
    .map(([key, item]) => ({ key, value: value(item) }));
}

function exception(error, more) {
  const isError = typeof error?.message === "string";
  return {
    kind: isError ? text(error.name || "Error") : typeof error,
    message: text(isError ? error.message : error),
    stacktrace: isError && error.stack ? text(error.stack) : undefined,
    attributes: attributes(more),
  };
}

function status(code, message) {
  if (code === "error") return { tag: "error", val: message === undefined ? "" : text(message) };
  return { tag: code === "ok" ? "ok" : "unset" };
}

// Unix time in nanoseconds.
function nanoseconds(time) {
  if (time === undefined || typeof time === "bigint") return time;
  return BigInt(Math.round(Number(time) * 1000)) * 1000n;
}

// componentize-js 0.23 takes a negative 64-bit parameter (an integer, or a variant's number) for a mistake of its own, and ends
// the guest; in a list it does not. So attributes are set as lists; the body of a log record is text then.
function parameter(given) {
  const told = value(given);
  const isNegative = told.tag === "double" ? !(told.val > 0) && !Object.is(told.val, 0) : told.tag === "int" && told.val < 0n;
  return isNegative ? { tag: "text", val: String(given) } : told;
}

// --- spans -------------------------------------------------------------------------------------------------------------

export class Span {
  #host;
  #isEnded = false;

  constructor(host) {
    this.#host = host;
  }

  // For this module alone.
  static hostOf(span) {
    return span.#host;
  }

  get context() {
    return this.#host.context();
  }

  get isRecording() {
    return this.#host.isRecording();
  }

  setAttribute(key, given) {
    return this.setAttributes({ [key]: given });
  }

  setAttributes(given) {
    this.#host.setAttributes(attributes(given));
    return this;
  }

  addEvent(name, given, time) {
    this.#host.addEvent(name, attributes(given), nanoseconds(time));
    return this;
  }

  addLink(context, given) {
    this.#host.addLink({ context, attributes: attributes(given) });
    return this;
  }

  recordException(error, given) {
    this.#host.recordException(exception(error, given));
    return this;
  }

  setStatus(code, message) {
    this.#host.setStatus(status(code, message));
    return this;
  }

  updateName(name) {
    this.#host.updateName(name);
    return this;
  }

  run(work) {
    const key = hostScopes.enter(this.#host);
    try {
      return work(this);
    } finally {
      hostScopes.leave(key);
    }
  }

  end(time) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#host.end(nanoseconds(time));
  }
}

export function startSpan(name, options = {}) {
  const { parent } = options;
  if (parent instanceof Span) return parent.run(() => startSpan(name, { ...options, parent: "current" }));
  return new Span(
    hostTracing.Span.withOptions(name, {
      kind: options.kind ?? "internal",
      parent: typeof parent === "object" && parent ? { tag: "remote", val: parent } : { tag: parent ?? "current" },
      attributes: attributes(options.attributes),
      links: (options.links ?? []).map((link) => ({ context: link.context, attributes: attributes(link.attributes) })),
      startTime: nanoseconds(options.startTime),
    }),
  );
}

export function withSpan(name, options, work) {
  if (typeof options === "function") [options, work] = [{}, options];
  const span = startSpan(name, options);
  const fail = (error) => {
    span.recordException(error).end();
    throw error;
  };
  let result;
  try {
    result = span.run(work);
  } catch (error) {
    fail(error);
  }
  if (typeof result?.then !== "function") {
    span.end();
    return result;
  }
  return result.then((settled) => {
    span.end();
    return settled;
  }, fail);
}

export function traced(work, options = {}) {
  const name = options.name ?? work.name ?? "anonymous";
  return function (...given) {
    return withSpan(name, options, () => work.apply(this, given));
  };
}

// --- the request's server span -----------------------------------------------------------------------------------------

export const isRecording = () => hostTracing.isRecording();
export const currentContext = () => hostTracing.currentContext();
export const currentSpan = () => new Span(hostTracing.current());
export const setRoute = (template) => hostTracing.setRoute(template);
export const setAttribute = (key, given) => setAttributes({ [key]: given });
export const setAttributes = (given) => hostTracing.setAttributes(attributes(given));
export const addEvent = (name, given) => hostTracing.addEvent(name, attributes(given));
export const recordException = (error, given) => hostTracing.recordException(exception(error, given));
export const setStatus = (code, message) => hostTracing.setStatus(status(code, message));
export const updateName = (name) => hostTracing.updateName(name);

// --- propagation -------------------------------------------------------------------------------------------------------

const pairs = (headers) => Object.fromEntries(headers.map(({ name, value }) => [name, value]));

export function inject(span) {
  return pairs(span ? hostPropagation.injectFor(Span.hostOf(span)) : hostPropagation.inject());
}

export function injectInto(headers, span) {
  for (const [name, value] of Object.entries(inject(span))) {
    if (typeof headers.set === "function") headers.set(name, value);
    else headers[name] = value;
  }
  return headers;
}

export function extract(headers) {
  const entries = typeof headers?.entries === "function" ? [...headers.entries()] : Object.entries(headers ?? {});
  return hostPropagation.extract(entries.map(([name, value]) => ({ name: text(name), value: text(value) })));
}

export const baggage = () => pairs(hostPropagation.baggage());
export const setBaggage = (name, given) => hostPropagation.setBaggage(name, text(given));

// --- metrics -----------------------------------------------------------------------------------------------------------

// A measurement that is no number, or for a counter a negative one, says nothing.
function measure(given, record, isWhole, least) {
  if (isWhole) {
    if (typeof given !== "bigint" && !Number.isSafeInteger(given)) return;
    const whole = BigInt(given);
    if (whole >= least && whole < INT_MAX) record(whole);
  } else if (typeof given === "number" || typeof given === "bigint") {
    record(Number(given));
  }
}

let saidNegative = false;

export const metrics = {
  addCounter: (name, given, more) =>
    measure(given, (whole) => hostMetrics.addCounter(name, whole, attributes(more)), true, 0n),
  addUpDown: (name, given, more) =>
    measure(
      given,
      (whole) => {
        if (whole >= 0n) return hostMetrics.addUpDown(name, whole, attributes(more));
        // See `parameter`: there is no way round for a number.
        if (!saidNegative) console.warn(`pounce-guest: ${name} cannot be lowered from JavaScript, by a fault of componentize-js`);
        saidNegative = true;
      },
      true,
      -INT_MAX,
    ),
  recordHistogram: (name, given, more) =>
    measure(given, (number) => hostMetrics.recordHistogram(name, number, attributes(more))),
  setGauge: (name, given, more) => measure(given, (number) => hostMetrics.setGauge(name, number, attributes(more))),
};

// --- logs --------------------------------------------------------------------------------------------------------------

const emit = (severity) => (body, more, eventName) =>
  hostLogs.emit(severity, parameter(body), eventName, attributes(more));

export const logs = {
  isEnabled: (severity) => hostLogs.isEnabled(severity),
  trace: emit("trace"),
  debug: emit("debug"),
  info: emit("info"),
  warn: emit("warn"),
  error: emit("error"),
  fatal: emit("fatal"),
};
