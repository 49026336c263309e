# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the sandbox's Imply Polaris shows of a job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import normalise_word

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

_METRICS = {
    "numRowsProcessed": "read",
    "numRowsProcessedWithWarning": None,
    "numRowsSkippedByFilter": "rejected",
    "numRowsSkippedByError": "errors",
}
ROW_NAMES = frozenset({*_METRICS, "numRowsPersisted", "numRowsProcessedWithWarnings"})
_USER = {"username": "service-account-sandbox", "userId": "00000000-0000-4000-8000-000000000001"}
_SOURCE = {
    "type": "uploaded",
    "fileList": ["events-2026-10-01.json.gz"],
    "inputSchema": [{"dataType": "string", "name": "timestamp"}, {"dataType": "string", "name": "city"}],
    "formatSettings": {"format": "nd-json"},
}
_MAPPINGS = [
    {"columnName": "__time", "expression": 'TIME_PARSE("timestamp")'},
    {"columnName": "__count", "expression": "COUNT(*)", "isAggregation": True},
]


def whole_record(job: SandboxJob) -> dict[str, Any]:
    """Return a job.

    :param job: the job, as of now.
    """
    return {
        "type": "batch",
        "id": job.id,
        "target": {"type": "table", "tableName": "Events"},
        "desiredExecutionStatus": "running",
        "createdBy": _USER,
        "lastModifiedBy": _USER,
        "executionStatus": job.state,
        "health": {"status": health_status(job)},
        "createdTimestamp": _nanoseconds(job.created_at),
        "lastUpdatedTimestamp": _nanoseconds(job.updated_at),
        "source": _SOURCE,
        "ingestionMode": "append",
        "mappings": _MAPPINGS,
        **job.fields,
    }


def health_status(job: SandboxJob) -> str:
    """Return the status of a job's health.

    :param job: the job, as of now.
    """
    given = job.fields.get("health")
    if isinstance(given, dict):
        return str(given.get("status"))
    return "error" if normalise_word(job.state) == "failed" else "ok"


def totals(job: SandboxJob) -> dict[str, int]:
    """Return a job's row counts, under Polaris' names for them.

    :param job: the job, as of now.
    """
    rows = job.rows_now(job.is_complete)
    counted = {name: rows.get(count, 0) if count else 0 for name, count in _METRICS.items()}
    counted.update((name, count) for name, count in rows.items() if name in ROW_NAMES)
    return counted


def _nanoseconds(at: float) -> str:
    """Return a time with nine decimals, as Polaris writes them."""
    seconds, nanoseconds = divmod(int(at * 1e9), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
