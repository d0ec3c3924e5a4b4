// A handler of wasi:http 0.3 for QuickJS, by componentize-qjs. Fails by path: `/before` by an exception with the request's
// path and query in its message, `/stream` by one in the stream of the body, after some of it, `/memory` by taking more and
// more memory, `/loop` by computing for ever. Every other path answers `fine`.

import types from "wasi:http/types@0.3.0";

class Mistake extends Error {}

export const handler = {
  async handle(request) {
    const target = request.getPathWithQuery() ?? "/";
    const path = target.split("?")[0];
    if (path === "/before") fail(`before ${target}`);
    if (path === "/memory") for (const kept = []; ; ) kept.push(new Uint8Array(1 << 20));
    if (path === "/loop") for (;;) {}
    const trailers = Promise.resolve({ tag: "ok", val: null });
    return types.Response["new"](new types.Fields(), body(path === "/stream"), trailers)[0];
  },
};

async function* body(fails) {
  yield new Uint8Array([102, 105, 110, 101, 10]);
  if (fails) fail("stream");
}

function fail(message) {
  throw new Mistake(message);
}
