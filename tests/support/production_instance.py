# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""An Airflow as people run it: over PostgreSQL, tasks in Celery's workers, and two of what may fail."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from support.airflow_instance import AirflowInstance
from support.services import Postgres, Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class ProductionInstance(AirflowInstance):
    """
    A running Airflow with CeleryExecutor; a context manager.

    Two schedulers, two workers and two triggerers, an API server and a dag processor.

    :param arguments: see :class:`AirflowInstance`.
    """

    commands: ClassVar[dict[str, Sequence[str]]] = {
        **AirflowInstance.commands,
        "second-scheduler": AirflowInstance.commands["scheduler"],
        "worker": ("celery", "worker", "--celery-hostname", "first@%h", "--skip-serve-logs"),
        "second-worker": ("celery", "worker", "--celery-hostname", "second@%h", "--skip-serve-logs"),
    }
    components: ClassVar[tuple[str, ...]] = tuple(commands)
    postgres: Postgres
    _redis: Redis
    _is_supervised = False

    def stop(self) -> None:
        """End every process, those of PostgreSQL and Redis as well."""
        super().stop()
        self._redis.close()
        self.postgres.close()

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        """While something is waited for, start components again that have ended by themselves."""
        self._is_supervised = True
        try:
            yield
        finally:
            self._is_supervised = False

    def check_alive(self) -> None:
        """Raise with the end of its log if a component has died on its own, unless it is supervised."""
        if self._is_supervised:
            for name, process in list(self._processes.items()):
                if process.poll() is not None:
                    self.start(name)
        super().check_alive()

    def _tune_database(self) -> None:
        pass

    def _environment(self, extra: Mapping[str, str], parallelism: int) -> dict[str, str]:
        self.postgres = Postgres()
        self._redis = Redis()
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url("psycopg2"),
            "AIRFLOW__CELERY__BROKER_URL": self._redis.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.postgres.url('psycopg2')}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(max(2, parallelism // 2)),
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            # A worker that was killed says nothing: its tasks are missed by their heartbeats, and those that
            # it had only fetched by how long they are queued. Airflow's defaults are five and ten minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        }
        return super()._environment({**settings, **extra}, parallelism)
