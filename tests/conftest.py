# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A scratch Airflow, one sandbox for the whole session, and connections to it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING

# Airflow reads these when it is first imported; nothing of the user's own Airflow is read or written.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
AIRFLOW_HOME = tempfile.mkdtemp(prefix="ingestjobs-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": AIRFLOW_HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    # Triggers hold their event back until a worker must have reported the end of the task that deferred.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0",
}

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from airflow_provider_ingestjobs.sandbox import Sandbox  # noqa: E402
from airflow_provider_ingestjobs.sandbox.fixtures import (  # noqa: E402, F401 used as fixtures
    _ingest_sandbox_server,
    ingest_sandbox,
)
from support import task_runs  # noqa: E402
from support.connections import Connections  # noqa: E402
from support.logs import Logs, captured_logs  # noqa: E402
from support.recorder import Recorder  # noqa: E402

# How fast examples are made and run says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

if TYPE_CHECKING:
    from collections.abc import Iterator


pytest_plugins = ["support.matrix_report", "support.vendor_requests"]


@pytest.fixture
def sandbox(ingest_sandbox: Sandbox) -> Sandbox:  # noqa: F811 a fixture
    ingest_sandbox.cancel_delay = 0.1
    return ingest_sandbox


@pytest.fixture
def connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Connections:
    return Connections(sandbox, monkeypatch)


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Everything that is logged, down to DEBUG."""
    with captured_logs() as captured:
        yield captured


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request that fails not be sent again: where retries are not the point, they only take time."""
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let up to four jobs be read by their ids, though a list may have them all."""
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.reading.FEWEST_FROM_LISTS", 5)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A server that keeps what it gets, headers and bodies too, and answers what it is told to."""
    with Recorder() as running:
        yield running


@pytest.fixture
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the shared poll keep up with tests: new waits gather for less long, and polls come closer."""
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.02)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.MIN_INTERVAL", 0.02)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.job.LOG_LEAD", 0.0)
    yield
    # What a poll that nobody waits for any more still asks is not the next test's.
    for thread in threading.enumerate():
        if thread.name == "ingestjobs":
            thread.join(5)


@pytest.fixture(autouse=True)
def reschedules_without_a_database() -> Iterator[None]:
    """Airflow 2 asks its database when a sensor was first rescheduled, Airflow 3 the task instance."""
    with task_runs.reschedules_without_a_database():
        yield
