# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Requests to the sandbox's Narrative that start a job, and what it answers to a query."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox.narrative_snapshots import MATERIALIZE_VIEW

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

FORECAST = "nql-forecast"
REFRESHES = ("full", "incremental")
CLUSTERS = ("dedicated", "shared")
#: Who sends requests with the sandbox's key or client, as jobs show it.
REQUEST_SOURCE = {"type": "api_user", "company_id": 1, "user_id": 407}
_VIEW = re.compile(
    r'\s*CREATE\s+MATERIALIZED\s+VIEW\s+(?:"([^"]+)"|(\w+))(.*?)\bAS\s+((?:SELECT|WITH)\b.*)', re.I | re.S
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_OPTION = r"\b{}\s*=\s*'([^']*)'"


def queried(request: Any) -> dict[str, Any]:
    """Return the fields of the job that runs a query.

    :param request: the body of POST /nql/run, as JSON.
    :raises ValueError: if the document does not allow it, or it is no query that the endpoint runs.
    """
    if not isinstance(request, dict):
        raise ValueError("The body must be a JSON object.")
    nql = request.get("nql")
    if not isinstance(nql, str) or not nql.strip():
        raise ValueError("nql is required, and is a string.")
    fields: dict[str, Any] = {"idempotency_key": str(uuid.uuid4()), **_where(request)}
    bare = _COMMENT.sub(" ", nql)
    if re.match(r"\s*EXPLAIN\b", bare, re.IGNORECASE):
        return {**fields, "type": FORECAST, "input": {"nql": nql, "compiled_select": _compiled(bare)}}
    view = _VIEW.match(bare)
    if view is None:
        # "The run endpoint can create materialized views or generate forecasts": of others it does not speak.
        raise ValueError("Invalid query format.")
    given = {"nql": nql, "stats_enabled": True, "compiled_select": _compiled(view[4])}
    return {**fields, "type": MATERIALIZE_VIEW, "input": given}


def refreshed(dataset: int, request: Any) -> dict[str, Any]:
    """Return the fields of the job that refreshes a materialized view.

    :param dataset: the view's data set.
    :param request: the body of POST /datasets/{dataset_id}/refresh-materialized-view, as JSON.
    :raises ValueError: if the document does not allow it.
    """
    if not isinstance(request, dict):
        raise ValueError("The body must be a JSON object.")
    if request.get("type") not in REFRESHES:
        raise ValueError(f"type must be one of {', '.join(REFRESHES)}.")
    # The vendor's keys are such: the data set, and what look like hashes of the query and of its inputs.
    hashes = [hashlib.sha256(f"{dataset} {part}".encode()).hexdigest() for part in ("query", uuid.uuid4())]
    return {
        "type": MATERIALIZE_VIEW,
        "dataset_id": dataset,
        "idempotency_key": ":".join([str(dataset), *hashes]),
        **_where(request),
    }


def run_response(job: SandboxJob) -> dict[str, Any]:
    """Return NQL_RunResponse, which spells some things otherwise than a job's record does.

    :param job: the job of the query, as of now.
    """
    given = job.fields["input"]
    shown = {"nql": given["nql"], "compiled_sql": given["compiled_select"]}
    if job.fields["type"] == MATERIALIZE_VIEW:
        view = _VIEW.match(_COMMENT.sub(" ", given["nql"]))
        select = view[4].strip() if view else given["nql"]
        shown = {
            "nql": select,
            "compiled_select": given["compiled_select"],
            "create_as_view": False,
            "dataset": _dataset(job, select),
        }
    return {
        "id": job.id,
        "company_id": REQUEST_SOURCE["company_id"],
        "completed_at": _zoned(job.ended_at),
        "created_at": _zoned(job.created_at),
        "failures": [],
        "idempotency_key": job.fields["idempotency_key"],
        "input": shown,
        "request_source": REQUEST_SOURCE,
        "result": None,
        "state": job.state,
        "updated_at": _zoned(job.updated_at),
    }


def unreadable(path: str, detail: str) -> dict[str, Any]:
    """Return Response, the error body of the NQL endpoints alone.

    :param path: the request's path.
    :param detail: what is wrong.
    """
    return {
        "type": None,
        "title": "Failed to Parse Query",
        "status": 400,
        "detail": detail,
        "instance": path,
        "log_id": str(uuid.uuid4()),
        "debug": None,
    }


def _where(request: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that say where the job is to run."""
    fields: dict[str, Any] = {}
    data_plane = request.get("data_plane_id")
    if data_plane is not None:
        try:
            fields["data_plane_id"] = str(uuid.UUID(data_plane))
        except (AttributeError, ValueError) as error:
            raise ValueError("data_plane_id must be a UUID.") from error
    cluster = request.get("execution_cluster")
    if cluster is not None:
        if not isinstance(cluster, dict) or cluster.get("type", "shared") not in CLUSTERS:
            raise ValueError(f"execution_cluster.type must be one of {', '.join(CLUSTERS)}.")
        fields["execution_cluster"] = cluster.get("type", "shared")
    return fields


def _compiled(query: str) -> str:
    # What a query is compiled to depends on where it runs; its text stands for it.
    return " ".join(query.split())


def _dataset(job: SandboxJob, select: str) -> dict[str, Any]:
    """Return DatasetResponse: the data set that a materialized view is, as yet empty."""
    view = _VIEW.match(_COMMENT.sub(" ", job.fields["input"]["nql"]))
    name, options = ((view[1] or view[2]), view[3]) if view else ("", "")

    def option(word: str, default: str) -> str:
        found = re.search(_OPTION.format(word), options, re.IGNORECASE)
        return found[1] if found else default

    return {
        "id": job.fields["input"]["dataset_id"],
        "company_id": REQUEST_SOURCE["company_id"],
        "created_at": _zoned(job.created_at),
        "display_name": option("DISPLAY_NAME", name),
        "is_narrative_managed": True,
        "materialized_view_config": {"nql": select},
        "name": name,
        "retention_policy": _retention(option("EXPIRE", "retain_everything")),
        "schema": {"file_config": {"type": "json"}, "type": "object", "properties": {}},
        "status": "pending",
        "tags": ["_nio_materialized_view"],
        "updated_at": _zoned(job.created_at),
        "write_mode": option("WRITE_MODE", "append"),
    }


def _retention(expire: str) -> dict[str, Any]:
    """Return SnapshotRetentionPolicy."""
    if expire in {"retain_everything", "expire_everything"}:
        return {"type": expire}
    age = {"type": "snapshot_age", "operator": ">", "period": expire}
    return {"type": "expire_when", "expression": age}


def _zoned(at: float | None) -> str | None:
    """Return a time as these answers have it: with a zone, which those of jobs lack."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
