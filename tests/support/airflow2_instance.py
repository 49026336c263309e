# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A whole Airflow 2 on this machine, over PostgreSQL: there, SQLite would run one task at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from support.airflow_client import task_path
from support.airflow_instance import AirflowInstance
from support.services import Postgres

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Airflow2Instance(AirflowInstance):
    """
    A running Airflow 2; a context manager.

    :param arguments: see :class:`AirflowInstance`.
    """

    # The scheduler reads the DAG files, too.
    commands: ClassVar[dict[str, Sequence[str]]] = {**AirflowInstance.commands, "webserver": ("webserver",)}
    components: ClassVar[tuple[str, ...]] = ("webserver", "scheduler", "triggerer")
    api_root: ClassVar[str] = "api/v1"
    parts: ClassVar[tuple[str, ...]] = ("metadatabase", "scheduler", "triggerer")
    manual_run: ClassVar[dict[str, Any]] = {}
    xcom_params: ClassVar[dict[str, str]] = {"stringify": "false"}
    _database: Postgres | None = None

    def stop(self) -> None:
        """End every process, the database's as well."""
        super().stop()
        if self._database is not None:
            self._database.close()
            self._database = None

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """
        Mark a task instance, as a user does in the UI.

        :param state: ``failed``, ``success`` or ``skipped``.
        """
        body = {"dry_run": False, "new_state": state}
        self.api("PATCH", task_path(dag_id, run_id, task_id), json=body)

    def health(self) -> dict[str, Any]:
        """The health endpoint's answer."""
        return dict(self.api("GET", "health", root=""))

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """A task instance's extra links: name to address."""
        return dict(self.api("GET", f"{task_path(dag_id, run_id, task_id)}/links"))

    def _set_up_login(self) -> None:
        # Whoever comes to this port of this machine may do anything, and needs no password.
        settings = "WTF_CSRF_ENABLED = False\nAUTH_ROLE_PUBLIC = 'Admin'\n"
        (self.home / "webserver_config.py").write_text(settings, encoding="utf-8")

    def _log_text(self, path: str, params: dict[str, str]) -> str:
        return self.read("GET", path, params=params, headers={"Accept": "text/plain"}).text

    def _log_in(self) -> bool:
        return self.answers()

    def _tune_database(self) -> None:
        pass

    def _environment(self, extra: Mapping[str, str], parallelism: int) -> dict[str, str]:
        self._database = Postgres()
        settings = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database.url("psycopg2"),
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self._port),
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__WEBSERVER__SECRET_KEY": "of these tests",
            "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "60",
        }
        return super()._environment({**settings, **extra}, parallelism)
