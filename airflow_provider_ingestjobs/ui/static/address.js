// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** What is looked at stands in the address: a view can be sent to a colleague, and back and forward work. */

const { useSearchParams } = globalThis.ReactRouterDOM;

/** What names a task in the address, as the extra link of our tasks writes it. */
export const TASK = ["dag_id", "run_id", "task_id", "map_index"];
/** What narrows the jobs down. */
export const FILTERS = ["state", "target", "text"];

/**
 * The address' parameters, links to variations of them, and a way to change them.
 * A change of null leaves a parameter out; a list repeats it.
 */
export function useAddress() {
  const [params, setParams] = useSearchParams();
  const varied = (changes) => {
    const next = new URLSearchParams(params);
    for (const [name, values] of Object.entries(changes)) {
      next.delete(name);
      for (const value of [values].flat()) if (value != null && value !== "") next.append(name, value);
    }
    return next;
  };
  return {
    get: (name) => params.get(name),
    all: (name) => params.getAll(name),
    to: (changes) => ({ search: `?${varied(changes)}` }),
    change: (changes, { isSmall = false } = {}) =>
      setParams(varied(changes), { replace: isSmall, preventScrollReset: true }),
  };
}

/** @typedef {ReturnType<typeof useAddress>} Address */

/**
 * The changes that leave these parameters out.
 * @param {...string} names
 */
export const without = (...names) => Object.fromEntries(names.map((name) => [name, null]));
