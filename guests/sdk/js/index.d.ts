/**
 * Telemetry from inside a component that Pounce serves.
 *
 * Pounce traces every request without the guest doing anything. This is for what only the guest knows: the route, who is
 * asking, what failed, spans of its own. **Nothing here throws**, blocks or fails; beyond a limit, or when the request is
 * not recorded, a call does nothing.
 */

/** Whole numbers are integers, all others doubles; other things become text. */
export type AttributeValue = string | boolean | number | bigint | Uint8Array | readonly (string | boolean | number | bigint)[];

/** Those that are `undefined` or `null` are left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined | null>>;

export type SpanKind = "internal" | "server" | "client" | "producer" | "consumer";
export type StatusCode = "unset" | "ok" | "error";
export type Severity = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** Ids are lower-case hex; bit 0 of the flags says whether the trace is sampled. */
export interface SpanContext {
  traceId: string;
  spanId: string;
  traceFlags: number;
  traceState: string;
}

export interface Link {
  context: SpanContext;
  attributes?: Attributes;
}

/** A `Date`, milliseconds since 1970, or nanoseconds as a `bigint`. */
export type Time = Date | number | bigint;

export interface SpanOptions {
  /** `internal` unless set. */
  kind?: SpanKind;
  /**
   * The parent: the innermost span that is entered (`"current"`, the default), the request's (`"invocation"`), a span that
   * this guest holds, or one that is known by its context, from a message say (a link, unless the operator allows more).
   */
  parent?: "current" | "invocation" | Span | SpanContext;
  attributes?: Attributes;
  links?: readonly Link[];
  /** Now unless set. */
  startTime?: Time;
}

/** A span, made by {@link startSpan} or {@link withSpan}. */
export class Span {
  private constructor();
  readonly context: SpanContext;
  readonly isRecording: boolean;
  /** The last value of a key wins. */
  setAttribute(key: string, value: AttributeValue): this;
  setAttributes(attributes: Attributes): this;
  /** Happened now unless a time is given. */
  addEvent(name: string, attributes?: Attributes, time?: Time): this;
  addLink(context: SpanContext, attributes?: Attributes): this;
  /** Adds an `exception` event and sets the status to error. */
  recordException(error: unknown, attributes?: Attributes): this;
  setStatus(code: StatusCode, message?: string): this;
  updateName(name: string): this;
  /**
   * Runs `work` with this as the current span: the parent of the spans, requests and log records that it starts before its
   * first `await`. Use it again for what comes after: `await span.run(() => fetch(url))`.
   */
  run<R>(work: (span: this) => R): R;
  /** Ends the span, now unless a time is given. The host ends what is left open when the request ends. */
  end(time?: Time): void;
}

/** Starts a span; it is nobody's parent until {@link Span.run}. */
export function startSpan(name: string, options?: SpanOptions): Span;

/**
 * Runs `work` in a span, which ends when `work` returns or its promise settles; what it throws is recorded.
 *
 * The span is the current one until the first `await` of `work`: JavaScript in a component has no way to tell whose turn
 * it is afterwards, and a wrong parent would be worse than none. After an `await`, say `span.run(() => fetch(url))`.
 */
export function withSpan<R>(name: string, work: (span: Span) => R): R;
export function withSpan<R>(name: string, options: SpanOptions, work: (span: Span) => R): R;

/** A function that runs `work` in a span of its name (or `options.name`) each time. */
export function traced<A extends unknown[], R>(
  work: (...given: A) => R,
  options?: SpanOptions & { name?: string },
): (...given: A) => R;

/** Whether this request is recorded: when not, don't build attributes that cost something. */
export function isRecording(): boolean;
/** The context of the innermost span that is entered; of the request's span when none is. */
export function currentContext(): SpanContext;
/** That span. It stays the same across awaits; ending a handle on the request's span does not end it. */
export function currentSpan(): Span;

/** Names the route, a template low in cardinality: the request's span becomes `GET /items/{id}`. */
export function setRoute(template: string): void;
/** Sets an attribute of the request's span. */
export function setAttribute(key: string, value: AttributeValue): void;
export function setAttributes(attributes: Attributes): void;
/** Adds an event to the request's span. */
export function addEvent(name: string, attributes?: Attributes): void;
/** Adds an `exception` event to the request's span, and sets its status to error. */
export function recordException(error: unknown, attributes?: Attributes): void;
export function setStatus(code: StatusCode, message?: string): void;
/** Renames the request's span; {@link setRoute} is usually what is wanted. */
export function updateName(name: string): void;

/**
 * The current span's context as headers (`traceparent`, …), or that of `span`, for calls that the host cannot see. `fetch`
 * needs none of this.
 */
export function inject(span?: Span): Record<string, string>;
/** Sets them on `headers`, and returns it. */
export function injectInto<H extends Headers | Map<string, string> | Record<string, string>>(headers: H, span?: Span): H;
/** The context that headers carry, if they carry a valid one. */
export function extract(headers: Headers | Map<string, string> | Record<string, string>): SpanContext | undefined;
/** The W3C baggage of this request. */
export function baggage(): Record<string, string>;
/** Sets an entry of the baggage that outgoing requests carry. False when it was refused: invalid, or beyond a limit. */
export function setBaggage(name: string, value: string): boolean;

/** Measurements, added up by the host. Names and attributes are low in cardinality. What is no number is left out. */
export const metrics: {
  /** Adds a whole number to a counter, which only grows. */
  addCounter(name: string, value: number | bigint, attributes?: Attributes): void;
  /**
   * Adds a whole number to a sum that may also shrink. With componentize-js 0.23 it can only grow: it ends a guest that hands
   * over a negative number, so one is left out, and said on stderr.
   */
  addUpDown(name: string, value: number | bigint, attributes?: Attributes): void;
  /** Records one value of a distribution. */
  recordHistogram(name: string, value: number, attributes?: Attributes): void;
  /** Sets the value as it is now. */
  setGauge(name: string, value: number, attributes?: Attributes): void;
};

type Emit = (body: AttributeValue, attributes?: Attributes, eventName?: string) => void;

/** Log records, which carry the trace that they belong to. */
export const logs: { isEnabled(severity: Severity): boolean } & { readonly [S in Severity]: Emit };
