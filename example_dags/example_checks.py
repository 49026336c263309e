# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Checks: a job that succeeded with bad rows is no success

`checks` sets limits for a job's row counts, `check` is any function of the job. The first sensor fails, as
too many of its job's rows were rejected, and the rows are held back; the second one's job is fine.
"""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task  # type: ignore[attr-defined, no-redef]
    from airflow.models import Param

from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor


def mostly_updates(job: Job) -> bool | str:
    inserted, updated = job.rows.inserted or 0, job.rows.updated or 0
    return inserted <= updated or f"{inserted} new members are more than the {updated} known ones"


@dag(
    schedule=None,
    catchup=False,
    tags=["ingestjobs", "amperity"],
    doc_md=__doc__,
    default_args={"poke_interval": 5, "timeout": 60 * 60, "deferrable": True},
    params={
        "emails_job_id": Param("isj-20261102-30115-Email4", type="string", description="Has bad rows"),
        "members_job_id": Param("isj-20261102-30112-Loyal1", type="string", description="Has none"),
    },
)
def example_checks() -> None:
    emails = AmperityJobSensor(
        task_id="emails",
        job_id="{{ params.emails_job_id }}",
        checks={"min_rows": 1, "max_rejected_ratio": 0.05, "max_error_rows": 50},
    )
    members = AmperityJobSensor(
        task_id="members", job_id="{{ params.members_job_id }}", checks={"min_rows": 1}, check=mostly_updates
    )

    @task(trigger_rule="all_failed")
    def hold_back() -> str:
        return "held back the emails"

    @task
    def publish(job: dict[str, Any]) -> str:
        return f"published {job['target']}"

    # Typed Any: what reaches the task function is the job, not Airflow's reference to it.
    loaded: Any = members.output

    emails >> hold_back()
    publish(loaded)


example_checks()
