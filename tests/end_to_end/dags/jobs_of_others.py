# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that nobody here starts: sensors select them, checks judge them, and watchers start DAGs by them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor
from airflow_provider_ingestjobs.triggers.event import IngestJobEventTrigger

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

for number in (1, 2):
    loaded = Asset(
        f"narrative://e2e/{100 + number}",
        watchers=[
            AssetWatcher(
                name=f"loads_{number}",
                trigger=IngestJobEventTrigger(
                    hook=NarrativeHook, filters={"dataset_id": 100 + number}, poll_interval=2
                ),
            )
        ],
    )
    with DAG(f"started_by_{number}", schedule=[loaded], catchup=False):

        @task
        def tell(triggering_asset_events: Any = None) -> list[str]:
            """Return the ids of the jobs that started this run."""
            return [
                event.extra["payload"]["id"]
                for events in triggering_asset_events.values()
                for event in events
            ]

        tell()
