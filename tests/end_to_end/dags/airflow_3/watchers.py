# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""DAGs that start when jobs which nobody here started have ended: for Airflow 3 alone."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.triggers.event import IngestJobEventTrigger

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
