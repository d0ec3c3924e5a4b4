// A real server for the tests: the debug build of Pounce, with guests that make traces of every kind.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../..");
const BINARY = process.env["POUNCE_BINARY"] ?? join(ROOT, "target/debug/pounce");

/** Name, guest, and the paths that lead to it. @type {[string, string, string[]][]} */
const COMPONENTS = [
  ["shop", "attributes-p3", ["/deeds", "/items/{id}", "/orders/{id}"]],
  ["spans", "spans-p3", ["/many", "/deep", "/links", "/exceptions", "/options", "/events", "/parents"]],
  ["calls", "calls-p3", ["/calls"]],
  ["trap", "trap", ["/panic", "/unreachable"]],
  ["lines", "stdio", ["/lines"]],
];

/** @typedef {{ url: string, admin: string, get: typeof get, log: () => string, stop: () => Promise<void> }} Server */

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

/**
 * Sends one request; resolves with its status once the answer is read.
 * @param {string} url
 * @param {Record<string, string>} [headers]
 * @returns {Promise<number>}
 */
export function get(url, headers = {}) {
  return new Promise((done, failed) => {
    const request = http.get(url, { agent, headers }, (answer) => {
      answer.resume();
      answer.once("end", () => done(answer.statusCode ?? 0));
      answer.once("error", failed);
    });
    request.once("error", failed);
  });
}

/**
 * @param {string[]} [flags]
 * @param {typeof COMPONENTS} [components]
 * @returns {Promise<Server>}
 */
export async function start(flags = [], components = COMPONENTS) {
  const folder = await mkdtemp(join(tmpdir(), "pounce-viewer-"));
  const lines = components.flatMap(([name, guest, paths]) => [
    "[[component]]",
    `name = ${JSON.stringify(name)}`,
    `source = ${JSON.stringify(join(ROOT, "guests/build", `${guest}.wasm`))}`,
    ...paths.flatMap((path) => [
      "[[route]]",
      `component = ${JSON.stringify(name)}`,
      `path = ${JSON.stringify(path)}`,
    ]),
  ]);
  await writeFile(join(folder, "pounce.toml"), `${lines.join("\n")}\n`);
  const options = [
    "--config",
    join(folder, "pounce.toml"),
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
  ];
  const child = spawn(BINARY, ["serve", ...options, "--allow-outbound", "127.0.0.1:*", ...flags], {
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      XDG_CACHE_HOME: join(ROOT, "target/tmp/viewer-cache"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = new Promise((done) => child.once("exit", done));
  /** @param {string} before @param {string} line */
  const after = (before, line) => (line.startsWith(before) ? line.slice(before.length) : undefined);
  const found = { url: "", admin: "" };
  const ready = new Promise((done) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      found.url ||= after("listening on ", line) ?? "";
      found.admin ||= after("admin on ", line) ?? "";
      if (found.url !== "" && found.admin !== "") done(null);
    });
  });
  const early = exited.then((code) => {
    throw new Error(`pounce ended with ${code}: ${log}`);
  });
  await Promise.race([ready, early]);
  early.catch(() => {});
  return {
    ...found,
    get,
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await exited;
      await rm(folder, { recursive: true });
    },
  };
}

/**
 * Runs `make` for each number from 0, several at a time.
 * @param {number} count
 * @param {(at: number) => Promise<unknown>} make
 */
export async function times(count, make) {
  let next = 0;
  const worker = async () => {
    while (next < count) await make(next++);
  };
  await Promise.all(Array.from({ length: 12 }, worker));
}

/** @param {number} n a trace id */
export function id(n) {
  return n.toString(16).padStart(32, "f");
}

/** The header of a caller in this trace. @param {number} n */
export function parent(n) {
  return { traceparent: `00-${id(n)}-b7ad6b7169203331-01` };
}
