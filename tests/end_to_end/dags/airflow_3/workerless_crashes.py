# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waits without workers that triggerers are killed under; each finds its job id in the param of its name."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

WORKERLESS: dict[str, Any] = {
    "deferrable": True,
    "start_from_trigger": True,
    "end_from_trigger": True,
    "timeout": 240,
    "poke_interval": 1,
}

with DAG(
    "workerless_crashes", schedule=None, catchup=False, params={}, default_args=WORKERLESS
) as workerless_crashes:
    NarrativeJobSensor(task_id="deferred", job_id="{{ params.deferred }}")
    AdverityJobSensor(task_id="waiting", job_id="{{ params.waiting }}")
    AmperityJobSensor(task_id="ended", job_id="{{ params.ended }}")
    PolarisJobSensor(task_id="judging", job_id="{{ params.judging }}", checks={"min_rows": 1})

with DAG(
    "workerless_actions", schedule=None, catchup=False, params={}, default_args=WORKERLESS
) as workerless_actions:
    for action in ("cleared", "marked_success", "left_alone"):
        for vendor, sensor in {"polaris": PolarisJobSensor, "amperity": AmperityJobSensor}.items():
            name = f"{vendor}_{action}"
            sensor(task_id=name, job_id="{{ params." + name + " }}", cancel_on_kill=True)
