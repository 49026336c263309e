# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Start Amperity: run a courier group for one day's files

Starts a workflow run, once, and waits for the run itself: a day without files loads nothing, and is a
success, too. `workflow_name` is what the run is found again by, should Amperity's answer get lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.amperity import AmperityRunWorkflowOperator


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "amperity"],
    doc_md=__doc__,
    params={
        "config_id": Param("cg-123ABc4DE", type="string", description="The courier group's id"),
        "day": Param("2026-11-01", type="string", format="date", description="The day of its files"),
    },
)
def example_start_amperity() -> None:
    run_courier_group = AmperityRunWorkflowOperator(
        task_id="run_courier_group",
        config_id="{{ params.config_id }}",
        range_from="{{ params.day }}",
        # As Amperity's Workflows page shows it.
        workflow_name="Daily ingest",
        poll_interval=5,
        timeout=4 * 60 * 60,
        deferrable=True,
        retries=2,
        retry_delay=timedelta(minutes=1),
    )

    @task
    def report(run: dict[str, Any]) -> str:
        tables = [job["target"] for job in run["details"]["ingest_jobs"]]
        return f"{run['name']} has loaded {', '.join(tables) or 'nothing'}"

    # Typed Any: what reaches the task function is the run, not Airflow's reference to it.
    run: Any = run_courier_group.output
    report(run)


example_start_amperity()
