# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Both packages in a real Airflow. Needs the repository's ``tests`` on the path: ``tox -e airbyte``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from airflow_provider_ingestjobs.sandbox import Sandbox
from ingestjobs_airbyte.sandbox import Airbyte

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

DAG = "airbyte_waits"
DAGS = Path(__file__).parent / "dags"
WAITS = 12
#: Polls in a row that must be of all waits together.
POLLS = 4


@pytest.fixture(scope="module")
def airbyte() -> Iterator[Sandbox]:
    """An Airbyte whose jobs move in earnest."""
    with Sandbox(vendors=[Airbyte]) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(airbyte: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstance]:
    instance = pytest.importorskip("support.airflow_instance")
    home = tmp_path_factory.mktemp("airflow")
    with instance.AirflowInstance(home, DAGS, airbyte.connection_env()) as running:
        yield running


def last_requests(airbyte: Sandbox, count: int) -> list[tuple[str, bool]]:
    """Return the path of each of the last requests, and whether it was a list of changes."""
    last = airbyte.requests("airbyte")[-count:]
    return [(request.path, "updatedAtStart" in parse_qs(request.query)) for request in last]


def test_airflow_knows_the_provider_and_its_connection_type(airflow: AirflowInstance) -> None:
    listed = airflow.api("GET", "providers", params={"limit": 100})["providers"]
    assert {"airflow-provider-ingestjobs", "ingestjobs-airbyte"} <= {one["package_name"] for one in listed}
    types = airflow.api("GET", "connections/hook_meta", root="ui")
    (ours,) = [one for one in types if one["connection_type"] == "airbyte_jobs"]
    assert "api_path" in ours["extra_fields"]


def test_deferred_waits_share_the_polls_of_the_list(airflow: AirflowInstance, airbyte: Sandbox) -> None:
    job_ids = [airbyte.add_job("airbyte", timeline=[(0, "running")]) for _ in range(WAITS)]
    run_id = airflow.trigger(DAG, {"job_ids": job_ids})

    def waits() -> dict[int, str]:
        tasks = airflow.task_instances(DAG, run_id)
        return {task["map_index"]: task["state"] for task in tasks if task["task_id"] == "wait"}

    airflow.wait_for(
        lambda: list(waits().values()) == ["deferred"] * WAITS, 90, what=lambda: f"deferral: {waits()}"
    )
    # One list after the other, and no job's own address in between: nobody asks for a job alone.
    polls = [(f"{Airbyte.api_path}/jobs", True)] * POLLS
    airflow.wait_for(
        lambda: last_requests(airbyte, POLLS) == polls,
        30,
        what=lambda: f"polls of all waits together: {last_requests(airbyte, 3 * WAITS)}",
    )
    for job_id in job_ids:
        airbyte.set_state("airbyte", job_id, "succeeded")
    assert airflow.wait_for_run(DAG, run_id, 90) == "success"
    assert waits() == dict.fromkeys(range(WAITS), "success")
