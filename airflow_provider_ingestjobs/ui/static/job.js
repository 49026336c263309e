// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Everything about one job, beside the list. It has an address of its own. */

import { pathOf, usePoll } from "./api.js";
import { Facts } from "./cancel.js";
import { Dialog } from "./dialog.js";
import { Badge, Moment, Note, TaskLink, Took, Unusual, VendorLink, Waiting, h, isLive } from "./elements.js";
import { number } from "./formats.js";
import { Troubles, Unread, isUnread } from "./status.js";

const { useEffect, useId, useRef, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

const WHILE_LIVE = 10_000;
/** What has ended changes only when people resume it. */
const WHEN_ENDED = 60_000;
const COUNTS = {
  read: "read",
  inserted: "inserted",
  updated: "updated",
  rejected: "rejected",
  errors: "with errors",
};

/**
 * @param {object} props
 * @param {object} props.source
 * @param {string} props.id
 * @param {object} [props.row] the job as the list has it
 * @param {import("./address.js").Address} props.address
 * @param {string} [props.page] the address of the page, where this is not it
 * @param {(job: object, source: object) => void} props.onCancel
 * @param {number} props.changes how often the user has changed something
 */
export function JobPanel({ source, id, row, address, page, onCancel, changes }) {
  const title = useId();
  const path = pathOf(source, `jobs/${encodeURIComponent(id)}`);
  const [every, setEvery] = useState(WHILE_LIVE);
  const poll = usePoll(path, { every, scope: path, changes });
  const whole = poll.data?.job;
  // The list has less of a job, but is asked more often who waits.
  const job = whole && row ? { ...whole, waited_for_by: row.waited_for_by } : (whole ?? row);
  const hasEnded = job != null && !isLive(job);
  useEffect(() => setEvery(hasEnded ? WHEN_ENDED : WHILE_LIVE), [hasEnded]);
  const close = () => address.change({ job: null });
  return h(
    Dialog,
    { labelledBy: title, onClose: close, className: "ij-drawer" },
    h(
      "header",
      null,
      h("div", null, h("h2", { id: title }, job?.name || id), job && h(Badge, { state: job.state })),
      h(
        "button",
        { type: "button", className: "ij-button ij-small", onClick: close, "aria-label": "Close" },
        "✕",
      ),
    ),
    h(Troubles, { poll, vendor: source.vendor }),
    job
      ? h(About, { job, source, address, page, onCancel })
      : isUnread(poll)
        ? h(Unread)
        : !poll.error && h(Waiting, null, "Loading the job …"),
  );
}

function About({ job, source, address, page = "", onCancel }) {
  const rows = Object.entries(COUNTS).filter(([count]) => job.rows?.[count] != null);
  const tasks = job.waited_for_by ?? [];
  const details = Object.entries(job.details ?? {}).filter(([, value]) => value != null && value !== "");
  const ofTarget = (view) => {
    const search = new URLSearchParams({
      source: source.key,
      target: job.target,
      ...(view ? { view } : {}),
      ...(address.get("window") ? { window: address.get("window") } : {}),
    });
    return { pathname: page, search: `?${search}` };
  };
  const facts = [
    ["Job", h(Copied, { text: job.id })],
    ["State", `${job.state}${job.vendor_state ? ` (${source.vendor} says: ${job.vendor_state})` : ""}`],
    job.state === "running" && job.progress != null && ["Done", `${Math.round(job.progress * 100)} %`],
    job.target && ["Target", job.target],
    job.created_at && ["Created", h(Moment, { at: job.created_at, isBoth: true })],
    job.started_at && ["Started", h(Moment, { at: job.started_at, isBoth: true })],
    job.ended_at && ["Ended", h(Moment, { at: job.ended_at, isBoth: true })],
    (job.duration != null || job.started_at) && [
      "Took",
      [h(Took, { key: "took", job }), h(Unusual, { key: "unusual", job, what: "duration" })],
    ],
    ["Connection", source.conn_id],
  ].filter(Boolean);
  return [
    h(
      "div",
      { key: "actions", className: "ij-buttons ij-left" },
      h(VendorLink, { url: job.url }, `Open at ${source.vendor}`),
      job.target && h(Link, { className: "ij-link", to: ofTarget() }, "Jobs of this target"),
      job.target && h(Link, { className: "ij-link", to: ofTarget("plots") }, "Its plots"),
      job.may_cancel &&
        h(
          "button",
          { type: "button", className: "ij-button ij-small", onClick: () => onCancel(job, source) },
          "Cancel …",
        ),
    ),
    job.failure &&
      h(
        Note,
        { key: "failure", kind: job.state === "failed" ? "error" : "warning" },
        h("p", { className: "ij-open" }, job.failure),
      ),
    h(Facts, { key: "facts", facts }),
    h(
      Part,
      { key: "rows", title: "Rows" },
      rows.length
        ? h(Facts, { facts: rows.map(([count, word]) => [word, number(job.rows[count])]) })
        : h(
            "p",
            { className: "ij-muted" },
            `${source.vendor} gives no counts of this job${isLive(job) ? " yet" : ""}.`,
          ),
      h(Unusual, { job, what: "rows" }),
    ),
    h(
      Part,
      { key: "waiters", title: "Waited for by" },
      tasks.length
        ? h(
            "ul",
            { className: "ij-plain" },
            tasks.map((task) =>
              h(Waiter, {
                key: JSON.stringify([task.dag_id, task.run_id, task.task_id, task.map_index]),
                task,
              }),
            ),
          )
        : h("p", { className: "ij-muted" }, "No task that you may see."),
    ),
    details.length > 0 &&
      h(
        Part,
        { key: "details", title: `What ${source.vendor} tells besides` },
        h(Facts, {
          facts: details.map(([name, value]) => [
            name,
            typeof value === "object" && value
              ? h("pre", null, JSON.stringify(value, null, 2))
              : String(value),
          ]),
        }),
      ),
  ];
}

const Part = ({ title, children }) => h("section", { className: "ij-part" }, h("h3", null, title), children);

function Waiter({ task }) {
  return h(
    "li",
    null,
    h(Badge, { state: task.state }),
    " ",
    h(TaskLink, { task, isLong: true }),
    task.since &&
      h("div", { className: "ij-muted" }, "waits since ", h(Moment, { at: task.since, isBoth: true })),
  );
}

function Copied({ text }) {
  const [isDone, setIsDone] = useState(false);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setIsDone(true);
      timer.current = setTimeout(() => setIsDone(false), 2000);
    } catch {
      // Not over plain HTTP: the text can be marked by hand.
    }
  }
  return [
    h("code", { key: "text" }, text),
    " ",
    navigator.clipboard &&
      h(
        "button",
        { key: "copy", type: "button", className: "ij-textbutton", onClick: copy },
        isDone ? "copied" : "copy",
      ),
  ];
}
