# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""An Airflow as people run it: PostgreSQL, Celery, two of what may fail, and a secrets backend."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.metrics_server import MetricsServer
    from support.production_instance import ProductionInstance
    from support.troubled_secrets import Secrets

DAGS = Path(__file__).parents[1] / "dags"


@pytest.fixture(scope="session")
def secrets(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The secrets backend that has the connections to the sandbox."""
    from support.troubled_secrets import Secrets

    return Secrets(tmp_path_factory.mktemp("secrets") / "backend", sandbox.connection_env())


@pytest.fixture(scope="session")
def airflow(
    secrets: Secrets, metrics: MetricsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionInstance]:
    """A running Airflow with the tests' DAGs."""
    from support.production_instance import ProductionInstance

    dags = tmp_path_factory.mktemp("dags")
    shutil.copytree(DAGS, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path_factory.mktemp("airflow")
    environment = {**secrets.environment(), **metrics.environment()}
    with ProductionInstance(home, dags, environment, parallelism=12) as instance:
        yield instance


@pytest.fixture(autouse=True)
def _all_well(airflow: ProductionInstance, sandbox: Sandbox, secrets: Secrets) -> Iterator[None]:
    """After each test all components run, and neither the vendor nor the secrets backend is in trouble."""
    yield
    sandbox.clear_faults()
    secrets.trouble()
    for component in airflow.components:
        if not airflow.pids(component):
            airflow.start(component)
