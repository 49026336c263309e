// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The page's own style sheets, in the document once. */

const { useEffect, useState } = globalThis.React;

const LONGEST_WAIT = 3000;
const SHEETS = ["page.css", "parts.css", "table.css", "dialog.css", "plots.css"];
let sheets = null;

const loaded = (name) =>
  new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(name, import.meta.url).href;
    link.onload = resolve;
    link.onerror = resolve;
    setTimeout(resolve, LONGEST_WAIT);
    document.head.append(link);
  });

function load() {
  sheets ??= Promise.all(SHEETS.map(loaded));
  return sheets;
}

/** Whether the style is there; the page shows without it rather than not at all. */
export function useStyle() {
  const [isThere, setIsThere] = useState(false);
  useEffect(() => {
    load().then(() => setIsThere(true));
  }, []);
  return isThere;
}
