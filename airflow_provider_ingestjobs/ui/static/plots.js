// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Rows and durations over time, a card for each target: a load that is far off is seen at once. */

import { pathOf, usePoll } from "./api.js";
import { Badge, Empty, Moment, Note, Waiting, colourOf, h, isLive, rangeOf } from "./elements.js";
import { TargetChoice, WindowChoice, windowInWords } from "./filters.js";
import { count, duration, number, shortNumber, time, useNow, useZone } from "./formats.js";
import { Advice } from "./jobs.js";
import { Plot, Tip, placesOf, useWidth } from "./plot.js";
import { durationTicks, spanOf, ticks } from "./scale.js";
import { Freshness, Troubles, Unread, isUnread } from "./status.js";

const { useMemo, useRef, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

const EVERY = 5000;
const HEIGHT_OF_ROWS = 170;
const HEIGHT_OF_DURATIONS = 110;
/** Room for the sign of an unusual job above its bar. */
const ROOM = 1.06;
/** How many times the usual a plot shows at most. */
const HIGHEST = 4;

/**
 * @param {object} props
 * @param {object} props.source
 * @param {string[]} props.windows
 * @param {string} props.window
 * @param {import("./address.js").Address} props.address
 */
export function Plots({ source, windows, window, address }) {
  const target = address.get("target");
  const poll = usePoll(pathOf(source, "plots", { window, ...(target ? { target } : {}) }), {
    every: EVERY,
    scope: source.key,
  });
  const { data, error, isBehind } = poll;
  const now = useNow(60);
  const targets = data?.targets ?? [];
  const span = useMemo(
    () =>
      spanOf(
        targets.flatMap((one) => one.points),
        now,
      ),
    [data, now],
  );
  return h(
    "section",
    { "aria-label": "Plots" },
    h(
      "div",
      { className: "ij-filters" },
      h(WindowChoice, { windows, chosen: window, address }),
      h(TargetChoice, { targets: data?.all_targets ?? [], address, all: "Targets with most jobs" }),
      h(Legend, { states: statesOf(targets) }),
      h(Freshness, { poll }),
    ),
    h(Troubles, { poll, vendor: source.vendor }),
    body(),
  );

  function body() {
    if (!data) return error ? h(Advice, { error }) : h(Waiting, null, "Loading plots …");
    const shown = targets.filter((one) => one.points.length);
    if (!shown.length && data.is_reading)
      return h(
        Waiting,
        null,
        `Reading jobs from ${source.vendor}. The first time takes longer; plots appear here by themselves.`,
      );
    if (!shown.length && isUnread(poll)) return h(Unread);
    if (!shown.length) {
      const longer = windows[windows.indexOf(window) + 1];
      return h(
        Empty,
        { title: `No job ${target ? `of ${target} ` : ""}in the ${windowInWords(window)}: nothing to plot.` },
        longer &&
          h(
            "button",
            { type: "button", className: "ij-button", onClick: () => address.change({ window: longer }) },
            `Show the ${windowInWords(longer)}`,
          ),
      );
    }
    return h(
      "div",
      { className: "ij-cards", "aria-busy": isBehind },
      shown.map((one) =>
        h(Card, { key: one.target ?? "", of: one, span, address, isAlone: shown.length === 1 }),
      ),
    );
  }
}

const statesOf = (targets) =>
  [...new Set(targets.flatMap((one) => one.points.map((point) => point.state)))].sort();

const Legend = ({ states }) =>
  h(
    "ul",
    { className: "ij-legend", "aria-label": "Legend" },
    states.map((state) =>
      h(
        "li",
        { key: state },
        h("span", {
          className: "ij-swatch",
          style: { background: `var(--chakra-colors-${colourOf(state)}-solid)` },
        }),
        state,
      ),
    ),
    h("li", null, h("span", { className: "ij-swatch ij-swatch-bad" }), "bad rows"),
    h("li", null, h("span", { className: "ij-swatch ij-swatch-usual" }), "usual range"),
    h("li", null, h("span", { className: "ij-swatch-mark" }, "!"), "far off it"),
  );

function Card({ of: { target, usual, points }, span, address, isAlone }) {
  const box = useRef(null);
  const width = useWidth(box);
  const zone = useZone();
  const [pointed, setPointed] = useState(null);
  const now = useNow(60);
  const name = target ?? "No target";
  const drawn = useMemo(
    () =>
      points
        .filter((point) => point.started_at)
        .map((point) => ({
          ...point,
          at: Date.parse(point.started_at),
          isOpen: isLive(point),
          isUnusual: point.is_unusual,
          words: inWords(point, usual, zone),
        })),
    [points, usual, zone],
  );
  const point = drawn.find((one) => one.id === pointed) ?? null;
  const open = (id) => address.change({ job: id });
  const unusual = drawn.filter((one) => one.is_unusual);
  const failed = drawn.filter((one) => one.state === "failed").length;
  const across = useMemo(() => placesOf(drawn, span, width), [drawn, span, width]);
  const common = { across, span, zone, width, pointed, onPoint: setPointed, onOpen: open };
  const rows = drawn.map((one) => ({ ...one, value: one.rows }));
  const times = drawn.map((one) => ({
    ...one,
    bad: null,
    value: one.duration ?? (one.isOpen ? Math.max(0, (now - one.at) / 1000) : null),
    isUnusual: isOff(one.duration, usual?.duration),
  }));
  const most = (values, range) =>
    Math.max(1, range?.[1] ?? 0, Math.min(Math.max(0, ...values), (range?.[1] || Infinity) * HIGHEST)) * ROOM;
  const hasRows = rows.some((one) => one.value != null);
  return h(
    "article",
    { className: "ij-card", "aria-label": name },
    h(
      "div",
      { className: "ij-card-head" },
      h(
        "h2",
        null,
        h(
          Link,
          {
            className: "ij-link",
            to: address.to({ view: null, target, state: null, text: null, job: null, page: null }),
            title: "Show these jobs",
          },
          name,
        ),
      ),
      h(
        "p",
        { className: "ij-muted" },
        [
          count(points.length, "job"),
          failed && `${number(failed)} failed`,
          unusual.length && `${number(unusual.length)} far off the usual`,
        ]
          .filter(Boolean)
          .join(", "),
      ),
    ),
    h(
      "div",
      { ref: box, className: "ij-plots" },
      hasRows && h(Title, { words: "Rows", usual: usual?.rows, format: number }),
      width > 0 &&
        hasRows &&
        h(Plot, {
          ...common,
          title: `Rows of ${name} over time`,
          points: rows,
          usual: usual?.rows,
          levels: ticks(
            most(
              rows.flatMap((one) => [one.value ?? 0, one.bad ?? 0]),
              usual?.rows,
            ),
          ),
          words: shortNumber,
          isBars: true,
          height: isAlone ? HEIGHT_OF_ROWS * 1.5 : HEIGHT_OF_ROWS,
        }),
      h(Title, { words: "Duration", usual: usual?.duration, format: duration }),
      width > 0 &&
        h(Plot, {
          ...common,
          title: `Duration of ${name} over time`,
          points: times,
          usual: usual?.duration,
          levels: durationTicks(
            most(
              times.map((one) => one.value ?? 0),
              usual?.duration,
            ),
          ),
          words: (value) => (value ? duration(value) : "0"),
          height: isAlone ? HEIGHT_OF_DURATIONS * 1.5 : HEIGHT_OF_DURATIONS,
        }),
      h(
        Tip,
        { point, x: point ? across[drawn.indexOf(point)] : 0, width },
        point && h(About, { point, usual }),
      ),
    ),
    !hasRows && h(Note, null, "The vendor counts no rows of these jobs."),
  );
}

const Title = ({ words, usual, format }) =>
  h(
    "p",
    { className: "ij-plot-title" },
    h("b", null, words),
    usual && h("span", { className: "ij-muted" }, ` usual ${rangeOf(usual[0], usual[1], format)}`),
  );

const isOff = (value, range) => value != null && range != null && (value < range[0] || value > range[1]);

function About({ point, usual }) {
  const line = (name, value, range, format) =>
    value != null &&
    h(
      "div",
      null,
      h("span", null, name),
      h("b", null, format(value)),
      point.is_unusual &&
        isOff(value, range) &&
        h("em", null, `usual ${rangeOf(range[0], range[1], format)}`),
    );
  return [
    h("div", { key: "head" }, h(Badge, { state: point.state }), " ", h(Moment, { at: point.started_at })),
    h(
      "div",
      { key: "lines", className: "ij-tip-lines" },
      line("rows", point.rows, usual?.rows, number),
      line("bad", point.bad, null, number),
      line("took", point.duration, usual?.duration, duration),
    ),
    h("div", { key: "id", className: "ij-muted" }, point.id),
  ];
}

/** A point's text alternative. */
function inWords(point, usual, zone) {
  const off = [
    isOff(point.rows, usual?.rows) && `usual rows ${rangeOf(usual.rows[0], usual.rows[1], number)}`,
    isOff(point.duration, usual?.duration) &&
      `usual duration ${rangeOf(usual.duration[0], usual.duration[1], duration)}`,
  ].filter(Boolean);
  return [
    time(point.started_at, zone),
    point.state,
    point.rows != null && `${number(point.rows)} rows`,
    point.bad ? `${number(point.bad)} bad` : null,
    point.duration != null && `took ${duration(point.duration)}`,
    point.is_unusual && `far off the usual${off.length ? `: ${off.join(", ")}` : ""}`,
    `job ${point.id}`,
  ]
    .filter(Boolean)
    .join(", ");
}
