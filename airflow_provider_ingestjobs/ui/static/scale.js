// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Axes: round values, and round moments in the user's zone. */

import { offsetOf, time } from "./formats.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
];
const SHORTEST = 5 * MINUTE;

/**
 * A line from values to places.
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
export const scale =
  ([a, b], [c, d]) =>
  (value) =>
    c + ((value - a) / (b - a || 1)) * (d - c);

/**
 * Round values from 0 to at least `most`, three or four of them.
 * @param {number} most
 * @param {number[]} [bases] what counts as round; seconds have their own
 */
export function ticks(most, bases = [1, 2, 2.5, 5, 10]) {
  const rough = Math.max(most, 1e-9) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = bases.map((base) => base * power).find((value) => value >= rough) ?? 10 * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}

/**
 * Places as near to the wanted ones as can be, in their order, each at least `gap` from the next: jobs of
 * one moment stand side by side. (Isotonic regression: neighbours that would overlap share their mean.)
 * @param {number[]} wanted in rising order
 * @param {number} gap
 * @param {[number, number]} within
 */
export function spread(wanted, gap, [least, most]) {
  const blocks = [];
  wanted.forEach((place, index) => {
    let block = { sum: place - index * gap, size: 1 };
    for (
      let last = blocks.at(-1);
      last && last.sum / last.size > block.sum / block.size;
      last = blocks.at(-1)
    ) {
      blocks.pop();
      block = { sum: block.sum + last.sum, size: block.size + last.size };
    }
    blocks.push(block);
  });
  const places = blocks.flatMap(({ sum, size }) => Array(size).fill(sum / size));
  const highest = most - (wanted.length - 1) * gap;
  return places.map((place, index) => Math.max(least, Math.min(highest, place)) + index * gap);
}

const SECONDS = [
  1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
];

/**
 * Round durations from 0 to at least `most` seconds.
 * @param {number} most
 */
export function durationTicks(most) {
  const step = SECONDS.find((value) => value >= most / 3) ?? Math.ceil(most / 3 / 604800) * 604800;
  return Array.from({ length: Math.max(2, Math.ceil(most / step) + 1) }, (_, index) => index * step);
}

/**
 * The span of time from the first point until now, never too short to have room.
 * @param {{started_at: string}[]} points
 * @param {number} now
 * @returns {[number, number]}
 */
export function spanOf(points, now) {
  const moments = points
    .map((point) => Date.parse(point.started_at))
    .filter((moment) => !Number.isNaN(moment));
  if (!moments.length) return [now - DAY, now];
  const first = moments.reduce((one, other) => Math.min(one, other));
  // To this moment: that nothing has come for long must be seen.
  const last = moments.reduce((one, other) => Math.max(one, other), now);
  const room = Math.max(SHORTEST, (last - first) * 0.02);
  return [first - room, last + room];
}

/**
 * Round moments within a span, with what to write at them: the day where it changes, else the time of day.
 * @param {[number, number]} span
 * @param {string} zone
 * @param {number} most how many fit
 */
export function timeTicks([first, last], zone, most) {
  const step = STEPS.find((value) => (last - first) / value <= most) ?? 28 * DAY;
  const offset = offsetOf(first, zone);
  const found = [];
  let day = null;
  for (let local = Math.ceil((first + offset) / step) * step; local - offset <= last; local += step) {
    // The zone's clock may be changed within the span.
    const at = local - offsetOf(local - offset, zone);
    const text = time(at, zone);
    const isNewDay = text.slice(0, 10) !== day;
    day = text.slice(0, 10);
    if (at >= first && at <= last)
      found.push({
        at,
        text: step >= DAY || isNewDay ? text.slice(5, 10) : text.slice(11, 16),
        isDay: isNewDay,
      });
  }
  return found;
}
