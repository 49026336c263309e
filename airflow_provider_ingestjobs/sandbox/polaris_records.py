# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the sandbox's Imply Polaris shows of a job: the schemas of Imply Polaris API 1.0.0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import normalise_word

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

STREAMING = "streaming"
DELETIONS = frozenset({"delete_data", "drop_table"})
TOTALS = (
    "numBytesProcessed",
    "numRowsPersisted",
    "numRowsProcessed",
    "numRowsProcessedWithWarning",
    "numRowsSkippedByError",
    "numRowsSkippedByFilter",
)
#: The ingestion status reference spells one of them differently than everything else.
ROW_NAMES = frozenset({*TOTALS, "numRowsProcessedWithWarnings"})

#: Nothing says how long rows are.
_BYTES_PER_ROW = 128
_USER = {"username": "service-account-sandbox", "userId": "00000000-0000-4000-8000-000000000001"}
_INPUT_SCHEMA = [{"dataType": "string", "name": "timestamp"}, {"dataType": "string", "name": "city"}]
_MAPPINGS = [
    {"columnName": "__time", "expression": 'TIME_PARSE("timestamp")'},
    {"columnName": "__count", "expression": "COUNT(*)", "isAggregation": True},
]
_BATCH: dict[str, Any] = {
    "source": {
        "type": "uploaded",
        "fileList": ["events-2026-10-01.json.gz"],
        "inputSchema": _INPUT_SCHEMA,
        "formatSettings": {"format": "nd-json"},
    },
    "ingestionMode": "append",
    "mappings": _MAPPINGS,
}
_OF_TYPE: dict[str, dict[str, Any]] = {
    "batch": _BATCH,
    STREAMING: {
        "source": {
            "type": "connection",
            "connectionName": "sandbox-kafka",
            "inputSchema": _INPUT_SCHEMA,
            "formatSettings": {"format": "nd-json"},
        },
        "mappings": _MAPPINGS,
        "readFromPoint": "latest",
    },
    "sql": {
        "query": 'INSERT INTO "Events" SELECT * FROM "Raw events" PARTITIONED BY DAY',
        "context": {},
        "parameters": [],
    },
    "delete_data": {"deleteAll": False},
    "drop_table": {},
    "restore_data": {"interval": "2026-10-01/P1D"},
}
#: What each kind of request to create a job has of the job's own fields.
_IN_SPEC = {
    "batch": (
        "source",
        "target",
        "context",
        "filterExpression",
        "ingestionMode",
        "mappings",
        "maxParseExceptions",
    ),
    STREAMING: (
        "source",
        "target",
        "dimensionExclusions",
        "earlyMessageRejectionPeriod",
        "filterExpression",
        "lateMessageRejectionPeriod",
        "mappings",
        "maxParseExceptions",
        "readFromPoint",
        "useSchemaDiscovery",
    ),
    "sql": ("query", "context", "parameters"),
    "delete_data": ("target", "deleteAll", "versions"),
    "drop_table": ("target",),
    "restore_data": ("target", "interval", "versions"),
}
_IN_SUMMARY = (
    "type",
    "id",
    "target",
    "desiredExecutionStatus",
    "createdBy",
    "lastModifiedBy",
    "executionStatus",
    "health",
    "createdTimestamp",
    "lastUpdatedTimestamp",
    "startedTimestamp",
    "completedTimestamp",
    "source",
)
_IN_SOURCE_SUMMARY = ("type", "connectionName", "tableName", "data")


def completed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a new job's fields with what every job of its type has.

    :param fields: the fields that are given.
    """
    kind = fields.get("type", "batch")
    of_type = _OF_TYPE.get(kind, _BATCH) if isinstance(kind, str) else _BATCH
    return {
        "type": kind,
        "target": {"type": "table", "tableName": "Events"},
        "desiredExecutionStatus": "running",
        "createdBy": _USER,
        "lastModifiedBy": _USER,
        **of_type,
        **fields,
    }


def whole_record(job: SandboxJob) -> dict[str, Any]:
    """Return a JobResponse.

    :param job: the job, as of now.
    """
    fields = job.fields
    in_spec = _IN_SPEC.get(str(fields["type"]), _IN_SPEC["batch"])
    spec = {"type": fields["type"], **{name: fields[name] for name in in_spec if name in fields}}
    return {**_of_every_job(job), "spec": spec, **fields}


def summary(job: SandboxJob) -> dict[str, Any]:
    """Return a JobSummaryResponse: what a list shows.

    :param job: the job, as of now.
    """
    whole = {**_of_every_job(job), **job.fields}
    shown = {name: whole[name] for name in _IN_SUMMARY if name in whole}
    source = shown.get("source")
    if isinstance(source, dict):
        shown["source"] = {name: source[name] for name in _IN_SOURCE_SUMMARY if name in source}
    return shown


def health(job: SandboxJob) -> Any:
    """Return a job's health: what its fields say, or else what follows from its state.

    :param job: the job, as of now.
    """
    if "health" in job.fields:
        return job.fields["health"]
    word = normalise_word(job.state)
    if word == "canceled":
        return {"status": "error", "code": "canceled"}
    if word != "failed":
        return {"status": "ok"}
    if job.failure is None:
        return {"status": "error", "code": "internal_error"}
    entry = {
        "timestamp": _nanoseconds(job.ended_at or job.created_at),
        "healthStatus": "error",
        "code": "internal_error",
        "message": job.failure,
    }
    return {"status": "error", "code": "internal_error", "message": job.failure, "log": entry}


def health_status(job: SandboxJob) -> str:
    """Return a job's health as lists filter by it: ``ok``, ``warn`` or ``error``.

    :param job: the job, as of now.
    """
    shown = health(job)
    status = str(shown.get("status")) if isinstance(shown, dict) else "ok"
    # The document spells it one way in the enum, which is the filter's, and another in the discriminator.
    return "warn" if status == "warning" else status


def logs(job: SandboxJob) -> list[Any]:
    """Return a job's log entries: what it was given, or else the one in its health.

    :param job: the job, as of now.
    """
    given = job.own.get("logs")
    if given is not None:
        return list(given)
    shown = health(job)
    entry = shown.get("log") if isinstance(shown, dict) else None
    return [] if entry is None else [entry]


def totals(job: SandboxJob) -> dict[str, int]:
    """Return a job's IngestionJobTotals.

    :param job: the job, as of now.
    """
    rows = job.rows_now(job.is_complete)
    named = {name: count for name, count in rows.items() if name in ROW_NAMES}
    warned = named.get("numRowsProcessedWithWarning", named.get("numRowsProcessedWithWarnings", 0))
    by_error = named.get("numRowsSkippedByError", rows.get("errors", 0))
    by_filter = named.get("numRowsSkippedByFilter", rows.get("rejected", 0))
    # "Successfully processed, excluding those with warnings"; the common count is of all rows.
    good = named.get("numRowsProcessed", max(rows.get("read", 0) - warned - by_error - by_filter, 0))
    counted = {
        "numBytesProcessed": (good + warned + by_error + by_filter) * _BYTES_PER_ROW,
        "numRowsPersisted": rows.get("inserted", good + warned),
        "numRowsProcessed": good,
        "numRowsProcessedWithWarning": warned,
        "numRowsSkippedByError": by_error,
        "numRowsSkippedByFilter": by_filter,
        **named,
    }
    if job.fields["type"] == STREAMING:
        # "Streaming ingestion jobs currently do not report this metric."
        del counted["numRowsPersisted"]
    return counted


def progress(job: SandboxJob) -> float:
    """Return how far a job has come, from 0 to 1.

    :param job: the job, as of now.
    """
    return 1.0 if normalise_word(job.state) == "completed" else job.progress or 0.0


def _of_every_job(job: SandboxJob) -> dict[str, Any]:
    record = {
        "type": job.fields["type"],
        "id": job.id,
        "executionStatus": job.state,
        "health": health(job),
        "createdTimestamp": _nanoseconds(job.created_at),
        "lastUpdatedTimestamp": _nanoseconds(job.updated_at),
    }
    if job.started_at is not None:
        record["startedTimestamp"] = _nanoseconds(job.started_at)
    # The text speaks of `completed` alone: other ends have no time.
    if job.ended_at is not None and normalise_word(job.state) == "completed":
        record["completedTimestamp"] = _nanoseconds(job.ended_at)
    return record


def _nanoseconds(at: float) -> str:
    """Return a time with nine decimals, as Polaris writes them."""
    seconds, nanoseconds = divmod(int(at * 1e9), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
