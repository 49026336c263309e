# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A worker that is told to end has seconds: all jobs are asked to stop, and none keeps another from it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.exceptions import JobCancelled, JobEnded
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.fault_servers import JSON_HEAD, RawServer
from support.task_runs import Outcome, TaskInstance, run_deferred, run_in_worker
from support.vendors import ADVERITY, AMPERITY, CANCELLING_VENDORS, POLARIS, VendorCase

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from support.connections import Connections
    from support.logs import Logs

blocking_and_deferred = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
each_vendor = pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)


def sensor_of(case: VendorCase, job_ids: list[str], **arguments: Any) -> Any:
    return case.sensor(task_id="wait", job_id=job_ids, cancel_on_kill=True, **arguments)


def add_jobs(sandbox: Sandbox, case: VendorCase, count: int) -> list[str]:
    sandbox.cancel_delay = 0
    return [sandbox.add_job(case.name) for _ in range(count)]


class TestSeveralJobs:
    @each_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [401, 403, 409, 500])
    def test_one_that_cannot_be_stopped_is_no_other_s_trouble(
        self, case: VendorCase, status: int, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add(case.name)
        first, *others = add_jobs(sandbox, case, 3)
        sandbox.add_fault(Fault(path=first, status=status, times=None))
        sensor_of(case, ["404", first, *others]).on_kill()
        sandbox.clear_faults()
        states = [case.hook().get_job(job_id).state for job_id in (first, *others)]
        assert states == [JobState.RUNNING, JobState.CANCELLED, JobState.CANCELLED]
        said = [text for text in logs.warnings if "The task was killed, but" in text]
        assert len(said) == 2
        assert any(f"{case.vendor} job 404 goes on: {case.vendor} does not know job" in text for text in said)
        assert any(f"{case.vendor} job {first}" in text and str(status) in text for text in said)

    @pytest.mark.parametrize(("case", "reads"), [(AMPERITY, 1), (ADVERITY, 0), (POLARIS, 0)], ids=str)
    def test_the_stop_goes_first_where_it_needs_no_look(
        self, case: VendorCase, reads: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        (job_id,) = add_jobs(sandbox, case, 1)
        sensor_of(case, [job_id]).on_kill()
        assert [request.method for request in sandbox.requests()] == ["GET"] * reads + ["POST"]

    @pytest.mark.parametrize("case", [ADVERITY, POLARIS], ids=str)
    def test_they_are_asked_side_by_side(self, case: VendorCase, connections: Connections) -> None:
        together = threading.Barrier(4)

        def answer(connection: socket.socket) -> None:
            # None is answered before all have asked.
            together.wait(10)
            connection.sendall(JSON_HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")

        with RawServer(answer) as server:
            connections.add(case.name, host=server.url)
            sensor_of(case, ["1", "2", "3", "4"]).on_kill()
            assert len(server.heads) == 4
        assert not together.broken

    @each_vendor
    def test_many_share_a_token_and_few_threads(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name, auth="login")
        job_ids = add_jobs(sandbox, case, 30)
        sensor_of(case, job_ids).on_kill()
        assert sum("token" in request.path for request in sandbox.requests()) == 1
        hook = case.hook()
        assert {hook.get_job(job_id).state for job_id in job_ids} == {JobState.CANCELLED}

    def test_they_are_asked_though_no_thread_can_be_started(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connections.add("polaris")
        job_ids = add_jobs(sandbox, POLARIS, 3)
        start = threading.Thread.start

        def limited_start(thread: threading.Thread) -> None:
            if thread.name.startswith("ingestjobs"):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited_start)
        sensor_of(POLARIS, job_ids).on_kill()
        assert {POLARIS.hook().get_job(job_id).state for job_id in job_ids} == {JobState.CANCELLED}


class TestWhatHasEnded:
    def test_what_the_wait_has_seen_to_end_is_not_asked(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris")
        ended = sandbox.add_job("polaris", timeline=[(0, "completed")])
        (running,) = add_jobs(sandbox, POLARIS, 1)
        sensor = sensor_of(POLARIS, [ended, running])
        assert sensor.poke({"ti": TaskInstance(), "dag_run": None}) is False
        sensor.on_kill()
        (stop,) = [request for request in sandbox.requests() if request.method == "POST"]
        assert running in stop.path

    @each_vendor
    def test_what_has_ended_since_is_said_to_have(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add(case.name)
        job_id = sandbox.add_job(case.name, timeline=[(0, case.words[JobState.SUCCEEDED])])
        sensor_of(case, [job_id]).on_kill()
        assert f"{case.vendor} job {job_id} is not asked to stop, it is succeeded" in logs.text
        assert not [text for text in logs.warnings if "The task was killed" in text]


class TestTheTryAfterIt:
    SAYS = "An earlier try of this task may have cancelled it: start the job anew and clear again"

    @pytest.fixture
    def second_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TaskInstance, "try_number", 2)

    @pytest.fixture
    def run(self, sandbox: Sandbox, connections: Connections, quick_watch: None) -> Callable[..., Outcome]:
        connections.add("polaris")

        def run_sensor(word: str, deferrable: bool, **arguments: Any) -> Outcome:
            job_id = sandbox.add_job("polaris", timeline=[(0, word)])
            given = {"cancel_on_kill": True, "deferrable": deferrable, "job_id": job_id, **arguments}
            runner = run_deferred if deferrable else run_in_worker
            return runner(lambda: POLARIS.sensor(task_id="wait", **given))

        return run_sensor

    @blocking_and_deferred
    @pytest.mark.usefixtures("second_try")
    def test_it_says_who_may_have_cancelled_the_job_and_what_to_do(
        self, deferrable: bool, run: Callable[..., Outcome]
    ) -> None:
        outcome = run("canceled", deferrable)
        assert type(outcome.error) is JobCancelled
        assert self.SAYS in str(outcome.error)

    @blocking_and_deferred
    @pytest.mark.usefixtures("second_try")
    def test_so_does_a_skip(self, deferrable: bool, run: Callable[..., Outcome]) -> None:
        outcome = run("canceled", deferrable, soft_fail=True)
        assert outcome.skipped
        assert self.SAYS in str(outcome.error)

    @blocking_and_deferred
    def test_a_first_try_has_none_before_it(self, deferrable: bool, run: Callable[..., Outcome]) -> None:
        assert self.SAYS not in str(run("canceled", deferrable).error)

    @blocking_and_deferred
    @pytest.mark.usefixtures("second_try")
    @pytest.mark.parametrize(("word", "cancels"), [("canceled", False), ("failed", True)])
    def test_nothing_is_said_where_it_cannot_be_so(
        self, deferrable: bool, word: str, cancels: bool, run: Callable[..., Outcome]
    ) -> None:
        outcome = run(word, deferrable, cancel_on_kill=cancels)
        assert isinstance(outcome.error, JobEnded)
        assert self.SAYS not in str(outcome.error)


class TestTheKilledTask:
    def test_it_may_have_been_about_to_get_its_token(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connections.add("polaris", auth="login")
        (job_id,) = add_jobs(sandbox, POLARIS, 1)
        sensor = sensor_of(POLARIS, [job_id])
        exchange = type(sensor.hook.client)._exchange

        def killed_meanwhile(client: Any, ask: Any) -> Any:
            if client is sensor.hook.client:
                signal.raise_signal(signal.SIGUSR1)
            return exchange(client, ask)

        monkeypatch.setattr(type(sensor.hook.client), "_exchange", killed_meanwhile)
        before = signal.signal(signal.SIGUSR1, lambda *_: sensor.on_kill())
        try:
            with pytest.raises(JobCancelled):
                sensor.poke({"ti": TaskInstance(), "dag_run": None})
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert POLARIS.hook().get_job(job_id).state is JobState.CANCELLED

    def test_a_connection_that_cannot_be_read_is_told_and_not_raised(self, logs: Logs) -> None:
        sensor_of(POLARIS, ["a", "b"], imply_polaris_conn_id="nowhere").on_kill()
        (said,) = [text for text in logs.warnings if "The task was killed" in text]
        assert "Imply Polaris job a, b goes on" in said
        assert "nowhere" in said

    def test_a_bug_keeps_its_traceback(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch, logs: Logs
    ) -> None:
        connections.add("polaris")
        first, second = add_jobs(sandbox, POLARIS, 2)
        send_cancel = POLARIS.hook.send_cancel

        def with_a_bug(hook: Any, job: Any) -> None:
            if job.id == first:
                raise ZeroDivisionError("a bug")
            send_cancel(hook, job)

        monkeypatch.setattr(POLARIS.hook, "send_cancel", with_a_bug)
        sensor_of(POLARIS, [first, second]).on_kill()
        assert POLARIS.hook().get_job(second).state is JobState.CANCELLED
        assert "ZeroDivisionError" in logs.text
