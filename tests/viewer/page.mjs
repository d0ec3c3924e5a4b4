// A page in Chromium, with what it did wrong: errors, messages of the console, and requests to anybody but the listener.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import axe from "axe-core";
import { chromium } from "playwright-core";

/** Where screenshots go; none are taken where it is not set. */
const SHOTS = process.env["POUNCE_VIEWER_SHOTS"];

/** @typedef {import("playwright-core").Page & { faults: string[] }} Watched */

export function launch(args = []) {
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  // In containers there is no sandbox to be had; what the pages show is our own.
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}

/**
 * A page of its own, which notes what goes wrong.
 * @param {import("playwright-core").Browser} browser
 * @param {string} admin
 * @param {object} [options] of the context
 * @returns {Promise<Watched>}
 */
export async function open(browser, admin, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    baseURL: admin,
    ...options,
  });
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
  page.on(
    "console",
    (message) => ["error", "warning"].includes(message.type()) && faults.push(`console: ${message.text()}`),
  );
  page.on("dialog", (dialog) => (faults.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${admin}/`) && !url.startsWith(`blob:${admin}/`)) faults.push(`asks ${url}`);
  });
  return Object.assign(page, { faults });
}

/** @param {Watched} page */
export async function close(page) {
  const { faults } = page;
  await page.context().close();
  assert.deepEqual(faults, []);
}

/**
 * What axe finds in a page that is shown.
 * @param {Watched} page
 * @param {string} view
 */
export async function accessible(page, view) {
  // Into a world of its own: the page's policy lets no script in, and that is as it should be.
  const found = await page.evaluate(`${axe.source}; axe.run(document, { resultTypes: ["violations"] })`);
  const told = found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join("\n")}`,
  );
  assert.deepEqual(told, [], view);
}

/**
 * @param {Watched} page
 * @param {string} name
 */
export async function shot(page, name) {
  if (SHOTS === undefined) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

/**
 * Resolves once `holds` does; what it saw last is told where that takes too long.
 * @template Seen
 * @param {string} what
 * @param {() => Promise<Seen>} look
 * @param {(seen: Seen) => boolean} holds
 */
export async function eventually(what, look, holds) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > deadline) assert.fail(`${what}: ${JSON.stringify(seen)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
