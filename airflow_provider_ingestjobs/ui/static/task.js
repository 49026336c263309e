// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The tab of a task instance: what it waits for. */

import { followWithin, useAddress } from "./address.js";
import { CancelDialog, Outcome, cancelKey } from "./cancel.js";
import { Boundary, Empty, h } from "./elements.js";
import { JobPanel } from "./job.js";
import { useStyle } from "./style.js";
import { WaitPanel, useWait } from "./wait.js";

const { useState } = globalThis.React;

function Tab({ dagId, runId, taskId, mapIndex }) {
  const address = useAddress();
  const [changes, setChanges] = useState(0);
  const [listed, setListed] = useState({ jobs: [] });
  const [doomed, setDoomed] = useState(null);
  const [message, setMessage] = useState(null);
  const task =
    dagId && runId && taskId
      ? { dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex ?? -1 }
      : null;
  const poll = useWait(task, changes);
  const source = poll.data?.source;
  const id = address.get("job");
  const onCancel = (job, of) => setDoomed({ job, source: of });
  const onDone = (words) => {
    setDoomed(null);
    setMessage(words);
    setChanges(changes + 1);
  };
  if (!task) return h(Empty, { title: "This tab belongs to one run of a task: choose a run first." });
  return [
    h(Outcome, { key: "message", text: message, onClose: () => setMessage(null) }),
    h(WaitPanel, { key: "wait", poll, task, address, onCancel, onRows: setListed, isAlone: true }),
    id &&
      source &&
      h(JobPanel, {
        key: id,
        source,
        id,
        row: listed.jobs.find((job) => job.id === id),
        address,
        page: "/plugin/ingestjobs",
        onCancel,
        changes,
      }),
    doomed && h(CancelDialog, { key: cancelKey(doomed), ...doomed, onClose: () => setDoomed(null), onDone }),
  ];
}

function IngestionJobTab(props) {
  const isStyled = useStyle();
  return (
    isStyled &&
    h(
      Boundary,
      null,
      h(
        "div",
        { className: "ij ij-tab", onClickCapture: followWithin },
        h(Tab, { key: JSON.stringify(props), ...props }),
      ),
    )
  );
}

// Airflow takes what stands under the app's name before what the plugin that was loaded last has left.
globalThis["Ingestion job"] = IngestionJobTab;
globalThis.AirflowPlugin = IngestionJobTab;
