# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Select jobs: wait for what Adverity fetched for this run's data

Adverity starts its fetches by its own schedule, so nobody here knows their ids. The sensor takes all fetches
of a datastream that started within the run's data interval, and waits until they have ended. `settle` leaves
time for a fetch that starts late.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "adverity"],
    doc_md=__doc__,
    params={"datastream_id": Param("221", type="string", description="The datastream whose fetches count")},
)
def example_selection() -> None:
    wait_for_fetches = AdverityJobSensor(
        task_id="wait_for_fetches",
        datastream_id="{{ params.datastream_id }}",
        # For a run without a data interval, such as one triggered in the UI.
        look_back=timedelta(hours=6),
        min_jobs=1,
        settle=timedelta(seconds=10),
        poke_interval=5,
        timeout=60 * 60,
        deferrable=True,
    )

    @task
    def summarise(jobs: list[dict[str, Any]]) -> str:
        return f"{len(jobs)} fetches of {jobs[0]['name']}, with data until {jobs[-1]['details']['range_end']}"

    # Typed Any: what reaches the task function are the jobs, not Airflow's reference to them.
    jobs: Any = wait_for_fetches.output
    summarise(jobs)


example_selection()
