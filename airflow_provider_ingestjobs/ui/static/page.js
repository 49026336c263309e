// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The page "Ingestion jobs": one connection's jobs and plots, and who polls for the waits. */

import { TASK, followWithin, useAddress, without } from "./address.js";
import { usePoll } from "./api.js";
import { CancelDialog, Outcome, cancelKey } from "./cancel.js";
import { Boundary, Empty, Waiting, h } from "./elements.js";
import { number, useZone } from "./formats.js";
import { JobPanel } from "./job.js";
import { Jobs } from "./jobs.js";
import { Plots } from "./plots.js";
import { Troubles } from "./status.js";
import { useStyle } from "./style.js";
import { WaitPanel, useWait } from "./wait.js";
import { Watches } from "./watches.js";

const { useEffect, useState } = globalThis.React;
const { Link } = globalThis.ReactRouterDOM;

const VIEWS = { jobs: "Jobs", plots: "Plots", watches: "Watches" };
const CONNECTIONS_CHANGE_SELDOM = 30_000;
/** What a view shows before it has told of its jobs, and after it is left. */
const NOTHING = { key: null, jobs: [] };

function SourceChoice({ sources, chosen, address }) {
  const vendors = [...new Set(sources.map((source) => source.vendor))].sort();
  const option = (source) => {
    const others = Object.values(source.params ?? {}).join(", ");
    const waits = source.waits
      ? ` — ${number(source.waits)} ${source.waits === 1 ? "task waits" : "tasks wait"}`
      : "";
    return h(
      "option",
      { key: source.key, value: source.key },
      `${source.conn_id}${others ? ` (${others})` : ""}${waits}`,
    );
  };
  const groups = vendors.map((vendor) =>
    h(
      "optgroup",
      { key: vendor, label: vendor },
      sources.filter((source) => source.vendor === vendor).map(option),
    ),
  );
  const isListed = sources.includes(chosen);
  const onChange = (event) =>
    address.change({ source: event.target.value, ...without("target", "state", "page", "job", ...TASK) });
  return h(
    "label",
    { className: "ij-source" },
    h("span", null, "Connection"),
    h(
      "select",
      { className: "ij-field", value: chosen?.key ?? "", onChange },
      !isListed && h("option", { value: chosen?.key ?? "" }, chosen ? chosen.conn_id : "Choose one …"),
      groups,
    ),
  );
}

function Views({ view, address }) {
  const link = ([name, title]) =>
    h(
      Link,
      {
        key: name,
        to: address.to({ view: name === "jobs" ? null : name, job: null, page: null }),
        "aria-current": name === view ? "page" : undefined,
      },
      title,
    );
  return h("nav", { className: "ij-views", "aria-label": "Views" }, Object.entries(VIEWS).map(link));
}

/** The job as a list has it, if that is a list of this source: vendors' ids are unique within one only. */
const rowOf = (list, source, id) =>
  source && list.key === source.key ? list.jobs.find((job) => job.id === id) : undefined;

function Page() {
  const address = useAddress();
  const zone = useZone();
  const [changes, setChanges] = useState(0);
  const [listed, setListed] = useState(NOTHING);
  const [waited, setWaited] = useState(NOTHING);
  const [doomed, setDoomed] = useState(null);
  const [message, setMessage] = useState(null);

  const sources = usePoll("sources", { every: CONNECTIONS_CHANGE_SELDOM });
  const task =
    address.get("dag_id") && address.get("run_id") && address.get("task_id")
      ? Object.fromEntries(TASK.map((name) => [name, address.get(name)]))
      : null;
  const wait = useWait(task, changes);

  const known = sources.data?.sources ?? [];
  const windows = sources.data?.windows ?? ["day", "week", "month"];
  const wanted = address.get("source") ?? wait.data?.source.key;
  const ofTask = wait.data?.source.key === wanted ? wait.data?.source : null;
  const isWaitOpen = task && !wanted && !wait.error;
  const source = isWaitOpen ? null : wanted ? (known.find(({ key }) => key === wanted) ?? ofTask) : known[0];
  const view = VIEWS[address.get("view")] ? address.get("view") : "jobs";
  const window = windows.includes(address.get("window")) ? address.get("window") : windows[0];
  const id = address.get("job");
  const waitedRow = rowOf(waited, wait.data?.source, id);
  const row = waitedRow ?? rowOf(listed, source, id);
  const sourceOfJob = waitedRow ? wait.data.source : source;

  useEffect(() => {
    const before = document.title;
    document.title = `Ingestion jobs${source ? `: ${source.conn_id}` : ""}`;
    return () => {
      document.title = before;
    };
  }, [source?.conn_id]);

  const onCancel = (job, of) => setDoomed({ job, source: of });
  const onDone = (words) => {
    setDoomed(null);
    setMessage(words);
    setChanges(changes + 1);
  };
  return [
    h(
      "header",
      { key: "head", className: "ij-head" },
      h("h1", null, "Ingestion jobs"),
      known.length > 0 && view !== "watches" && h(SourceChoice, { sources: known, chosen: source, address }),
      h(Views, { view, address }),
    ),
    h(Outcome, { key: "message", text: message, onClose: () => setMessage(null) }),
    !sources.data && h(Troubles, { key: "troubles", poll: sources }),
    task && h(WaitPanel, { key: "wait", poll: wait, task, address, onCancel, onRows: setWaited }),
    h("div", { key: "view" }, inside()),
    id &&
      sourceOfJob &&
      h(JobPanel, {
        key: `${sourceOfJob.key} ${id}`,
        source: sourceOfJob,
        id,
        row,
        address,
        onCancel,
        changes,
      }),
    doomed && h(CancelDialog, { key: cancelKey(doomed), ...doomed, onClose: () => setDoomed(null), onDone }),
    h(
      "p",
      { key: "zone", className: "ij-muted ij-zone" },
      `Times are in ${zone}, as chosen in Airflow's menu.`,
    ),
  ];

  function inside() {
    if (view === "watches") return h(Watches, { address });
    if (!sources.data) return !sources.error && h(Waiting, null, "Loading connections …");
    if (isWaitOpen) return null;
    if (source && known.length) {
      const common = { key: source.key, source, windows, window, address };
      if (view === "plots") return h(Plots, common);
      return h(Jobs, { ...common, onCancel, onRows: setListed, changes });
    }
    if (known.length)
      return h(
        Empty,
        { title: `There is no connection ${wanted} here, or you may not see it.` },
        h("p", null, "Choose another one above."),
      );
    if (task && wait.data) return null;
    return h(
      Empty,
      { title: "No connection to show." },
      h(
        "p",
        null,
        sources.data.why ?? "Create a connection of one of the vendors' types under Admin, Connections.",
      ),
    );
  }
}

function IngestionJobs() {
  const isStyled = useStyle();
  return isStyled && h(Boundary, null, h("div", { className: "ij", onClickCapture: followWithin }, h(Page)));
}

// Airflow takes what stands under the app's name before what the plugin that was loaded last has left.
globalThis["Ingestion jobs"] = IngestionJobs;
globalThis.AirflowPlugin = IngestionJobs;
