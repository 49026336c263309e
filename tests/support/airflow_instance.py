# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
A whole Airflow on this machine: API server, scheduler, dag processor and triggerer over SQLite.

Every part is a process of its own, so that a test may kill one and start it again. All settings are
environment variables; nothing is read from, or written to, the user's own Airflow.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeVar

import psutil
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

T = TypeVar("T")

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
#: What may run beside them, by name: the command that starts it.
FURTHER_COMPONENTS = {"second-triggerer": "triggerer"}
FINISHED_RUN_STATES = frozenset({"success", "failed"})
LOGIN = "admin"

# The scheduler and the triggerer each offer their log folder over HTTP; here every log is a local file.
_ARGUMENTS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}

# Tells, in a task's log, that the task was handed to the triggerer.
_DEFERRAL_LOG_LINE = "Pausing task as DEFERRED"


class AirflowInstanceError(Exception):
    """Airflow did not start, stopped, or answered a request with an error."""


class WaitTimeoutError(AirflowInstanceError):
    """A condition did not come true in time."""


class AirflowInstance:
    """
    A running Airflow; a context manager.

    :param home: becomes ``AIRFLOW_HOME``: database, logs, settings. Made when absent, never removed.
    :param dags_folder: the DAG files; every ``*.py`` in it whose name has no leading underscore must parse.
    :param env: more environment variables for all components, such as ``AIRFLOW_CONN_…``.
    :param parallelism: how many tasks run at the same time (deferred ones do not count).
    :param startup_timeout: seconds until everything must be healthy and every DAG parsed.
    """

    components: ClassVar[tuple[str, ...]] = COMPONENTS
    api_root: ClassVar[str] = "api/v2"
    #: What a run that is started by hand must say, and how an XCom is asked for.
    manual_run: ClassVar[dict[str, Any]] = {"logical_date": None}
    xcom_params: ClassVar[dict[str, str]] = {}
    #: What the health endpoint tells of.
    parts: ClassVar[tuple[str, ...]] = ("metadatabase", "scheduler", "dag_processor", "triggerer")

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        parallelism: int = 4,
        startup_timeout: float = 180,
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.password = secrets.token_urlsafe(9)
        self.timings: dict[str, float] = {}
        self._startup_timeout = startup_timeout
        self._port = _free_port()
        self._env = self._environment(env or {}, parallelism)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between this process and loopback

    @property
    def url(self) -> str:
        """Where the UI and the REST API are."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment that all components share."""
        return dict(self._env)

    def __enter__(self) -> AirflowInstance:
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # processes

    def start(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """
        Start one component; its output goes to ``<home>/<component>.log``.

        :param component: one of :data:`COMPONENTS` or :data:`FURTHER_COMPONENTS`.
        :param env: more environment variables, for this component only.
        """
        known = (*self.components, *FURTHER_COMPONENTS)
        if component not in known:
            raise ValueError(f"component: {component!r} is none of {', '.join(known)}")
        command = FURTHER_COMPONENTS.get(component, component)
        process = self._processes.get(component)
        if process is not None and process.poll() is None:
            raise AirflowInstanceError(f"{component} runs already (process {process.pid})")
        with self.log_file(component).open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches this process only, which then stops the
            # rest; and the session finds descendants that changed their process group or lost their parent.
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", command, *_ARGUMENTS.get(command, [])],
                env={**self._env, **(env or {})},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[component] = process
        self._tell_watchdog("+", process.pid)

    def kill(self, component: str) -> None:
        """
        SIGKILL one component with all its child processes, and see it gone.

        :param component: one of :data:`COMPONENTS`.
        """
        process = self._processes.pop(component)
        _kill_sessions([process.pid])
        process.wait()
        self._tell_watchdog("-", process.pid)

    def kill_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """SIGKILL the process in which a task runs."""
        task = self.api("GET", task_path(dag_id, run_id, task_id))
        if task["state"] != "running" or not task["pid"]:
            raise AirflowInstanceError(f"{dag_id}.{task_id} is {task['state']}, in process {task['pid']}")
        os.kill(task["pid"], signal.SIGKILL)

    def freeze(self, component: str) -> None:
        """Stop a component and its child processes, as a paused machine does, until :meth:`thaw`."""
        for pid in self.pids(component):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self, component: str) -> None:
        """Let a component that was frozen go on."""
        for pid in self.pids(component):
            os.kill(pid, signal.SIGCONT)

    def terminate(self, component: str, timeout: float = 60) -> None:
        """
        Ask one component to end (SIGTERM), as a deployment does, and wait until it has.

        :param component: one of :data:`COMPONENTS`.
        :param timeout: seconds it may take.
        """
        process = self._processes[component]
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise WaitTimeoutError(
                f"airflow {component} does not end on SIGTERM. Its log ends:\n{self.log_tail(component)}"
            ) from error
        self.kill(component)

    def pids(self, component: str) -> list[int]:
        """
        Process ids of a component and of what it started.

        :param component: one of :data:`COMPONENTS`.
        """
        process = self._processes.get(component)
        return _session_members([process.pid]) if process else []

    def stop(self) -> None:
        """End every process. Nothing is shut down gently: the instance is thrown away."""
        with _signals_held():
            _kill_sessions([process.pid for process in self._processes.values()])
            for process in self._processes.values():
                process.wait()
            self._processes.clear()
            if self._watchdog is not None:
                if self._watchdog.stdin:
                    with contextlib.suppress(OSError):
                        self._watchdog.stdin.close()
                self._watchdog.wait()
                self._watchdog = None
            self._session.close()

    def check_alive(self) -> None:
        """Raise with the end of its log if a component has died on its own."""
        for component, process in self._processes.items():
            if process.poll() is not None:
                raise AirflowInstanceError(
                    f"airflow {component} ended with exit code {process.returncode}. "
                    f"The end of {self.log_file(component)}:\n{self.log_tail(component)}"
                )

    def log_file(self, component: str) -> Path:
        """
        Where a component's output goes.

        :param component: one of :data:`COMPONENTS`, or ``db`` for the migration.
        """
        return self.home / f"{component}.log"

    def log_tail(self, component: str, lines: int = 40) -> str:
        """
        The last lines of a component's output.

        :param component: one of :data:`COMPONENTS`, or ``db`` for the migration.
        :param lines: how many.
        """
        try:
            text = self.log_file(component).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return f"({component} has no log yet)"
        return "\n".join(text.splitlines()[-lines:])

    def cli(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """
        Run an ``airflow`` command line against this instance.

        :param arguments: for example ``"providers", "list"``.
        :param timeout: seconds.
        """
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self._env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # what a user does

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

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """
        A task's log as text: what the UI shows, the triggerer's part included.

        :param try_number: which attempt, from 1.
        """
        path = f"{task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        answer = self.api(
            "GET", path, params={"full_content": "true"}, headers={"Accept": "application/json"}
        )
        return "\n".join(_log_line(entry) for entry in answer["content"])

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

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float) -> str:
        """
        Wait until a DAG run has ended and return its state.

        :param timeout: seconds.
        """
        return self.wait_for(
            lambda: state if (state := self.run_state(dag_id, run_id)) in FINISHED_RUN_STATES else None,
            timeout,
            what=lambda: f"the end of {dag_id} {run_id}; its tasks: {self._task_states(dag_id, run_id)}",
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
        url = f"{self.url}/{self.api_root if root is None else root}/{path}"
        response = self._session.request(method, url, timeout=30, **arguments)
        if not response.ok:
            raise AirflowInstanceError(
                f"{method} {path}: {response.status_code} {response.reason}: {response.text[:2000]}"
            )
        return response

    # how it starts

    def _boot(self) -> None:
        began = time.monotonic()
        self.home.mkdir(parents=True, exist_ok=True)
        self._set_up_login()
        self._start_watchdog()
        self._migrate()
        self._tune_database()
        self.timings["database"] = time.monotonic() - began
        for component in self.components:
            self.start(component)
        deadline = began + self._startup_timeout
        self.wait_for(
            self._log_in, deadline - time.monotonic(), what="the API server to answer", interval=0.2
        )
        self.timings["API server"] = time.monotonic() - began
        self.wait_for(self._is_healthy, deadline - time.monotonic(), what=self._health_report)
        self.timings["all healthy"] = time.monotonic() - began
        self.wait_for(self._is_parsed, deadline - time.monotonic(), what=self._parse_report)
        self.timings["DAGs parsed"] = time.monotonic() - began

    def _migrate(self) -> None:
        with self.log_file("db").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=self._env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._processes["db"] = process
            self._tell_watchdog("+", process.pid)
            try:
                code = process.wait(self._startup_timeout)
            except subprocess.TimeoutExpired as error:
                raise WaitTimeoutError(
                    f"airflow db migrate takes too long:\n{self.log_tail('db')}"
                ) from error
            self._tell_watchdog("-", process.pid)
            del self._processes["db"]
        if code:
            raise AirflowInstanceError(f"airflow db migrate failed:\n{self.log_tail('db')}")

    def _set_up_login(self) -> None:
        (self.home / "simple_auth_manager_passwords.json.generated").write_text(
            json.dumps({LOGIN: self.password}) + "\n", encoding="utf-8"
        )

    def _tune_database(self) -> None:
        # Readers and the one writer then do not wait for each other; the setting stays with the file.
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            _never_reuse_ids(database, "trigger")

    def _log_in(self) -> bool:
        try:
            response = self._session.post(
                f"{self.url}/auth/token", json={"username": LOGIN, "password": self.password}, timeout=10
            )
        except requests.RequestException:
            return False
        if not response.ok:
            raise AirflowInstanceError(
                f"Airflow refuses the login: {response.status_code} {response.text[:500]}"
            )
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return True

    def _unhealthy(self) -> list[str]:
        health = self.health()
        return [part for part in self.parts if (health.get(part) or {}).get("status") != "healthy"]

    def _is_healthy(self) -> bool:
        return not self._unhealthy()

    def _health_report(self) -> str:
        tails = [
            f"--- {component}:\n{self.log_tail(component, 15)}"
            for component in self.components
            if component.replace("-", "_") in self._unhealthy()
        ]
        return "\n".join([f"{', '.join(self._unhealthy())} to be healthy", *tails])

    def _unparsed(self) -> list[str]:
        expected = {path.name for path in self.dags_folder.rglob("*.py") if not path.name.startswith("_")}
        parsed = {Path(str(dag["fileloc"])).name for dag in self._all_pages("dags", "dags")}
        return sorted(expected - parsed)

    def _is_parsed(self) -> bool:
        if errors := self.import_errors():
            report = "\n".join(f"{file}:\n{trace}" for file, trace in errors.items())
            raise AirflowInstanceError(f"DAG files that do not parse:\n{report}")
        return not self._unparsed()

    def _parse_report(self) -> str:
        return f"{', '.join(self._unparsed())} to be parsed\n{self.log_tail('dag-processor')}"

    def _task_states(self, dag_id: str, run_id: str) -> str:
        return ", ".join(f"{task['task_id']} {task['state']}" for task in self.task_instances(dag_id, run_id))

    def _all_pages(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self.api("GET", path, params={"limit": 100, "offset": len(found)})
            found += answer[key]
            if not answer[key] or len(found) >= answer["total_entries"]:
                return found

    def _environment(self, extra: Mapping[str, str], parallelism: int) -> dict[str, str]:
        # The user's own Airflow settings and connections stay out, as does what other tests have set.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))
        }
        loopback = "127.0.0.1,localhost"
        settings: dict[str, dict[str, object]] = {
            "CORE": {
                "DAGS_FOLDER": self.dags_folder,
                "PLUGINS_FOLDER": self.home / "plugins",
                "LOAD_EXAMPLES": False,
                "EXECUTOR": "LocalExecutor",
                "PARALLELISM": parallelism,
                "MAX_ACTIVE_TASKS_PER_DAG": 100,
                "DAGS_ARE_PAUSED_AT_CREATION": False,
                "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
                "EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            },
            # SQLite has one writer at a time: wait for it rather than fail.
            "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60"},
            "API": {
                "HOST": "127.0.0.1",
                "PORT": self._port,
                "BASE_URL": f"{self.url}/",
                "WORKERS": 1,
                "SECRET_KEY": secrets.token_hex(16),
            },
            "API_AUTH": {"JWT_SECRET": secrets.token_hex(32)},
            "SCHEDULER": {
                "SCHEDULER_HEARTBEAT_SEC": 1,
                "SCHEDULER_IDLE_SLEEP_TIME": 0.3,
                "TRIGGER_TIMEOUT_CHECK_INTERVAL": 2,
                # A quiet minute on a busy machine is no reason to call a task dead.
                "TASK_INSTANCE_HEARTBEAT_TIMEOUT": 300,
                # A scheduler silent for this long is taken for dead: the next one takes its tasks up.
                "SCHEDULER_HEALTH_CHECK_THRESHOLD": 15,
                "ORPHANED_TASKS_CHECK_INTERVAL": 3,
            },
            # Airflow 3.3 may notice the end of a task's process only this many seconds later. A deferred task
            # that is resumed before that looks killed to the scheduler, which fails it ("state mismatch").
            "WORKERS": {"MIN_HEARTBEAT_INTERVAL": 1},
            # A triggerer silent for this long is taken for dead and its triggers go to the next one.
            "TRIGGERER": {"JOB_HEARTBEAT_SEC": 1, "TRIGGERER_HEALTH_CHECK_THRESHOLD": 8},
            "DAG_PROCESSOR": {
                "REFRESH_INTERVAL": 60,
                "MIN_FILE_PROCESS_INTERVAL": 60,
                "PARSING_PROCESSES": 2,
                "DAG_FILE_PROCESSOR_TIMEOUT": 120,
            },
            "LOGGING": {
                "BASE_LOG_FOLDER": self.home / "logs",
                "COLORED_CONSOLE_LOG": False,
                "NAMESPACE_LEVELS": "http.access=WARNING",
            },
        }
        flat = {
            f"AIRFLOW__{section}__{name}": str(value)
            for section, values in settings.items()
            for name, value in values.items()
        }
        return {
            **inherited,
            "AIRFLOW_HOME": str(self.home),
            "NO_PROXY": loopback,
            "no_proxy": loopback,
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            **flat,
            **extra,
        }

    # if this process is killed

    def _start_watchdog(self) -> None:
        # When this process is killed outright, its end of the pipe closes, and the watchdog ends the rest.
        self._watchdog = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _tell_watchdog(self, sign: str, pid: int) -> None:
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{sign}{pid}\n".encode())
            self._watchdog.stdin.flush()


def _watch(orders: IO[str]) -> None:
    """Keep the sessions named by ``+pid`` and ``-pid`` lines; at the end of the lines, kill what is left."""
    sessions: set[int] = set()
    for line in orders:
        pid = int(line[1:])
        if line[0] == "+":
            sessions.add(pid)
        else:
            sessions.discard(pid)
    _kill_sessions(sorted(sessions))


def _session_members(sessions: Sequence[int]) -> list[int]:
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            # A zombie waits for its parent, which may be a process 1 that never looks: nothing left to end.
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def _kill_sessions(sessions: Sequence[int], timeout: float = 20) -> None:
    """SIGKILL every process of some sessions until none is left (one may fork while the list is read)."""
    deadline = time.monotonic() + timeout
    while sessions and (members := _session_members(sessions)):
        if time.monotonic() > deadline:
            raise AirflowInstanceError(f"processes that do not end: {members}")
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let a second Ctrl-C wait until the cleaning up is done."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _free_port() -> int:
    # Below the range from which systems give out the local ends of outgoing connections: one of those could
    # take the port between this look and the server's start.
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AirflowInstanceError("no free port between 20000 and 32000 on 127.0.0.1")


def _never_reuse_ids(database: sqlite3.Connection, table: str) -> None:
    """
    Let an empty table give out each id once, as other databases do.

    SQLite gives a deleted row's id to the next one. A triggerer that has not quite forgotten a deleted
    trigger never starts the one that got its id, and that one's task waits for ever.
    """
    query = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC"
    table_sql, *index_sql = (sql for (sql,) in database.execute(query, (table,)))
    table_sql = table_sql.replace("id INTEGER NOT NULL", "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", 1)
    key = r"(CONSTRAINT \w+ )?PRIMARY KEY \(id\)"
    table_sql = re.sub(rf"{key}\s*,|,\s*{key}", "", table_sql)
    database.execute(f'DROP TABLE "{table}"')
    for sql in (table_sql, *index_sql):
        database.execute(sql)
    database.commit()


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


if __name__ == "__main__":
    _watch(sys.stdin)
