// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Numbers, durations and times as people read them; the clock that live jobs tick by; the user's zone. */

const { useSyncExternalStore } = globalThis.React;

const SECOND = 1000;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const plain = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

/**
 * A whole number with the reader's thousands separators.
 * @param {number|null|undefined} value
 */
export const number = (value) => (value == null ? "" : plain.format(value));

/**
 * So many of something: "1 job", "1,200 jobs".
 * @param {number} value
 * @param {string} word in the singular
 */
export const count = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

/**
 * A number in few characters, for axes.
 * @param {number} value
 */
export const shortNumber = (value) => compact.format(value);

/**
 * A duration in two words at most: "17 s", "4 min 3 s", "2 h 5 min", "3 d 4 h".
 * @param {number|null|undefined} seconds
 */
export function duration(seconds) {
  if (seconds == null) return "";
  if (seconds < 1) return "< 1 s";
  const whole = Math.round(seconds);
  const pair = (value, unit, rest, smaller) =>
    rest ? `${value} ${unit} ${rest} ${smaller}` : `${value} ${unit}`;
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return pair(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  const minutes = Math.round(whole / MINUTE);
  if (minutes < DAY / MINUTE) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(whole / HOUR);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** How far the server's clock is ahead of the browser's, in milliseconds. */
let ahead = 0;

/**
 * Learn the server's clock from an answer, so that live durations are right where the browser's is not.
 * @param {string|null} date the header "Date"
 */
export function setServerTime(date) {
  const difference = Date.parse(date ?? "") - Date.now();
  // The header has whole seconds, and answers take time: small differences mean nothing.
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) < 3 * SECOND ? 0 : difference;
}

const listeners = new Set();
let interval = null;

function subscribe(listener) {
  listeners.add(listener);
  interval ??= setInterval(() => {
    if (document.visibilityState === "visible") listeners.forEach((tell) => tell());
  }, SECOND);
  return () => {
    listeners.delete(listener);
    if (!listeners.size) {
      clearInterval(interval);
      interval = null;
    }
  };
}

/**
 * The server's time in milliseconds, renewed while the page is looked at; one timer serves all.
 * @param {number} step how often it changes, in seconds
 */
export function useNow(step = 1) {
  const round = () => Math.floor((Date.now() + ahead) / (step * SECOND)) * step * SECOND;
  return useSyncExternalStore(subscribe, round);
}

/**
 * How long ago, or in how long: "4 min ago", "in 3 d".
 * @param {string} moment ISO 8601
 * @param {number} now milliseconds
 */
export function relative(moment, now) {
  const seconds = Math.round((now - Date.parse(moment)) / SECOND);
  const size = Math.abs(seconds);
  if (size < 3) return "just now";
  const [unit, word] =
    size < MINUTE ? [1, "s"] : size < HOUR ? [MINUTE, "min"] : size < DAY ? [HOUR, "h"] : [DAY, "d"];
  const words = `${Math.floor(size / unit)} ${word}`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

const ZONE_KEY = "timezone"; // Airflow's own, of its menu

/** The zone that the user has chosen in Airflow's menu; else the browser's. */
export function zoneInUse() {
  try {
    const kept = localStorage.getItem(ZONE_KEY);
    if (kept) {
      const zone = kept.startsWith('"') ? JSON.parse(kept) : kept;
      return new Intl.DateTimeFormat(undefined, { timeZone: zone }).resolvedOptions().timeZone;
    }
  } catch {
    // No storage, or no such zone.
  }
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function subscribeToZone(listener) {
  // "storage" comes from other tabs, "local-storage" from Airflow's menu in this one.
  addEventListener("storage", listener);
  addEventListener("local-storage", listener);
  return () => {
    removeEventListener("storage", listener);
    removeEventListener("local-storage", listener);
  };
}

/** The user's zone, followed while it changes. */
export const useZone = () => useSyncExternalStore(subscribeToZone, zoneInUse);

const formats = new Map();

function partsOf(milliseconds, zone) {
  if (!formats.has(zone)) {
    const two = "2-digit";
    const shape = {
      year: "numeric",
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two,
      hourCycle: "h23",
    };
    formats.set(zone, new Intl.DateTimeFormat("en-US", { ...shape, timeZone: zone }));
  }
  return Object.fromEntries(
    formats
      .get(zone)
      .formatToParts(milliseconds)
      .map(({ type, value }) => [type, value]),
  );
}

/**
 * A moment as Airflow writes it: "2026-11-02 03:00:04".
 * @param {string|number|null|undefined} moment ISO 8601, or milliseconds
 * @param {string} zone
 */
export function time(moment, zone) {
  const milliseconds = typeof moment === "string" ? Date.parse(moment) : moment;
  if (milliseconds == null || Number.isNaN(milliseconds)) return "";
  const { year, month, day, hour, minute, second } = partsOf(milliseconds, zone);
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

/**
 * How far a zone's clock is ahead of UTC at a moment, in milliseconds.
 * @param {number} milliseconds
 * @param {string} zone
 */
export function offsetOf(milliseconds, zone) {
  const { year, month, day, hour, minute, second } = partsOf(milliseconds, zone);
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(milliseconds / SECOND) * SECOND;
}
