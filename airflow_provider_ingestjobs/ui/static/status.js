// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** How fresh the data is, and what keeps it from being fresher. */

import { Empty, Moment, Note, h } from "./elements.js";
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
 * Whether the vendor has never been read, and cannot be now: that there are no jobs then says nothing.
 * @param {import("./api.js").Polled} poll
 */
export const isUnread = ({ data, readAt }) => Boolean(data?.trouble) && !readAt;

/** What stands where jobs would, while nothing could be read. */
export const Unread = () =>
  h(Empty, { title: "Nothing could be read yet." }, h("p", null, "It is asked again by itself."));

/**
 * Words that change each second, for the eye alone: what announces trouble would announce it again each time.
 * @param {{before: string, at: string, after?: string}} props
 */
const Ago = ({ before, at, after }) =>
  h("span", { "aria-hidden": true }, before, h(Moment, { at, isRelative: true }), after);

/**
 * Trouble with the vendor or with Airflow's server, while the last good data goes on being shown.
 * @param {{poll: import("./api.js").Polled, vendor?: string}} props
 */
export function Troubles({ poll, vendor = "The vendor" }) {
  const trouble = poll.data?.trouble;
  const kept = poll.readAt
    ? h(Ago, { before: " Shown is what was read ", at: poll.readAt, after: "." })
    : poll.data && !trouble && " Shown is what was read before.";
  return [
    poll.error &&
      h(Note, { key: "server", kind: "warning" }, sentence(poll.error.message), kept, h(Again, { poll })),
    trouble &&
      h(
        Note,
        { key: "vendor", kind: "warning" },
        h("b", null, `${vendor} cannot be read`),
        trouble.since && h(Ago, { before: ", since ", at: trouble.since }),
        ": ",
        sentence(trouble.text),
        !poll.error && kept,
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
