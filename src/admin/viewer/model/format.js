// Numbers as people read them.

/**
 * A duration with three digits at most.
 * @param {number} nanos
 */
export function duration(nanos) {
  if (!Number.isFinite(nanos)) return "–";
  const size = Math.abs(nanos);
  if (size < 999.5) return `${Math.round(nanos)} ns`;
  if (size < 999.5e3) return `${digits(nanos / 1e3)} µs`;
  if (size < 999.5e6) return `${digits(nanos / 1e6)} ms`;
  if (size < 60e9) return `${digits(nanos / 1e9)} s`;
  const seconds = Math.round(nanos / 1e9);
  return `${Math.trunc(seconds / 60)} min ${Math.abs(seconds % 60)} s`;
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

/**
 * Milliseconds without needless digits, as filters have them.
 * @param {number} nanos
 */
export function millis(nanos) {
  return Number((nanos / 1e6).toPrecision(4));
}

/**
 * The time of day, with milliseconds.
 * @param {number} unixMillis
 */
export function clock(unixMillis) {
  const at = new Date(unixMillis);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const ms = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/**
 * Day and time.
 * @param {number} unixMillis
 */
export function moment(unixMillis) {
  const at = new Date(unixMillis);
  if (Number.isNaN(at.getTime())) return "–";
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(unixMillis)}`;
}

/**
 * A count and its noun.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/** With commas, as `toLocaleString` would put them, which takes 20 ms the first time. @param {number} count */
export function whole(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @param {number} bytes */
export function bytes(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let at = -1;
  let left = bytes;
  do {
    left /= 1024;
    at += 1;
  } while (left >= 1024 && at < units.length - 1);
  return `${digits(left)} ${units[at]}`;
}

/**
 * A value of an attribute as text.
 * @param {import("./types.d.ts").Value} value
 */
export function value(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Ticks for an axis of so many nanoseconds: round steps, at most `most` of them.
 * @param {number} from
 * @param {number} to
 * @param {number} most
 */
export function ticks(from, to, most) {
  const length = to - from;
  if (!(length > 0) || most < 1) return [];
  const rough = length / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? length;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to && found.length <= most; at += step) found.push(at);
  return found;
}
