# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Runs a sensor or an operator the way Airflow does, in each of its modes, without an Airflow around it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

T = TypeVar("T")
#: What Airflow 2's database has of sensors that were rescheduled, by run.
FIRST_RESCHEDULES: dict[str, datetime | None] = {}
#: The longest any single test may take to get where it wants, in seconds.
PATIENCE = 10.0


class TaskInstance:
    """The part of Airflow's task instance that tasks of this package and Airflow's sensors touch."""

    dag_id, task_id, run_id, map_index, try_number, max_tries = "dag", "task", "run", -1, 1, 0

    def __init__(self, started_at: datetime | None = None) -> None:
        self.start_date = started_at or datetime.now(UTC)
        self.rescheduled = started_at is not None
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any, **kwargs: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.start_date if self.rescheduled else None


@dataclass
class Outcome:
    """How a task ended: with a value, skipped, or with an error."""

    value: Any = None
    skipped: bool = False
    error: Exception | None = None
    links: dict[str, Any] = field(default_factory=dict)
    deferred: bool = False
    looks: int = 1


def finish(call: Callable[[], Any], ti: TaskInstance, **more: Any) -> Outcome:
    """Return how a call ends that is the last of its task."""
    try:
        return Outcome(value=json.loads(json.dumps(call())), links=ti.xcoms, **more)
    except AirflowSkipException as error:
        return Outcome(skipped=True, error=error, links=ti.xcoms, **more)
    except (TaskDeferred, AirflowRescheduleException):
        raise
    except Exception as error:
        return Outcome(error=error, links=ti.xcoms, **more)


def run_in_worker(make: Callable[[], Any]) -> Outcome:
    """Run a task that stays in its worker: ``mode="poke"``, or an operator that blocks."""
    ti = TaskInstance()
    return finish(lambda: make().execute({"ti": ti}), ti)


def run_rescheduled(make: Callable[[], Any]) -> Outcome:
    """Run a sensor of ``mode="reschedule"``: a new object in a new process for each look, in real Airflow."""
    started_at = None
    began = datetime.now(UTC)
    FIRST_RESCHEDULES[TaskInstance.run_id] = None
    give_up = time.monotonic() + PATIENCE
    for looks in range(1, 1000):
        assert time.monotonic() < give_up, "the sensor is rescheduled for ever"
        ti = TaskInstance(started_at)
        try:
            return finish(lambda ti=ti: make().execute({"ti": ti}), ti, looks=looks)  # type: ignore[misc]
        except AirflowRescheduleException as again:
            started_at = FIRST_RESCHEDULES[TaskInstance.run_id] = began
            time.sleep(max((again.reschedule_date - datetime.now(UTC)).total_seconds(), 0))
    raise AssertionError("unreachable")


def run_deferred(make: Callable[[], Any], between: Callable[[], None] = lambda: None) -> Outcome:
    """Run a task that defers: the worker's first part, the triggerer's, and a new worker's last part.

    :param between: called when the trigger has fired.
    """
    ti = TaskInstance()
    try:
        return finish(lambda: make().execute({"ti": ti}), ti)
    except TaskDeferred as deferral:
        event = in_time(fire(deferral.trigger))
        between()
        kwargs = {**(deferral.kwargs or {}), "event": event}
        return finish(
            lambda: make().resume_execution(deferral.method_name, kwargs, {"ti": ti}), ti, deferred=True
        )


def defer(task: Any) -> Any:
    """Return the trigger that a task defers to."""
    try:
        task.execute({"ti": TaskInstance()})
    except TaskDeferred as deferral:
        return deferral.trigger
    raise AssertionError("the task did not defer")


def revived(trigger: Any) -> Any:
    """Return a trigger as another process makes it: from its class path and its arguments as JSON."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))


async def fire(trigger: Any) -> Any:
    """Run a trigger in another process' place and return its one event's payload."""
    events = [event async for event in revived(trigger).run()]
    assert len(events) == 1, events
    return json.loads(json.dumps(events[0].payload))


async def until(condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Wait until a condition holds, and return what it gave."""
    give_up = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.005)
    return found


def in_time(coroutine: Awaitable[T], patience: float = PATIENCE) -> T:
    """Run a coroutine that must not hang."""

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, patience)

    return asyncio.run(bounded())
