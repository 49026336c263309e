// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The small parts that every view is made of. */

import { duration, number, relative, time, useNow, useZone } from "./formats.js";

const { Component, createElement, useId, useLayoutEffect, useRef, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

/** React's createElement, by its usual short name. */
export const h = createElement;

/** Whether a job goes on. */
export const isLive = (job) => ["pending", "running", "cancelling", "unknown"].includes(job.state);

/** Airflow's colours for the states of jobs and of tasks, by the names of its own states; and a sign beside the word. */
const LOOKS = {
  pending: ["queued", "○"],
  running: ["running", "▶"],
  cancelling: ["restarting", "◐"],
  succeeded: ["success", "✓"],
  failed: ["failed", "✕"],
  cancelled: ["upstream_failed", "■"],
  skipped: ["skipped", "»"],
  success: ["success", "✓"],
  deferred: ["deferred", "◷"],
  up_for_reschedule: ["up_for_reschedule", "◷"],
  up_for_retry: ["up_for_retry", "↻"],
  upstream_failed: ["upstream_failed", "✕"],
  queued: ["queued", "○"],
  scheduled: ["scheduled", "○"],
};

/** The name of a state's colour among Airflow's. */
export const colourOf = (state) => (LOOKS[state] ?? ["none"])[0];

/**
 * A state, as a word on its colour.
 * @param {{state: string|null, word?: string, title?: string}} props
 */
export function Badge({ state, word, title }) {
  const [colour, sign] = LOOKS[state] ?? ["none", "?"];
  const style = {
    "--badge-bg": `var(--chakra-colors-${colour}-subtle)`,
    "--badge-fg": `var(--chakra-colors-${colour}-fg)`,
    "--badge-edge": `var(--chakra-colors-${colour}-muted)`,
  };
  const words = word ?? (state ?? "no state").replaceAll("_", " ");
  return h("span", { className: "ij-badge", style, title }, h("span", { "aria-hidden": true }, sign), words);
}

/**
 * A moment in the user's zone; how long ago in its title, or beside it.
 * @param {{at: string|null, isRelative?: boolean, isBoth?: boolean}} props
 */
export function Moment({ at, isRelative = false, isBoth = false }) {
  const zone = useZone();
  const now = useNow(isRelative ? 1 : 10);
  if (!at) return null;
  const absolute = time(at, zone);
  const ago = relative(at, now);
  const title = isRelative ? `${absolute} ${zone}` : `${ago}, ${zone}`;
  return h(
    "time",
    { dateTime: at, title, className: "ij-nowrap" },
    isRelative ? ago : absolute,
    isBoth && h("span", { className: "ij-muted ij-wide" }, `  ${ago}`),
  );
}

/**
 * How long a job took, or takes so far: it ticks.
 * @param {{job: object}} props
 */
export function Took({ job }) {
  if (job.duration != null || !isLive(job)) return duration(job.duration);
  return job.started_at ? h(SoFar, { since: job.started_at }) : null;
}

/**
 * How long something lasts so far.
 * @param {{since: string}} props
 */
export function SoFar({ since }) {
  const now = useNow(1);
  return h(
    "span",
    { className: "ij-live", title: "so far" },
    duration(Math.max(0, (now - Date.parse(since)) / 1000)),
  );
}

/**
 * A task instance by name, as its link within Airflow.
 * @param {{task: object, isLong?: boolean}} props
 */
export function TaskLink({ task, isLong = false }) {
  const isMapped = task.map_index != null && task.map_index >= 0;
  const parts = [
    "dags",
    task.dag_id,
    "runs",
    task.run_id,
    "tasks",
    task.task_id,
    ...(isMapped ? ["mapped", String(task.map_index)] : []),
  ];
  const name = `${task.dag_id}.${task.task_id}${isMapped ? ` [${task.map_index}]` : ""}`;
  const title = `${name}, run ${task.run_id}${task.state ? `: ${task.state.replaceAll("_", " ")}` : ""}`;
  return h(
    Link,
    { className: "ij-link", to: `/${parts.map(encodeURIComponent).join("/")}`, title },
    name,
    isLong && h("span", { className: "ij-muted" }, ` ${task.run_id}`),
  );
}

/**
 * A job's page at its vendor, in a new tab; nothing where the address is no web address.
 * @param {{url: string|null, title?: string, className?: string, children?: any}} props
 */
export function VendorLink({ url, title, className = "ij-link", children }) {
  if (!/^https?:\/\//i.test(url ?? "")) return null;
  return h(
    "a",
    { className, title, href: url, target: "_blank", rel: "noopener noreferrer" },
    children,
    h("span", { "aria-hidden": true }, " ↗"),
    h("span", { className: "ij-hidden" }, " (opens a new tab)"),
  );
}

/**
 * What is far off the usual, said in words.
 * @param {{job: object, what: "rows"|"duration"}} props
 */
export function Unusual({ job, what }) {
  return (job.unusual ?? [])
    .filter((one) => one.what === what)
    .map((one) => {
      const words = what === "rows" ? number : duration;
      const [word, range] = [
        one.value < one.low ? (what === "rows" ? "few" : "short") : what === "rows" ? "many" : "long",
        rangeOf(one.low, one.high, words),
      ];
      return h(
        "span",
        { key: what, className: "ij-unusual", title: `Far off the usual range, ${range}` },
        h("b", null, `unusually ${word}`),
        h("span", null, `usual ${range}`),
      );
    });
}

/**
 * A range in words.
 * @param {number} low
 * @param {number} high
 * @param {(value: number) => string} words
 */
export const rangeOf = (low, high, words) =>
  words(low) === words(high) ? words(low) : `${words(low)} – ${words(high)}`;

/**
 * A long text cut to two lines, with a button that shows all of it where there is more.
 * @param {{text: string}} props
 */
export function Clamped({ text }) {
  const [isOpen, setIsOpen] = useState(false);
  const [isCut, setIsCut] = useState(false);
  const box = useRef(null);
  const id = useId();
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => !isOpen && setIsCut(element.scrollHeight > element.clientHeight + 1);
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, [text, isOpen]);
  return h(
    "div",
    { className: "ij-failure" },
    h("span", { ref: box, id, className: isOpen ? "ij-open" : "ij-two-lines" }, text),
    (isCut || isOpen) &&
      h(Opener, { id, isOpen, onToggle: setIsOpen }, isOpen ? "Show less" : "Show all"),
  );
}

/**
 * A button that opens and closes something.
 * @param {{id: string, isOpen: boolean, onToggle: (isOpen: boolean) => void, children?: any}} props of what it opens
 */
export const Opener = ({ id, isOpen, onToggle, children }) =>
  h(
    "button",
    {
      type: "button",
      className: "ij-textbutton",
      "aria-expanded": isOpen,
      "aria-controls": id,
      onClick: () => onToggle(!isOpen),
    },
    children,
  );

/**
 * A note above or instead of data; trouble is announced at once, news when there is time.
 * @param {{kind?: "info"|"warning"|"error", children?: any}} props
 */
export function Note({ kind = "info", children }) {
  const sign = { info: "i", warning: "!", error: "✕" }[kind];
  return h(
    "div",
    { className: `ij-note ij-${kind}`, role: kind === "error" ? "alert" : "status" },
    h("span", { className: "ij-sign", "aria-hidden": true }, sign),
    h("div", null, children),
  );
}

/**
 * What is said where there is nothing to show.
 * @param {{title: string, children?: any}} props
 */
export const Empty = ({ title, children }) =>
  h(
    "div",
    { className: "ij-empty", role: "status" },
    h("p", { className: "ij-empty-title" }, title),
    children,
  );

/** Something is on its way. */
export const Waiting = ({ children }) =>
  h(
    "div",
    { className: "ij-empty", role: "status" },
    h("span", { className: "ij-spinner", "aria-hidden": true }),
    h("p", null, children),
  );

/** Keeps an error of ours to our part of Airflow, and says so. */
export class Boundary extends Component {
  constructor(props) {
    super(props);
    this.state = { error: null };
  }

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    const again = h(
      "button",
      { type: "button", className: "ij-button", onClick: () => this.setState({ error: null }) },
      "Try again",
    );
    return h(
      "div",
      { className: "ij" },
      h(
        Note,
        { kind: "error" },
        h("p", null, h("b", null, "Something went wrong on this page. "), String(error?.message ?? error)),
        again,
      ),
    );
  }
}
