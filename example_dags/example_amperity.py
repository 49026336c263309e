# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Amperity: publish the rows, or quarantine them

Waits for an ingest job without occupying a worker slot, reads the row counts it left in XCom, and publishes
only if few rows were rejected. Meanwhile, stops the older job that this one replaces.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.amperity import AmperityCancelJobOperator
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor

MOST_REJECTED = 0.01  # of the rows read


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "amperity"],
    doc_md=__doc__,
    params={
        "job_id": Param("isj-20261102-30115-Email4", type="string", description="The ingest job to wait for"),
        "replaced_job_id": Param(
            "isj-20261102-30114-Hist03", type="string", description="The older job to stop"
        ),
    },
)
def example_amperity() -> None:
    wait_for_ingest = AmperityJobSensor(
        task_id="wait_for_ingest",
        job_id="{{ params.job_id }}",
        poke_interval=5,
        timeout=60 * 60,
        deferrable=True,
    )
    # Typed Any: what reaches the task functions is the job, not Airflow's reference to it.
    job: Any = wait_for_ingest.output

    @task.branch
    def check_rows(job: dict[str, Any]) -> str:
        rows = job["rows"]
        return "quarantine" if rows["rejected"] > rows["read"] * MOST_REJECTED else "publish"

    @task
    def publish(job: dict[str, Any]) -> str:
        return f"published {job['rows']['inserted']} new rows of {job['target']}"

    @task
    def quarantine(job: dict[str, Any]) -> str:
        return f"held back {job['target']}: {job['rows']['rejected']} rows rejected"

    AmperityCancelJobOperator(
        task_id="stop_replaced_job",
        job_id="{{ params.replaced_job_id }}",
        poll_interval=5,
        deferrable=True,
    )

    check_rows(job) >> [publish(job), quarantine(job)]


example_amperity()
