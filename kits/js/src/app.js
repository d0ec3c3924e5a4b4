// Greets whom the path names, `GET /hello/{name}`, after asking a backend.

import { setAttribute, setRoute, withSpan } from "pounce-guest";
import { get as setting } from "wasi:config/store@0.2.0-rc.1";

// What is asked where the variable BACKEND_URL names nothing else.
const BACKEND = "http://example.com/";

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));

async function handle(request) {
  const name = /^\/hello\/([^/]+)$/.exec(new URL(request.url).pathname)?.[1];
  return name === undefined ? answer(404, "try /hello/world\n") : hello(name);
}

async function hello(name) {
  // Pounce traces the request by itself; this is what only the guest knows.
  setRoute("/hello/{name}");
  setAttribute("hello.name", name);
  try {
    return answer(200, `Hello, ${name}! The backend says ${await askBackend()}.\n`);
  } catch {
    return answer(502, "The backend does not answer.\n");
  }
}

// In a span of its own, with the call as its child; what it throws is recorded on it.
function askBackend() {
  return withSpan("ask the backend", async (span) => {
    const response = await fetch(setting("BACKEND_URL") ?? BACKEND);
    span.addEvent("answered", { "backend.status": response.status });
    return response.status;
  });
}

function answer(status, text) {
  return new Response(text, { status, headers: { "content-type": "text/plain" } });
}
