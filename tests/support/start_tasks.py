# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The operators that start jobs, side by side; a task of one through its tries is the package's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sandbox.task_tries import Killed, StartedTask, StateStore
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, PACKAGE, POLARIS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BATCH_JOB",
    "CASES",
    "FETCH",
    "QUERY",
    "REFRESH",
    "RUN_WORKFLOW",
    "SQL_JOB",
    "Killed",
    "StartCase",
    "StartedTask",
    "StateStore",
]


@dataclass(frozen=True)
class StartCase:
    """An operator that starts jobs.

    :param vendor: whose.
    :param name: its class.
    :param arguments: what it starts.
    :param path: a regular expression of the path of its request.
    :param returns_list: whether it returns a list.
    """

    vendor: VendorCase
    name: str
    arguments: Mapping[str, Any]
    path: str
    returns_list: bool = False

    @property
    def operator(self) -> Any:
        return getattr(import_module(f"{PACKAGE}.operators.{self.vendor.name}"), self.name)

    def started(self, sandbox: Sandbox) -> list[str]:
        """Return the ids of all that was started at the vendor."""
        return sandbox.started_ids(self.vendor.name)

    def job_of(self, value: Any) -> dict[str, Any]:
        """Return the one job that a task has returned."""
        (job,) = value if self.returns_list else [value]
        return dict(job)

    def __str__(self) -> str:
        return self.name


FETCH = StartCase(
    ADVERITY,
    "AdverityFetchOperator",
    {"datastream_id": 218, "range_start": "2026-01-01", "range_end": "2026-01-02"},
    "/fetch_fixed/$",
    returns_list=True,
)
RUN_WORKFLOW = StartCase(
    AMPERITY,
    "AmperityRunWorkflowOperator",
    {"config_id": "cg-123ABc4DE", "range_from": "2026-01-01", "workflow_name": "Group 123ABc4DE"},
    "/workflow/runs$",
)
BATCH_JOB = StartCase(
    POLARIS,
    "PolarisRunJobOperator",
    {
        "spec": {
            "type": "batch",
            "source": {
                "type": "uploaded",
                "fileList": ["clicks.json"],
                "formatSettings": {"format": "nd-json"},
                "inputSchema": [{"name": "at", "dataType": "string"}],
            },
            "mappings": [{"columnName": "__time", "expression": "TIME_PARSE(at)"}],
            "target": {"type": "table", "tableName": "Clicks"},
        }
    },
    "/jobs$",
)
SQL_JOB = StartCase(
    POLARIS,
    "PolarisRunJobOperator",
    {"spec": {"type": "sql", "query": "INSERT INTO Clicks SELECT * FROM Raw"}},
    "/jobs$",
)
QUERY = StartCase(
    NARRATIVE, "NarrativeRunQueryOperator", {"nql": "CREATE MATERIALIZED VIEW v AS SELECT 1"}, "/nql/run$"
)
REFRESH = StartCase(
    NARRATIVE,
    "NarrativeRefreshViewOperator",
    {"dataset_id": 7, "refresh_type": "full"},
    "/refresh-materialized-view$",
)
CASES = (FETCH, RUN_WORKFLOW, BATCH_JOB, SQL_JOB, QUERY, REFRESH)
