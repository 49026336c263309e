# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One Airflow and one sandbox for all end-to-end tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.metrics_server import MetricsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

HERE = Path(__file__).parent
EXAMPLE_DAGS = HERE.parents[1] / "example_dags"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox; a vendor takes four seconds to stop a job, so that a cancel has something to wait for."""
    from airflow_provider_ingestjobs.sandbox import Sandbox

    with Sandbox() as running:
        running.cancel_delay = 4
        yield running


@pytest.fixture(scope="session")
def metrics() -> MetricsServer:
    """The metrics of all processes of this session's Airflow."""
    return MetricsServer()


@pytest.fixture(scope="session")
def airflow(
    sandbox: Sandbox, metrics: MetricsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowInstance]:
    """A running Airflow with the example DAGs and the tests' own, connected to the sandbox."""
    from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3

    dags = tmp_path_factory.mktemp("dags")
    left_out = shutil.ignore_patterns("__pycache__", *([] if AIRFLOW_3 else ["airflow_3"]))
    for folder in (EXAMPLE_DAGS, HERE / "dags"):
        shutil.copytree(folder, dags, dirs_exist_ok=True, ignore=left_out)
    home = tmp_path_factory.mktemp("airflow")
    environment = {
        **sandbox.connection_env(),
        **metrics.environment(),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    }
    with instance_class()(home, dags, environment, parallelism=8) as instance:
        yield instance


def instance_class() -> type[AirflowInstance]:
    """Airflow over SQLite; or Airflow 2."""
    from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3

    if not AIRFLOW_3:
        from support.airflow2_instance import Airflow2Instance

        return Airflow2Instance
    from support.airflow_instance import AirflowInstance

    return AirflowInstance
