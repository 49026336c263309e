# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A request to the sandbox's Imply Polaris that creates a job: its document's CreateJobRequest."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_ingestjobs.sandbox.polaris_records import STREAMING

_REQUIRED = {
    "batch": ("source", "target"),
    STREAMING: ("source", "target"),
    "sql": ("query",),
    "delete_data": ("target",),
    "drop_table": ("target",),
    "restore_data": ("interval", "target"),
}
_REQUIRED_OF_SOURCE = {
    "azure": ("connectionName", "inputSchema"),
    "connection": ("connectionName",),
    "inline": ("data", "inputSchema"),
    "s3": ("connectionName", "inputSchema"),
    "table": ("tableName",),
    "uploaded": ("fileList", "inputSchema"),
}
_KINDS: dict[str, type] = {
    "source": dict,
    "target": dict,
    "context": dict,
    "query": str,
    "interval": str,
    "filterExpression": str,
    "earlyMessageRejectionPeriod": str,
    "lateMessageRejectionPeriod": str,
    "mappings": list,
    "clusteringColumns": list,
    "dimensionExclusions": list,
    "parameters": list,
    "maxParseExceptions": int,
    "createTableIfNotExists": bool,
    "deleteAll": bool,
    "replaceAll": bool,
    "replaceRunning": bool,
    "softDelete": bool,
    "useSchemaDiscovery": bool,
}
_WORDS = {"ingestionMode": ("append", "replace"), "readFromPoint": ("earliest", "latest")}
#: What a job has of its request, with the document's defaults; None: only if the request has it.
_IN_JOB: dict[str, dict[str, Any]] = {
    "batch": {
        "source": None,
        "target": None,
        "context": None,
        "filterExpression": None,
        "ingestionMode": "append",
        "mappings": [],
        "maxParseExceptions": None,
    },
    STREAMING: {
        "source": None,
        "target": None,
        "dimensionExclusions": None,
        "earlyMessageRejectionPeriod": None,
        "filterExpression": None,
        "lateMessageRejectionPeriod": None,
        "mappings": [],
        "maxParseExceptions": None,
        "readFromPoint": "latest",
        "useSchemaDiscovery": None,
    },
    "sql": {"query": None, "context": {}, "parameters": []},
    "delete_data": {"target": None, "deleteAll": False, "versions": None},
    "drop_table": {"target": None},
    "restore_data": {"target": None, "interval": None, "versions": None},
}
_INTO = re.compile(r"\b(?:INSERT|REPLACE)\s+INTO\s+(?:\"((?:[^\"]|\"\")+)\"|(\w+))", re.IGNORECASE)


def parse(request: Any) -> dict[str, Any]:
    """Return the fields of the job that a request creates; its ``spec`` is the request as it came.

    :param request: the body, as JSON.
    :raises ValueError: if the document does not allow it.
    """
    if not isinstance(request, dict):
        raise ValueError("The body must be a JSON object")
    kind = request.get("type")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        raise ValueError(f"type must be one of {', '.join(_REQUIRED)}")
    _check_fields(request, kind)
    if "source" in _REQUIRED[kind]:
        _check_source(request["source"], kind)
    fields = {
        name: request.get(name, default)
        for name, default in _IN_JOB[kind].items()
        if name in request or default is not None
    }
    if kind == "sql":
        fields["target"] = {"type": "table", "tableName": _table_of(request["query"])}
    else:
        _check_target(request, kind)
    return {"type": kind, **fields, "spec": request}


def _check_fields(request: dict[str, Any], kind: str) -> None:
    for name in _REQUIRED[kind]:
        if request.get(name) is None:
            raise ValueError(f"{name} is required of a {kind} job")
    for name, of_kind in _KINDS.items():
        value = request.get(name)
        is_wrong = not isinstance(value, of_kind) or (of_kind is int and isinstance(value, bool))
        if name in request and is_wrong:
            raise ValueError(f"{name} must be of the type {of_kind.__name__}, not {value!r}")
    for name, words in _WORDS.items():
        if name in request and request[name] not in words:
            raise ValueError(f"{name} must be one of {', '.join(words)}, not {request[name]!r}")
    if request.get("enableUpserts") and not (
        request.get("upsertKeyColumns") and request.get("upsertVersionColumn")
    ):
        raise ValueError("enableUpserts needs upsertKeyColumns and upsertVersionColumn")


def _check_source(source: dict[str, Any], kind: str) -> None:
    named = source.get("type")
    if not isinstance(named, str) or named not in _REQUIRED_OF_SOURCE:
        raise ValueError(f"source.type must be one of {', '.join(_REQUIRED_OF_SOURCE)}")
    # The document lets batch jobs have `table` and `uploaded` alone; the vendor's pages show others.
    if kind == STREAMING and named != "connection":
        raise ValueError("The only source type allowed for a streaming job is connection")
    for name in _REQUIRED_OF_SOURCE[named]:
        if source.get(name) is None:
            raise ValueError(f"source.{name} is required of a source of the type {named}")


def _check_target(request: dict[str, Any], kind: str) -> None:
    target = request["target"]
    if target.get("type") != "table":
        raise ValueError("target.type must be table")
    name = target.get("tableName")
    if not isinstance(name, str) or not 1 <= len(name) <= 255:
        raise ValueError("target.tableName must be a name of 1 to 255 characters")
    appends = kind == "batch" and request.get("ingestionMode", "append") == "append"
    if request.get("replaceAll") and (appends or target.get("intervals")):
        raise ValueError("replaceAll is neither for jobs that append nor beside target.intervals")
    without_intervals = kind in {STREAMING, "restore_data"} or appends or request.get("deleteAll")
    if target.get("intervals") and without_intervals:
        raise ValueError(f"target.intervals is not for this {kind} job")


def _table_of(query: str) -> str:
    found = _INTO.search(query)
    if found is None:
        raise ValueError("query must insert or replace into a table")
    return found[1].replace('""', '"') if found[1] else found[2]
