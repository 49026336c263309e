# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Without workers: nothing of a wait runs in a worker

The scheduler hands the sensor to the triggerer, which waits, judges the job's rows and ends the task. On
Airflow before 3.3 a worker starts it; the result is the same.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]

from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "amperity"],
    doc_md=__doc__,
    default_args={"deferrable": True, "start_from_trigger": True, "end_from_trigger": True},
    # Without a type: only a worker would check it.
    params={"job_id": "isj-20261102-30112-Loyal1"},
)
def example_without_workers() -> None:
    wait_for_members = AmperityJobSensor(
        task_id="wait_for_members",
        job_id="{{ params.job_id }}",
        checks={"min_rows": 1},
        poke_interval=5,
        timeout=60 * 60,
    )
    # Typed Any: what reaches the task function is the job, not Airflow's reference to it.
    job: Any = wait_for_members.output

    @task
    def publish(job: dict[str, Any]) -> str:
        return f"published {job['target']}"

    publish(job)


example_without_workers()
