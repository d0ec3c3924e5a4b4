// What the admin listener tells. A live list asks once a second for what has changed since it last asked: a listener
// that nobody looks at has nothing to do, and one that somebody looks at no connection to keep.

import { Traces } from "../model/traces.js";

const PAUSE = 1000;
/** Longest pause while the listener does not answer. */
const LONGEST = 10_000;

/** How often a listener that has no room for the answer is asked. */
const TRIES = 5;

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
async function ask(path) {
  // As plain as the preload that the page of a trace comes with, or the browser asks twice.
  let answer = await fetch(path);
  // It makes a few pages at a time, and other tabs may be taking theirs.
  for (let tries = 1; answer.status === 503 && tries < TRIES; tries += 1) {
    await new Promise((done) => setTimeout(done, PAUSE));
    answer = await fetch(path);
  }
  if (!answer.ok)
    throw new Error((await answer.text()).trim() || `the admin listener answers ${answer.status}`);
  return answer.json();
}

/** @param {string} id */
export function trace(id) {
  return ask(`/api/traces?trace_id=${id}`);
}

/** The trace, or the outline of a large one. @param {string} id */
export function outline(id) {
  return ask(`/api/traces/outline?trace_id=${id}`);
}

/** @param {string} id */
export function logs(id) {
  return ask(`/api/logs?trace_id=${id}`);
}

export function status() {
  return ask("/status");
}

export class Live {
  traces = new Traces();
  isOn = true;
  /** Why the last question was not answered; empty where it was. */
  trouble = "";
  /** @type {(hasNews: boolean) => void} */
  onchange = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #pause = PAUSE;
  #isAsking = false;
  #isWatched = false;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#go());
  }

  /** Somebody looks, or nobody does any more. @param {boolean} isWatched */
  watch(isWatched) {
    this.#isWatched = isWatched;
    this.#go();
  }

  /** @param {boolean} isOn */
  turn(isOn) {
    this.isOn = isOn;
    this.onchange(false);
    this.#go();
  }

  /** Asks now. */
  async ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { cursor } = this.traces;
    const before = this.trouble;
    let hasNews = false;
    try {
      const query = cursor === null ? "" : `?after=${encodeURIComponent(cursor)}`;
      hasNews = this.traces.take(await ask(`/api/traces/summary${query}`));
      [this.trouble, this.#pause] = ["", PAUSE];
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
      this.#pause = Math.min(this.#pause * 2, LONGEST);
    }
    this.#isAsking = false;
    if (hasNews || this.trouble !== before) this.onchange(hasNews);
  }

  #go() {
    clearTimeout(this.#timer);
    if (!this.#isWatched || document.hidden || (!this.isOn && this.traces.limit !== null)) return;
    const next = async () => {
      await this.ask();
      this.#go();
    };
    this.#timer = setTimeout(next, this.traces.limit === null && this.trouble === "" ? 0 : this.#pause);
  }
}
