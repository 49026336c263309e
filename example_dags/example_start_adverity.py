# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Start Adverity: fetch a range of days anew, and report on it

Starts one fetch, once: should Adverity's answer get lost, or the worker die, it is found again by its
datastream and range. A failed fetch is fetched again by the task's retry.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.operators.adverity import AdverityFetchOperator


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "adverity"],
    doc_md=__doc__,
    params={
        "datastream_id": Param("230", type="string", description="The datastream to fetch"),
        "first_day": Param("2026-11-01", type="string", format="date"),
        "last_day": Param("2026-11-07", type="string", format="date"),
    },
)
def example_start_adverity() -> None:
    fetch = AdverityFetchOperator(
        task_id="fetch",
        datastream_id="{{ params.datastream_id }}",
        range_start="{{ params.first_day }}",
        range_end="{{ params.last_day }}",
        priority="high",
        poll_interval=5,
        timeout=60 * 60,
        deferrable=True,
        retries=2,
        retry_delay=timedelta(minutes=1),
    )

    @task
    def report(jobs: list[dict[str, Any]]) -> str:
        return f"reported on {jobs[0]['name']}, with data until {jobs[-1]['details']['range_end']}"

    # Typed Any: what reaches the task function are the jobs, not Airflow's reference to them.
    jobs: Any = fetch.output
    report(jobs)


example_start_adverity()
