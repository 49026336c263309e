# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Runs an operator that starts jobs through its tries, and through crashes, without an Airflow around it.

What such a task has started must outlast its process. For tests of DAGs and of vendors; it needs Airflow
installed, but neither a database nor a scheduler::

    make = partial(AdverityFetchOperator, task_id="fetch", datastream_id=218, poll_interval=0.1)
    task = StartedTask(make, retries=1)
    sandbox.plan_start("adverity", [(0, "Failed")])
    assert isinstance(task.next_try().error, StartedJobFailed)
    assert task.next_try().error is None
    assert len(sandbox.started_ids("adverity")) == 2
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import TaskDeferred
from airflow_provider_ingestjobs.sandbox.task_runs import (
    DagRun,
    Outcome,
    TaskInstance,
    finish,
    fire,
    in_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Killed(BaseException):
    """The worker's process is gone."""


class StateStore:
    """Airflow's task state store of one task instance; ``before_set`` is called before a value is kept."""

    def __init__(self) -> None:
        #: What is kept, as JSON, by key.
        self.kept: dict[str, str] = {}
        self.before_set: Callable[[], None] = lambda: None

    def get(self, key: str, default: Any = None) -> Any:
        """Return what is kept.

        :param key: its key.
        :param default: what to return where nothing is.
        """
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep a value.

        :param key: its key.
        :param value: JSON data.
        :param kwargs: what else Airflow takes; not looked at.
        """
        self.before_set()
        self.kept[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        """Keep a value no longer.

        :param key: its key.
        """
        self.kept.pop(key, None)


@dataclass
class StartedTask:
    """One task instance through its tries.

    :param make: makes the task, anew for each process.
    :param retries: its retries.
    :param store: what Airflow keeps; ``None`` before 3.3.
    :param began: when its run began.
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
