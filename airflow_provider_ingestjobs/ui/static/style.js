// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** The page's own style sheet, in the document once. */

const { useEffect, useState } = globalThis.React;

const LONGEST_WAIT = 3000;
let sheet = null;

function load() {
  sheet ??= new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL("page.css", import.meta.url).href;
    link.onload = resolve;
    link.onerror = resolve;
    setTimeout(resolve, LONGEST_WAIT);
    document.head.append(link);
  });
  return sheet;
}

/** Whether the style is there; the page shows without it rather than not at all. */
export function useStyle() {
  const [isThere, setIsThere] = useState(false);
  useEffect(() => {
    load().then(() => setIsThere(true));
  }, []);
  return isThere;
}
