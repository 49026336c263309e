# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Many killed tasks at once, and threads that cannot be had: bounded, shared, and nobody's wait is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers.base import jobs_from_event
from airflow_provider_ingestjobs.triggers.cancels import MAX_CANCEL_THREADS
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.threads import in_thread
from support.task_runs import fire, in_time, killed, until
from support.vendors import AMPERITY, CANCELLING_VENDORS, NARRATIVE, POLARIS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ingestjobs.sandbox import RecordedRequest
    from support.connections import Connections
    from support.logs import Logs

pytestmark = pytest.mark.usefixtures("quick_watch", "one_try")


def trigger_of(case: VendorCase, job_id: str, **changes: Any) -> IngestJobTrigger:
    now = datetime.now(UTC)
    arguments = {
        "hook": case.hook.vendor.hook,
        "conn_id": f"{case.conn_type}_default",
        "job_ids": [job_id],
        "poll_interval": 0.05,
        "started_at": now.isoformat(),
        "deadline": (now + timedelta(seconds=30)).isoformat(),
        **changes,
    }
    return IngestJobTrigger(**arguments)


class MostThreads:
    """The most of our threads that there were at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        start = threading.Thread.start

        def counting_start(thread: threading.Thread) -> None:
            start(thread)
            ours = [one for one in threading.enumerate() if one.name.startswith("ingestjobs")]
            self.most = max(self.most, len(ours))

        monkeypatch.setattr(threading.Thread, "start", counting_start)


class TestMassKill:
    @pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
    def test_a_thousand_killed_tasks_share_a_hook_a_token_and_few_threads(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connections.add(case.name, auth="login")
        sandbox.cancel_delay = 0
        ids = [sandbox.add_job(case.name) for _ in range(300 if case is AMPERITY else 50)]
        threads = MostThreads(monkeypatch)

        async def kill_all() -> None:
            triggers = [trigger_of(case, job_id, cancel_on_kill=True) for job_id in ids]
            await asyncio.gather(*(killed(trigger) for trigger in triggers))

        in_time(kill_all(), patience=60)
        tokens = [one for one in sandbox.requests(case.name) if "token" in one.path]
        assert len(tokens) == 1
        # One that has handed over its result may not have ended when the next one starts.
        assert threads.most <= 2 * MAX_CANCEL_THREADS
        hook = case.hook()
        assert {hook.get_job(job_id).state for job_id in ids} == {JobState.CANCELLED}

    def test_the_many_jobs_of_one_task_share_a_token_too(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris", auth="login")
        ids = [sandbox.add_job("polaris") for _ in range(5)]
        polaris = next(case for case in CANCELLING_VENDORS if case.name == "polaris")

        async def kill() -> None:
            await killed(trigger_of(polaris, ids[0], job_ids=ids, cancel_on_kill=True))

        in_time(kill())
        assert sum("token" in request.path for request in sandbox.requests()) == 1
        assert sum(request.path.endswith("/status") for request in sandbox.requests()) == 5

    def test_a_job_that_cannot_be_cancelled_is_no_other_s_trouble(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris")
        ids = [sandbox.add_job("polaris") for _ in range(3)]
        sandbox.add_fault(Fault(method="POST", path=ids[0], status=409, times=None))
        polaris = next(case for case in CANCELLING_VENDORS if case.name == "polaris")

        async def kill_all() -> None:
            await killed(trigger_of(polaris, ids[0], job_ids=ids, cancel_on_kill=True))

        in_time(kill_all())
        assert f"job {ids[0]} goes on" in logs.text
        sandbox.clear_faults()
        states = [polaris.hook().get_job(job_id).state for job_id in ids]
        assert JobState.RUNNING not in states[1:]
        assert states[0] is JobState.RUNNING

    def test_nor_is_a_bug_in_cancelling_one(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch, logs: Logs
    ) -> None:
        connections.add("polaris")
        sandbox.cancel_delay = 0
        first, *others = [sandbox.add_job("polaris") for _ in range(3)]
        send_cancel = POLARIS.hook.send_cancel

        def with_a_bug(hook: Any, job: Any) -> None:
            if job.id == first:
                raise ZeroDivisionError("a bug")
            send_cancel(hook, job)

        monkeypatch.setattr(POLARIS.hook, "send_cancel", with_a_bug)
        in_time(killed(trigger_of(POLARIS, first, job_ids=[first, *others], cancel_on_kill=True)))
        assert {POLARIS.hook().get_job(job_id).state for job_id in others} == {JobState.CANCELLED}
        assert "ZeroDivisionError" in logs.text
        assert f"job {first} goes on" in logs.text


@pytest.fixture
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.cancels.CANCEL_PAUSE", 0.02)


def stops(sandbox: Sandbox, job_id: str = "") -> list[RecordedRequest]:
    """The requests that asked Polaris to stop a job."""
    found = [one for one in sandbox.requests("polaris") if one.path.endswith(f"{job_id}/status")]
    return [one for one in found if one.method == "POST"]


@pytest.mark.usefixtures("short_pause")
class TestTrouble:
    """A killed task is gone: nobody but its cancel will ask the vendor again."""

    def kill(self, *ids: str) -> None:
        async def kill_all() -> None:
            triggers = [trigger_of(POLARIS, job_id, cancel_on_kill=True) for job_id in ids]
            await asyncio.gather(*(killed(trigger) for trigger in triggers))

        in_time(kill_all(), patience=30)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_each_job_is_stopped_once_it_has_passed(
        self, status: int, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris")
        ids = [sandbox.add_job("polaris") for _ in range(40)]
        sandbox.add_fault(Fault("polaris", "POST", "/status$", status=status, times=10))
        self.kill(*ids)
        assert len(stops(sandbox)) == 10 + len(ids)
        taken = [one.path for one in stops(sandbox) if one.status == 200]
        assert len(taken) == len(set(taken)) == len(ids)
        assert [text for text in logs.warnings if "go on" in text or "goes on" in text] == []

    def test_a_stop_whose_answer_was_lost_is_not_sent_again(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris")
        job_id = sandbox.add_job("polaris")
        sandbox.add_fault(Fault("polaris", status=503, times=None))

        async def kill() -> None:
            ending = asyncio.create_task(killed(trigger_of(POLARIS, job_id, cancel_on_kill=True)))
            await until(lambda: "will be asked again" in logs.text)
            sandbox.set_state("polaris", job_id, "canceled")
            sent = len(stops(sandbox))
            sandbox.clear_faults()
            await ending
            assert len(stops(sandbox)) == sent

        in_time(kill())
        assert f"job {job_id} is not asked to stop, it is cancelled" in logs.text

    def test_a_pause_that_the_vendor_asks_for_is_every_job_s(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris")
        ids = [sandbox.add_job("polaris") for _ in range(6)]
        sandbox.add_fault(Fault("polaris", "POST", "/status$", status=429, headers={"Retry-After": "1"}))
        began = time.monotonic()
        self.kill(*ids)
        assert time.monotonic() - began >= 1
        # Those that were under way with the first one.
        assert len(stops(sandbox)) == len(ids) + 1

    def test_one_that_does_not_pass_is_told_in_the_end(
        self, sandbox: Sandbox, connections: Connections, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.cancels.MAX_CANCEL_TIME", 0.3)
        connections.add("polaris")
        ids = [sandbox.add_job("polaris") for _ in range(3)]
        sandbox.add_fault(Fault("polaris", status=503, times=None))
        self.kill(*ids)
        for job_id in ids:
            told = [text for text in logs.warnings if f"job {job_id} may go on: " in text]
            assert len(told) == 1
            assert "503" in told[0]
        assert "was asked to stop" not in logs.text

    def test_many_give_up_together(
        self, sandbox: Sandbox, connections: Connections, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.cancels.MAX_CANCEL_TIME", 0.5)
        connections.add("polaris")
        sandbox.add_fault(Fault("polaris", status=503, times=None))
        ids = [sandbox.add_job("polaris") for _ in range(60)]
        self.kill(*ids)
        assert len([text for text in logs.warnings if "may go on: " in text]) == len(ids)
        # Most of them are not asked for themselves.
        assert len(sandbox.requests("polaris")) < len(ids)

    def test_a_triggerer_that_ends_meanwhile_says_so(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris")
        sandbox.add_fault(Fault("polaris", status=503, times=None))
        ids = [sandbox.add_job("polaris") for _ in range(5)]

        async def kill() -> None:
            triggers = [trigger_of(POLARIS, job_id, cancel_on_kill=True) for job_id in ids]
            ends = [asyncio.create_task(killed(trigger)) for trigger in triggers]
            await until(lambda: "will be asked again" in logs.text)
            assert not any(end.done() for end in ends)

        # What is left is cancelled, as in a triggerer that ends.
        in_time(kill())
        for job_id in ids:
            assert len([text for text in logs.warnings if f"job {job_id} may go on: this tr" in text]) == 1

    @pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 tells no trigger that its task was killed")
    def test_airflow_does_not_tell_at_first_whether_the_task_was_killed(
        self, sandbox: Sandbox, connections: Connections, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connections.add("polaris")
        job_id = sandbox.add_job("polaris")
        answers: list[Any] = [ConnectionError("database"), {"run": {"wait": "failed"}}]

        def get_task_states(**_: Any) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(
            "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", get_task_states
        )
        trigger: Any = trigger_of(POLARIS, job_id, cancel_on_kill=True)
        trigger.task_instance = SimpleNamespace(dag_id="dag", task_id="wait", run_id="run", map_index=-1)
        in_time(killed(trigger))
        assert len(stops(sandbox, job_id)) == 1
        assert any("cannot be looked up now: database" in text for text in logs.warnings)

    @pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 tells no trigger that its task was killed")
    @pytest.mark.parametrize("has_ended", [True, False], ids=["its next trigger told", "a user has acted"])
    @pytest.mark.parametrize("state", ["scheduled", "running", "success"])
    def test_a_task_that_has_gone_on_meanwhile_stops_no_job_that_has_ended(
        self,
        has_ended: bool,
        state: str,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connections.add("polaris")
        job_id = sandbox.add_job("polaris", timeline=[(0, "completed" if has_ended else "running")])
        monkeypatch.setattr(
            "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
            lambda **_: {"run": {"wait": state}},
        )
        trigger: Any = trigger_of(POLARIS, job_id, cancel_on_kill=True)
        trigger.task_instance = SimpleNamespace(dag_id="dag", task_id="wait", run_id="run", map_index=-1)
        in_time(killed(trigger))
        assert len(stops(sandbox, job_id)) == (0 if has_ended else 1)

    def test_a_refusal_is_final(self, sandbox: Sandbox, connections: Connections, logs: Logs) -> None:
        connections.add("polaris")
        job_id = sandbox.add_job("polaris")
        sandbox.add_fault(Fault("polaris", "POST", "/status$", status=409, times=None))
        self.kill(job_id)
        assert len(stops(sandbox)) == 1
        assert any(f"job {job_id} goes on: " in text for text in logs.warnings)

    def test_a_connection_that_cannot_be_looked_up_for_a_while(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        job_id = sandbox.add_job("polaris")

        async def kill() -> None:
            ending = asyncio.create_task(killed(trigger_of(POLARIS, job_id, cancel_on_kill=True)))
            await until(lambda: "will be asked again" in logs.text)
            connections.add("polaris")
            await ending

        in_time(kill())
        assert len(stops(sandbox, job_id)) == 1
        assert f"job {job_id} was asked to stop" in logs.text

    def test_what_comes_of_it_is_told_before_the_trigger_ends(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris")
        job_id = sandbox.add_job("polaris")
        sandbox.add_fault(Fault("polaris", "POST", "/status$", delay=0.5))

        async def kill() -> None:
            ending = asyncio.create_task(killed(trigger_of(POLARIS, job_id, cancel_on_kill=True)))
            while not ending.done():
                # As the triggerer does, though more often.
                await asyncio.sleep(0.05)
                ending.cancel()

        in_time(kill())
        assert f"job {job_id} was asked to stop" in logs.text

    def test_the_trigger_ends_though_the_vendor_is_down_and_the_job_is_stopped_later(
        self, sandbox: Sandbox, connections: Connections, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.job.KILL_HOLD", 0.3)
        connections.add("polaris")
        job_id = sandbox.add_job("polaris")
        sandbox.add_fault(Fault("polaris", status=503, times=None))

        async def kill() -> None:
            await killed(trigger_of(POLARIS, job_id, cancel_on_kill=True))
            assert "will be in the triggerer's log" in logs.text
            sandbox.clear_faults()
            await until(lambda: f"job {job_id} was asked to stop" in logs.text)

        in_time(kill())
        assert len([one for one in stops(sandbox, job_id) if one.status == 200]) == 1


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let this many of our threads fail to start, as a container's limit of processes has it."""
    left = [0]
    start = threading.Thread.start

    def limited_start(thread: threading.Thread) -> None:
        if left[0] and thread.name.startswith("ingestjobs"):
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited_start)
    return left  # type: ignore[return-value]


class TestThreads:
    def test_where_none_can_be_started_for_a_while_the_wait_goes_on(
        self, sandbox: Sandbox, connections: Connections, no_threads: list[int], logs: Logs
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "completed")])
        no_threads[0] = 3
        (job,) = jobs_from_event(in_time(fire(trigger_of(NARRATIVE, NARRATIVE.job_id))))
        assert job.state is JobState.SUCCEEDED
        assert "no further thread can be started now: can't start new thread" in logs.text

    def test_a_place_is_free_again_when_its_thread_has_ended_not_when_nobody_awaits_it_any_more(self) -> None:
        async def scenario() -> None:
            limit = asyncio.Semaphore(1)
            begun, may_end = threading.Event(), threading.Event()

            def hang() -> None:
                begun.set()
                may_end.wait(10)

            hanging = asyncio.create_task(in_thread(hang, limit))
            await until(begun.is_set)
            hanging.cancel()
            waiting = asyncio.create_task(in_thread(lambda: "done", limit))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            may_end.set()
            assert await waiting == "done"

        in_time(scenario())

    def test_a_place_is_free_again_where_no_thread_could_be_started(self, no_threads: list[int]) -> None:
        async def scenario() -> None:
            limit = asyncio.Semaphore(1)
            with pytest.raises(VendorUnavailable, match="no further thread can be started"):
                await in_thread(lambda: None, limit)
            assert await in_thread(lambda: "done", limit) == "done"

        no_threads[0] = 1
        in_time(scenario())
