// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** What is looked at stands in the address: a view can be sent to a colleague, and back and forward work. */

const { useMemo, useSyncExternalStore } = globalThis.React;
const { useLocation } = globalThis.ReactRouterDOM;

/** What names a task in the address, as the extra link of our tasks writes it. */
export const TASK = ["dag_id", "run_id", "task_id", "map_index"];
/** What narrows the jobs down. */
export const FILTERS = ["state", "target", "text"];

/*
 * Airflow makes the whole page anew where its router hears of another address: 3.1 each time, later versions the first
 * time. What is being typed, and where the keyboard is, would be lost. So the router does not hear of what changes
 * within the page; back, forward and other pages are its own.
 */
const listeners = new Set();

function subscribe(listener) {
  listeners.add(listener);
  globalThis.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    globalThis.removeEventListener("popstate", listener);
  };
}

function go(search, isSmall = false) {
  if (search === location.search) return;
  history[isSmall ? "replaceState" : "pushState"](history.state, "", `${location.pathname}${search}`);
  listeners.forEach((tell) => tell());
}

const asSearch = (params) => (params.size ? `?${params}` : "");

/**
 * The address' parameters, links to variations of them, and a way to change them.
 * A change of null leaves a parameter out; a list repeats it.
 */
export function useAddress() {
  // Whoever comes here from elsewhere in Airflow does so by its router.
  useLocation();
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => {
    const params = new URLSearchParams(search);
    const varied = (changes) => {
      const next = new URLSearchParams(params);
      for (const [name, values] of Object.entries(changes)) {
        next.delete(name);
        for (const value of [values].flat()) if (value != null && value !== "") next.append(name, value);
      }
      return asSearch(next);
    };
    return {
      get: (name) => params.get(name),
      all: (name) => params.getAll(name),
      to: (changes) => ({ search: varied(changes) }),
      change: (changes, { isSmall = false } = {}) => go(varied(changes), isSmall),
    };
  }, [search]);
}

/**
 * Follow a link within the page, before Airflow's router does; for `onClickCapture` around the page.
 * @param {MouseEvent} event
 */
export function followWithin(event) {
  const link = event.target.closest?.("a[href]");
  const isPlain = !event.button && !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
  if (!link || !isPlain || link.target === "_blank") return;
  const { origin, pathname, search } = new URL(link.href);
  if (origin !== location.origin || pathname !== location.pathname) return;
  event.preventDefault();
  event.stopPropagation();
  go(search);
}

/** @typedef {ReturnType<typeof useAddress>} Address */

/**
 * The changes that leave these parameters out.
 * @param {...string} names
 */
export const without = (...names) => Object.fromEntries(names.map((name) => [name, null]));
