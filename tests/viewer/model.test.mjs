// The model of the viewer: what it makes of spans, whatever they say.

import assert from "node:assert/strict";
import { test } from "node:test";

import { differences, pairs } from "../../src/admin/viewer/model/compare.js";
import { bySpan, criticalPath } from "../../src/admin/viewer/model/critical.js";
import * as filters from "../../src/admin/viewer/model/filters.js";
import * as format from "../../src/admin/viewer/model/format.js";
import { bucketOf, buckets, byRoute, extent } from "../../src/admin/viewer/model/histogram.js";
import * as otlp from "../../src/admin/viewer/model/otlp.js";
import { complete, outline } from "../../src/admin/viewer/model/outline.js";
import { joined, phases } from "../../src/admin/viewer/model/phases.js";
import { escaped, waterfall } from "../../src/admin/viewer/model/svg.js";
import { Traces } from "../../src/admin/viewer/model/traces.js";
import { addLogs, rows, tree } from "../../src/admin/viewer/model/tree.js";

const BASE = 1796053850_000000000n;
/** OTLP's numbers of kinds. */
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3];

/** A span of OTLP JSON, from and to in nanoseconds after BASE. */
function span(id, parent, from, to, more = {}) {
  const { kind = INTERNAL, ...others } = more;
  return {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: id,
    parentSpanId: parent,
    name: `span ${id}`,
    kind,
    startTimeUnixNano: String(BASE + BigInt(from)),
    endTimeUnixNano: String(BASE + BigInt(to)),
    ...others,
  };
}

function answer(spans, resource = []) {
  return {
    resourceSpans: [
      { resource: { attributes: resource }, scopeSpans: [{ scope: { name: "pounce" }, spans }] },
    ],
  };
}

const text = (key, stringValue) => ({ key, value: { stringValue } });
const double = (key, doubleValue) => ({ key, value: { doubleValue } });

function read(spans) {
  const trace = otlp.trace(answer(spans));
  return { trace, tree: tree(trace.spans) };
}

/** Rows as text: depth and name. */
function shown(all) {
  return all.map((row) => `${row.depth} ${row.kind === "span" ? row.node.span.name : `log ${row.log.body}`}`);
}

test("times are exact to the nanosecond, and count from the first span", () => {
  const trace = otlp.trace(answer([span("b", "a", 7, 9), span("a", "", 3, 1_000_000_010)]));
  assert.deepEqual(
    trace.spans.map(({ start, end }) => [start, end]),
    [
      [4, 6],
      [0, 1_000_000_007],
    ],
  );
  assert.equal(trace.duration, 1_000_000_007);
  assert.equal(Math.floor(trace.startMillis), 1796053850_000);
});

test("values of every type are read", () => {
  const given = [
    text("text", "a"),
    { key: "int", value: { intValue: "42" } },
    { key: "huge", value: { intValue: "9223372036854775807" } },
    double("nan", "NaN"),
    { key: "bool", value: { boolValue: false } },
    { key: "list", value: { arrayValue: { values: [{ intValue: "1" }, { stringValue: "b" }] } } },
    { key: "map", value: { kvlistValue: { values: [text("__proto__", "x")] } } },
    { key: "none", value: {} },
  ];
  const trace = otlp.trace(answer([span("a", "", 0, 1, { attributes: given })]));
  const found = otlp.attributes(trace.spans[0]).map(({ value }) => format.value(value));
  assert.deepEqual(found, [
    "a",
    "42",
    "9223372036854775807",
    "NaN",
    "false",
    '[1,"b"]',
    '{"__proto__":"x"}',
    "null",
  ]);
  assert.equal({}.x, undefined);
});

test("whatever is missing or of another type is read as nothing", () => {
  for (const odd of [
    null,
    undefined,
    7,
    "x",
    {},
    { resourceSpans: 1 },
    { resourceSpans: [null, { scopeSpans: [null, { spans: [null, 3] }] }] },
  ]) {
    assert.equal(otlp.trace(odd), null);
    assert.deepEqual(otlp.logs(odd, { seconds: 0, nanos: 0 }), []);
  }
  const trace = otlp.trace({
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              {
                name: 7,
                attributes: [null, { key: 1 }],
                events: [null],
                links: [3],
                kind: 99,
                startTimeUnixNano: "x",
              },
            ],
          },
        ],
      },
    ],
  });
  const [only] = trace.spans;
  assert.deepEqual([only.name, only.kind, only.start, only.end], ["", "internal", 0, 0]);
  assert.equal(otlp.events(only, trace.base).length + otlp.links(only).length, 2);
  let deep = { stringValue: "end" };
  for (let depth = 0; depth < 5000; depth += 1) deep = { arrayValue: { values: [deep] } };
  assert.equal(format.value(otlp.value(deep)).includes("end"), false);
});

test("an outline has the rows of a trace, and takes the rest when it comes", () => {
  const ids = ["000000000000000a", "000000000000000b", "000000000000000c"];
  const columns = {
    start_unix_nano: String(BASE),
    components: ["shop", ""],
    ids: ids.join(""),
    parents: [1, -1, 0],
    names: ["b", "a", "c"],
    kinds: "129",
    starts: [10, 0, 12],
    durations: [20, 40, 2],
    component: [0, 0, 1],
    errors: [2],
  };
  const found = outline({ outline: columns }, "0af7651916cd43dd8448eb211c80319c");
  assert.equal(found.isWhole, false);
  assert.equal(found.duration, 40);
  assert.deepEqual(shown(rows(tree(found.spans), new Set(), true)), ["0 a", "1 b", "2 c"]);
  assert.deepEqual(
    found.spans.map(({ id, parentId, kind, start, end, isError, component }) =>
      [id, parentId, kind, start, end, isError, component].join(" "),
    ),
    [
      `${ids[0]} ${ids[1]} internal 10 30 false shop`,
      `${ids[1]}  server 0 40 false shop`,
      `${ids[2]} ${ids[0]} internal 12 14 true `,
    ],
  );
  assert.deepEqual(otlp.attributes(found.spans[0]), []);
  const whole = (more) =>
    otlp.trace(
      answer([
        span(ids[1], "elsewhere", 0, 40, { attributes: [text("said", "late")] }),
        span(ids[0], ids[1], 10, 30),
        span(ids[2], ids[0], 12, 14),
        ...more,
      ]),
    );
  const before = found.spans[1];
  assert.equal(complete(found, whole([span("000000000000000d", "", 1, 2)])), false, "one has ended since");
  assert.equal(complete(found, whole([])), true);
  assert.equal(found.isWhole, true);
  assert.equal(found.spans[1], before, "rows that are shown keep their spans");
  assert.deepEqual(otlp.attributes(before), [{ key: "said", value: "late" }]);
  assert.equal(before.parentId, "elsewhere");
  assert.equal(outline(answer([]), ""), null);
  assert.equal(outline(null, ""), null);
});

test("spans are nested below their parents, in order of time", () => {
  const { tree: found } = read([
    span("c", "a", 20, 30),
    span("b", "a", 10, 15),
    span("a", "elsewhere", 0, 40, { kind: SERVER }),
    span("d", "b", 11, 12, { status: { code: 2, message: "no" } }),
  ]);
  assert.deepEqual(shown(rows(found, new Set(), true)), ["0 span a", "1 span b", "2 span d", "1 span c"]);
  assert.equal(found.main.span.id, "a");
  assert.deepEqual([found.main.below, found.main.hasError, found.byId.get("c").hasError], [3, true, false]);
  assert.deepEqual(shown(rows(found, new Set([found.byId.get("b")]), true)), [
    "0 span a",
    "1 span b",
    "1 span c",
  ]);
});

test("every span is shown once, whatever it says of its parent", () => {
  const { tree: found } = read([
    span("self", "self", 0, 1),
    span("x", "y", 2, 3),
    span("y", "z", 4, 5),
    span("z", "x", 6, 7),
    span("below", "y", 8, 9),
    span("twice", "", 10, 11),
    span("twice", "x", 12, 13),
    span("of twice", "twice", 14, 15),
  ]);
  const all = shown(rows(found, new Set(), true));
  assert.equal(all.length, 8);
  assert.equal(new Set(all).size, 8, all.join("\n"));
});

test("a trace as deep as it is long does not overflow the stack", () => {
  const spans = Array.from({ length: 50_000 }, (_, at) =>
    span(`${at}`, at === 0 ? "" : `${at - 1}`, at, 200_000 - at),
  );
  const { trace, tree: found } = read(spans);
  const all = rows(found, new Set(), true);
  assert.equal(all.at(-1).depth, 49_999);
  assert.ok(criticalPath(found.main).length >= 50_000);
  assert.equal(pairs(found, found).length, 50_000);
  assert.ok(waterfall(trace, all.slice(0, 10), new Map()).includes("</svg>"));
});

test("log records stand among the spans below theirs", () => {
  const { trace, tree: found } = read([
    span("a", "", 0, 100),
    span("b", "a", 10, 20),
    span("c", "a", 50, 60),
  ]);
  const record = (spanId, at, body, more = {}) => ({
    spanId,
    timeUnixNano: String(BASE + BigInt(at)),
    body: { stringValue: body },
    ...more,
  });
  const logs = otlp.logs(
    {
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [
                record("gone", 5, "stray"),
                record("a", 30, "between"),
                record("a", 5, "first"),
                record("c", 55, "in c", { severityNumber: 17 }),
              ],
            },
          ],
        },
      ],
    },
    trace.base,
  );
  addLogs(found, logs);
  assert.deepEqual(shown(rows(found, new Set(), true)), [
    "0 span a",
    "1 log first",
    "1 span b",
    "1 log between",
    "1 span c",
    "2 log in c",
    "0 log stray",
  ]);
  assert.deepEqual(shown(rows(found, new Set(), false)), ["0 span a", "1 span b", "1 span c"]);
  assert.equal(logs.find(({ body }) => body === "in c").severity, "ERROR");
});

test("stretches that nobody can tell apart are one", () => {
  const of = (from, to) => ({ from, to });
  const stretches = [of(10, 20), of(0, 5), of(21, 30), of(7, 9)];
  assert.deepEqual(joined(stretches), [of(0, 5), of(7, 9), of(10, 20), of(21, 30)]);
  const near = [of(10, 20), of(0, 5), of(21, 30), of(7, 9)];
  assert.deepEqual(joined(near, 1), [of(0, 5), of(7, 30)]);
});

test("the critical path is who holds up the end at each moment", () => {
  const { tree: found } = read([
    span("a", "", 0, 100),
    span("b", "a", 10, 40),
    // Goes on beside c, which ends later: its part before c counts.
    span("c", "a", 30, 80),
    span("d", "c", 35, 50),
    span("late", "a", 90, 300),
    span("never", "a", 12, 14),
  ]);
  const path = criticalPath(found.main).map(({ span, from, to }) => `${span.id} ${from}-${to}`);
  assert.deepEqual(path.sort(), [
    "a 0-10",
    "a 80-90",
    "b 10-30",
    "c 30-35",
    "c 50-80",
    "d 35-50",
    "late 90-100",
  ]);
  const whole = criticalPath(found.main).reduce((sum, { from, to }) => sum + to - from, 0);
  assert.equal(whole, 100, "it covers the root, and nothing twice");
  assert.equal(bySpan(criticalPath(found.main)).size, 5);
  assert.deepEqual(criticalPath(null), []);
});

test("phases are told of requests alone, and calls that overlap count once", () => {
  const { tree: found } = read([
    span("a", "", 0, 10_000_000, {
      kind: SERVER,
      attributes: [
        double("pounce.queue.duration", 0.001),
        double("pounce.instantiate.duration", 0.002),
        double("pounce.guest.cpu_time", 0.0005),
        double("pounce.response.head.duration", 0.008),
      ],
    }),
    span("in", "a", 3_000_000, 7_000_000),
    span("c", "in", 3_000_000, 5_000_000, { kind: CLIENT }),
    span("d", "a", 4_000_000, 6_000_000, { kind: CLIENT }),
    span("e", "c", 4_000_000, 5_000_000, { kind: SERVER }),
  ]);
  const told = phases(found.main).map(({ name, stretches, duration }) => [
    name,
    stretches && stretches.map(({ from, to }) => [from / 1e6, to / 1e6]),
    duration / 1e6,
  ]);
  assert.deepEqual(told, [
    ["queue", [[0, 1]], 1],
    ["instantiate", [[1, 3]], 2],
    ["guest", null, 0.5],
    ["calls", [[3, 6]], 3],
    ["body", [[8, 10]], 2],
  ]);
  assert.deepEqual(phases(found.byId.get("c")), []);
  assert.deepEqual(phases(found.byId.get("e")), []);
  assert.deepEqual(
    joined([
      { from: 5, to: 5 },
      { from: 3, to: 4 },
      { from: 1, to: 3 },
    ]),
    [{ from: 1, to: 4 }],
  );
});

function summary(n, more = {}) {
  return {
    trace_id: n.toString(16).padStart(32, "0"),
    places: [[0, n]],
    start_unix_nano: String(BASE + BigInt(n)),
    duration_nano: n * 1e6,
    name: `GET /${n}`,
    component: "shop",
    method: "GET",
    route: "/{n}",
    path: `/${n}`,
    status: 200,
    error_type: null,
    spans: 1,
    requests: 1,
    errors: 0,
    ...more,
  };
}

test("the list takes over what has changed, and forgets what the server has", () => {
  const traces = new Traces();
  assert.equal(
    traces.take({ cursor: "a-1", is_whole: true, limit: 3, traces: [summary(2), summary(1)] }),
    true,
  );
  assert.equal(traces.take({ cursor: "a-1", is_whole: false, limit: 3, traces: [] }), false);
  traces.take({
    cursor: "a-2",
    is_whole: false,
    limit: 3,
    traces: [summary(4), summary(3), summary(2, { spans: 9 })],
  });
  assert.deepEqual(
    traces.all.map(({ start_unix_nano, spans }) => [Number(BigInt(start_unix_nano) - BASE), spans]),
    [
      [4, 1],
      [3, 1],
      [2, 9],
    ],
  );
  assert.equal(traces.cursor, "a-2");
  assert.equal(
    traces.take({ cursor: "b-0", is_whole: true, limit: 3, traces: [] }),
    true,
    "another process has none",
  );
  assert.deepEqual(traces.all, []);
  const none = new Traces();
  assert.equal(none.take({ cursor: "", is_whole: false, limit: 0, traces: [] }), true);
  assert.deepEqual([none.limit, none.cursor], [0, null]);
});

test("the list drops what the server has evicted", () => {
  const traces = new Traces();
  const shown = () => traces.all.map(({ places }) => places);
  const [both, first, late] = [
    [
      [0, 1],
      [1, 1],
    ],
    [[0, 2]],
    [[1, 0]],
  ];
  const given = [summary(5, { places: first }), summary(4, { places: both }), summary(9, { places: late })];
  traces.take({ cursor: "a-2-2", is_whole: true, limit: 9, held_from: [1, 0], traces: given });
  assert.deepEqual(shown(), [late, first, both]);
  const next = (cursor, held_from, some = []) =>
    traces.take({ cursor, is_whole: false, limit: 9, held_from, traces: some });
  assert.equal(next("a-2-3", [1, 0]), false);
  assert.equal(next("a-2-4", [1, 1]), true, "the newest by its start was the first to come");
  assert.deepEqual(shown(), [first, both]);
  assert.equal(next("a-3-4", [2, 1]), false, "a part of it is left");
  assert.equal(next("a-4-4", [3, 1], [summary(6, { places: [[0, 3]] })]), true);
  assert.deepEqual(shown(), [[[0, 3]], both]);
  assert.equal(next("a-4-5", [3, 2]), true);
  assert.deepEqual(shown(), [[[0, 3]]]);
});

test("filters say which traces are shown, and are an address", () => {
  const some = {
    text: "get 404 no",
    component: "a&b",
    route: "/{n}?",
    status: "5",
    min: 1.5,
    max: 20,
    errors: true,
  };
  assert.deepEqual(filters.fromQuery(filters.toQuery(some)), some);
  assert.equal(filters.toQuery(filters.none()), "");
  assert.deepEqual(filters.fromQuery("min=-1&max=x&status=9&status=5&errors=yes&min="), filters.none());
  const shows = (wanted, trace) => filters.matches({ ...filters.none(), ...wanted })(trace);
  assert.ok(shows({ text: " GET  /7 " }, summary(7)) && !shows({ text: "/8" }, summary(7)));
  assert.ok(shows({ text: "0007" }, summary(7)), "by id");
  assert.ok(shows({ status: "5" }, summary(1, { status: 503 })) && !shows({ status: "5" }, summary(1)));
  assert.ok(
    shows({ status: "503" }, summary(1, { status: 503 })) &&
      !shows({ status: "503" }, summary(1, { status: 500 })),
  );
  assert.ok(
    shows({ status: "none" }, summary(1, { status: null })) &&
      !shows({ status: "4" }, summary(1, { status: null })),
  );
  assert.ok(shows({ min: 2, max: 3 }, summary(2)) && !shows({ min: 2, max: 3 }, summary(3)));
  assert.ok(
    shows({ errors: true }, summary(1, { errors: 1 })) &&
      shows({ errors: true }, summary(1, { error_type: "timeout" })) &&
      !shows({ errors: true }, summary(1)),
  );
  assert.ok(shows({ route: "/only" }, summary(1, { route: null, path: "/only" })));
  assert.ok(!shows({ component: "shop" }, summary(1, { component: null })));
});

test("a bucket and its bounds are the same traces as the filter of that bar", () => {
  for (const nanos of [
    0, 1, 9_999, 10_000, 10_001, 14_700, 999_999, 1e6, 1_000_001, 21_500_000, 1e9, 99e9, 1e13,
  ]) {
    const at = bucketOf(nanos);
    const bucket = buckets([summary(1, { duration_nano: nanos })])[at];
    assert.equal(bucket.count, 1, `${nanos}`);
    assert.ok(bucket.from <= nanos && nanos < bucket.to, `${nanos} in ${bucket.from}–${bucket.to}`);
    const wanted = {
      ...filters.none(),
      min: format.millis(bucket.from),
      max: bucket.to === Infinity ? null : format.millis(bucket.to),
    };
    assert.ok(
      filters.matches(wanted)(summary(1, { duration_nano: nanos })),
      `${nanos} by ${wanted.min}–${wanted.max}`,
    );
  }
});

test("times of routes are of all their traces", () => {
  const many = Array.from({ length: 100 }, (_, n) =>
    summary(n + 1, { route: n < 90 ? "/busy" : "/idle", errors: n % 50 === 0 ? 1 : 0 }),
  );
  const { all, routes } = byRoute(many);
  assert.deepEqual(
    routes.map(({ route, count, errors }) => [route, count, errors]),
    [
      ["/busy", 90, 2],
      ["/idle", 10, 0],
    ],
  );
  assert.deepEqual([all.p50, all.p95, all.max], [50e6, 95e6, 100e6]);
  assert.deepEqual([routes[1].p50, routes[1].max], [95e6, 100e6]);
  const { first, last } = extent([all.buckets]);
  assert.equal(
    all.buckets.slice(first, last + 1).reduce((sum, { count }) => sum + count, 0),
    100,
  );
  assert.deepEqual(byRoute([]).routes, []);
  assert.deepEqual(extent([byRoute([]).all.buckets]), { first: 0, last: -1 });
});

test("two traces are compared place by place", () => {
  const a = read([
    span("a", "", 0, 100, { name: "GET /" }),
    span("b", "a", 0, 10, { name: "query" }),
    span("c", "a", 20, 40, { name: "query" }),
    span("d", "a", 50, 60, { name: "gone" }),
  ]);
  const b = read([
    span("e", "", 0, 50, { name: "GET /" }),
    span("f", "e", 0, 7, { name: "query" }),
    span("g", "f", 1, 2, { name: "new" }),
  ]);
  const found = pairs(a.tree, b.tree).map(({ name, depth, a, b }) => [
    depth,
    name,
    a && [a.count, a.duration],
    b && [b.count, b.duration],
  ]);
  assert.deepEqual(found, [
    [0, "GET /", [1, 100], [1, 50]],
    [1, "query", [2, 30], [1, 7]],
    [2, "new", null, [1, 1]],
    [1, "gone", [1, 10], null],
  ]);
});

test("attributes that differ are told, but for those that always do", () => {
  const of = (...attributes) => read([span("a", "", 0, 1, { attributes })]).tree.main;
  const a = of(text("x", "1"), text("same", "s"), text("only", "a"), {
    key: "network.peer.port",
    value: { intValue: "1" },
  });
  const b = of(text("x", "2"), text("same", "s"), { key: "network.peer.port", value: { intValue: "2" } });
  assert.deepEqual(differences(a, b), [
    { key: "only", a: "a", b: null },
    { key: "x", a: "1", b: "2" },
  ]);
  assert.equal(differences(a, null).length, 3);
});

test("a waterfall as SVG is well formed, whatever a name holds", () => {
  assert.equal(
    escaped('<a href="x">&\'\u0000\u0008\ud800\uffff'),
    "&lt;a href=&quot;x&quot;&gt;&amp;&apos;\ufffd\ufffd\ufffd\ufffd",
  );
  const { trace, tree: found } = read([
    span("a", "", 0, 1000, { name: "</text><script>alert(1)</script>" }),
    span("b", "a", 10, 10, { status: { code: 2 } }),
  ]);
  const drawn = waterfall(trace, rows(found, new Set(), true), bySpan(criticalPath(found.main)));
  assert.ok(!drawn.includes("<script") && drawn.includes("&lt;script&gt;"));
  assert.equal((drawn.match(/<g|<\/g/g) ?? []).length, 2);
  assert.ok(!/NaN|Infinity/.test(drawn));
});

test("numbers are short", () => {
  const all = [0, 1, 999, 1000, 1500, 99_949, 123_456, 999_400, 999_600, 1e6, 59.99e9, 61e9, -1500];
  assert.deepEqual(all.map(format.duration), [
    "0 ns",
    "1 ns",
    "999 ns",
    "1.00 µs",
    "1.50 µs",
    "99.9 µs",
    "123 µs",
    "999 µs",
    "1.00 ms",
    "1.00 ms",
    "60.0 s",
    "1 min 1 s",
    "-1.50 µs",
  ]);
  assert.deepEqual([512, 2048, 5 * 2 ** 20].map(format.bytes), ["512 B", "2.00 KiB", "5.00 MiB"]);
  assert.deepEqual(format.ticks(0, 100, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(format.ticks(0, 0, 5), []);
});
