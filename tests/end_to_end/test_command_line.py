# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The commands as people type them, against a real Airflow's database."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from airflow import __version__ as airflow_version

from support.vendors import BY_NAME, NARRATIVE

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

TAKES_COMMANDS = not airflow_version.startswith(("2.", "3.0.", "3.1."))
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def as_module(airflow: AirflowInstance) -> Command:
    """Run a command as a module of this package."""
    return partial(airflow.cli, module="airflow_provider_ingestjobs")


@pytest.fixture
def command(airflow: AirflowInstance, as_module: Command) -> Command:
    """Run a command, as Airflow's own where it takes that."""
    return partial(airflow.cli, "ingestjobs") if TAKES_COMMANDS else as_module


@pytest.fixture(scope="module")
def of_database(airflow: AirflowInstance, sandbox: Sandbox) -> str:
    """A connection that only the database has."""
    fields = {**sandbox.connection("narrative"), "conn_id": "narrative_of_database"}
    fields["connection_id"] = fields.pop("conn_id")
    fields["extra"] = json.dumps(fields.get("extra") or {})
    airflow.api("POST", "connections", json=fields)
    return str(fields["connection_id"])


def result(done: subprocess.CompletedProcess[str]) -> Any:
    """The result of a command that was asked for JSON: nothing else may be on stdout."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_connections(command: Command, of_database: str) -> None:
    rows = result(command("connections", "-o", "json"))
    ids = {row["conn_id"] for row in rows}
    assert {of_database, *(case.default_conn_id for case in BY_NAME.values())} <= ids


def test_a_connection_of_the_database(command: Command, of_database: str, sandbox: Sandbox) -> None:
    job_id = sandbox.add_job("narrative", timeline=[(-60, "running"), (-1, "completed")])
    (row,) = result(command("test", of_database, "-o", "json"))
    assert row["works"]
    assert job_id in {job["id"] for job in result(command("list", of_database, "-o", "json"))}
    assert result(command("get", of_database, job_id, "-o", "json"))["state"] == "succeeded"


def test_as_a_module(as_module: Command, of_database: str) -> None:
    (row,) = result(as_module("test", of_database, "-o", "json"))
    assert row["works"]


def test_watch_and_cancel(command: Command, of_database: str, sandbox: Sandbox) -> None:
    job_id = sandbox.add_job("amperity", timeline=[(0, "running")])
    late = command("watch", "amperity_default", job_id, "--timeout", "1s", "--poll-interval", "1s")
    assert late.returncode == 3, late.stderr
    unanswered = command("cancel", "amperity_default", job_id)
    assert unanswered.returncode == 2
    (job,) = result(
        command(
            "cancel", "amperity_default", job_id, "--yes", "--wait", "--poll-interval", "1s", "-o", "json"
        )
    )
    assert job["state"] == "cancelled"
    done = command("watch", "amperity_default", job_id)
    assert done.returncode == 1
    assert f"Amperity job {job_id} is cancelled" in done.stderr


def test_errors_are_one_line(command: Command, of_database: str) -> None:
    done = command("list", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("conn_id='nowhere' cannot be used: ")
    done = command("get", of_database, NARRATIVE.other_id)
    assert (done.returncode, done.stdout) == (5, "")
    assert "Traceback" not in done.stderr
