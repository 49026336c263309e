# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Tasks that select jobs which nobody here started, or judge them by their rows."""

from __future__ import annotations

from typing import Any

from airflow_provider_ingestjobs.airflow_compat import DAG
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

SELECTING: dict[str, Any] = {
    "deferrable": True,
    "poke_interval": 1,
    "timeout": 120,
    "min_jobs": 1,
    "settle": 8,
}

with DAG("selections", schedule=None, catchup=False, params={}) as selections:
    AmperityJobSensor(task_id="amperity", feed_id="df-e2e", **SELECTING)
    AdverityJobSensor(task_id="adverity", datastream_id=31, **SELECTING)
    PolarisJobSensor(task_id="polaris", table_name="e2e", **SELECTING)
    NarrativeJobSensor(task_id="narrative", dataset_id=31, **SELECTING)
    for name, soft_fail in (("check_fails", False), ("check_skips", True)):
        AmperityJobSensor(
            task_id=name,
            job_id="{{ params." + name + " }}",
            checks={"max_rejected_ratio": 0.1, "max_error_rows": 0, "min_rows": 10},
            soft_fail=soft_fail,
            poke_interval=1,
            deferrable=True,
        )
