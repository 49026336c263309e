# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Adverity: report on fresh data, or on yesterday's

Adverity discards a fetch whose predecessor failed. That is no reason to fail here: the sensor also accepts
a cancelled job, and the DAG then reports on what it already has. Meanwhile, stops a backfill that hogs the
queue.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.adverity import AdverityCancelJobOperator
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "adverity"],
    doc_md=__doc__,
    params={
        "job_id": Param("7301101", type="string", description="The fetch to wait for"),
        "backfill_job_id": Param("7301103", type="string", description="The backfill to stop"),
    },
)
def example_adverity() -> None:
    wait_for_fetch = AdverityJobSensor(
        task_id="wait_for_fetch",
        job_id="{{ params.job_id }}",
        expected_states=("succeeded", "cancelled"),
        poke_interval=5,
        timeout=60 * 60,
        deferrable=True,
    )
    # Typed Any: what reaches the task functions is the job, not Airflow's reference to it.
    job: Any = wait_for_fetch.output

    @task.branch
    def check_freshness(job: dict[str, Any]) -> str:
        return "report_fresh" if job["state"] == "succeeded" else "report_stale"

    @task
    def report_fresh(job: dict[str, Any]) -> str:
        return f"reported on {job['name']}, with data until {job['details']['range_end']}"

    @task
    def report_stale(job: dict[str, Any]) -> str:
        return f"reported on the last good fetch of {job['name']}: this one is {job['vendor_state']}"

    AdverityCancelJobOperator(
        task_id="stop_backfill",
        job_id="{{ params.backfill_job_id }}",
        poll_interval=5,
        deferrable=True,
    )

    check_freshness(job) >> [report_fresh(job), report_stale(job)]


example_adverity()
