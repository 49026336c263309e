// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** What the page asks its server: one question at a time, only while somebody looks, gently when there is trouble. */

import { setServerTime } from "./formats.js";

const { useCallback, useEffect, useRef, useState } = globalThis.React;

const TIMEOUT = 30_000;
const SHORTEST_PAUSE = 3000;
const LONGEST_PAUSE = 60_000;
/** What asking again every few seconds does not mend: no right, no such thing. */
const SLOW = 15_000;
/** When this tab was last sent to log in. */
const LOGIN_KEY = "ingestjobs-login";

/** Where Airflow is mounted: "/" or "/airflow/". */
export const root = new URL(
  document.querySelector("head > base")?.href ?? "/",
  location.href,
).pathname.replace(/\/*$/, "/");

/** An answer that is no data. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP's; 0 where there was no answer
   * @param {string} text a sentence for people
   */
  constructor(status, text) {
    super(text);
    this.status = status;
  }

  /** Whether the server may well answer soon. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * The path of something of one source, with the hook's arguments where it has some.
 * @param {{conn_id: string, params?: object}} source
 * @param {string} rest such as "jobs"
 * @param {URLSearchParams|object} query
 */
export function pathOf(source, rest, query = {}) {
  const search = new URLSearchParams(query);
  if (Object.keys(source.params ?? {}).length) search.set("params", JSON.stringify(source.params));
  const text = search.toString();
  return `connections/${encodeURIComponent(source.conn_id)}/${rest}${text ? `?${text}` : ""}`;
}

async function ask(path, options, signal) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), TIMEOUT);
  const giveUp = () => patience.abort();
  signal?.addEventListener("abort", giveUp);
  try {
    return await fetch(`${root}ingestjobs/${path}`, {
      credentials: "same-origin",
      ...options,
      signal: patience.signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "Airflow's server does not answer.");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Go where one logs in; not in circles, where that does not help. */
function logIn() {
  const last = Number(sessionStorage.getItem(LOGIN_KEY) ?? 0);
  if (Date.now() - last < SLOW) return;
  sessionStorage.setItem(LOGIN_KEY, String(Date.now()));
  location.assign(`${root}api/v2/auth/login?next=${encodeURIComponent(location.href)}`);
}

async function errorOf(response) {
  let detail = null;
  try {
    ({ detail } = await response.json());
  } catch {
    // A proxy's page, not our server's answer.
  }
  if (response.status === 401 || (response.status === 403 && detail === "Invalid JWT token")) {
    logIn();
    return new ApiError(401, "Your session is over: log in again.");
  }
  const text = typeof detail === "string" ? detail : detail && JSON.stringify(detail);
  return new ApiError(
    response.status,
    text || `Airflow's server answers ${response.status} ${response.statusText}`.trim(),
  );
}

/**
 * Post JSON; the answer's data.
 * @param {string} path below the server's own address
 * @param {object} body
 */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

/**
 * @typedef {object} Polled
 * @property {object|null} data the last good answer
 * @property {string|null} readAt when the vendor was last read
 * @property {ApiError|null} error why the last question had no good answer
 * @property {number|null} nextAt when it is asked again, in milliseconds of this browser's clock
 * @property {boolean} isBehind whether the data still answers the question before (other filters)
 * @property {() => void} askNow
 */

/**
 * Ask again and again while the page is looked at; keep the last good answer through trouble.
 * @param {string|null} path what to ask; null asks nothing
 * @param {object} [options]
 * @param {number} [options.every] milliseconds between questions
 * @param {string} [options.scope] while this stays, an old answer is shown until the new one comes
 * @param {number} [options.changes] another number asks at once
 * @returns {Polled}
 */
export function usePoll(path, { every = 3000, scope = path, changes = 0 } = {}) {
  const [state, setState] = useState({ data: null, readAt: null, error: null, nextAt: null });
  const wake = useRef(() => {});

  useEffect(() => {
    if (!path) return undefined;
    const left = new AbortController();
    let etag = null;
    let failures = 0;
    let timer = null;
    let isAsking = false;
    let dueAt = 0;

    const pauseAfter = (error) => {
      if (!error) return every;
      if (!error.isPassing) return Math.max(every, SLOW);
      // Not all tabs at once.
      return (
        Math.min(SHORTEST_PAUSE * 2 ** Math.min(failures, 10), LONGEST_PAUSE) * (0.8 + 0.4 * Math.random())
      );
    };

    async function once() {
      clearTimeout(timer);
      if (isAsking || left.signal.aborted || document.visibilityState !== "visible") return;
      isAsking = true;
      let error = null;
      try {
        const response = await ask(
          path,
          { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" },
          left.signal,
        );
        setServerTime(response.headers.get("Date"));
        const readAt = response.headers.get("X-Read-At");
        if (response.status === 304) {
          setState((old) =>
            old.error || old.readAt !== readAt ? { ...old, readAt, error: null, nextAt: null } : old,
          );
        } else if (response.ok) {
          const data = await response.json();
          etag = response.headers.get("ETag");
          if (!left.signal.aborted) setState({ path, scope, data, readAt, error: null, nextAt: null });
        } else {
          throw await errorOf(response);
        }
      } catch (problem) {
        if (left.signal.aborted) return;
        error =
          problem instanceof ApiError
            ? problem
            : new ApiError(0, "Airflow's server sends what is no answer.");
        failures += 1;
      } finally {
        isAsking = false;
      }
      if (left.signal.aborted) return;
      if (!error) failures = 0;
      const pause = pauseAfter(error);
      dueAt = Date.now() + pause;
      if (error) {
        setState((old) => ({
          ...(old.scope === scope ? old : { path, data: null, readAt: null }),
          scope,
          error,
          nextAt: dueAt,
        }));
      }
      clearTimeout(timer);
      timer = setTimeout(once, pause);
    }

    function onVisible() {
      if (document.visibilityState !== "visible") return;
      clearTimeout(timer);
      timer = setTimeout(once, Math.max(0, dueAt - Date.now()));
    }

    wake.current = once;
    document.addEventListener("visibilitychange", onVisible);
    once();
    return () => {
      left.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, [path, every, scope, changes]);

  const askNow = useCallback(() => wake.current(), []);
  const isOurs = state.scope === scope;
  const { data, readAt, error, nextAt } = isOurs
    ? state
    : { data: null, readAt: null, error: null, nextAt: null };
  return { data, readAt, error, nextAt, isBehind: isOurs && data != null && state.path !== path, askNow };
}
