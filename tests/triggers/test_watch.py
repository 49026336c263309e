# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The shared poll: who is served by it, what it asks, and what it does when a vendor has trouble."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from socket import gethostname
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    InvalidInput,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.for_triggers import open_hook
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers import watch as watch_module
from airflow_provider_ingestjobs.triggers.backoff import JITTER
from airflow_provider_ingestjobs.triggers.poll import Update
from airflow_provider_ingestjobs.triggers.subscription import Subscription
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.triggers.watch import Watch, watch_for
from support.task_runs import in_time, until
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

pytestmark = pytest.mark.usefixtures("quick_watch", "one_try")
each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
LONG = 60.0


def the_watch(case: VendorCase, conn_id: str | None = None, **params: Any) -> Watch:
    return watch_for(case.hook, conn_id or f"{case.conn_type}_default", params)


async def end_of(wait: Subscription) -> Job:
    """Return the job as it ended."""
    while True:
        news = await wait.next_update()
        if news.error is not None:
            raise news.error
        if news.job is not None and news.job.state.is_terminal:
            return news.job


@asynccontextmanager
async def waiting(watch: Watch, job_ids: list[str], interval: float) -> AsyncIterator[list[Subscription]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(watch.join(job_id, interval)) for job_id in job_ids]


def reads(sandbox: Sandbox) -> list[str]:
    return [request.path for request in sandbox.requests() if "token" not in request.path]


def watches_running() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "Watch._run" in repr(task.get_coro())]


class TestOnePoll:
    @each_vendor
    def test_many_waits_are_served_by_one_request(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        job_ids = [str(number) for number in range(1, 51)]
        for job_id in job_ids:
            sandbox.add_job(case.name, job_id, [(0, case.words[JobState.RUNNING])])

        async def scenario() -> None:
            async with waiting(the_watch(case), job_ids, LONG) as waits:
                news = await asyncio.gather(*(wait.next_update() for wait in waits))
                assert [item.job.id for item in news if item.job] == job_ids
                assert len(reads(sandbox)) == 1

        in_time(scenario())

    def test_one_watch_for_a_connection_and_another_for_each_project(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris")
        connections.add("polaris", conn_id="second")

        async def scenario() -> list[Watch]:
            return [
                the_watch(POLARIS),
                the_watch(POLARIS),
                the_watch(POLARIS, "second"),
                the_watch(POLARIS, project_id="p1"),
                the_watch(POLARIS, project_id="p1"),
                the_watch(AMPERITY, "second"),
            ]

        watches = in_time(scenario())
        assert watches[0] is watches[1]
        assert watches[3] is watches[4]
        assert len(set(map(id, watches))) == 4
        # Another event loop is another world.
        assert in_time(scenario())[0] is not watches[0]

    @each_vendor
    def test_two_waits_on_the_same_job(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)

        async def scenario() -> None:
            async with waiting(the_watch(case), [case.job_id] * 2, LONG) as waits:
                await asyncio.gather(*(wait.next_update() for wait in waits))
                assert len(reads(sandbox)) == 1
                sandbox.set_state(case.name, case.job_id, case.words[JobState.SUCCEEDED])
                waits[0].look_now()
                first, second = await asyncio.gather(*map(end_of, waits))
                assert first == second

        in_time(scenario())

    def test_one_leaves_the_other_stays(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with watch.join(NARRATIVE.job_id, 0.05) as stays:
                async with watch.join(NARRATIVE.job_id, 0.05) as leaves:
                    await leaves.next_update()
                await stays.next_update()
                sandbox.set_state("narrative", NARRATIVE.job_id, "completed")
                assert (await end_of(stays)).state is JobState.SUCCEEDED

        in_time(scenario())

    def test_a_new_wait_takes_one_more_request_and_holds_nobody_up(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        for number in range(20):
            sandbox.add_job("narrative", f"old-{number}")
        sandbox.add_job("narrative", "new")

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with waiting(watch, [f"old-{number}" for number in range(20)], LONG) as waits:
                await asyncio.gather(*(wait.next_update() for wait in waits))
                before = len(reads(sandbox))
                async with watch.join("new", LONG) as wait:
                    news = await wait.next_update()
                    assert news.job is not None
                    assert news.job.id == "new"
                assert reads(sandbox)[before:] == ["/jobs/new"]

        in_time(scenario())

    def test_a_new_wait_on_a_known_job_hears_of_it(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        for number in range(8):
            sandbox.add_job("narrative", f"job-{number}")

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with waiting(watch, [f"job-{number}" for number in range(8)], LONG) as waits:
                await asyncio.gather(*(wait.next_update() for wait in waits))
                async with watch.join("job-3", LONG) as wait:
                    news = await wait.next_update()
                    assert news.job is not None
                    assert news.job.state is JobState.RUNNING

        in_time(scenario())

    def test_nothing_is_told_twice(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.02) as wait:
                await wait.next_update()
                before = len(reads(sandbox))
                again = asyncio.ensure_future(wait.next_update())
                await until(lambda: len(reads(sandbox)) >= before + 5)
                assert not again.done()
                again.cancel()

        in_time(scenario())


class TestIntervals:
    def test_the_shortest_counts_while_it_is_there(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", "patient")
        sandbox.add_job("narrative", "eager")

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with watch.join("patient", LONG) as patient:
                await patient.next_update()
                async with watch.join("eager", 0.05) as eager:
                    await eager.next_update()
                    sandbox.set_state("narrative", "eager", "completed")
                    assert (await asyncio.wait_for(end_of(eager), 5)).state is JobState.SUCCEEDED
                    # One poll serves both.
                    sandbox.set_state("narrative", "patient", "completed")
                    assert (await asyncio.wait_for(end_of(patient), 5)).state is JobState.SUCCEEDED

        in_time(scenario())

    def test_nobody_is_asked_more_often_than_wished(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.2):
                await until(lambda: len(reads(sandbox)) >= 5)

        in_time(scenario())
        at = [request.at for request in sandbox.requests()]
        gaps = [later - earlier for earlier, later in pairwise(at[1:])]
        # A poll that takes long starts up to a quarter of the interval earlier.
        assert min(gaps) >= 0.2 * (1 - JITTER - 1 / 4) - 0.02

    def test_how_long_one_may_grow_does_not_depend_on_how_often_another_looks(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        patient, hasty = sandbox.add_job("narrative"), sandbox.add_job("narrative")

        async def scenario() -> Job:
            watch = the_watch(NARRATIVE)
            async with watch.join(patient, 0.05, 600) as wait:
                async with watch.join(hasty, 0.05):
                    await until(lambda: len(reads(sandbox)) >= 30)
                sandbox.set_state("narrative", patient, "completed")
                return await end_of(wait)

        assert in_time(scenario()).state is JobState.SUCCEEDED

    def test_zero_is_not_a_busy_loop(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch_module, "MIN_INTERVAL", 0.1)
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0):
                await until(lambda: len(reads(sandbox)) >= 4)

        began = time.monotonic()
        in_time(scenario())
        assert time.monotonic() - began >= 2 * 0.1 * (1 - JITTER - 1 / 4)

    def test_look_now(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, LONG) as wait:
                await wait.next_update()
                looked_from = datetime.now(UTC)
                wait.look_now()
                # Told although it has not changed: it was asked for.
                news = await asyncio.wait_for(wait.next_update(), 5)
                assert news.job is not None
                assert len(reads(sandbox)) == 2
                assert wait.read_at is not None
                assert wait.read_at > looked_from

        in_time(scenario())


class TestItsLife:
    def test_it_ends_when_nobody_waits_and_starts_again(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            for _ in range(3):
                async with watch.join(NARRATIVE.job_id, 0.02) as wait:
                    assert (await wait.next_update()).job is not None
                await until(lambda: not watches_running())
                asked = len(reads(sandbox))
                await asyncio.sleep(0.1)
                assert len(reads(sandbox)) == asked

        in_time(scenario())

    def test_a_waiter_cancelled_during_a_poll(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", "1")
        sandbox.add_job("narrative", "2")

        async def wait_for(job_id: str) -> Job:
            async with the_watch(NARRATIVE).join(job_id, 0.05) as wait:
                return await end_of(wait)

        async def scenario() -> None:
            sandbox.latency = 0.3
            first, second = (asyncio.ensure_future(wait_for(job_id)) for job_id in ("1", "2"))
            await asyncio.sleep(0.15)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            sandbox.latency = 0
            sandbox.set_state("narrative", "2", "completed")
            assert (await second).state is JobState.SUCCEEDED

        in_time(scenario())

    def test_the_event_loop_is_never_blocked(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative", extra={"read_timeout": 5})
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(delay=0.7, times=1))

        async def scenario() -> None:
            turns = 0
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, LONG) as wait:
                news = asyncio.ensure_future(wait.next_update())
                while not news.done():
                    await asyncio.sleep(0.01)
                    turns += 1
            assert turns > 10

        in_time(scenario())

    def test_a_list_that_does_not_answer_in_time_holds_up_no_job(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)
        connections.add("polaris", extra={"read_timeout": 0.3})
        job_ids = [sandbox.add_job("polaris") for _ in range(6)]
        method, path = POLARIS.requests["list"]
        sandbox.add_fault(Fault("polaris", method, path, delay=1.0, times=None))

        async def scenario() -> None:
            async with waiting(the_watch(POLARIS), job_ids, 0.1) as waits:
                for wait in waits:
                    assert (await wait.next_update()).job is not None
                for job_id in job_ids:
                    sandbox.set_state("polaris", job_id, "completed")
                for wait in waits:
                    assert (await end_of(wait)).state is JobState.SUCCEEDED

        in_time(scenario())
        # It is left alone for a while, rather than waited for in each poll.
        assert sum(request.path.endswith("/jobs") for request in sandbox.requests()) <= 1

    def test_a_hanging_vendor_holds_up_no_other(self, sandbox: Sandbox, connections: Connections) -> None:
        for number in range(40):
            connections.add("narrative", conn_id=f"slow_{number}", extra={"read_timeout": 1.5})
        connections.add("polaris")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_job("polaris", POLARIS.job_id, [(0, "completed")])
        sandbox.add_fault(Fault(vendor="narrative", delay=1.5, times=None))

        async def scenario() -> None:
            async with AsyncExitStack() as stack:
                # More than the default executor of an event loop has threads.
                for number in range(40):
                    await stack.enter_async_context(
                        the_watch(NARRATIVE, f"slow_{number}").join(NARRATIVE.job_id, LONG)
                    )
                async with the_watch(POLARIS).join(POLARIS.job_id, LONG) as wait:
                    assert (await end_of(wait)).state is JobState.SUCCEEDED
                assert not [request for request in sandbox.requests("narrative") if request.status]

        in_time(scenario())

    @pytest.fixture
    def gauges(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
        """What the gauges were set to, by name; each names the host, as another triggerer has its own."""
        told: dict[str, list[float]] = defaultdict(list)

        def gauge(name: str, value: float, tags: dict[str, str]) -> None:
            assert tags["hostname"] == gethostname()
            told[name].append(value)

        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.meter.Stats.gauge", gauge, raising=False)
        return told

    def test_the_gauge_counts_waits(
        self, sandbox: Sandbox, connections: Connections, gauges: dict[str, list[float]]
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            async with waiting(the_watch(NARRATIVE), [NARRATIVE.job_id] * 3, LONG) as waits:
                await asyncio.gather(*(wait.next_update() for wait in waits))

        in_time(scenario())
        assert gauges == {"ingestjobs.waits": [3, 0], "ingestjobs.seconds_since_answer": [0, 0]}

    def test_a_line_tells_which_tasks_wait(
        self, sandbox: Sandbox, connections: Connections, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.REPORT_EVERY", 0.1)
        connections.add("narrative")
        ids = [sandbox.add_job("narrative") for _ in range(3)]
        tasks = [
            SimpleNamespace(dag_id="loads", task_id="wait", run_id="monday", map_index=index)
            for index in (-1, 0, 1)
        ]

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with AsyncExitStack() as stack:
                for job_id, task in zip(ids, tasks, strict=True):
                    await stack.enter_async_context(watch.join(job_id, 0.05, None, task))
                await until(lambda: "waiting tasks" in logs.text)

        in_time(scenario())
        named = ", ".join(f"loads.wait{index} of monday" for index in ("", "[0]", "[1]"))
        assert "'narrative_default': jobs: 3, selections: 0, read every 0.05 s, last 0 s ago" in logs.text
        assert f"failed polls in a row: 0, waiting tasks: 3 ({named})" in logs.text

    def test_the_line_comes_when_trouble_begins(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("narrative")
        sandbox.add_fault(Fault(status=503, times=2))
        job_id = sandbox.add_job("narrative")
        task = SimpleNamespace(dag_id="loads", task_id="wait", run_id="monday", map_index=-1)

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(job_id, 0.05, None, task):
                await until(lambda: "answers again" in logs.text)

        in_time(scenario())
        assert logs.text.count("in a row: 1, waiting tasks: 1 (loads.wait of monday)") == 1

    def test_the_gauge_tells_since_when_the_vendor_has_not_answered(
        self, sandbox: Sandbox, connections: Connections, gauges: dict[str, list[float]]
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=503, times=3))
        silence = gauges["ingestjobs.seconds_since_answer"]

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.05):
                await until(lambda: 0 in silence)

        in_time(scenario())
        *growing, last = silence[: silence.index(0) + 1]
        assert len(growing) >= 2
        assert growing == sorted(growing)
        assert growing[-1] >= 0.05
        assert last == 0


@pytest.mark.usefixtures("one_by_one")
class TestTrouble:
    @each_vendor
    def test_it_is_told_once_and_its_end_too(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)

        async def scenario() -> None:
            async with the_watch(case).join(case.job_id, 0.02) as wait:
                first = await wait.next_update()
                assert first.job is not None
                sandbox.add_fault(Fault(status=503, times=3))
                second = await wait.next_update()
                assert isinstance(second.trouble, VendorUnavailable)
                assert second.error is None
                third = await wait.next_update()
                assert third.job is not None
                assert third.job.state is JobState.RUNNING
                statuses = [request.status for request in sandbox.requests()]
                assert statuses.count(503) == 3

        in_time(scenario())

    def test_the_pause_grows(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=500, times=4))

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.05) as wait:
                while (await wait.next_update()).job is None:
                    pass

        in_time(scenario())
        at = [request.at for request in sandbox.requests()]
        gaps = [later - earlier for earlier, later in pairwise(at)]
        for gap, least in zip(gaps, (0.05, 0.1, 0.2, 0.4), strict=True):
            assert gap >= least

    def test_retry_after_is_honoured(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "1"}))

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.02) as wait:
                while (await wait.next_update()).job is None:
                    pass

        in_time(scenario())
        first, second = sandbox.requests()[:2]
        assert second.at - first.at >= 1

    @pytest.mark.usefixtures("one_try")
    def test_a_job_whose_own_address_is_silent_slows_no_other(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("narrative", extra={"read_timeout": 0.2})
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_job("narrative", NARRATIVE.other_id)
        sandbox.add_fault(Fault(path=NARRATIVE.other_id, delay=1.0, times=None))

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with (
                watch.join(NARRATIVE.job_id, 0.05) as wait,
                watch.join(NARRATIVE.other_id, 0.05) as mute,
            ):
                for _ in range(5):
                    assert "no answer within" in str((await mute.next_update()).trouble)
                sandbox.set_state("narrative", NARRATIVE.job_id, "completed")
                while (job := (await wait.next_update()).job) is None or not job.state.is_terminal:
                    pass

        in_time(scenario())
        assert "failed (2 in a row)" not in logs.text

    def test_a_wait_knows_of_the_last_trouble_also_one_that_joins_in_it(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=503, body={"error": "first"}, times=1))
        sandbox.add_fault(Fault(status=502, body={"error": "second"}, times=None))

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with watch.join(NARRATIVE.job_id, 0.05) as wait:
                assert "first" in str((await wait.next_update()).trouble)
                await until(lambda: "second" in str(wait.trouble))
                async with watch.join("another", 0.05) as late:
                    assert "second" in str((await late.next_update()).trouble)

        in_time(scenario())

    def test_an_absurd_retry_after_is_honoured_only_so_long(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.MAX_SLEEP", 0.0)
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.backoff.MAX_RETRY_AFTER", 0.5)
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "86400"}, times=3))

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.02) as wait:
                while (await wait.next_update()).job is None:
                    pass

        in_time(scenario())
        *refused, answered = sandbox.requests()
        assert answered.at - refused[-1].at >= 0.5

    def test_it_holds_new_waits_off_the_vendor_too(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", "1")
        sandbox.add_job("narrative", "2")
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "1"}))

        async def scenario() -> None:
            watch = the_watch(NARRATIVE)
            async with watch.join("1", 0.02) as first:
                assert (await first.next_update()).trouble is not None
                async with watch.join("2", 0.02) as second:
                    assert (await second.next_update()).trouble is not None
                    assert (await second.next_update()).job is not None

        in_time(scenario())
        at = [request.at for request in sandbox.requests()]
        assert at[1] - at[0] >= 1

    @pytest.mark.parametrize("status", [403, 422])
    def test_one_bad_job_is_no_other_jobs_trouble(
        self, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("amperity")
        for job_id in ("bad", "good"):
            sandbox.add_job("amperity", job_id)
        sandbox.add_fault(Fault(path="/bad$", status=status, times=None))

        async def scenario() -> None:
            async with waiting(the_watch(AMPERITY), ["bad", "good"], 0.05) as (bad, good):
                with pytest.raises(AuthenticationFailed if status == 403 else VendorError, match=str(status)):
                    await end_of(bad)
                assert (await good.next_update()).job is not None
                sandbox.set_state("amperity", "good", "succeeded")
                assert (await end_of(good)).state is JobState.SUCCEEDED

        in_time(scenario())

    @each_vendor
    def test_one_unreadable_record_is_no_other_jobs_trouble(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        for job_id in ("1", "2"):
            sandbox.add_job(case.name, job_id)
        sandbox.add_fault(Fault(path="/1/?$", body="<html>", times=None))

        async def scenario() -> None:
            async with waiting(the_watch(case), ["1", "2"], 0.05) as (bad, good):
                assert isinstance((await bad.next_update()).trouble, VendorUnavailable)
                assert (await good.next_update()).job is not None
                sandbox.set_state(case.name, "2", case.words[JobState.SUCCEEDED])
                assert (await end_of(good)).state is JobState.SUCCEEDED
                sandbox.clear_faults()
                sandbox.set_state(case.name, "1", case.words[JobState.SUCCEEDED])
                assert (await end_of(bad)).state is JobState.SUCCEEDED

        in_time(scenario())

    @each_vendor
    def test_what_was_read_before_the_trouble_counts(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        for job_id in ("1", "2", "3"):
            sandbox.add_job(case.name, job_id, [(0, case.words[JobState.SUCCEEDED])])
        # Which of the three is read last is open: the vendor goes away after two.
        healthy = Fault(path="jobs", headers={"X-Fault": "none"}, times=2)
        sandbox.add_fault(healthy)
        sandbox.add_fault(Fault(status=503, times=None))

        async def scenario() -> None:
            async with waiting(the_watch(case), ["1", "2", "3"], LONG) as waits:
                ends = [asyncio.ensure_future(end_of(wait)) for wait in waits]
                # The two know their end, however long the third has to wait for its own.
                await until(lambda: sum(end.done() for end in ends) == 2, patience=5)
                for end in ends:
                    end.cancel()

        in_time(scenario())

    @each_vendor
    def test_a_job_that_is_missing(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, "1")

        async def scenario() -> None:
            async with waiting(the_watch(case), ["1", "404"], 0.05) as (known, unknown):
                assert (await unknown.next_update()) == Update(missing=True)
                assert (await known.next_update()).job is not None
                sandbox.add_job(case.name, "404")
                while (news := await unknown.next_update()).job is None:
                    assert news.missing

        in_time(scenario())


class TestConnections:
    @each_vendor
    def test_an_edited_key_is_picked_up_after_a_401(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)

        async def scenario() -> None:
            async with the_watch(case).join(case.job_id, 0.05) as wait:
                await wait.next_update()
                # The old key no longer works; in Airflow, there is a new one.
                connections.add(case.name, auth="login")
                sandbox.add_fault(Fault(path="jobs", status=401, times=1))
                sandbox.set_state(case.name, case.job_id, case.words[JobState.SUCCEEDED])
                assert (await end_of(wait)).state is JobState.SUCCEEDED
                assert any("token" in request.path for request in sandbox.requests())

        in_time(scenario())

    @each_vendor
    def test_a_key_that_stays_refused_ends_all_waits(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name, password="wrong")

        async def scenario() -> None:
            async with waiting(the_watch(case), ["1", "2"], LONG) as waits:
                for wait in waits:
                    with pytest.raises(AuthenticationFailed, match="401"):
                        await end_of(wait)

        in_time(scenario())
        # The connection was read again once, and the vendor asked again with it, once.
        assert [request.status for request in sandbox.requests()] == [401, 401]

    def test_a_connection_is_read_again_now_and_then(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.current_hook.MAX_CONNECTION_AGE", 0.1)
        connections.add("narrative", extra={"state_map": {"archived": "running"}})
        sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "archived")])

        async def scenario() -> None:
            async with the_watch(NARRATIVE).join(NARRATIVE.job_id, 0.05) as wait:
                assert (await wait.next_update()).job is not None
                connections.add("narrative", extra={"state_map": {"archived": "succeeded"}})
                assert (await end_of(wait)).state is JobState.SUCCEEDED

        in_time(scenario())

    @each_vendor
    def test_none(self, case: VendorCase, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.current_hook.MISSING_GRACE", 0.0)

        async def scenario() -> None:
            async with the_watch(case, "nowhere").join("1", LONG) as wait:
                with pytest.raises(InvalidInput, match=f"{case.conn_type}_conn_id='nowhere'"):
                    await end_of(wait)

        in_time(scenario())

    def test_one_that_cannot_be_used_ends_its_waits_and_can_be_mended(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("amperity", extra={"tenant": None})
        sandbox.add_job("amperity", "1")

        async def scenario() -> None:
            watch = the_watch(AMPERITY)
            async with watch.join("1", LONG) as wait:
                with pytest.raises(InvalidInput, match="extra tenant"):
                    await end_of(wait)
            connections.add("amperity")
            async with watch.join("1", LONG) as wait:
                assert (await wait.next_update()).job is not None

        in_time(scenario())

    def test_no_connection_is_looked_up_in_a_thread(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connections.add("adverity", auth="login")
        sandbox.add_job("adverity", ADVERITY.job_id, [(0, "Success")])

        def refuse(*args: Any) -> Any:
            raise AssertionError("a connection was looked up off the event loop")

        async def scenario() -> None:
            hook = await open_hook(ADVERITY.hook, "adverity_default", {})
            monkeypatch.setattr(ADVERITY.hook, "get_connection", refuse)
            read = await in_thread(lambda: hook.read_jobs([ADVERITY.job_id]))
            assert read.jobs[ADVERITY.job_id].state is JobState.SUCCEEDED

        in_time(scenario())

    def test_the_watch_says_what_it_is(self, connections: Connections, logs: Logs) -> None:
        async def scenario() -> str:
            return repr(the_watch(AMPERITY))

        assert "AmperityHook 'amperity_default'" in in_time(scenario())
