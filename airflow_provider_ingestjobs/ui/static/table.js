// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Jobs as a table: one line each, and what went wrong in a line below. */

import { Badge, Clamped, Moment, TaskLink, Took, Unusual, VendorLink, h } from "./elements.js";
import { number } from "./formats.js";

const { Fragment } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

/** Tasks named in a cell; the job's own page tells of all. */
const NAMED = 2;

const COLUMNS = [
  { key: "state", title: "State", cell: (job) => h(State, { job }) },
  { key: "target", title: "Target", isText: true, cell: (job) => job.target ?? "" },
  { key: "name", title: "Job", isText: true, isJob: true },
  {
    key: "started_at",
    title: "Started",
    cell: (job) => h(Moment, { at: job.started_at ?? job.created_at, isBoth: true }),
  },
  {
    key: "duration",
    title: "Took",
    isNumber: true,
    cell: (job) => [h(Took, { key: "took", job }), h(Unusual, { key: "unusual", job, what: "duration" })],
  },
  {
    key: "read",
    title: "Rows read",
    isNumber: true,
    needs: ["read"],
    cell: (job) => [number(job.rows?.read), h(Unusual, { key: "unusual", job, what: "rows" })],
  },
  {
    key: "written",
    title: "Written",
    isNumber: true,
    needs: ["inserted", "updated"],
    cell: (job) => number(job.written),
  },
  { key: "bad", title: "Bad", isNumber: true, needs: ["rejected", "errors"], cell: (job) => h(Bad, { job }) },
];

function State({ job }) {
  const share = job.state === "running" && job.progress != null ? Math.round(job.progress * 100) : null;
  const title = job.vendor_state ? `The vendor says: ${job.vendor_state}` : undefined;
  return [
    h(Badge, { key: "badge", state: job.state, title }),
    share != null &&
      h(
        "span",
        { key: "share", className: "ij-progress", title: `${share} % done` },
        h("span", { style: { width: `${share}%` } }),
        h("span", { className: "ij-hidden" }, `${share} % done`),
      ),
  ];
}

const Bad = ({ job }) => (job.bad ? h("span", { className: "ij-bad" }, number(job.bad)) : number(job.bad));

function columnsFor(source, jobs) {
  const has = (count) =>
    source.counts ? source.counts.includes(count) : jobs.some((job) => job.rows?.[count] != null);
  const columns = COLUMNS.filter(({ needs }) => !needs || needs.some(has));
  // A vendor that counts written rows alone has its unusual rows said there.
  const isWithout = !columns.some(({ key }) => key === "read");
  const isNamed = jobs.some((job) => job.name);
  return columns.map((column) => {
    if (column.isJob && !isNamed) return { ...column, key: "id" };
    if (column.key !== "written" || !isWithout) return column;
    return {
      ...column,
      cell: (job) => [number(job.written), h(Unusual, { key: "unusual", job, what: "rows" })],
    };
  });
}

function Header({ column, sort, address }) {
  const name = column.key;
  const isSorted = sort === name || sort === `-${name}`;
  const className = classOf(column);
  if (!sort) return h("th", { scope: "col", className }, column.title);
  const isDown = sort.startsWith("-");
  const first = column.isNumber || name === "started_at" ? `-${name}` : name;
  const next = !isSorted ? first : isDown ? name : `-${name}`;
  const sign = isSorted ? (isDown ? "▼" : "▲") : "↕";
  const change = () => address.change({ sort: next === "-started_at" ? null : next, page: null });
  return h(
    "th",
    { scope: "col", className, "aria-sort": isSorted ? (isDown ? "descending" : "ascending") : undefined },
    h(
      "button",
      { type: "button", className: "ij-sort", onClick: change },
      column.title,
      h("span", { "aria-hidden": true, className: isSorted ? "" : "ij-faint" }, sign),
    ),
  );
}

function JobName({ job, address }) {
  const link = h(
    Link,
    { className: "ij-link ij-joblink", to: address.to({ job: job.id }), preventScrollReset: true },
    job.name || job.id,
  );
  return h(
    "div",
    null,
    link,
    job.name && job.name !== job.id && h("div", { className: "ij-muted ij-id" }, job.id),
  );
}

function Waiters({ job, address }) {
  const tasks = job.waited_for_by ?? [];
  const more = (job.waits ?? tasks.length) - NAMED;
  return [
    ...tasks
      .slice(0, NAMED)
      .map((task) =>
        h(
          "div",
          { key: `${task.dag_id} ${task.run_id} ${task.task_id} ${task.map_index}`, className: "ij-cut" },
          h(TaskLink, { task }),
        ),
      ),
    more > 0 &&
      h(
        Link,
        { key: "more", className: "ij-link", to: address.to({ job: job.id }), preventScrollReset: true },
        `and ${more} more`,
      ),
  ];
}

function Actions({ job, source, onCancel }) {
  return h(
    "div",
    { className: "ij-actions" },
    h(
      VendorLink,
      { url: job.url, className: "ij-button ij-small ij-icon", title: `Open at ${source.vendor}` },
      h("span", { className: "ij-hidden" }, `Open ${job.id} at ${source.vendor}`),
    ),
    job.may_cancel &&
      onCancel &&
      h(
        "button",
        { type: "button", className: "ij-button ij-small", onClick: () => onCancel(job, source) },
        "Cancel",
        h("span", { className: "ij-hidden" }, ` ${job.id}`),
      ),
  );
}

const classOf = ({ key, isNumber, isText }) =>
  [`ij-col-${key}`, isNumber && "ij-number", isText && "ij-text"].filter(Boolean).join(" ");

function Row({ job, source, columns, address, onCancel }) {
  const cells = columns.map((column) => {
    const { key, isJob, cell } = column;
    const className = classOf(column);
    return isJob
      ? h("th", { key, scope: "row", className }, h(JobName, { job, address }))
      : h("td", { key, className }, cell(job));
  });
  const isTold = job.failure != null && job.failure !== "";
  return h(
    Fragment,
    null,
    h(
      "tr",
      { className: isTold ? "ij-told" : undefined },
      cells,
      h("td", null, h(Waiters, { job, address })),
      h("td", null, h(Actions, { job, source, onCancel })),
    ),
    isTold &&
      h(
        "tr",
        { className: "ij-telling" },
        h("td", null, h("span", { className: "ij-hidden" }, `What ${job.id} failed of`)),
        h("td", { colSpan: columns.length + 1 }, h(Clamped, { text: job.failure })),
      ),
  );
}

/** Arrow keys, j and k move between the jobs' links. */
function moveAmongJobs(event) {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(".ij-joblink")) return;
  const links = [...event.currentTarget.querySelectorAll(".ij-joblink")];
  const next = links[links.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/**
 * @param {object} props
 * @param {object[]} props.jobs
 * @param {object} props.source whose jobs they are
 * @param {import("./address.js").Address} props.address
 * @param {string} props.caption what the table holds, for those who do not see it
 * @param {string} [props.sort] by what the server has sorted; without it nothing can be sorted
 * @param {(job: object, source: object) => void} [props.onCancel]
 * @param {boolean} [props.isBusy] whether newer rows are on their way
 */
export function JobTable({ jobs, source, address, caption, sort, onCancel, isBusy = false }) {
  const columns = columnsFor(source, jobs);
  return h(
    "div",
    { className: "ij-scroll" },
    h(
      "table",
      { className: "ij-table", "aria-busy": isBusy, onKeyDown: moveAmongJobs },
      h("caption", { className: "ij-hidden" }, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map((column) => h(Header, { key: column.key, column, sort, address })),
          h("th", { scope: "col" }, "Waited for by"),
          h("th", { scope: "col" }, h("span", { className: "ij-hidden" }, "What can be done")),
        ),
      ),
      h(
        "tbody",
        null,
        jobs.map((job) => h(Row, { key: job.id, job, source, columns, address, onCancel })),
      ),
    ),
  );
}
