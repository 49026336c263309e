# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
A whole Airflow on this machine: API server, scheduler, dag processor and triggerer over SQLite.

Every part is a process of its own, so that a test may kill one and start it again. All settings are
environment variables; nothing is read from, or written to, the user's own Airflow.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Self

import requests

from support.airflow_client import AirflowClient, AirflowInstanceError, WaitTimeoutError, task_path
from support.airflow_settings import LOGIN, environment
from support.processes import Watchdog, free_port, kill_sessions, session_members, signals_held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class AirflowInstance(AirflowClient):
    """
    A running Airflow; a context manager.

    :param home: becomes ``AIRFLOW_HOME``: database, logs, settings. Made when absent, never removed.
    :param dags_folder: the DAG files; every ``*.py`` in it whose name has no leading underscore must parse.
    :param env: more environment variables for all components, such as ``AIRFLOW_CONN_…``.
    :param parallelism: how many tasks run at the same time (deferred ones do not count).
    :param startup_timeout: seconds until everything must be healthy and every DAG parsed.
    :param base_path: what all paths begin with, such as ``/airflow``; or nothing.
    :param users: each user's role; one of them is ``admin``.
    """

    #: What can run, by name: the arguments of ``airflow`` that start it. The scheduler and the triggerer each
    #: offer their log folder over HTTP; here every log is a local file.
    commands: ClassVar[dict[str, Sequence[str]]] = {
        "api-server": ("api-server",),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
        "triggerer": ("triggerer", "--skip-serve-logs"),
        "second-triggerer": ("triggerer", "--skip-serve-logs"),
    }
    #: What runs from the beginning.
    components: ClassVar[tuple[str, ...]] = ("api-server", "scheduler", "dag-processor", "triggerer")
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
        base_path: str = "",
        users: Mapping[str, str] = MappingProxyType({LOGIN: "admin"}),
    ) -> None:
        self.home = home.resolve()
        self.dags_folder = dags_folder.resolve()
        self.passwords = {name: secrets.token_urlsafe(9) for name in users}
        self.timings: dict[str, float] = {}
        self._startup_timeout = startup_timeout
        self._port = free_port()
        self._base_path, self._users = base_path, dict(users)
        super().__init__(f"http://127.0.0.1:{self._port}{base_path}")
        self._env = self._environment(env or {}, parallelism)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog: Watchdog | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment that all components share."""
        return dict(self._env)

    @property
    def password(self) -> str:
        """The administrator's."""
        return self.passwords[LOGIN]

    def as_user(self, name: str) -> AirflowClient:
        """Log a user in."""
        client = AirflowClient(self.url)
        client.log_in(name, self.passwords[name])
        return client

    def __enter__(self) -> Self:
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # processes

    def of_kind(self, kind: str) -> list[str]:
        """
        The components of a kind that run from the beginning, where there is a second one both.

        :param kind: the first one's name.
        """
        return [name for name in self.components if name.removeprefix("second-") == kind]

    def start(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """
        Start one component; its output goes to ``<home>/<component>.log``.

        :param component: one of :attr:`commands`.
        :param env: more environment variables, for this component only.
        """
        if component not in self.commands:
            raise ValueError(f"component: {component!r} is none of {', '.join(self.commands)}")
        process = self._processes.get(component)
        if process is not None and process.poll() is None:
            raise AirflowInstanceError(f"{component} runs already (process {process.pid})")
        with self.log_file(component).open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches this process only, which then stops the
            # rest; and the session finds descendants that changed their process group or lost their parent.
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *self.commands[component]],
                env={**self._env, **(env or {})},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[component] = process
        self._watch(process.pid)

    def kill(self, component: str) -> None:
        """
        SIGKILL one component with all its child processes, and see it gone.

        :param component: one of :attr:`commands`.
        """
        process = self._processes.pop(component)
        kill_sessions([process.pid])
        process.wait()
        self._forget(process.pid)

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

        :param component: one of :attr:`commands`.
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

        :param component: one of :attr:`commands`.
        """
        process = self._processes.get(component)
        return session_members([process.pid]) if process else []

    def stop(self) -> None:
        """End every process. Nothing is shut down gently: the instance is thrown away."""
        with signals_held():
            kill_sessions([process.pid for process in self._processes.values()])
            for process in self._processes.values():
                process.wait()
            self._processes.clear()
            if self._watchdog is not None:
                self._watchdog.close()
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

        :param component: one of :attr:`commands`, or ``db`` for the migration.
        """
        return self.home / f"{component}.log"

    def log_tail(self, component: str, lines: int = 40) -> str:
        """
        The last lines of a component's output.

        :param component: one of :attr:`commands`, or ``db`` for the migration.
        :param lines: how many.
        """
        try:
            text = self.log_file(component).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return f"({component} has no log yet)"
        return "\n".join(text.splitlines()[-lines:])

    def cli(
        self, *arguments: str, module: str = "airflow", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a command line against this instance.

        :param arguments: for example ``"providers", "list"``.
        :param module: whose: ``python -m`` runs it.
        :param timeout: seconds.
        """
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self._env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # how it starts

    def _boot(self) -> None:
        began = time.monotonic()
        self.home.mkdir(parents=True, exist_ok=True)
        self._set_up_login()
        self._watchdog = Watchdog()
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
            self._watch(process.pid)
            try:
                code = process.wait(self._startup_timeout)
            except subprocess.TimeoutExpired as error:
                raise WaitTimeoutError(
                    f"airflow db migrate takes too long:\n{self.log_tail('db')}"
                ) from error
            self._forget(process.pid)
            del self._processes["db"]
        if code:
            raise AirflowInstanceError(f"airflow db migrate failed:\n{self.log_tail('db')}")

    def _set_up_login(self) -> None:
        (self.home / "simple_auth_manager_passwords.json.generated").write_text(
            json.dumps(self.passwords) + "\n", encoding="utf-8"
        )

    def _tune_database(self) -> None:
        # Readers and the one writer then do not wait for each other; the setting stays with the file.
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            _never_reuse_ids(database, "trigger")

    def _log_in(self) -> bool:
        try:
            self.log_in(LOGIN, self.password)
        except requests.RequestException:
            return False
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

    def _environment(self, extra: Mapping[str, str], parallelism: int) -> dict[str, str]:
        settings = environment(
            self.home, self.dags_folder, self._port, parallelism, self._base_path, self._users
        )
        return {**settings, **extra}

    def _watch(self, pid: int) -> None:
        if self._watchdog is not None:
            self._watchdog.watch(pid)

    def _forget(self, pid: int) -> None:
        if self._watchdog is not None:
            self._watchdog.forget(pid)


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
