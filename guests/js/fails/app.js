// Fails by path, each failure with the request's `?id=` in its message:
//
// | path | fails by |
// | --- | --- |
// | `/listener` | an exception in the listener, before `respondWith` |
// | `/before` | a rejected promise for the response, an error of a class of the author's |
// | `/caused` | the same, with a cause, the message over two lines |
// | `/never` | a promise that never settles |
// | `/stream` | an exception in the stream of the body, after one chunk |
// | `/background` | a rejection of what `waitUntil` was given |
// | `/later` | the same, half a second after the response |
// | `/trap` | a trap of the runtime itself, which no exception comes before: it lacks dynamic imports |
// | `/memory` | taking more and more memory |
// | `/loop` | computing for ever |
// | `/print` | not at all: it prints what the runtime prints of each failure, and answers |
//
// Every other path answers `fine`.

class Mistake extends Error {
  name = "Mistake";
}

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const id = url.searchParams.get("id");
  if (url.pathname === "/listener") throw new RangeError(`listener ${id}`);
  if (url.pathname === "/background") event.waitUntil(reject(`background ${id}`));
  if (url.pathname === "/later") event.waitUntil(rejectLater(`later ${id}`));
  event.respondWith(answer(url.pathname, id));
});

async function answer(path, id) {
  switch (path) {
    case "/before":
      return await reject(`before ${id}`);
    case "/caused":
      throw new Error(`caused ${id}\nStack:`, { cause: new Error("the cause") });
    case "/never":
      return new Promise(() => {});
    case "/stream":
      return new Response(failing(`stream ${id}`));
    case "/trap":
      return await import("./none.js");
    case "/memory":
      for (const kept = []; ; ) kept.push(new Uint8Array(1 << 20));
    case "/loop":
      for (;;) {}
    case "/print":
      console.error("Traceback (most recent call last):\nValueError: printed");
      console.error("thread 'a' panicked at b:1:2:\nprinted");
      console.error("Error while running request handler: printed\nStack:\n  a@b:1:2");
  }
  return new Response("fine\n");
}

async function reject(message) {
  throw new Mistake(message);
}

function rejectLater(message) {
  return new Promise((_, reject) => setTimeout(() => reject(new Mistake(message)), 500));
}

function failing(message) {
  let chunks = 0;
  return new ReadableStream({
    pull(controller) {
      if (chunks++ > 0) throw new Mistake(message);
      controller.enqueue(new TextEncoder().encode("before the failure\n"));
    },
  });
}
