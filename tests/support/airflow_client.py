# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a user does in a running Airflow, and sees there, over its REST API."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

T = TypeVar("T")

FINISHED_RUN_STATES = frozenset({"success", "failed"})

# Tells, in a task's log, that the task was handed to the triggerer.
_DEFERRAL_LOG_LINE = "Pausing task as DEFERRED"


class AirflowInstanceError(Exception):
    """Airflow did not start, stopped, or answered a request with an error."""


class WaitTimeoutError(AirflowInstanceError):
    """A condition did not come true in time."""


class AirflowClient:
    """
    A running Airflow's user.

    :param url: where the UI and the REST API are.
    """

    api_root: ClassVar[str] = "api/v2"
    #: What a run that is started by hand must say, and how an XCom is asked for.
    manual_run: ClassVar[dict[str, Any]] = {"logical_date": None}
    xcom_params: ClassVar[dict[str, str]] = {}

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this process and loopback

    def check_alive(self) -> None:
        """Raise if what is waited for cannot come true any more."""

    # what a user does

    def log_in(self, username: str, password: str) -> None:
        """
        Get a token, and send it from now on.

        :raises requests.RequestException: if nobody answers.
        """
        account = {"username": username, "password": password}
        response = self._session.post(f"{self.url}/auth/token", json=account, timeout=10)
        if not response.ok:
            raise AirflowInstanceError(
                f"Airflow refuses the login: {response.status_code} {response.text[:500]}"
            )
        self.token = str(response.json()["access_token"])
        self._session.headers["Authorization"] = f"Bearer {self.token}"

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        data_interval: tuple[datetime, datetime] | None = None,
    ) -> str:
        """
        Start a DAG run and return its id.

        :param dag_id: the DAG.
        :param conf: overrides the DAG's params.
        :param data_interval: what the run's data covers; runs started by hand usually have none.
        """
        body: dict[str, Any] = {**self.manual_run, "conf": dict(conf or {})}
        if data_interval:
            start, end = (moment.isoformat() for moment in data_interval)
            body |= {"logical_date": start, "data_interval_start": start, "data_interval_end": end}
        return str(self.api("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """
        Mark a task instance, as a user does in the UI.

        :param state: ``failed``, ``success`` or ``skipped``.
        """
        self.api("PATCH", f"{task_path(dag_id, run_id, task_id)}", json={"new_state": state})

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """
        Mark a DAG run, as a user does in the UI; that ends its tasks.

        :param state: ``failed`` or ``success``.
        """
        self.api("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task instance, so that it runs again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.api("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    # what a user sees

    def answers(self) -> bool:
        """Whether the API server answers."""
        with contextlib.suppress(requests.RequestException, AirflowInstanceError):
            return bool(self.health())
        return False

    def health(self) -> dict[str, Any]:
        """The health endpoint's answer."""
        return dict(self.api("GET", "monitor/health"))

    def triggerers(self) -> set[int]:
        """The ids of the triggerers that run."""
        answer = self.api("GET", "jobs", params={"job_type": "TriggererJob", "is_alive": "true"})
        return {job["id"] for job in answer["jobs"]}

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, the first one first."""
        return sorted(self._all_pages(f"dags/{dag_id}/dagRuns", "dag_runs"), key=lambda run: run["run_after"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A DAG run."""
        return dict(self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}"))

    def asset_events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The asset events that started a DAG run; Airflow 3.3 gives no answer before the run has begun."""
        answer = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")
        return list(answer["asset_events"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """A DAG run's state: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.run(dag_id, run_id)["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run."""
        return self._all_pages(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """A task instance's state; None before it was scheduled."""
        state = self.api("GET", task_path(dag_id, run_id, task_id))["state"]
        return None if state is None else str(state)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned (or pushed under ``key``); None when there is no such entry."""
        try:
            path = f"{task_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
            entry = self.api("GET", path, params=self.xcom_params)
        except AirflowInstanceError as error:
            if "404" in str(error):
                return None
            raise
        value = entry["value"]
        if isinstance(value, str):
            # Airflow 3.0 answers with the stored JSON text, later versions with the value.
            with contextlib.suppress(ValueError):
                return json.loads(value)
        return value

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """
        A task's log as text: what the UI shows, the triggerer's part included.

        :param try_number: which attempt, from 1.
        :param map_index: which of a mapped task's, from 0.
        """
        path = f"{task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        params = {"full_content": "true", "map_index": str(map_index)}
        return self._log_text(path, params)

    def was_deferred(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> bool:
        """Whether an attempt handed itself to the triggerer."""
        return _DEFERRAL_LOG_LINE in self.task_log(dag_id, run_id, task_id, try_number)

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """A task instance's extra links: name to address."""
        answer = self.api("GET", f"{task_path(dag_id, run_id, task_id)}/links")
        return dict(answer["extra_links"])

    def import_errors(self) -> dict[str, str]:
        """DAG files that do not parse: file name to traceback."""
        errors = self._all_pages("importErrors", "import_errors")
        return {str(error["filename"]): str(error["stack_trace"]) for error in errors}

    def dag_ids(self) -> list[str]:
        """The ids of all parsed DAGs."""
        return sorted(str(dag["dag_id"]) for dag in self._all_pages("dags", "dags"))

    def wait_for(
        self,
        predicate: Callable[[], T | None],
        timeout: float,
        what: str | Callable[[], str] = "condition",
        interval: float = 0.3,
    ) -> T:
        """
        Call ``predicate`` until it returns something true, and return that.

        :param predicate: asked again and again.
        :param timeout: seconds; then :class:`WaitTimeoutError`. A component's death ends the wait at once.
        :param what: names the condition in the error; a callable is asked only then.
        :param interval: seconds between two calls.
        """
        deadline = time.monotonic() + timeout
        while True:
            result = predicate()
            if result:
                return result
            self.check_alive()
            if time.monotonic() >= deadline:
                name = what if isinstance(what, str) else what()
                raise WaitTimeoutError(f"waited {timeout:g} s in vain for: {name}")
            time.sleep(interval)

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float, interval: float = 0.3) -> str:
        """
        Wait until a DAG run has ended and return its state.

        :param timeout: seconds.
        :param interval: seconds between two looks.
        """
        return self.wait_for(
            lambda: state if (state := self.run_state(dag_id, run_id)) in FINISHED_RUN_STATES else None,
            timeout,
            what=lambda: f"the end of {dag_id} {run_id}; its tasks: {self._task_states(dag_id, run_id)}",
            interval=interval,
        )

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Sequence[str], timeout: float
    ) -> str:
        """
        Wait until a task instance is in one of some states and return that state.

        :param states: for example ``["deferred"]``.
        :param timeout: seconds.
        """
        return self.wait_for(
            lambda: state if (state := self.task_state(dag_id, run_id, task_id)) in states else None,
            timeout,
            what=lambda: (
                f"{dag_id}.{task_id} to be {' or '.join(states)}; "
                f"it is {self.task_state(dag_id, run_id, task_id)}"
            ),
        )

    def api(self, method: str, path: str, *, root: str | None = None, **arguments: Any) -> Any:
        """
        Call Airflow's REST API and return the decoded answer.

        :param method: the HTTP method.
        :param path: below the root.
        :param root: of Airflow's public API, if not given; or ``ui`` for what only the UI asks.
        :param arguments: for ``requests``.
        """
        response = self.read(method, path, root=root, **arguments)
        return response.json() if response.content else None

    def read(self, method: str, path: str, *, root: str | None = None, **arguments: Any) -> requests.Response:
        """
        Call Airflow and return its answer, if it is no error.

        :param method: the HTTP method.
        :param path: below the root.
        :param root: of Airflow's public API, if not given.
        :param arguments: for ``requests``.
        """
        response = self.ask(method, path, root=root, **arguments)
        if not response.ok:
            raise AirflowInstanceError(
                f"{method} {path}: {response.status_code} {response.reason}: {response.text[:2000]}"
            )
        return response

    def ask(self, method: str, path: str, *, root: str | None = None, **arguments: Any) -> requests.Response:
        """
        Call Airflow and return its answer, whatever it is.

        :param method: the HTTP method.
        :param path: below the root.
        :param root: of Airflow's public API, if not given.
        :param arguments: for ``requests``.
        """
        url = f"{self.url}/{self.api_root if root is None else root}/{path}"
        return self._session.request(method, url, **{"timeout": 30, **arguments})

    def _log_text(self, path: str, params: dict[str, str]) -> str:
        answer = self.api("GET", path, params=params, headers={"Accept": "application/json"})
        return "\n".join(_log_line(entry) for entry in answer["content"])

    def _task_states(self, dag_id: str, run_id: str) -> str:
        return ", ".join(f"{task['task_id']} {task['state']}" for task in self.task_instances(dag_id, run_id))

    def _all_pages(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self.api("GET", path, params={"limit": 100, "offset": len(found)})
            found += answer[key]
            if not answer[key] or len(found) >= answer["total_entries"]:
                return found


def task_path(dag_id: str, run_id: str, task_id: str) -> str:
    """Where the API has a task instance."""
    return f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"


def _log_line(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    standard = {"timestamp", "event", "level", "logger", "error_detail", "filename", "lineno"}
    standard |= {"dag_id", "run_id", "task_id", "map_index", "try_number", "ti_id"}
    parts = [
        str(entry.get("timestamp") or ""),
        str(entry.get("level") or "").upper(),
        str(entry.get("event")),
    ]
    parts += [f"{name}={value}" for name, value in entry.items() if name not in standard]
    lines = [" ".join(part for part in parts if part)]
    for error in entry.get("error_detail") or ():
        lines += [
            f"  {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}"
            for frame in error.get("frames") or ()
        ]
        lines.append(f"  {error.get('exc_type')}: {error.get('exc_value')}")
    return "\n".join(lines)
