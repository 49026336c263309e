# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### All vendors: wait for every source at once, then build the audience

Four vendors load their part at the same time; no worker slot is occupied while they do. The data set
from Narrative is a bonus: if that job fails, its sensor is skipped (`soft_fail`) and the audience is built
without it.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import BaseOperator, Param, TaskGroup, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import BaseOperator, Param
    from airflow.utils.task_group import TaskGroup  # type: ignore[import-not-found, no-redef]

from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "amperity", "adverity", "imply_polaris", "narrative"],
    doc_md=__doc__,
    default_args={"poke_interval": 5, "timeout": 60 * 60, "deferrable": True},
    params={
        "customers_job_id": Param(
            "isj-20261102-30112-Loyal1", type="string", description="Amperity ingest job"
        ),
        "spend_job_id": Param("7301104", type="string", description="Adverity fetch"),
        "events_job_id": Param(
            "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1001", type="string", description="Polaris ingestion job"
        ),
        "lookalikes_job_id": Param(
            "2a5b9ad7-dc8f-47bb-8e62-843a38f81002", type="string", description="Narrative job"
        ),
    },
)
def example_all_vendors() -> None:
    with TaskGroup("sources"):
        sources: list[BaseOperator] = [
            AmperityJobSensor(task_id="customers", job_id="{{ params.customers_job_id }}"),
            AdverityJobSensor(
                task_id="spend",
                job_id="{{ params.spend_job_id }}",
                # Adverity discards a fetch whose predecessor failed; what was fetched before still counts.
                expected_states=("succeeded", "cancelled"),
            ),
            PolarisJobSensor(task_id="events", job_id="{{ params.events_job_id }}"),
            NarrativeJobSensor(task_id="lookalikes", job_id="{{ params.lookalikes_job_id }}", soft_fail=True),
        ]

    @task(trigger_rule="none_failed")
    def summarise(jobs: list[dict[str, Any] | None]) -> dict[str, str]:
        return {job["vendor"]: f"{job['target']}: {job['vendor_state']}" for job in jobs if job}

    @task
    def build_audience(loaded: dict[str, str]) -> str:
        return f"audience built from {', '.join(loaded)}"

    # Typed Any: what reaches the task functions are values, not Airflow's references to them.
    jobs: list[Any] = [source.output for source in sources]
    loaded: Any = summarise(jobs)
    build_audience(loaded)


example_all_vendors()
