# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Narrative: activate a data set, or say why it is not there

Waits for a job without occupying a worker slot, and also takes a failed job for an answer, to tell the owners
in the vendor's own words what went wrong. (Narrative's API cannot cancel a job.)
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "narrative"],
    doc_md=__doc__,
    params={
        "job_id": Param(
            "2a5b9ad7-dc8f-47bb-8e62-843a38f81001", type="string", description="The job to wait for"
        )
    },
)
def example_narrative() -> None:
    wait_for_dataset = NarrativeJobSensor(
        task_id="wait_for_dataset",
        job_id="{{ params.job_id }}",
        expected_states=("succeeded", "failed"),
        poke_interval=5,
        timeout=60 * 60,
        deferrable=True,
    )
    # Typed Any: what reaches the task functions is the job, not Airflow's reference to it.
    job: Any = wait_for_dataset.output

    @task.branch
    def check_outcome(job: dict[str, Any]) -> str:
        return "activate" if job["state"] == "succeeded" else "tell_owners"

    @task
    def activate(job: dict[str, Any]) -> str:
        return f"activated data set {job['details']['dataset_id']}"

    @task
    def tell_owners(job: dict[str, Any]) -> str:
        return f"no new data set: {job['failure']}"

    check_outcome(job) >> [activate(job), tell_owners(job)]


example_narrative()
