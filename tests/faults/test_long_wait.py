# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Forty-eight hours of waiting in a few seconds: a simulated clock, real requests, daily storms of faults."""

from __future__ import annotations

import asyncio
import gc
import json
import selectors
import time as real_time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers.base import jobs_from_event
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.watch import watch_for
from support.vendors import VENDORS, VendorCase

T = TypeVar("T")
HOUR = 3600.0
HOURS = 48
#: Seconds between two polls; Airflow's default of 60 would only make the test longer.
INTERVAL = 1800.0
#: What Python may hold more after the second day than after the first: the sandbox keeps what it was asked.
MORE_BYTES = 256 * 1024


class Clock:
    """A time that stands still while something is done, and passes while everybody sleeps."""

    def __init__(self) -> None:
        self.began = real_time.time() - HOURS * HOUR - HOUR
        self.passed = 0.0

    def time(self) -> float:
        return self.began + self.passed

    def monotonic(self) -> float:
        return 1_000.0 + self.passed


class SimulatedSelector(selectors.DefaultSelector):
    """Waits for no time, but lets the clock pass it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits, and nobody will ever be woken"
        if timeout > 0:
            self._clock.passed += timeout
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(SimulatedSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for the package and the sandbox, but not for Airflow and the sockets."""
    clock = Clock()
    package = "airflow_provider_ingestjobs"
    monkeypatch.setattr(f"{package}.clock.time", clock.time)
    monkeypatch.setattr(f"{package}.clock.monotonic", clock.monotonic)
    monkeypatch.setattr(f"{package}.hooks.http.RETRIES", 0)

    async def at_once(call: Callable[[], T], limit: Any = None) -> T:
        # Time passes while a loop with nothing to do waits for a thread: a poll takes none here.
        return call()

    lookups = ThreadPoolExecutor(1)

    async def connection_at_once(hook_class: Any, conn_id: str) -> Any:
        # In a thread, as Airflow looks it up otherwise where a loop is running; but the loop does not see it.
        return lookups.submit(hook_class.get_connection, conn_id).result()

    async def extra_at_once(connection: Any) -> Any:
        return connection.extra_dejson

    monkeypatch.setattr(f"{package}.triggers.watch.in_thread", at_once)
    monkeypatch.setattr(f"{package}.hooks.for_triggers.look_up_connection", connection_at_once)
    monkeypatch.setattr(f"{package}.hooks.for_triggers.look_up_extra", extra_at_once)
    return clock


@pytest.fixture
def timed_sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock.time) as sandbox:
        yield sandbox


STORMS: tuple[dict[str, Any], ...] = (
    {"status": 503, "headers": {"Retry-After": "900"}},
    {"status": 500},
    {"status": 429, "headers": {"Retry-After": "10"}},
    {"drop": "before"},
    {"drop": "mid_body"},
    {"body": "<html>maintenance</html>"},
    {"body": b""},
)


def trigger_for(case: VendorCase, conn_id: str, job_id: str, clock: Clock) -> IngestJobTrigger:
    began = datetime.fromtimestamp(clock.time(), UTC)
    return IngestJobTrigger(
        hook=case.hook.vendor.hook,
        conn_id=conn_id,
        job_ids=[job_id],
        poll_interval=INTERVAL,
        started_at=began.isoformat(),
        deadline=(began + timedelta(hours=HOURS + 10)).isoformat(),
        missing_grace=HOUR,
    )


async def wait_for(trigger: IngestJobTrigger) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event.payload


@pytest.fixture
def connect(timed_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the connection ``long``, or write it anew."""

    def write(case: VendorCase, auth: str = "login", **changes: Any) -> None:
        fields = {**timed_sandbox.connection(case.name, auth), **changes}
        fields["extra"] = {**fields["extra"], "requests_per_second": 1e6}
        given = {key: value for key, value in fields.items() if value is not None and key != "conn_id"}
        monkeypatch.setenv("AIRFLOW_CONN_LONG", json.dumps(given))

    return write


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_two_days(
    case: VendorCase,
    clock: Clock,
    timed_sandbox: Sandbox,
    connect: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No wait is lost, no request too many is sent, and memory stays flat."""
    sandbox = timed_sandbox

    connect(case)
    words = case.words
    ends = {}
    for number in range(8):
        job_id = f"{4711 + number}" if case.name == "adverity" else f"job-{number}"
        # One ends each six hours; the last one at the very end.
        end = (number + 1) * HOURS * HOUR / 8 - HOUR
        timeline = [
            (0, words[JobState.PENDING]),
            (HOUR, words[JobState.RUNNING]),
            (end, words[JobState.SUCCEEDED]),
        ]
        sandbox.add_job(case.name, job_id, timeline=timeline)
        ends[job_id] = clock.time() + end
    ended: dict[str, float] = {}
    memory: list[int] = []

    async def wait(job_id: str) -> None:
        event = await wait_for(trigger_for(case, "long", job_id, clock))
        (job,) = jobs_from_event(event)
        assert job.state is JobState.SUCCEEDED
        ended[job_id] = clock.time()

    async def storms() -> None:
        """Each hour the tokens expire; each three hours a storm of an hour; each day another host."""
        for hour in range(HOURS):
            await asyncio.sleep(HOUR)
            sandbox.expire_tokens()
            sandbox.clear_faults()
            if hour % 3 == 1:
                # The same each day: what is used for the first time only is no growth.
                storm = STORMS[(hour % 24) // 3 % len(STORMS)]
                sandbox.add_fault(Fault(vendor=case.name, times=None, **storm))
            if hour % 24 == 12:
                host = sandbox.url.replace("127.0.0.1", "localhost")
                connect(case, host=host)
            if hour % 24 == 23:
                gc.collect()
                memory.append(tracemalloc.get_traced_memory()[0])

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for job_id in ends:
                group.create_task(wait(job_id))
            group.create_task(storms())
        watch = watch_for(case.hook, "long", {})
        assert not watch._subscriptions
        assert not watch._state.jobs

    caplog.set_level("ERROR")
    tracemalloc.start(1)
    try:
        with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
            runner.run(everybody())
    finally:
        tracemalloc.stop()
    assert ended.keys() == ends.keys()
    late = max(ended[job_id] - at for job_id, at in ends.items())
    # An hour's storm, and the longest pause after it.
    assert late <= HOUR + 2 * 900 + 2 * INTERVAL, f"an end was seen {late:.0f} s late"
    assert all(ended[job_id] >= at for job_id, at in ends.items())
    requests = len(sandbox.requests(case.name))
    assert requests < 5 * HOURS * HOUR / INTERVAL + 500
    first, last = memory[0], memory[-1]
    assert last - first < MORE_BYTES, f"{first} bytes after a day, {last} after two"


def test_a_wait_that_never_ends_times_out_by_the_clock(
    clock: Clock, timed_sandbox: Sandbox, connect: Callable[..., None]
) -> None:
    """Two days in which the vendor never answers once: the timeout ends the wait, and says what was wrong."""
    case = VENDORS[0]
    timed_sandbox.add_fault(Fault(vendor=case.name, status=503, times=None))
    connect(case, "key")
    trigger = trigger_for(case, "long", "isj-1", clock)
    began = clock.passed
    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
        event = runner.run(wait_for(trigger))
    assert event["status"] == "timeout"
    assert "2 days 10 hours" in event["message"]
    assert "answered 503" in event["message"]
    assert clock.passed - began <= (HOURS + 10) * HOUR + 60


def test_a_connection_that_is_mended_during_a_wait(
    clock: Clock, timed_sandbox: Sandbox, connect: Callable[..., None]
) -> None:
    """A host that went away, and another one in Airflow's connection: picked up within minutes."""
    case = VENDORS[3]
    timed_sandbox.add_job(case.name, "job-1", timeline=[(0, "running"), (10 * HOUR, "completed")])
    connect(case, host="http://127.0.0.1:9")

    async def mend() -> Any:
        waiting = asyncio.ensure_future(wait_for(trigger_for(case, "long", "job-1", clock)))
        await asyncio.sleep(5 * HOUR)
        assert not timed_sandbox.requests()
        connect(case)
        await asyncio.sleep(INTERVAL + 300 + INTERVAL)
        assert timed_sandbox.requests(case.name)
        return await waiting

    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(clock)) as runner:
        event = runner.run(mend())
    assert jobs_from_event(event)[0].state is JobState.SUCCEEDED
