# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One start of the vendor under test: its task through its tries, and what the vendor was asked for."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import TaskDeferred
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sandbox.contract.lab import INTERVAL, STEP
from airflow_provider_ingestjobs.sandbox.task_tries import Killed, StartedTask, StateStore

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.contract.case import ContractStart
    from airflow_provider_ingestjobs.sandbox.contract.lab import Lab

#: How long the vendor's lists lack a job that was just started, and how long the task allows for that.
LIST_LAG = 2 * STEP
LISTING_DELAY = 6 * STEP


class Starting:
    """One start of the vendor under test.

    :param lab: the vendor.
    :param start: what is started.
    """

    def __init__(self, lab: Lab, start: ContractStart) -> None:
        self.lab = lab
        self.start = start

    def plan(self, *states: JobState, **options: Any) -> None:
        """Plan the states of the next job that is started, those that the vendor has, an instant each.

        :param states: the states.
        :param options: see ``Sandbox.plan_start``.
        """
        words = self.start.words or self.lab.case.words
        had = [words[state] for state in states if state in words]
        timeline = [(STEP * number, word) for number, word in enumerate(had)]
        self.lab.sandbox.plan_start(self.lab.name, timeline, **options)

    def task(self, deferrable: bool = False, retries: int = 0, **arguments: Any) -> StartedTask:
        """Return a task of the operator.

        :param deferrable: whether it waits in the triggerer.
        :param retries: its retries.
        :param arguments: further arguments of the operator.
        """
        quick = {"poll_interval": INTERVAL, "timeout": 10, "listing_delay": LISTING_DELAY}
        given = {"task_id": "start", "deferrable": deferrable, "retries": retries, **quick, **arguments}
        make: Any = partial(self.start.operator, **{**self.start.arguments, **given})
        return StartedTask(make, retries)

    def fail(self, **fault: Any) -> None:
        """Let something befall the next request that starts.

        :param fault: see ``Fault``.
        """
        self.lab.sandbox.add_fault(Fault(method="POST", path=self.start.path, **fault))

    def job_of(self, value: Any) -> Job:
        """Return the one job that a task has returned.

        :param value: what it has returned.
        """
        (job,) = value if self.start.returns_list else [value]
        return Job.from_dict(job)

    def state_of(self, job_id: str) -> JobState:
        """Return the state of what was started, as the vendor tells it.

        :param job_id: its id.
        """
        hook: Any = self.start.operator.hook_class(self.lab.connect())
        state: JobState = hook.get_job(job_id).state
        return state

    @property
    def ids(self) -> list[str]:
        """The ids of all that was started."""
        return self.lab.sandbox.started_ids(self.lab.name)

    @property
    def asked(self) -> list[str]:
        """What the vendor was asked for, in order: "start", "stop" and "look"."""
        return [
            "look"
            if request.method == "GET"
            else "start"
            if request.method == "POST" and re.search(self.start.path, request.path)
            else "stop"
            for request in self.lab.requests()
        ]


class DyingStore(StateStore):
    """A task state store whose task is killed when it keeps the ids of what it has started.

    :param is_kept: whether they are kept first.
    """

    def __init__(self, is_kept: bool) -> None:
        super().__init__()
        self._is_kept = is_kept
        self._dies = True

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep a value; once, be killed over it.

        :param key: its key.
        :param value: JSON data.
        :param kwargs: what else Airflow takes.
        """
        dies, self._dies = self._dies and bool(value["job_ids"]), self._dies and not value["job_ids"]
        if self._is_kept or not dies:
            super().set(key, value, **kwargs)
        if dies:
            raise Killed


def begin(started: StartedTask) -> tuple[Any, Any]:
    """Begin the next try, and return its task and context, for a test that does to it what Airflow does.

    :param started: the task.
    """
    started.try_number += 1
    task, _, context = started.process()
    return task, context


def deferral_of(started: StartedTask) -> Any:
    """Run the next try until it defers, and return the deferral, of which no triggerer hears.

    :param started: the task.
    """
    task, context = begin(started)
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(context)
    return deferral.value
