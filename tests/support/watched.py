# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The DAGs ``started_by_1`` and ``started_by_2``, which start when Narrative's jobs have ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.vendor_jobs import SUCCEEDED, add_job

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance


def started_by(airflow: AirflowInstance, number: int) -> list[str]:
    """The jobs that have started runs of a watching DAG, by the assets' events."""
    dag_id = f"started_by_{number}"
    return [
        event["extra"]["payload"]["id"]
        for run in airflow.runs(dag_id)
        if run["start_date"]
        for event in airflow.asset_events(dag_id, run["dag_run_id"])
    ]


def end_a_job(sandbox: Sandbox, number: int) -> str:
    """Let a job that a DAG watches for start and end."""
    job_id = add_job(sandbox, "narrative", starts="now", fields={"dataset_id": 100 + number})
    sandbox.set_state("narrative", job_id, SUCCEEDED["narrative"])
    return job_id


def wait_until_started(airflow: AirflowInstance, number: int, jobs: list[str]) -> None:
    """Wait until jobs have started a DAG, then longer than a poll, and see that each did once."""
    airflow.wait_for(
        lambda: set(jobs) <= set(started_by(airflow, number)),
        60,
        what=lambda: f"{jobs} to start a DAG, not only {started_by(airflow, number)}",
    )
    time.sleep(3)
    assert sorted(started_by(airflow, number)) == sorted(jobs)


def list_requests(sandbox: Sandbox) -> list[str]:
    """The requests for lists of Narrative's jobs, which nobody but the watchers makes here."""
    return [request.query for request in sandbox.requests("narrative") if request.path.endswith("/jobs")]
