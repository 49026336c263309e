// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Who polls for how many waits, when a vendor last answered, and what is wrong: for whoever is on call. */

import { without } from "./address.js";
import { usePoll } from "./api.js";
import { Badge, Empty, Moment, Note, Opener, SoFar, TaskLink, Waiting, h } from "./elements.js";
import { count, duration, number, useNow } from "./formats.js";
import { Advice } from "./jobs.js";
import { Troubles } from "./status.js";

const { Fragment, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

const EVERY = 5000;
/** How many seconds late a triggerer may tell of its polls before it is said. */
const NEWS = 60;
const MODES = { deferred: "deferred", running: "on a worker", up_for_reschedule: "rescheduled" };
const COLUMNS = [
  "Connection",
  "Tasks that wait",
  "Longest",
  "Polled by",
  "For",
  "Every",
  "Vendor answered",
  "Trouble",
];

/** @param {{address: import("./address.js").Address}} props */
export function Watches({ address }) {
  const poll = usePoll("watches", { every: EVERY });
  const { data, error } = poll;
  return h("section", { "aria-label": "Watches" }, h(Troubles, { poll }), body());

  function body() {
    if (!data) return error ? h(Advice, { error }) : h(Waiting, null, "Loading watches …");
    const dead = data.triggerers.filter((one) => !one.is_alive);
    const deferred = data.watches.reduce((sum, watch) => sum + (watch.modes?.deferred ?? 0), 0);
    return [
      h(Summary, { key: "summary", data }),
      deferred > 0 &&
        dead.length === data.triggerers.length &&
        h(
          Note,
          { key: "none", kind: "error" },
          h("b", null, "No triggerer is alive. "),
          `${number(deferred)} deferred ${deferred === 1 ? "task waits" : "tasks wait"} until one is: start one with “airflow triggerer”.`,
        ),
      data.watches.length
        ? h(Table, { key: "table", data, address })
        : h(
            Empty,
            { key: "empty", title: "No task waits for a job now." },
            h("p", null, "Waits appear here while tasks are deferred, rescheduled, or wait on a worker."),
          ),
      h(Triggerers, { key: "triggerers", triggerers: data.triggerers }),
    ];
  }
}

function Summary({ data }) {
  const polls = data.watches.flatMap((watch) => watch.polls ?? []);
  const alive = data.triggerers.filter((one) => one.is_alive).length;
  const tiles = [
    [number(data.watches.reduce((sum, watch) => sum + watch.waits, 0)), "tasks wait"],
    [number(data.watches.length), data.watches.length === 1 ? "watch" : "watches"],
    [number(polls.filter((poll) => poll.trouble).length), "in trouble", polls.some((poll) => poll.trouble)],
    [number(polls.filter((poll) => poll.is_late).length), "late", polls.some((poll) => poll.is_late)],
    [`${alive} of ${data.triggerers.length}`, "triggerers alive", alive < data.triggerers.length],
  ];
  return h(
    "ul",
    { className: "ij-tiles" },
    tiles.map(([value, words, isBad]) =>
      h(
        "li",
        { key: words, className: isBad ? "ij-tile-bad" : undefined },
        h("b", null, value),
        " ",
        words,
        isBad && h("span", { className: "ij-hidden" }, " (look here)"),
      ),
    ),
  );
}

function Table({ data, address }) {
  const rank = (watch) =>
    (watch.polls ?? []).some((poll) => poll.trouble)
      ? 0
      : (watch.polls ?? []).some((poll) => poll.is_late)
        ? 1
        : 2;
  const watches = [...data.watches].sort((one, other) => rank(one) - rank(other) || other.waits - one.waits);
  return h(
    "div",
    { className: "ij-scroll" },
    h(
      "table",
      { className: "ij-table ij-watches" },
      h("caption", { className: "ij-hidden" }, "Connections that tasks wait on, and who polls for them"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          COLUMNS.map((title) =>
            h(
              "th",
              {
                key: title,
                scope: "col",
                className: ["For", "Every", "Longest"].includes(title) ? "ij-number" : undefined,
              },
              title,
            ),
          ),
        ),
      ),
      watches.map((watch) => h(Watch, { key: watch.key, watch, triggerers: data.triggerers, address })),
    ),
  );
}

function Watch({ watch, triggerers, address }) {
  const [isOpen, setIsOpen] = useState(false);
  const polls = watch.polls ?? [];
  const span = Math.max(1, polls.length);
  const others = Object.values(watch.params ?? {}).join(", ");
  const modes = Object.entries(watch.modes ?? {}).filter(([, waits]) => waits);
  const id = `ij-tasks-${watch.key}`;
  const toJobs = address.to({
    source: watch.key,
    ...without("view", "target", "state", "text", "page", "sort"),
  });
  const first = [
    h(
      "th",
      { key: "connection", scope: "rowgroup", rowSpan: span },
      h(Link, { className: "ij-link", to: toJobs }, watch.conn_id),
      h("div", { className: "ij-muted" }, [watch.vendor, others].filter(Boolean).join(", ")),
    ),
    h(
      "td",
      { key: "waits", rowSpan: span },
      h(Opener, { id, isOpen, onToggle: setIsOpen }, `${isOpen ? "▾" : "▸"} ${count(watch.waits, "task")}`),
      h(
        "div",
        { className: "ij-muted" },
        modes.map(([mode, waits]) => `${number(waits)} ${MODES[mode] ?? mode}`).join(", "),
      ),
    ),
    h(
      "td",
      { key: "longest", rowSpan: span, className: "ij-number" },
      watch.longest_since && h(SoFar, { since: watch.longest_since }),
    ),
  ];
  const rest = polls.length
    ? polls.map((poll) => h(PollCells, { key: poll.host, poll, triggerers }))
    : [h("td", { key: "none", colSpan: 5 }, h(NoPoll, { watch, triggerers }))];
  return h(
    "tbody",
    null,
    rest.map((cells, index) => h("tr", { key: index }, index === 0 && first, cells)),
    h(
      "tr",
      { id, hidden: !isOpen, className: "ij-telling" },
      isOpen && h("td", { colSpan: COLUMNS.length }, h(Tasks, { watch })),
    ),
  );
}

/** Whether what a triggerer has told is no news. */
const isOld = (poll, now) =>
  poll.told_at != null && now - Date.parse(poll.told_at) > 1000 * (poll.interval + NEWS);

function PollCells({ poll, triggerers }) {
  const now = useNow(10);
  const host = triggerers.find((one) => one.host === poll.host);
  const trouble = poll.trouble && [
    h("b", { key: "word", className: "ij-bad" }, "Trouble"),
    poll.trouble.since && [" since ", h(Moment, { key: "since", at: poll.trouble.since, isRelative: true })],
    ": ",
    poll.trouble.text,
  ];
  return h(
    Fragment,
    null,
    h(
      "td",
      null,
      poll.host,
      host && !host.is_alive && h("div", { className: "ij-bad" }, "its triggerer is down"),
    ),
    h("td", { className: "ij-number" }, number(poll.waits)),
    h("td", { className: "ij-number" }, duration(poll.interval)),
    h(
      "td",
      null,
      poll.read_at
        ? h(Moment, { at: poll.read_at, isRelative: true })
        : h("span", { className: "ij-muted" }, "not yet"),
      poll.is_late && h("span", { className: "ij-unusual" }, h("b", null, "late")),
      isOld(poll, now) &&
        h(
          "div",
          { className: "ij-muted" },
          "its triggerer told of it ",
          h(Moment, { at: poll.told_at, isRelative: true }),
        ),
    ),
    h("td", { className: "ij-text" }, trouble || h("span", { className: "ij-muted" }, "none")),
  );
}

function NoPoll({ watch, triggerers }) {
  if (!watch.modes?.deferred)
    return h("span", { className: "ij-muted" }, "Each of these tasks polls for itself.");
  if (!triggerers.some((one) => one.is_alive))
    return h("b", { className: "ij-bad" }, "Nobody: no triggerer is alive.");
  return h(
    "span",
    { className: "ij-muted" },
    "No triggerer has told of it yet: these waits have begun moments ago, or their triggerer is down.",
  );
}

function Tasks({ watch }) {
  const tasks = watch.tasks ?? [];
  const more = watch.waits - tasks.length;
  return [
    h(
      "ul",
      { key: "tasks", className: "ij-plain" },
      tasks.map((task) =>
        h(
          "li",
          { key: JSON.stringify([task.dag_id, task.run_id, task.task_id, task.map_index]) },
          h(Badge, { state: task.state }),
          " ",
          h(TaskLink, { task, isLong: true }),
          " ",
          task.since &&
            h("span", { className: "ij-muted" }, "since ", h(Moment, { at: task.since, isBoth: true })),
        ),
      ),
    ),
    more > 0 && h("p", { key: "more", className: "ij-muted" }, `and ${number(more)} more`),
  ];
}

function Triggerers({ triggerers }) {
  if (!triggerers.length) return null;
  return h(
    "section",
    { className: "ij-part" },
    h("h2", null, "Triggerers"),
    h(
      "ul",
      { className: "ij-plain" },
      triggerers.map((one) =>
        h(
          "li",
          { key: one.host },
          h(Badge, { state: one.is_alive ? "success" : "failed", word: one.is_alive ? "alive" : "down" }),
          ` ${one.host} `,
          one.heartbeat &&
            h(
              "span",
              { className: "ij-muted" },
              "last heartbeat ",
              h(Moment, { at: one.heartbeat, isRelative: true }),
            ),
        ),
      ),
    ),
  );
}
