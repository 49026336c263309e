# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Start Narrative: create a materialised view, and refresh another one

Both jobs are started once. Narrative's API cannot cancel a job: one whose task is killed goes on, and the
task's next try waits for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.narrative import (
    NarrativeRefreshViewOperator,
    NarrativeRunQueryOperator,
)

LOOKALIKES = """
CREATE MATERIALIZED VIEW "lookalikes"
EXPIRE = 'P30D'
AS SELECT "company_data"."42"."hashed_email" FROM "company_data"."42"
"""


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "narrative"],
    doc_md=__doc__,
    default_args={
        "poll_interval": 5,
        "timeout": 60 * 60,
        "deferrable": True,
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
    },
    params={"dataset_id": Param("4711", type="string", description="The data set of the view to refresh")},
)
def example_start_narrative() -> None:
    create_lookalikes = NarrativeRunQueryOperator(task_id="create_lookalikes", nql=LOOKALIKES)
    refresh_view = NarrativeRefreshViewOperator(
        task_id="refresh_view", dataset_id="{{ params.dataset_id }}", refresh_type="incremental"
    )

    @task
    def activate(jobs: list[dict[str, Any]]) -> str:
        return f"activated the data sets {', '.join(str(job['details']['dataset_id']) for job in jobs)}"

    # Typed Any: what reaches the task function are the jobs, not Airflow's references to them.
    jobs: list[Any] = [create_lookalikes.output, refresh_view.output]
    activated: Any = jobs
    activate(activated)


example_start_narrative()
