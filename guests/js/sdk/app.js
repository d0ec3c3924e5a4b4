// Every function of the SDK (guests/sdk/js), once. On the server span: route `/sdk/{language}`, attributes `text`, `whole` = 7,
// `half` = 0.5, `big` (a bigint), `huge` (larger than an integer, so text), `yes`, `texts`, `ints`, `doubles`, `booleans`, `bytes`;
// events `told` and `exception`, status error `it broke`. Spans: `sync` with child `in sync`; `async` with children `before`,
// `after` and `explicit`; `failing`, `rejecting`; `traced`; `linked`, a client with a link to `sync`; `remote`. A record of each
// severity, four metrics; a line on stderr, of a sum that cannot be lowered.
//
// Answers {"recording", "context", "current", "inject", "extracted", "set", "baggage", "thrown", "returned", "enabled"}.

import * as pounce from "pounce-guest";

const CALLER = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };

addEventListener("fetch", (event) => event.respondWith(answer()));

async function answer() {
  pounce.setRoute("/sdk/{language}");
  pounce.setAttribute("text", "a");
  pounce.setAttributes({ whole: 7, half: 0.5, big: -(2n ** 63n), huge: 2n ** 63n, yes: true, none: null, lost: undefined });
  pounce.setAttributes({ texts: ["a", 1], ints: [1, 2n], doubles: [1, 0.5], booleans: [true, false], empty: [] });
  // Numbers below zero take another way than others.
  pounce.setAttribute("negative", -7);
  pounce.setAttribute("below", -0.5);
  pounce.logs.info(-7);
  pounce.logs.info(-0.5, { n: -1 });
  pounce.setAttribute("bytes", new Uint8Array([1, 2]));
  pounce.setAttribute("odd", { toString: () => fail() });
  pounce.addEvent("told", { n: 1 });
  const sync = spans();
  const report = {
    recording: pounce.isRecording(),
    context: pounce.currentContext(),
    current: pounce.currentSpan().context.spanId,
    inject: pounce.injectInto(new Headers()).get("traceparent"),
    linked: pounce.inject(linked(sync)).traceparent,
    extracted: pounce.extract(CALLER),
    nothing: pounce.extract(new Headers()) === undefined,
    set: pounce.setBaggage("shop", "open"),
    refused: pounce.setBaggage("", "x"),
    baggage: pounce.baggage(),
    thrown: await thrown(),
    returned: [pounce.traced(function traced(n) { return n + 1; })(1), await asynchronous()],
    enabled: pounce.logs.isEnabled("info"),
  };
  for (const severity of ["trace", "debug", "info", "warn", "error", "fatal"]) pounce.logs[severity](severity, { n: 1 });
  pounce.metrics.addCounter("sdk.counter", 2, { language: "js" });
  pounce.metrics.addCounter("sdk.counter", -1);
  pounce.metrics.addCounter("sdk.counter", 0.5);
  pounce.metrics.addUpDown("sdk.sum", 3n);
  // Left out, and said.
  pounce.metrics.addUpDown("sdk.sum", -1);
  pounce.metrics.recordHistogram("sdk.histogram", 0.5);
  pounce.metrics.setGauge("sdk.gauge", 4);
  pounce.recordException(new RangeError("it broke"), { code: 7 });
  return new Response(JSON.stringify(report), { headers: { "content-type": "application/json" } });
}

function spans() {
  let sync;
  pounce.withSpan("sync", { attributes: { kind: "sync" } }, (span) => {
    sync = span;
    pounce.startSpan("in sync").addEvent("step", { n: 1 }, 1_700_000_000_000).end();
  });
  pounce.startSpan("remote", { parent: pounce.extract(CALLER), kind: "server" }).updateName("from remote").end();
  return sync;
}

function linked(sync) {
  const span = pounce.startSpan("linked", {
    kind: "client",
    parent: "invocation",
    links: [{ context: sync.context, attributes: { why: "option" } }],
    startTime: new Date(1_700_000_000_000),
  });
  span.addLink(sync.context, { why: "added" }).setAttribute("a", 1).setAttributes({ b: 2 }).setStatus("ok");
  span.end(1_700_000_000_500);
  // Ended once.
  span.end();
  return span;
}

async function asynchronous() {
  return pounce.withSpan("async", async (span) => {
    pounce.startSpan("before").end();
    await Promise.resolve();
    span.run(() => pounce.startSpan("after").end());
    pounce.startSpan("explicit", { parent: span }).end();
    // Nobody knows whose turn it is here: a child of the request.
    pounce.startSpan("adrift").end();
    return 7;
  });
}

async function thrown() {
  const said = [];
  try {
    pounce.withSpan("failing", fail);
  } catch (error) {
    said.push(error.message);
  }
  await pounce.withSpan("rejecting", async () => fail()).catch((error) => said.push(error.message));
  await pounce.withSpan("odd", () => Promise.reject("no error")).catch((error) => said.push(error));
  return said;
}

function fail() {
  throw new TypeError("on purpose");
}
