# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The operators that start jobs, side by side; and a task of one of them, through its tries and crashes."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import TaskDeferred
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.task_runs import DagRun, Outcome, TaskInstance, finish, fire, in_time
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, PACKAGE, POLARIS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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


class Killed(BaseException):
    """The worker's process is gone."""


class StateStore:
    """Airflow's task state store of one task instance; ``before_set`` is called before a value is kept."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.before_set: Callable[[], None] = lambda: None

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        self.before_set()
        self.kept[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


@dataclass
class StartedTask:
    """One task instance through its tries.

    :param make: makes the task, anew for each process.
    :param retries: its retries.
    :param store: what Airflow keeps; ``None`` before 3.3.
    """

    make: Callable[[], Any]
    retries: int = 0
    store: StateStore | None = field(default_factory=StateStore)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.try_number = 0
        self.max_tries = self.retries

    def next_try(self) -> Outcome:
        """Run the next try to its end, with as many deferrals as it takes."""
        self.try_number += 1
        event: Any = None
        deferral: TaskDeferred | None = None
        while True:
            task, ti, context = self.process()
            part = partial(_go_on, task, context, deferral, event)
            try:
                return finish(part, ti, deferred=deferral is not None)
            except TaskDeferred as again:
                deferral, event = again, in_time(fire(again.trigger))

    def crash(self) -> None:
        """Run the next try, which something kills."""
        with suppress(Killed):
            outcome = self.next_try()
            raise AssertionError(f"it was not killed: {outcome}")

    def clear(self) -> None:
        """Do what clearing does to a task that is not running."""
        self.max_tries = self.try_number + self.retries

    def process(self) -> tuple[Any, TaskInstance, dict[str, Any]]:
        """Return the task, its instance and its context, as a new process has them."""
        ti = TaskInstance()
        ti.try_number, ti.max_tries = max(self.try_number, 1), self.max_tries
        context: dict[str, Any] = {"ti": ti, "dag_run": DagRun(start_date=self.began)}
        if self.store is not None:
            context["task_state_store"] = self.store
        return self.make(), ti, context


def _go_on(task: Any, context: Mapping[str, Any], deferral: TaskDeferred | None, event: Any) -> Any:
    if deferral is None:
        return task.execute(context)
    kept = json.loads(json.dumps(deferral.kwargs or {}))
    return task.resume_execution(deferral.method_name, {**kept, "event": event}, context)
