// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** How fresh the data is, and what keeps it from being fresher. */

import { Moment, Note, h } from "./elements.js";
import { useNow } from "./formats.js";

/**
 * When the vendor was last read.
 * @param {{poll: import("./api.js").Polled}} props
 */
export function Freshness({ poll }) {
  if (!poll.readAt) return null;
  return h(
    "span",
    { className: "ij-muted ij-nowrap" },
    "read ",
    h(Moment, { at: poll.readAt, isRelative: true }),
  );
}

/**
 * Trouble with the vendor or with Airflow's server, while the last good data goes on being shown.
 * @param {{poll: import("./api.js").Polled, vendor?: string}} props
 */
export function Troubles({ poll, vendor = "The vendor" }) {
  const trouble = poll.data?.trouble;
  const kept = poll.readAt
    ? [" Shown is what was read ", h(Moment, { key: "at", at: poll.readAt, isRelative: true }), "."]
    : [" Shown is what was read before."];
  return [
    poll.error &&
      h(
        Note,
        { key: "server", kind: "warning" },
        sentence(poll.error.message),
        poll.data && kept,
        h(Again, { poll }),
      ),
    trouble &&
      h(
        Note,
        { key: "vendor", kind: "warning" },
        h("b", null, `${vendor} cannot be read`),
        trouble.since && [", since ", h(Moment, { key: "since", at: trouble.since, isRelative: true })],
        ": ",
        sentence(trouble.text),
        poll.data && !poll.error && kept,
      ),
  ];
}

const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

function Again({ poll }) {
  useNow(1);
  const seconds = Math.max(0, Math.ceil(((poll.nextAt ?? 0) - Date.now()) / 1000));
  return h(
    "span",
    { className: "ij-again" },
    h("span", { "aria-hidden": true }, seconds ? ` Asked again in ${seconds} s. ` : " Asking again … "),
    h("button", { type: "button", className: "ij-textbutton", onClick: poll.askNow }, "Ask now"),
  );
}
