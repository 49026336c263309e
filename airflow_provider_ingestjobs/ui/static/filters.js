// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** What narrows the jobs down: window, state, target, text. All of it stands in the address. */

import { FILTERS, without } from "./address.js";
import { h } from "./elements.js";
import { number } from "./formats.js";

const { useEffect, useRef, useState } = globalThis.React;

const PAUSE_IN_TYPING = 300;
const WINDOWS = { day: "Last day", week: "Last week", month: "Last month" };
const STATES = ["running", "pending", "cancelling", "failed", "cancelled", "succeeded", "skipped", "unknown"];

/** A window in words, such as "last day". */
export const windowInWords = (name) => (WINDOWS[name] ?? name).toLowerCase();

/**
 * @param {{windows: string[], chosen: string, address: import("./address.js").Address}} props
 */
export function WindowChoice({ windows, chosen, address }) {
  const button = (name) =>
    h(
      "button",
      {
        key: name,
        type: "button",
        "aria-pressed": name === chosen,
        onClick: () => address.change({ window: name, page: null }),
      },
      WINDOWS[name] ?? name,
    );
  return h("div", { className: "ij-segments", role: "group", "aria-label": "Window" }, windows.map(button));
}

/**
 * @param {{targets: string[], address: import("./address.js").Address, all?: string}} props
 */
export function TargetChoice({ targets, address, all = "All targets" }) {
  const chosen = address.get("target") ?? "";
  const known = !chosen || targets.includes(chosen) ? targets : [chosen, ...targets];
  const options = [
    h("option", { key: "", value: "" }, all),
    ...known.map((name) => h("option", { key: name, value: name }, name)),
  ];
  return h(
    "select",
    {
      className: "ij-field",
      "aria-label": "Target",
      value: chosen,
      onChange: (event) => address.change({ target: event.target.value, page: null }),
    },
    options,
  );
}

/** The states there are, with how many jobs are in each: each a switch. */
function StateChoice({ counts, address }) {
  const chosen = address.all("state");
  const shown = STATES.filter((state) => counts[state] || chosen.includes(state));
  const change = (state) =>
    address.change({
      state: chosen.includes(state) ? chosen.filter((one) => one !== state) : [...chosen, state],
      page: null,
    });
  if (!shown.length) return null;
  return h(
    "div",
    { className: "ij-chips", role: "group", "aria-label": "States" },
    shown.map((state) =>
      h(
        "button",
        {
          key: state,
          type: "button",
          className: "ij-chip",
          "aria-pressed": chosen.includes(state),
          onClick: () => change(state),
        },
        state,
        " ",
        h("b", null, number(counts[state] ?? 0)),
      ),
    ),
  );
}

function TextChoice({ address }) {
  const inAddress = address.get("text") ?? "";
  const [text, setText] = useState(inAddress);
  const field = useRef(null);
  const sent = useRef(inAddress);
  const latest = useRef(address);
  latest.current = address;

  useEffect(() => {
    // Back, forward or "clear filters": not what has just been typed.
    if (inAddress !== sent.current) {
      sent.current = inAddress;
      setText(inAddress);
    }
  }, [inAddress]);
  useEffect(() => {
    if (text === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = text;
      latest.current.change({ text, page: null }, { isSmall: true });
    }, PAUSE_IN_TYPING);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const onKey = (event) => {
      const isFree =
        !event.ctrlKey &&
        !event.metaKey &&
        !event.altKey &&
        !event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
      if (event.key !== "/" || !isFree) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  const props = {
    ref: field,
    type: "search",
    className: "ij-field ij-search",
    value: text,
    placeholder: "Find in ids, names, failures …  ( / )",
    "aria-label": "Text in ids, names, targets, failures and details",
    "aria-keyshortcuts": "/",
    autoComplete: "off",
    spellCheck: false,
  };
  return h("input", { ...props, onChange: (event) => setText(event.target.value) });
}

/**
 * All filters of the list of jobs.
 * @param {object} props
 * @param {string[]} props.windows
 * @param {string} props.chosen the window
 * @param {object|null} props.data the server's answer, for its targets and states
 * @param {import("./address.js").Address} props.address
 */
export function Filters({ windows, chosen, data, address }) {
  const isFiltered = FILTERS.some((name) => address.get(name));
  return h(
    "div",
    { className: "ij-filters", role: "search", "aria-label": "Filters" },
    h(WindowChoice, { windows, chosen, address }),
    h(TargetChoice, { targets: data?.targets ?? [], address }),
    h(TextChoice, { address }),
    h(StateChoice, { counts: data?.states ?? {}, address }),
    isFiltered &&
      h(
        "button",
        {
          type: "button",
          className: "ij-textbutton",
          onClick: () => address.change({ ...without(...FILTERS), page: null }),
        },
        "Clear filters",
      ),
  );
}
