# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The jobs ``python -m airflow_provider_ingestjobs.sandbox --demo`` starts with.

Each starts when it is first read, so that a demo may take its time; ``DELETE /_sandbox`` starts them anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DemoJob:
    """One demo job.

    :param shows: what it is there to show.
    :param arguments: the arguments of ``Sandbox.add_job``.
    """

    shows: str
    arguments: dict[str, Any]


def _job(shows: str, vendor: str, job_id: str, timeline: list[tuple[float, Any]], **others: Any) -> DemoJob:
    return DemoJob(
        shows, {"vendor": vendor, "job_id": job_id, "timeline": timeline, "starts": "first_read", **others}
    )


_DATASTREAM = {"id": 218, "stack_id": 12, "name": "Google Ads - EMEA", "slug": "google-ads-emea"}
_TWO_FETCHES = {"id": 221, "stack_id": 12, "name": "TikTok Ads - EMEA", "slug": "tiktok-ads-emea"}
_LONG = 1800.0

#: Vendor, job id, timeline and outcome of every demo job.
DEMO_JOBS: tuple[DemoJob, ...] = (
    _job(
        "success",
        "amperity",
        "isj-20261102-30112-Loyal1",
        [(0, "scheduled"), (2, "running"), (5, {"state": "running", "progress": 0.6}), (8, "succeeded")],
        rows={"read": 48210, "inserted": 12044, "updated": 36166, "rejected": 0, "errors": 0},
        fields={
            "workflow_id": "wf-20261102-30110-Daily1",
            "tables": [{"table_name": "Loyalty members", "feed_id": "df-5L6d1veh"}],
        },
    ),
    _job(
        "failure",
        "amperity",
        "isj-20261102-30113-Pos002",
        [(0, "running"), (4, "finalizing"), (6, "failed")],
        rows={"read": 1200, "inserted": 0, "updated": 0, "rejected": 0, "errors": 1200},
        failure='Required field "transaction_id" is missing in part0.avro.',
        fields={
            "workflow_id": "wf-20261102-30111-Point2",
            "tables": [{"table_name": "POS transactions", "feed_id": "df-2kQ8sTzw"}],
        },
    ),
    _job(
        "long-running, to be cancelled",
        "amperity",
        "isj-20261102-30114-Hist03",
        [(0, "scheduled"), (2, {"state": "running", "progress": 0.03}), (_LONG, "succeeded")],
        rows={"read": 9000000, "inserted": 9000000},
        fields={
            "workflow_id": "wf-20261102-30112-Histo3",
            "tables": [{"table_name": "Order history 2015-2025", "feed_id": "df-9fLm3Pxa"}],
        },
    ),
    _job(
        "success with rejected and erroneous rows",
        "amperity",
        "isj-20261102-30115-Email4",
        [(0, "running"), (5, "succeeded")],
        rows={"read": 1000, "inserted": 400, "updated": 200, "rejected": 200, "errors": 200},
        fields={
            "workflow_id": "wf-20261102-30113-Email4",
            "tables": [{"table_name": "Email engagement", "feed_id": "df-7Yb2KqRn"}],
        },
    ),
    _job(
        "success, for a watcher: the feed has no other job",
        "amperity",
        "isj-20261102-30116-Store5",
        [(0, "scheduled"), (3, "running"), (20, "succeeded")],
        rows={"read": 812, "inserted": 812, "updated": 0, "rejected": 0, "errors": 0},
        fields={
            "workflow_id": "wf-20261102-30114-Store5",
            "tables": [{"table_name": "Stores", "feed_id": "df-4WqZp8Lk"}],
        },
    ),
    _job(
        "success",
        "adverity",
        "7301101",
        [(0, "Scheduled"), (2, "Running"), (5, {"state": "Running", "progress": 0.6}), (9, "Success")],
        fields={"datastream": _DATASTREAM},
    ),
    _job(
        "failure",
        "adverity",
        "7301102",
        [(0, "Running"), (6, "Failed")],
        failure="Authorization error: the refresh token was revoked. Re-authorize the connection.",
        fields={
            "datastream": {"id": 219, "stack_id": 12, "name": "Meta Ads - EMEA", "slug": "meta-ads-emea"},
        },
    ),
    _job(
        "long-running, to be cancelled",
        "adverity",
        "7301103",
        [(0, {"state": "Running", "stage": "fetch", "progress": 0.01}), (_LONG, "Success")],
        fields={
            "datastream": {"id": 220, "stack_id": 12, "name": "DV360 backfill", "slug": "dv360-backfill"},
        },
    ),
    _job(
        "discarded after a preceding job failed; Adverity's job shows no row counts",
        "adverity",
        "7301104",
        [(0, "Scheduled"), (7, "Discarded")],
        fields={"datastream": _DATASTREAM},
    ),
    _job(
        "success, the first of a datastream's two fetches",
        "adverity",
        "7301105",
        [(0, "Scheduled"), (1, "Running"), (6, "Success")],
        fields={"datastream": _TWO_FETCHES},
    ),
    _job(
        "success, the second one: it starts when the first has ended",
        "adverity",
        "7301106",
        [(10, "Running"), (14, "Success")],
        fields={"datastream": _TWO_FETCHES},
    ),
    _job(
        "success",
        "polaris",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1001",
        [(0, "pending"), (2, "running"), (8, "completed")],
        rows={"read": 99999},
        fields={"target": {"type": "table", "tableName": "Clickstream"}},
    ),
    _job(
        "failure: too many rows that could not be parsed",
        "polaris",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1002",
        [(0, "pending"), (1, "running"), (6, "failed")],
        rows={"read": 310, "errors": 101},
        failure="The number of parsing exceptions exceeded maxParseExceptions (100).",
        fields={"target": {"type": "table", "tableName": "Sensor readings"}},
    ),
    _job(
        "long-running, to be cancelled",
        "polaris",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1003",
        [(0, "pending"), (2, "running"), (_LONG, "completed")],
        rows={"read": 80000000},
        fields={"target": {"type": "table", "tableName": "Clickstream backfill"}},
    ),
    _job(
        "success with rows skipped",
        "polaris",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1004",
        [(0, "running"), (5, "completed")],
        rows={"read": 99999, "rejected": 40, "errors": 2},
        fields={"target": {"type": "table", "tableName": "Koalas Subset"}},
    ),
    _job(
        "success",
        "narrative",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81001",
        [(0, "pending"), (2, "running"), (10, "completed")],
        fields={"dataset_id": 10736, "tags": ["nightly"]},
    ),
    _job(
        "failure",
        "narrative",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81002",
        [(0, "pending"), (2, "running"), (7, "failed")],
        failure="org.apache.spark.SparkException: Job aborted due to stage failure",
        fields={"dataset_id": 10737, "tags": ["nightly"]},
    ),
    _job(
        "long-running; Narrative's API cannot cancel it, its operators can",
        "narrative",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81003",
        [(0, "running"), (_LONG, "pending_cancellation"), (_LONG + 5, "cancelled")],
        fields={"dataset_id": 10738},
    ),
    _job(
        "a forecast, the one kind of job whose result counts rows",
        "narrative",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81004",
        [(0, "pending"), (1, "running"), (4, "completed")],
        rows={"read": 1643721},
        fields={"type": "nql-forecast"},
    ),
)
