# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One Airflow and one sandbox for all end-to-end tests."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Tests are imported by path, without a package around them.
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_instance import AirflowInstance

    from airflow_provider_ingestjobs.sandbox import Sandbox

HERE = Path(__file__).parent
EXAMPLE_DAGS = HERE.parents[1] / "example_dags"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox; a vendor takes four seconds to stop a job, so that a cancel has something to wait for."""
    from airflow_provider_ingestjobs.sandbox import Sandbox

    with Sandbox() as running:
        running.cancel_delay = 4
        yield running


class MetricsServer:
    """Takes in what Airflow sends over UDP in StatsD's format, with InfluxDB's tags."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._receive, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """Return the settings with which Airflow sends its metrics here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "ingestjobs",
        }

    def _receive(self) -> None:
        while True:
            for line in self._socket.recv(65536).decode().splitlines():
                # airflow.ingestjobs.polls,vendor=narrative,connection=narrative_default:1|c
                name, _, value = line.rpartition("|")[0].rpartition(":")
                name, *tags = name.split(",")
                connection = dict(tag.split("=", 1) for tag in tags).get("connection", "")
                self.values[name.removeprefix("airflow.ingestjobs."), connection].append(float(value))


@pytest.fixture(scope="session")
def metrics() -> MetricsServer:
    """The metrics of all processes of this session's Airflow."""
    return MetricsServer()


@pytest.fixture(scope="session")
def airflow(
    sandbox: Sandbox, metrics: MetricsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowInstance]:
    """A running Airflow with the example DAGs and the tests' own, connected to the sandbox."""
    from airflow_instance import AirflowInstance

    dags = tmp_path_factory.mktemp("dags")
    for folder in (EXAMPLE_DAGS, HERE / "dags"):
        shutil.copytree(folder, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path_factory.mktemp("airflow")
    environment = {**sandbox.connection_env(), **metrics.environment()}
    with AirflowInstance(home, dags, environment, parallelism=8) as instance:
        yield instance
