// hono by the adapter of jco-std: no fetch event, but the handler of wasi:http itself; settings by `wasi:config`.
import { Hono } from "hono";
import { fire, incomingHandler } from "@bytecodealliance/jco-std/wasi/0.2.12/http/adapters/hono/server";
import { wasiConfigMiddleware } from "@bytecodealliance/jco-std/wasi/0.2.12/http/adapters/hono/middleware/config";

const app = new Hono();
app.use(wasiConfigMiddleware());

app.get("/", (context) => context.text("Hello from hono on jco-std!\n"));
app.get("/items/:id", (context) => context.json({ id: context.req.param("id") }));
app.get("/settings/:key", (context) => context.json({ value: context.get("config").get(context.req.param("key")) ?? null }));

fire(app);
export { incomingHandler };
