# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starts, answers, crashes and lists that lag, in any order: never two jobs for one intention, nor none."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import VendorError, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import StartUnknown
from airflow_provider_ingestjobs.hooks import http
from airflow_provider_ingestjobs.hooks.response import Response
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.starts.memory import Memory, ThisTry
from airflow_provider_ingestjobs.starts.once import StartOnce
from airflow_provider_ingestjobs.verdict import Wanted
from support.simulated_time import START
from support.start_tasks import CASES, Killed, StartCase, StateStore
from support.task_runs import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTING_DELAY = 120.0
RETRIES = 6
ANSWERS = {
    "an answer": None,
    "lost": Fault(method="POST", status=502, after=True),
    "unreadable": Fault(method="POST", status=200, body="<html>", after=True),
    "never seen": Fault(method="POST", status=503),
    "throttled": Fault(method="POST", status=429, headers={"Retry-After": "3"}),
    "refused": Fault(method="POST", status=400, body={"message": "no"}),
}
CRASHES = (
    "no crash",
    "before the request",
    "after the request",
    "before the id is kept",
    "while it is looked for",
)
ENDS = ("succeeds", "fails", "goes on")


@dataclass(frozen=True)
class Try:
    """What happens in one try of the task."""

    answers: tuple[str, ...]
    crash: str
    list_lag: float
    broken_lists: int
    end: str
    pause: float
    #: Seconds until the vendor starts the job, and from then on until its answer is there, or lost.
    took: tuple[float, float]
    is_cleared: bool


TRIES = st.builds(
    Try,
    answers=st.lists(st.sampled_from(list(ANSWERS)), min_size=1, max_size=3).map(tuple),
    crash=st.sampled_from(CRASHES),
    list_lag=st.floats(0, LISTING_DELAY - 20),
    broken_lists=st.integers(0, 3),
    end=st.sampled_from(ENDS),
    pause=st.floats(0, 400),
    took=st.tuples(st.floats(0, 50), st.floats(0, 50)),
    is_cleared=st.booleans(),
)


class World:
    """A vendor, a task instance, and the time they live in."""

    def __init__(self, case: StartCase, skew: float) -> None:
        self.now = START
        self.case = case
        self.sandbox = Sandbox(clock=lambda: self.now + skew)
        self.store = StateStore()
        self.task = case.operator(task_id="start", **case.arguments)
        fields = self.sandbox.connection(case.vendor.name, url="http://127.0.0.1")
        extra = fields.pop("extra")
        connection: Any = SimpleNamespace(**{"schema": None, "port": None, **fields})
        self.task.hook.connect(type(self.task.hook).read_settings("sandbox", connection, extra))
        self.crash = ""
        self.writes = 0
        self.ended: set[str] = set()
        self.took = (0.0, 0.0)
        self.max_tries = RETRIES
        self.store.before_set = self._before_set

    def sleep(self, seconds: float) -> None:
        if self.crash == "while it is looked for":
            raise Killed
        self.now += seconds

    def send(
        self,
        session: Any,
        settings: Any,
        method: str,
        url: str,
        *,
        headers: Any = None,
        params: Any = (),
        json_body: Any = None,
        **_: Any,
    ) -> Response:
        is_start = method == "POST"
        if is_start and self.crash == "before the request":
            raise Killed
        self.now += self.took[0] if is_start else 0.0
        body = b"" if json_body is None else json.dumps(json_body).encode()
        sent = {**headers, "content-type": "application/json"} if body else headers
        answer = self.sandbox.respond(
            method, urlsplit(url).path, query=urlencode(list(params)), headers=sent, body=body
        )
        if is_start and self.crash == "after the request":
            raise Killed
        self.now += self.took[1] if is_start else 0.0
        return Response(answer.status, answer.headers, answer.body)

    def begin(self, number: int) -> Any:
        """Begin a try, and return what it waits for."""
        self.writes = 0
        ti = TaskInstance()
        ti.try_number, ti.max_tries = number, self.max_tries
        context: Any = {"ti": ti, "task_state_store": self.store}
        starter = StartOnce(
            self.task.start_request(context),
            self.task.hook,
            Memory(context, self.task.log),
            ThisTry(number, self.max_tries, RETRIES, clock.now()),
            wanted=Wanted(self.task.hook.vendor, frozenset({JobState.SUCCEEDED}), {}),
            listing_delay=LISTING_DELAY,
            log=self.task.log,
            sleep=self.sleep,
        )
        return starter.begin()

    def end(self, state: JobState) -> None:
        """End every job that has not ended."""
        name = self.case.vendor.name
        for job_id in set(self.sandbox.job_ids(name)) - self.ended:
            self.sandbox.set_state(name, job_id, self.case.vendor.words[state])
            self.ended.add(job_id)

    def alive(self) -> list[str]:
        """What was started and has not failed."""
        self.crash = ""
        self.sandbox.clear_faults()
        jobs = [self.task.hook.get_job(job_id) for job_id in self.case.started(self.sandbox)]
        return [job.id for job in jobs if job.state is not JobState.FAILED]

    def _before_set(self) -> None:
        self.writes += 1
        # The first write of a start is its intention.
        if self.crash == "before the id is kept" and self.writes > 1:
            raise Killed


@contextmanager
def living_in(world: World) -> Iterator[None]:
    with patch.object(clock, "time", lambda: world.now), patch.object(http, "send", world.send):
        yield


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=50)
@given(tries=st.lists(TRIES, min_size=1, max_size=RETRIES), skew=st.floats(-50, 50))
def test_one_job_at_most(case: StartCase, tries: list[Try], skew: float) -> None:
    world = World(case, skew)
    name = case.vendor.name
    has_asked = False
    with living_in(world):
        for number, this in enumerate(tries, 1):
            world.crash, world.took = this.crash, this.took
            # Whoever clears a task that has asked people, says that its job is not there.
            if this.is_cleared and number > 1 and not has_asked:
                world.max_tries = number - 1 + RETRIES
            has_asked = False
            world.sandbox.clear_faults()
            for _ in range(this.broken_lists):
                world.sandbox.add_fault(Fault(method="GET", status=503))
            for answer in this.answers:
                if fault := ANSWERS[answer]:
                    world.sandbox.add_fault(fault)
            world.sandbox.plan_start(
                name, [(0, case.vendor.words[JobState.RUNNING])], list_lag=this.list_lag, times=None
            )
            try:
                record = world.begin(number)
            except Killed:
                event("killed")
            except StartUnknown:
                event("people are asked")
                has_asked = True
            except VendorError as error:
                event("refused" if not isinstance(error, VendorUnavailable) else "unavailable")
            else:
                event(f"a job that {this.end}")
                assert set(case.started(world.sandbox)) >= set(record.job_ids)
                assert len(record.job_ids) == 1
                if not world.alive():
                    # It had failed, which could not be read: the wait for it fails this try.
                    continue
                if this.end == "fails":
                    world.end(JobState.FAILED)
                if this.end == "succeeds":
                    world.end(JobState.SUCCEEDED)
                    assert world.alive() == list(record.job_ids), "the success is of the one job"
                    return
            assert len(world.alive()) <= 1, "two jobs for one intention"
            world.now += this.pause
