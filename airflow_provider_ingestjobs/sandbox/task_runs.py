# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Runs a sensor or an operator as Airflow does, in each of its modes, without an Airflow around it.

For tests of DAGs and of vendors; it needs Airflow installed, but neither a database nor a scheduler::

    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        job_id = sandbox.add_job("narrative", timeline=[(0, "running"), (1, "completed")])
        sensor = partial(NarrativeJobSensor, task_id="wait", job_id=job_id, deferrable=True)
        assert run_deferred(sensor).value["state"] == "succeeded"

A task is handed in as a function that makes it, as Airflow makes it anew in each process. Its templates are
not rendered.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar
from unittest.mock import patch

from airflow_provider_ingestjobs.airflow_compat import (
    AIRFLOW_3,
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_provider_ingestjobs.links import XCOM_KEY

T = TypeVar("T")
#: The longest that anything here may take to get where it should, in seconds.
PATIENCE = 10.0
#: Pauses between two looks at a condition, in seconds.
PAUSE = 0.005

# What Airflow 2's database has of sensors that were rescheduled, by run.
_first_reschedules: dict[str, datetime | None] = {}


class TaskInstance:
    """The part of Airflow's task instance that tasks of this package and Airflow's sensors touch.

    :param started_at: when the task started first, if it has been rescheduled since.
    """

    dag_id, task_id, run_id, map_index, try_number, max_tries = "dag", "task", "run", -1, 1, 0

    def __init__(self, started_at: datetime | None = None) -> None:
        self.start_date = started_at or datetime.now(UTC)
        self.rescheduled = started_at is not None
        #: What the task has pushed, by key.
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep a value in :attr:`xcoms`.

        :param key: its key.
        :param value: the value.
        :param kwargs: what else Airflow takes; not looked at.
        """
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Return when the task was rescheduled first, as Airflow 3 is asked for it.

        :param context: the task's context; not looked at.
        """
        return self.start_date if self.rescheduled else None


@dataclass(frozen=True)
class DagRun:
    """The part of Airflow's DAG run that sensors of this package touch: one started by hand, by default.

    :param logical_date: the run's logical date.
    :param data_interval_start: the start of its data interval.
    :param data_interval_end: the end of it.
    :param start_date: when the run started.
    """

    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Outcome:
    """How a task ended: with a value, skipped, or with an error.

    :param value: what it returned, as Airflow's XCom keeps it.
    :param skipped: whether it was skipped.
    :param error: what it raised; of a skip, Airflow's exception.
    :param xcoms: the XComs that it pushed, by key.
    :param deferred: whether it was deferred.
    :param looks: how often it was started: more than once only in ``mode="reschedule"``.
    """

    value: Any = None
    skipped: bool = False
    error: Exception | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    deferred: bool = False
    looks: int = 1

    @property
    def vendor_link(self) -> str:
        """The address of its job at the vendor; empty where it has stored none."""
        return str(self.xcoms.get(XCOM_KEY, ""))


def run_in_worker(make: Callable[[], Any], context: Mapping[str, Any] | None = None) -> Outcome:
    """Run a task that stays in its worker: ``mode="poke"``, or an operator that blocks.

    :param make: makes the task.
    :param context: what it finds in its context beside ``ti``.
    """
    ti = TaskInstance()
    return finish(lambda: make().execute({**(context or {}), "ti": ti}), ti)


def run_rescheduled(make: Callable[[], Any], context: Mapping[str, Any] | None = None) -> Outcome:
    """Run a sensor of ``mode="reschedule"``: a new object for each look, as it is a new process in Airflow.

    :param make: makes the sensor.
    :param context: what it finds in its context beside ``ti``.
    """
    began, started_at = datetime.now(UTC), None
    give_up = time.monotonic() + PATIENCE
    looks = 0
    with reschedules_without_a_database():
        _first_reschedules[TaskInstance.run_id] = None
        while time.monotonic() < give_up:
            looks += 1
            ti = TaskInstance(started_at)
            in_context = {**(context or {}), "ti": ti}
            try:
                return finish(lambda seen=in_context: make().execute(seen), ti, looks=looks)  # type: ignore[misc]
            except AirflowRescheduleException as again:
                started_at = _first_reschedules[TaskInstance.run_id] = began
                time.sleep(max((again.reschedule_date - datetime.now(UTC)).total_seconds(), 0))
    raise AssertionError("the sensor is rescheduled for ever")


def run_deferred(
    make: Callable[[], Any],
    between: Callable[[], None] = lambda: None,
    context: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run a task that defers: the worker's first part, the triggerer's, and a new worker's last part.

    :param make: makes the task.
    :param between: called when the trigger has fired.
    :param context: what it finds in its context beside ``ti``.
    """
    ti = TaskInstance()
    in_context = {**(context or {}), "ti": ti}
    try:
        return finish(lambda: make().execute(in_context), ti)
    except TaskDeferred as deferral:
        event = in_time(fire(deferral.trigger))
        between()
        method, kwargs = deferral.method_name, {**(deferral.kwargs or {}), "event": event}
        return finish(lambda: make().resume_execution(method, kwargs, in_context), ti, deferred=True)


def finish(call: Callable[[], Any], ti: TaskInstance, **more: Any) -> Outcome:
    """Return how a call ends that is the last of its task.

    :param call: what the task does last.
    :param ti: the task's instance.
    :param more: further fields of the outcome.
    """
    try:
        return Outcome(value=json.loads(json.dumps(call())), xcoms=ti.xcoms, **more)
    except AirflowSkipException as error:
        return Outcome(skipped=True, error=error, xcoms=ti.xcoms, **more)
    except (TaskDeferred, AirflowRescheduleException):
        raise
    except Exception as error:
        return Outcome(error=error, xcoms=ti.xcoms, **more)


def defer(task: Any, context: Mapping[str, Any] | None = None) -> Any:
    """Return the trigger that a task defers to.

    :param task: the task.
    :param context: what it finds in its context beside ``ti``.
    :raises AssertionError: if it ends instead.
    """
    try:
        task.execute({**(context or {}), "ti": TaskInstance()})
    except TaskDeferred as deferral:
        return deferral.trigger
    raise AssertionError("the task did not defer")


def revived(trigger: Any) -> Any:
    """Return a trigger as another process makes it: from its class path and its arguments as JSON.

    :param trigger: the trigger.
    """
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))


async def fire(trigger: Any) -> Any:
    """Run a trigger as another process does, and return its one event's payload.

    :param trigger: the trigger; it is revived.
    :raises AssertionError: if it fires otherwise than once.
    """
    events = [event async for event in revived(trigger).run()]
    if len(events) != 1:
        raise AssertionError(f"the trigger fired {events}")
    return json.loads(json.dumps(events[0].payload))


async def killed(trigger: Any) -> None:
    """End a trigger as the triggerer does when a user marks or clears its task.

    :param trigger: the trigger.
    """
    try:
        # Airflow's default, see ``[triggerer] on_kill_timeout``.
        await asyncio.wait_for(trigger.on_kill(), 30)
    finally:
        await trigger.cleanup()


async def until(condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Wait until a condition holds, and return what it gave.

    :param condition: gives something that is not false.
    :param patience: the longest to wait for it, in seconds.
    :raises AssertionError: if it does not hold in time.
    """
    give_up = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() >= give_up:
            raise AssertionError("waited in vain")
        await asyncio.sleep(PAUSE)
    return found


def in_time(coroutine: Awaitable[T], patience: float = PATIENCE) -> T:
    """Run a coroutine that must not hang.

    :param coroutine: what to run, in an event loop of its own.
    :param patience: the longest it may take, in seconds.
    :raises TimeoutError: if it takes longer.
    """

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, patience)

    return asyncio.run(bounded())


@contextmanager
def reschedules_without_a_database() -> Iterator[None]:
    """Let sensors of ``mode="reschedule"`` run without Airflow 2's database, and look as often as they ask.

    Airflow 3 asks the task instance. No scheduler is there that could take a quick look for a killed task.
    :func:`run_rescheduled` needs no further one around it.
    """
    with patch.dict(os.environ, AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="0"), _earlier_looks_remembered():
        yield


@contextmanager
def _earlier_looks_remembered() -> Iterator[None]:
    if AIRFLOW_3:
        yield
        return
    base = import_module("airflow.sensors.base")
    with patch.object(base, "_orig_start_date", lambda **key: _first_reschedules.get(key["run_id"])):
        yield
