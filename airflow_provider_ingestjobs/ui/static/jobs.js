// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The jobs of one connection, live. */

import { FILTERS, without } from "./address.js";
import { pathOf, usePoll } from "./api.js";
import { Empty, Note, Waiting, h } from "./elements.js";
import { Filters, windowInWords } from "./filters.js";
import { count, number } from "./formats.js";
import { Freshness, Troubles, Unread, isUnread } from "./status.js";
import { JobTable } from "./table.js";

const { useEffect } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

function queryOf(address, window) {
  const query = new URLSearchParams({ window });
  for (const name of [...FILTERS, "sort", "page"])
    for (const value of address.all(name)) query.append(name, value);
  return query;
}

function Nothing({ data, source, windows, window, address }) {
  if (FILTERS.some((name) => address.get(name))) {
    return h(
      Empty,
      { title: "No job matches the filters." },
      h(
        "button",
        {
          type: "button",
          className: "ij-button",
          onClick: () => address.change({ ...without(...FILTERS), page: null }),
        },
        "Clear filters",
      ),
    );
  }
  if (address.get("page") && data.total) {
    return h(
      Empty,
      { title: "There is no such page any more." },
      h(Link, { className: "ij-link", to: address.to({ page: null }) }, "Show the first page"),
    );
  }
  const longer = windows[windows.indexOf(window) + 1];
  const button =
    longer &&
    h(
      "button",
      { type: "button", className: "ij-button", onClick: () => address.change({ window: longer }) },
      `Show the ${windowInWords(longer)}`,
    );
  return h(
    Empty,
    { title: `${source.vendor} has no jobs of the ${windowInWords(window)} on this connection.` },
    button || h("p", null, "Jobs that the vendor runs from now on appear here by themselves."),
  );
}

function Pager({ data, address }) {
  if (data.pages <= 1) return h("p", { className: "ij-muted" }, count(data.total, "job"));
  const to = (page, title, label) => {
    const isThere = page >= 1 && page <= data.pages;
    if (!isThere) return h("span", { className: "ij-button ij-small ij-off", "aria-disabled": true }, title);
    return h(
      Link,
      {
        className: "ij-button ij-small",
        to: address.to({ page: page === 1 ? null : page }),
        "aria-label": label,
      },
      title,
    );
  };
  return h(
    "nav",
    { className: "ij-pager", "aria-label": "Pages" },
    to(data.page - 1, "‹ Previous", "Previous page"),
    h("span", { "aria-current": "page" }, `Page ${number(data.page)} of ${number(data.pages)}`),
    to(data.page + 1, "Next ›", "Next page"),
    h("span", { className: "ij-muted" }, count(data.total, "job")),
  );
}

/**
 * @param {object} props
 * @param {object} props.source
 * @param {string[]} props.windows
 * @param {string} props.window the chosen one
 * @param {import("./address.js").Address} props.address
 * @param {(job: object, source: object) => void} props.onCancel
 * @param {(list: {key: string|null, jobs: object[]}) => void} props.onRows told which jobs of which source are shown
 * @param {number} props.changes how often the user has changed something here: the jobs are then asked for at once
 */
export function Jobs({ source, windows, window, address, onCancel, onRows, changes }) {
  const poll = usePoll(pathOf(source, "jobs", queryOf(address, window)), { scope: source.key, changes });
  const { data, error, isBehind } = poll;
  useEffect(() => {
    onRows({ key: source.key, jobs: data?.jobs ?? [] });
    return () => onRows({ key: null, jobs: [] });
  }, [data, source.key, onRows]);
  return h(
    "section",
    { "aria-label": "Jobs" },
    h(Filters, { windows, chosen: window, data, address }),
    h(Troubles, { poll, vendor: source.vendor }),
    data?.is_cut &&
      h(
        Note,
        null,
        "This window holds more jobs than are read: here are the newest. A shorter window shows all of its jobs.",
      ),
    body(),
  );

  function body() {
    if (!data) return error ? h(Advice, { error }) : h(Waiting, null, "Loading jobs …");
    if (data.is_reading && !data.jobs.length)
      return h(
        Waiting,
        null,
        `Reading jobs from ${source.vendor}. The first time takes longer; they appear here by themselves.`,
      );
    if (!data.jobs.length && isUnread(poll)) return h(Unread);
    if (!data.jobs.length)
      return isBehind
        ? h(Waiting, null, "Loading jobs …")
        : h(Nothing, { data, source, windows, window, address });
    const table = {
      jobs: data.jobs,
      source,
      address,
      onCancel,
      sort: address.get("sort") ?? "-started_at",
      isBusy: isBehind,
    };
    return [
      h(JobTable, { key: "table", ...table, caption: `Jobs of ${source.conn_id}, ${windowInWords(window)}` }),
      h("div", { key: "foot", className: "ij-foot" }, h(Pager, { data, address }), h(Freshness, { poll })),
    ];
  }
}

/**
 * What to do about an error that leaves nothing to show.
 * @param {{error: import("./api.js").ApiError}} props
 */
export function Advice({ error }) {
  const advice = error.isPassing
    ? "It is asked again by itself. If this lasts, look at the API server's log."
    : error.status === 403
      ? "Ask an administrator for the right to read this connection, or choose another one above."
      : error.status === 404
        ? "It may have been removed: choose another connection above."
        : "Reload the page; if that does not help, look at the API server's log.";
  return h(Empty, { title: "Nothing to show." }, h("p", null, advice));
}
