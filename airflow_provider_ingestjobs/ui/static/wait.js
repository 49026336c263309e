// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** What one task waits for, or waited for, and the jobs that are meant. */

import { TASK, without } from "./address.js";
import { usePoll } from "./api.js";
import { Facts } from "./cancel.js";
import { Badge, Empty, Moment, Note, SoFar, TaskLink, Waiting, h } from "./elements.js";
import { Freshness, Troubles, Unread, isUnread } from "./status.js";
import { JobTable } from "./table.js";

const { useEffect } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

/** The states in which a task goes on waiting. */
const WAITING = ["deferred", "running", "up_for_reschedule", "queued", "scheduled", "restarting"];

/**
 * Ask for the wait of a task.
 * @param {{dag_id: string, run_id: string, task_id: string, map_index: string|number|null}|null} task
 * @param {number} changes
 */
export function useWait(task, changes) {
  const path =
    task &&
    `${["dags", task.dag_id, "runs", task.run_id, "tasks", task.task_id].map(encodeURIComponent).join("/")}/wait?map_index=${encodeURIComponent(task.map_index ?? -1)}`;
  return usePoll(path, { changes });
}

/**
 * @param {object} props
 * @param {import("./api.js").Polled} props.poll of {@link useWait}
 * @param {object} props.task as asked for
 * @param {import("./address.js").Address} props.address
 * @param {(job: object, source: object) => void} props.onCancel
 * @param {(list: {key: string|null, jobs: object[]}) => void} props.onRows told which jobs of which source are shown
 * @param {boolean} [props.isAlone] whether the task is around it already: its tab
 */
export function WaitPanel({ poll, task, address, onCancel, onRows, isAlone = false }) {
  const { data, error } = poll;
  const key = data?.source.key ?? null;
  useEffect(() => {
    onRows({ key, jobs: data?.jobs ?? [] });
    return () => onRows({ key: null, jobs: [] });
  }, [data, key, onRows]);
  // What is looked at stays: another source would come first where the address names none.
  const left = { ...without(...TASK), source: address.get("source") ?? key };
  const named = data?.task ?? { ...task, map_index: Number(task.map_index ?? -1) };
  const goesOn = data && WAITING.includes(data.task.state);
  const title = [
    "Waited for by ",
    h(TaskLink, { key: "task", task: named }),
    " ",
    data?.task.state && h(Badge, { key: "state", state: data.task.state }),
  ];
  return h(
    "section",
    { className: isAlone ? undefined : "ij-card ij-wait", "aria-label": "What the task waits for" },
    h(
      "div",
      { className: "ij-card-head" },
      h("h2", null, isAlone ? (goesOn ? "Waits for " : "Waited for ") : title, isAlone && data?.what),
      !isAlone && h(Link, { className: "ij-link", to: address.to(left) }, "Leave this task"),
    ),
    body(),
  );

  function body() {
    if (!data && error?.status === 404)
      return h(
        Empty,
        { title: error.message || "This task has begun no wait." },
        isAlone && h("p", null, "This tab is for tasks that wait for a vendor's ingestion jobs."),
      );
    if (!data)
      return error
        ? h(Note, { kind: "warning" }, error.message)
        : h(Waiting, null, "Loading what the task waits for …");
    const since = data.started_at ?? data.task.since;
    const facts = [
      !isAlone && ["Waits for", data.what],
      [
        "Connection",
        [data.source.conn_id, h("span", { key: "vendor", className: "ij-muted" }, `  ${data.source.vendor}`)],
      ],
      since && ["Since", h(Moment, { at: since, isBoth: true })],
      since && goesOn && ["Waits", h(SoFar, { since })],
      data.deadline && goesOn && ["At the latest until", h(Moment, { at: data.deadline, isBoth: true })],
      data.selection && ["Meant are jobs with", h(Selection, { selection: data.selection })],
    ].filter(Boolean);
    const table = {
      jobs: data.jobs,
      source: data.source,
      address,
      onCancel,
      caption: "Jobs that the task waits for",
    };
    return [
      h(Troubles, { key: "troubles", poll, vendor: data.source.vendor }),
      h("div", { key: "facts", className: "ij-beside" }, h(Facts, { facts })),
      data.jobs.length ? h(JobTable, { key: "jobs", ...table }) : h(NoJob, { key: "none", poll, goesOn }),
      h(
        "div",
        { key: "foot", className: "ij-foot" },
        isAlone
          ? h(Link, { className: "ij-link", to: pageOf(data) }, `All jobs of ${data.source.conn_id}`)
          : h("span"),
        h(Freshness, { poll }),
      ),
    ];
  }
}

const pageOf = ({ source, task }) => {
  const named = Object.fromEntries(TASK.map((name) => [name, String(task[name] ?? -1)]));
  return {
    pathname: "/plugin/ingestjobs",
    search: `?${new URLSearchParams({ source: source.key, ...named })}`,
  };
};

function NoJob({ poll, goesOn }) {
  const { data } = poll;
  if (isUnread(poll)) return h(Unread);
  if (data.is_reading) return h(Waiting, null, `Reading jobs from ${data.source.vendor} …`);
  if (data.job_ids?.length)
    return h(Empty, { title: `${data.source.vendor} does not tell of ${data.job_ids.join(", ")} now.` });
  return h(Empty, {
    title: goesOn ? "No such job yet: the wait goes on until one is there." : "No such job was found.",
  });
}

function Selection({ selection }) {
  const words = Object.entries(selection).map(
    ([name, value]) =>
      `${name.replaceAll("_", " ")}: ${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  return words.join(", ");
}
