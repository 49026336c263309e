# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A deferred wait for each of the jobs that the run's conf names."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from ingestjobs_airbyte.sensors.airbyte import AirbyteJobsSensor

with DAG("airbyte_waits", schedule=None, catchup=False, params={"job_ids": []}):

    @task
    def started(params: dict[str, Any]) -> list[str]:
        return list(params["job_ids"])

    AirbyteJobsSensor.partial(task_id="wait", deferrable=True, poke_interval=1, timeout=150).expand(
        job_id=started()
    )
