// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** One plot of one target: a measure over time, the usual range behind it, and every job a point to go to. */

import { colourOf, h, rangeOf } from "./elements.js";
import { count } from "./formats.js";
import { scale, spread, timeTicks } from "./scale.js";

const { useEffect, useId, useLayoutEffect, useRef, useState } = globalThis.React;

const LEFT = 58;
const RIGHT = 14;
const TOP = 14;
const BOTTOM = 22;
/** How near the pointer must be to a point, in pixels. */
const REACH = 24;
const PIXELS_A_TICK = 90;
const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

/**
 * The width that an element has, followed.
 * @param {{current: Element|null}} box
 */
export function useWidth(box) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(box.current?.clientWidth ?? 0));
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, [box]);
  return width;
}

const widthOf = (points, width) =>
  Math.max(2, Math.min(9, ((width - LEFT - RIGHT) / Math.max(points.length, 1)) * 0.7));

/**
 * How far from the left each point is: at its moment, or beside what is of the same.
 * @param {{at: number}[]} points in order of time
 * @param {[number, number]} span
 * @param {number} width of the plot
 */
export function placesOf(points, span, width) {
  const x = scale(span, [LEFT, width - RIGHT]);
  const gap = Math.min(widthOf(points, width) + 1.5, (width - LEFT - RIGHT) / Math.max(points.length, 1));
  return spread(
    points.map((point) => x(point.at)),
    gap,
    [LEFT + 3, width - RIGHT],
  );
}

/**
 * @param {object} props
 * @param {string} props.title
 * @param {object[]} props.points in order of time, each with `at` (milliseconds), `value`, `bad`, `words`
 * @param {number[]} props.across where each is, of {@link placesOf}
 * @param {[number, number]|null} props.usual
 * @param {[number, number]} props.span
 * @param {string} props.zone
 * @param {number[]} props.levels the y axis' round values
 * @param {(value: number) => string} props.words
 * @param {boolean} [props.isBars] bars for amounts, dots for durations
 * @param {number} props.height
 * @param {number} props.width
 * @param {string|null} props.pointed the id of the job that is pointed at, in either plot
 * @param {(id: string|null) => void} props.onPoint
 * @param {(id: string) => void} props.onOpen
 */
export function Plot({
  title,
  points,
  across,
  usual,
  span,
  zone,
  levels,
  words,
  isBars = false,
  height,
  width,
  pointed,
  onPoint,
  onOpen,
}) {
  const id = useId();
  const svg = useRef(null);
  const [active, setActive] = useState(null);
  const x = scale(span, [LEFT, width - RIGHT]);
  const most = levels.at(-1) || 1;
  const y = scale([0, most], [height - BOTTOM, TOP]);
  const bottom = y(0);
  const wide = widthOf(points, width);
  const places = points.map((point, index) => ({
    x: across[index],
    y: point.value == null ? bottom : y(Math.min(point.value, most)),
    isAbove: point.value > most,
  }));
  // One stop for the Tab key, at the newest point or the one that was left.
  const left = points.findIndex((point) => point.id === active);
  const stop = left < 0 ? points.length - 1 : left;

  function nearest(event) {
    const box = svg.current.getBoundingClientRect();
    const [across, down] = [event.clientX - box.left, event.clientY - box.top];
    let found = null;
    let least = REACH;
    places.forEach((place, index) => {
      const aside = Math.abs(place.x - across);
      // All of a bar counts, not its top alone.
      const away = isBars && down >= place.y - 6 ? 0 : Math.abs(place.y - down);
      const distance = aside + away * 0.25;
      if (distance < least) [found, least] = [index, distance];
    });
    return found == null ? null : points[found].id;
  }

  function onKeyDown(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onOpen(points[stop].id);
    }
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const next = points[Math.max(0, Math.min(points.length - 1, stop + STEPS[event.key]))];
    setActive(next.id);
    svg.current.querySelector(`[data-id="${CSS.escape(next.id)}"]`)?.focus();
  }

  const described = usual
    ? `The usual range is ${rangeOf(usual[0], usual[1], words)}.`
    : "There are too few jobs to tell a usual range.";
  return h(
    "svg",
    {
      ref: svg,
      className: "ij-plot",
      width,
      height,
      role: "group",
      "aria-labelledby": `${id}-title ${id}-desc`,
      onPointerMove: (event) => onPoint(nearest(event)),
      onPointerLeave: () => onPoint(null),
      onClick: (event) => nearest(event) && onOpen(nearest(event)),
      onKeyDown,
      style: { cursor: pointed ? "pointer" : undefined },
    },
    h("title", { id: `${id}-title` }, title),
    h(
      "desc",
      { id: `${id}-desc` },
      `${described} ${count(points.length, "job")}; arrow keys go from one to the next, Enter opens it.`,
    ),
    h(
      "g",
      { "aria-hidden": true },
      h(Hatch, { id }),
      usual && h(Usual, { usual, x, y, span, top: levels.at(-1) }),
      h(YAxis, { levels, y, words, width }),
      h(XAxis, { span, zone, x, height, most: Math.max(2, (width - LEFT - RIGHT) / PIXELS_A_TICK) }),
    ),
    h(
      "g",
      { onBlur: () => onPoint(null) },
      points.map((point, index) =>
        h(Point, {
          key: point.id,
          point,
          place: places[index],
          bottom,
          y,
          wide,
          isBars,
          hatch: `url(#${id}-hatch)`,
          isPointed: point.id === pointed,
          isStop: index === stop,
          onFocus: () => (setActive(point.id), onPoint(point.id)),
        }),
      ),
    ),
  );
}

const Hatch = ({ id }) =>
  h(
    "defs",
    null,
    h(
      "pattern",
      {
        id: `${id}-hatch`,
        width: 4,
        height: 4,
        patternUnits: "userSpaceOnUse",
        patternTransform: "rotate(45)",
      },
      h("rect", { width: 4, height: 4, className: "ij-hatch-ground" }),
      h("rect", { width: 1.6, height: 4, className: "ij-hatch-line" }),
    ),
  );

function Usual({ usual: [low, high], x, y, span, top }) {
  const [above, below] = [y(Math.min(high, top)), y(low)];
  return h("rect", {
    className: "ij-usual",
    x: x(span[0]),
    width: x(span[1]) - x(span[0]),
    y: above,
    height: Math.max(2, below - above),
  });
}

const YAxis = ({ levels, y, words, width }) =>
  levels.map((level) =>
    h(
      "g",
      { key: level, transform: `translate(0,${Math.round(y(level)) + 0.5})` },
      h("line", { x1: LEFT, x2: width - RIGHT, className: level ? "ij-grid" : "ij-base" }),
      h("text", { x: LEFT - 6, dy: "0.32em", textAnchor: "end" }, words(level)),
    ),
  );

const XAxis = ({ span, zone, x, height, most }) =>
  timeTicks(span, zone, most).map(({ at, text, isDay }) =>
    h(
      "g",
      { key: at, transform: `translate(${Math.round(x(at)) + 0.5},0)` },
      h("line", { y1: height - BOTTOM, y2: height - BOTTOM + 4, className: "ij-base" }),
      h("text", { y: height - 6, textAnchor: "middle", className: isDay ? "ij-day" : undefined }, text),
    ),
  );

function Point({ point, place, bottom, y, wide, isBars, hatch, isPointed, isStop, onFocus }) {
  const fill = `var(--chakra-colors-${colourOf(point.state)}-solid)`;
  const isGone = point.value == null;
  const badTop = point.bad ? Math.max(TOP, Math.min(y(point.bad), bottom - 2)) : null;
  const shapes = [
    !isBars &&
      !isGone &&
      h("circle", {
        key: "dot",
        cx: place.x,
        cy: place.y,
        r: isPointed ? 5 : 3.5,
        fill: point.isOpen ? "var(--chakra-colors-bg)" : fill,
        stroke: fill,
        strokeWidth: 1.5,
      }),
    isBars &&
      !isGone &&
      h("rect", {
        key: "bar",
        x: place.x - wide / 2,
        width: wide,
        y: Math.min(place.y, bottom - 1.5),
        height: Math.max(1.5, bottom - place.y),
        fill,
        opacity: point.isOpen ? 0.55 : 1,
        rx: 1,
      }),
    isBars &&
      badTop != null &&
      h("rect", {
        key: "bad",
        x: place.x - wide / 2,
        width: wide,
        y: badTop,
        height: bottom - badTop,
        fill: hatch,
      }),
    // Higher than the plot: the usual ones must stay readable.
    place.isAbove &&
      h("path", {
        key: "above",
        d: `M${place.x - 5} ${TOP - 2}l5 -8l5 8z`,
        fill,
      }),
    isGone &&
      h("path", {
        key: "gone",
        d: `M${place.x - 3} ${bottom - 9}l6 6m0-6l-6 6`,
        stroke: fill,
        strokeWidth: 2,
        fill: "none",
      }),
    point.isUnusual &&
      h(
        "g",
        {
          key: "unusual",
          className: "ij-mark",
          transform: `translate(${place.x},${Math.max(7, place.isAbove ? place.y + 9 : place.y - 9)})`,
        },
        h("circle", { r: 5.5 }),
        h("text", { textAnchor: "middle", dy: "0.35em" }, "!"),
      ),
    isPointed &&
      h("line", { key: "line", className: "ij-pointed", x1: place.x, x2: place.x, y1: TOP, y2: bottom }),
  ];
  return h(
    "g",
    {
      className: "ij-point",
      role: "link",
      "data-id": point.id,
      tabIndex: isStop ? 0 : -1,
      "aria-label": point.words,
      onFocus,
    },
    h("rect", {
      className: "ij-focus",
      x: place.x - 7,
      width: 14,
      y: TOP - 4,
      height: bottom - TOP + 6,
      rx: 3,
    }),
    shapes,
  );
}

/**
 * What is pointed at, in words beside it. Its text is each point's label, too.
 * @param {{point: object|null, x: number, width: number}} props
 */
export function Tip({ point, x, width, children }) {
  const box = useRef(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const half = element.offsetWidth / 2;
    element.style.left = `${Math.max(half, Math.min(width - half, x))}px`;
  }, [x, width, point]);
  return point && h("div", { ref: box, className: "ij-tip", "aria-hidden": true }, children);
}
