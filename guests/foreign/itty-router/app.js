// itty-router as its authors mean it to be used: an AutoRouter, whose handlers return values that become JSON, whose
// errors become answers, and whose missing routes are 404.
import { AutoRouter, error, status } from "itty-router";

const router = AutoRouter({ before: [(request) => void (request.started = "before")] });

router
  .get("/", () => "Hello from itty-router!")
  .get("/items/:id", ({ params, query, started }) => ({ id: params.id, q: query.q ?? null, started }))
  .post("/items", async (request) => (await request.json()).name || error(400, "a name is missing"))
  .delete("/items/:id", () => status(204))
  .get("/broken", () => {
    throw new TypeError("itty-router is broken on purpose");
  })
  .get("/call", async ({ query }) => {
    const answer = await fetch(query.url);
    return { status: answer.status, text: await answer.text() };
  });

addEventListener("fetch", (event) => event.respondWith(router.fetch(event.request)));
