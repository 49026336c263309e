# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Imply Polaris: query the table, or look at the bad rows first

Waits for a batch ingestion job without occupying a worker slot, and reads from XCom how many rows could not
be parsed. Meanwhile, cancels a job that was started by mistake.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.polaris import PolarisCancelJobOperator
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "imply_polaris"],
    doc_md=__doc__,
    params={
        "job_id": Param(
            "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1004", type="string", description="The ingestion job to wait for"
        ),
        "mistaken_job_id": Param(
            "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1003", type="string", description="The job to cancel"
        ),
    },
)
def example_imply_polaris() -> None:
    wait_for_ingestion = PolarisJobSensor(
        task_id="wait_for_ingestion",
        job_id="{{ params.job_id }}",
        poke_interval=5,
        timeout=60 * 60,
        deferrable=True,
    )
    # Typed Any: what reaches the task functions is the job, not Airflow's reference to it.
    job: Any = wait_for_ingestion.output

    @task.branch
    def check_rows(job: dict[str, Any]) -> str:
        return "inspect_bad_rows" if job["rows"]["errors"] else "query_table"

    @task
    def query_table(job: dict[str, Any]) -> str:
        return f"queried {job['target']}: {job['rows']['read']} rows went in"

    @task
    def inspect_bad_rows(job: dict[str, Any]) -> str:
        return f"{job['rows']['errors']} rows for {job['target']} could not be parsed"

    PolarisCancelJobOperator(
        task_id="cancel_mistaken_job",
        job_id="{{ params.mistaken_job_id }}",
        poll_interval=5,
        deferrable=True,
    )

    check_rows(job) >> [query_table(job), inspect_bad_rows(job)]


example_imply_polaris()
