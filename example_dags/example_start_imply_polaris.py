# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Start Imply Polaris: load a day from S3, then roll it up in SQL

Both jobs are started once. The specification of the first is the file `example_start_imply_polaris.json`, a
template; it replaces the day, so that even a second load would leave each row once. The second one's query
gets a comment before it, by which it is found again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.polaris import PolarisRunJobOperator

ROLL_UP = """
REPLACE INTO "ClicksPerPage" OVERWRITE ALL
SELECT "page", COUNT(*) AS "clicks" FROM "Clicks" GROUP BY 1
PARTITIONED BY ALL
"""


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "imply_polaris"],
    doc_md=__doc__,
    default_args={
        "poll_interval": 5,
        "timeout": 60 * 60,
        "deferrable": True,
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
    },
    params={"day": Param("2026-11-01", type="string", format="date", description="The day to load")},
)
def example_start_imply_polaris() -> None:
    load_day = PolarisRunJobOperator(task_id="load_day", spec="example_start_imply_polaris.json")
    roll_up = PolarisRunJobOperator(task_id="roll_up", spec={"type": "sql", "query": ROLL_UP.strip()})

    @task
    def report(job: dict[str, Any]) -> str:
        return f"{job['target']} is up to date"

    # Typed Any: what reaches the task function is the job, not Airflow's reference to it.
    job: Any = roll_up.output
    load_day >> roll_up
    report(job)


example_start_imply_polaris()
