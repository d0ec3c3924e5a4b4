// hono as its authors mean it to be used: middleware, routes with parameters, an error handler, a stream, a call of
// another service. It runs as it does in any service worker: `fire` listens for fetch events.
import { Hono } from "hono";
import { fire } from "hono/service-worker";
import { stream } from "hono/streaming";
import { HTTPException } from "hono/http-exception";

const app = new Hono();

app.use(async (context, next) => {
  await next();
  context.header("x-through", "middleware");
});

app.get("/", (context) => context.text("Hello from hono!\n"));
app.get("/items/:id{[0-9]+}", (context) => context.json({ id: Number(context.req.param("id")), q: context.req.query("q") ?? null }));
app.post("/items", async (context) => context.json(await context.req.json(), 201));
app.get("/teapot", () => {
  throw new HTTPException(418, { message: "a teapot\n" });
});
app.get("/broken", () => {
  throw new TypeError("hono is broken on purpose");
});
app.get("/stream", (context) =>
  stream(context, async (out) => {
    for (let n = 0; n < 3; n++) {
      await out.write(new TextEncoder().encode(`piece ${n}\n`));
      await out.sleep(5);
    }
  }),
);
app.get("/call", async (context) => {
  const answer = await fetch(context.req.query("url"));
  return context.text(`${answer.status} ${await answer.text()}`);
});

// In a browser it falls back to the network for what no route is for; here that is a 404.
fire(app, { fetch: undefined });
