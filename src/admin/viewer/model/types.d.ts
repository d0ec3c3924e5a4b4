// The shapes that the modules share. Times of spans are nanoseconds since the start of their trace.

/** A value of OTLP JSON, as it is read: text, number, boolean, list, map or nothing. */
export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

export interface Attribute {
  key: string;
  value: Value;
}

export interface Event {
  time: number;
  name: string;
  attributes: Attribute[];
}

export interface Link {
  traceId: string;
  spanId: string;
  attributes: Attribute[];
}

export interface LogRecord {
  time: number;
  spanId: string;
  /** `INFO`; the severity's text, or the name of its number. */
  severity: string;
  /** 1 to 24; 0 where it is not said. */
  severityNumber: number;
  body: string;
  eventName: string;
  attributes: Attribute[];
}

export type Kind = "internal" | "server" | "client" | "producer" | "consumer";

export interface Span {
  traceId: string;
  id: string;
  /** Empty for none. */
  parentId: string;
  name: string;
  kind: Kind;
  start: number;
  end: number;
  isError: boolean;
  statusMessage: string;
  /** `pounce.component`, else the resource's `service.name`. */
  component: string;
  scope: string;
  traceState: string;
  /** What was dropped over limits: attributes, events, links. */
  dropped: number;
  /** The resource's attributes. */
  resource: Attribute[];
  /** What else OTLP says of it; read by `attributes`, `events` and `links` of otlp.js when somebody looks. */
  raw: any;
}

export interface Trace {
  id: string;
  /** Unix time of the start: milliseconds with a fraction, for showing. */
  startMillis: number;
  /** Whole seconds of it, and nanoseconds beyond: what the times of spans count from. */
  base: Moment;
  duration: number;
  spans: Span[];
  /** Spans have all that OTLP says of them; else what an outline has (outline.js). */
  isWhole: boolean;
}

export interface Moment {
  seconds: number;
  nanos: number;
}

export interface Node {
  span: Span;
  parent: Node | null;
  children: Node[];
  depth: number;
  /** Spans below it. */
  below: number;
  /** It or a span below it has failed. */
  hasError: boolean;
  logs: LogRecord[];
}

export interface Tree {
  roots: Node[];
  byId: Map<string, Node>;
  /** The span that the trace is about. */
  main: Node | null;
  /** Log records of spans that are not here. */
  strayLogs: LogRecord[];
}

export type Row =
  | { kind: "span"; node: Node; depth: number; isOpen: boolean }
  | { kind: "log"; node: Node | null; depth: number; log: LogRecord };

/** A stretch of time that `span` itself holds up. */
export interface Stretch {
  span: Span;
  from: number;
  to: number;
}

export interface Phase {
  name: string;
  label: string;
  /** Where it lies in the span; an amount alone where it is null. */
  stretches: { from: number; to: number }[] | null;
  duration: number;
}

/** A line of `/api/traces/summary`. */
export interface Summary {
  trace_id: string;
  /** Parts of the server's ring that hold spans of it, and its place in each. */
  places: [number, number][];
  start_unix_nano: string;
  duration_nano: number;
  name: string;
  component: string | null;
  method: string | null;
  route: string | null;
  path: string | null;
  status: number | null;
  error_type: string | null;
  spans: number;
  requests: number;
  errors: number;
}

export interface Filters {
  text: string;
  component: string;
  route: string;
  /** `2`, `3`, `4`, `5` for a class, `404` for a code, `none` for no response. */
  status: string;
  /** Milliseconds; null for no bound. */
  min: number | null;
  max: number | null;
  errors: boolean;
}

export interface Bucket {
  /** Nanoseconds, from and up to. */
  from: number;
  to: number;
  count: number;
  errors: number;
}

export interface RouteTimes {
  route: string;
  count: number;
  errors: number;
  p50: number;
  p95: number;
  max: number;
  buckets: Bucket[];
}

/** What became of one place in two traces. */
export interface Pair {
  key: string;
  name: string;
  depth: number;
  a: Side | null;
  b: Side | null;
}

export interface Side {
  count: number;
  duration: number;
  isError: boolean;
  nodes: Node[];
}

export interface Difference {
  key: string;
  a: string | null;
  b: string | null;
}
