// The older names of the tracing API, over the bindings that componentize-js makes of `wit/telemetry.wit`.
//
// On the server span: route `/spans/{language}`, attributes `guest.language` = js, `guest.int` = 42, an event `guest.event`
// with `n` = 1. Spans: `child of js` with attribute `kind`, event `step`, an exception; `POST /orders/{id}`, a request span
// whose caller is in headers, answered 503. A record `hello from js`, a counter `guest.requests`.
//
// Answers {"language", "recording", "context", "inject", "child", "request"}.

import * as tracing from "pounce:telemetry/tracing@0.1.0";
import { extract, inject } from "pounce:telemetry/propagation@0.1.0";
import { addCounter } from "pounce:telemetry/metrics@0.1.0";
import { emit } from "pounce:telemetry/logs@0.1.0";

const CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

addEventListener("fetch", (event) => event.respondWith(answer()));

async function answer() {
  tracing.setRoute("/spans/{language}");
  addSpanAttribute("guest.language", "js");
  addSpanAttribute("guest.int", 42n);
  tracing.addEvent("guest.event", [{ key: "n", value: value(1n) }]);
  const report = {
    language: "js",
    recording: tracing.isRecording(),
    context: tracing.currentContext(),
    inject: injectTraceContext({}),
    child: child(),
    request: handled(),
  };
  emit("info", value("hello from js"), undefined, [{ key: "n", value: value(1n) }]);
  addCounter("guest.requests", 1n, [{ key: "guest.language", value: value("js") }]);
  return new Response(JSON.stringify(report), { headers: { "content-type": "application/json" } });
}

function child() {
  const span = new tracing.Span("child of js");
  span.setAttribute("kind", value("child"));
  span.addEvent("step", [{ key: "n", value: value(1n) }], undefined);
  recordException(span, new TypeError("it broke"));
  span.end(undefined);
  return span.context().spanId;
}

// A request that reached the guest by a way that the host doesn't see.
function handled() {
  const caller = extract([{ name: "traceparent", value: CALLER }]);
  const span = tracing.Span.withOptions("POST", {
    kind: caller ? "server" : "internal",
    parent: caller ? { tag: "remote", val: caller } : { tag: "current" },
    attributes: [
      { key: "http.request.method", value: value("POST") },
      { key: "url.path", value: value("/orders/7") },
    ],
    links: [],
    startTime: undefined,
  });
  span.updateName("POST /orders/{id}");
  span.setAttribute("http.response.status_code", value(503n));
  span.setStatus({ tag: "error", val: "" });
  span.end(undefined);
  return span.context().spanId;
}

function addSpanAttribute(key, given) {
  tracing.setAttribute(key, value(given));
}

function recordException(span, error) {
  span.recordException({ kind: error.name, message: error.message, stacktrace: error.stack, attributes: [] });
}

function injectTraceContext(headers) {
  for (const header of inject()) {
    headers[header.name] = header.value;
  }
  return headers;
}

// A number with a fraction is a double, a bigint an integer.
function value(given) {
  const tags = { string: "text", boolean: "boolean", bigint: "int", number: "double" };
  return { tag: tags[typeof given], val: given };
}
