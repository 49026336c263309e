// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** Cancelling a job: asked once more, with what stops and who waits for it. */

import { pathOf, post } from "./api.js";
import { Dialog } from "./dialog.js";
import { Badge, Moment, Note, SoFar, TaskLink, h } from "./elements.js";
import { number } from "./formats.js";

const { useEffect, useId, useState } = globalThis.React;

const LONG_ENOUGH_TO_READ = 20_000;

/**
 * @param {object} props
 * @param {object} props.source
 * @param {object} props.job
 * @param {() => void} props.onClose
 * @param {(message: string) => void} props.onDone
 */
export function CancelDialog({ source, job, onClose, onDone }) {
  const title = useId();
  const [isSending, setIsSending] = useState(false);
  const [problem, setProblem] = useState(null);
  const waiters = job.waited_for_by ?? [];

  async function send() {
    setIsSending(true);
    setProblem(null);
    try {
      const { message } = await post(pathOf(source, `jobs/${encodeURIComponent(job.id)}/cancel`));
      onDone(message ?? `${job.id} is cancelling`);
    } catch (error) {
      setProblem(error.message);
      setIsSending(false);
    }
  }

  const name = job.name || job.id;
  const facts = [
    ["Job", job.id],
    job.target && ["Target", job.target],
    ["State", h(Badge, { state: job.state })],
    job.started_at && [
      "Started",
      [
        h(Moment, { key: "at", at: job.started_at }),
        " (",
        h(SoFar, { key: "so far", since: job.started_at }),
        ")",
      ],
    ],
    job.rows?.read != null && ["Rows read so far", number(job.rows.read)],
    [
      "Waited for by",
      waiters.length
        ? h(
            "ul",
            { className: "ij-plain" },
            waiters.map((task) =>
              h("li", { key: JSON.stringify(task) }, h(TaskLink, { task, isLong: true })),
            ),
          )
        : "no task that you may see",
    ],
  ].filter(Boolean);
  return h(
    Dialog,
    { labelledBy: title, onClose, isHeld: isSending },
    h("h2", { id: title }, `Cancel ${name}${job.target ? `, which loads ${job.target}` : ""}?`),
    h("p", { className: "ij-stops" }, job.what_stops || `This stops the job at ${source.vendor}.`),
    h(Facts, { facts }),
    problem && h(Note, { kind: "error" }, problem),
    h(
      "div",
      { className: "ij-buttons" },
      h(
        "button",
        { type: "button", className: "ij-button", onClick: onClose, disabled: isSending, "data-first": true },
        "Keep it running",
      ),
      h(
        "button",
        { type: "button", className: "ij-button ij-danger", onClick: send, disabled: isSending },
        isSending ? "Cancelling …" : problem ? "Try again" : "Cancel the job",
      ),
    ),
  );
}

/**
 * The dialog's key: that of another job is another dialog.
 * @param {{source: object, job: object}} props
 */
export const cancelKey = ({ source, job }) => `cancel ${source.key} ${job.id}`;

/**
 * What a cancel has come to, over the page for a while.
 * @param {{text: string|null, onClose: () => void}} props
 */
export function Outcome({ text, onClose }) {
  useEffect(() => {
    if (!text) return undefined;
    const timer = setTimeout(onClose, LONG_ENOUGH_TO_READ);
    return () => clearTimeout(timer);
  }, [text]);
  return h(
    "div",
    { className: "ij-message", role: "status" },
    text &&
      h(
        Note,
        null,
        text,
        " ",
        h("button", { type: "button", className: "ij-textbutton", onClick: onClose }, "Dismiss"),
      ),
  );
}

/**
 * Names and what they are.
 * @param {{facts: [string, any][]}} props
 */
export const Facts = ({ facts }) =>
  h(
    "dl",
    { className: "ij-facts" },
    facts.map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))),
  );
