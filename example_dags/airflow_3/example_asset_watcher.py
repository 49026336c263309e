# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
### Asset watcher: start when Amperity has loaded a feed

No schedule and no waiting task: a trigger watches Amperity, and every ingest job that succeeds for the feed
starts one run of this DAG, which gets the job with the asset's event. For Airflow 3 and newer.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, task

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.triggers.event import IngestJobEventTrigger

FEED = "df-4WqZp8Lk"

stores = Asset(
    f"amperity://acme/{FEED}",
    watchers=[
        AssetWatcher(
            name="stores_loaded",
            trigger=IngestJobEventTrigger(hook=AmperityHook, filters={"feed_id": FEED}, poll_interval=5),
        )
    ],
)


@dag(schedule=[stores], catchup=False, tags=["ingestjobs", "amperity"], doc_md=__doc__)
def example_asset_watcher() -> None:
    @task
    def report(triggering_asset_events: Any = None) -> str:
        jobs = [event.extra["payload"] for event in triggering_asset_events[stores]]
        return ", ".join(f"{job['id']} loaded {job['rows']['inserted']} {job['target']}" for job in jobs)

    report()


example_asset_watcher()
