# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting the vendor's jobs: what an operator returns, and that no intention makes two jobs of one."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import AirflowFailException
from airflow_provider_ingestjobs.exceptions import StartedJobFailed, VendorError, WaitTimeout
from airflow_provider_ingestjobs.hooks import http
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.cancelling import blocking_and_deferred
from airflow_provider_ingestjobs.sandbox.contract.case import ContractStart
from airflow_provider_ingestjobs.sandbox.contract.lab import INTERVAL, STEP, ContractTests, Lab
from airflow_provider_ingestjobs.sandbox.contract.secrecy import everything_of, secrets
from airflow_provider_ingestjobs.sandbox.contract.start_lab import (
    LIST_LAG,
    DyingStore,
    Starting,
    begin,
    deferral_of,
)
from airflow_provider_ingestjobs.sandbox.logs import captured_logs
from airflow_provider_ingestjobs.sandbox.task_runs import in_time, killed, revived, until
from airflow_provider_ingestjobs.sandbox.task_tries import Killed, StartedTask, StateStore
from airflow_provider_ingestjobs.starts.memory import STATE_KEY, StartRecord

#: As in earnest: the suite's waits do without, and would not see a start that the transport sends again.
RETRIES = http.RETRIES
#: What becomes of an answer to a start that the vendor has carried out.
LOSSES: dict[str, dict[str, Any]] = {"hung up": {"drop": "before"}, "a gateway's error": {"status": 502}}
CRASHES = ("before the request", "after the request", "before the id is kept")
REASON = "no such thing to run"


class StartTests(ContractTests):
    """Starting jobs; each test is of each start that the vendor's case has."""

    @pytest.fixture
    def starting(self, lab: Lab, start: ContractStart, monkeypatch: pytest.MonkeyPatch) -> Starting:
        """A start, whose looks for its job, and at it, follow close on each other."""
        monkeypatch.setattr("airflow_provider_ingestjobs.operators.start.MIN_INTERVAL", 0.02)
        monkeypatch.setattr("airflow_provider_ingestjobs.starts.once.PAUSE", INTERVAL)
        return Starting(lab, start)

    @pytest.fixture
    def sends_again(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the transport send again what may be sent again, which a start is not."""
        monkeypatch.setattr(http, "RETRIES", RETRIES)

    def test_the_operator_agrees_with_the_row(self, lab: Lab, starting: Starting) -> None:
        operator, row = starting.start.operator, lab.row
        assert operator.hook_class.vendor is row
        assert row.conn_name_attr in operator.template_fields
        make: Any = partial(operator, task_id="start", **starting.start.arguments)
        made, named = make(), make(**{row.conn_name_attr: "another"})
        assert (made.conn_id, named.conn_id) == (row.default_conn_id, "another")
        assert made.cancel_on_kill == row.cancels
        assert not lab.requests()

    # ------------------------------------------------------------------ the usual course

    @blocking_and_deferred
    def test_it_starts_once_waits_and_returns_the_job(self, starting: Starting, deferrable: bool) -> None:
        starting.plan(JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED)
        outcome = starting.task(deferrable).next_try()
        assert outcome.error is None
        assert outcome.deferred == deferrable
        job = starting.job_of(outcome.value)
        assert (starting.ids, job.state) == ([job.id], JobState.SUCCEEDED)
        assert (starting.asked.count("start"), starting.asked.count("stop")) == (1, 0)

    def test_it_need_not_wait(self, starting: Starting) -> None:
        starting.plan(JobState.RUNNING)
        outcome = starting.task(wait_for_termination=False).next_try()
        assert outcome.error is None
        job = starting.job_of(outcome.value)
        assert starting.ids == [job.id]
        assert starting.state_of(job.id) is JobState.RUNNING

    @blocking_and_deferred
    def test_a_failure_is_retried_by_another_job(self, starting: Starting, deferrable: bool) -> None:
        starting.plan(JobState.RUNNING, JobState.FAILED)
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED)
        started = starting.task(deferrable, retries=1)
        error = started.next_try().error
        assert type(error) is StartedJobFailed
        assert not isinstance(error, AirflowFailException), "Airflow would not retry it"
        assert starting.ids[0] in str(error)
        outcome = started.next_try()
        assert outcome.error is None
        assert [starting.job_of(outcome.value).id] == starting.ids[1:]

    def test_a_refusal_is_told_and_nothing_is_started(self, starting: Starting) -> None:
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED)
        starting.fail(status=400, body={"message": REASON})
        started = starting.task(retries=1)
        error = started.next_try().error
        assert isinstance(error, VendorError)
        assert REASON in str(error)
        assert not starting.ids
        assert started.next_try().error is None
        assert len(starting.ids) == 1

    # ------------------------------------------------------------------ lost answers

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_job_whose_answer_was_lost_is_found(
        self, starting: Starting, sends_again: None, loss: str
    ) -> None:
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED, list_lag=LIST_LAG)
        starting.fail(after=True, **LOSSES[loss])
        outcome = starting.task().next_try()
        assert outcome.error is None
        assert starting.ids == [starting.job_of(outcome.value).id]
        assert starting.asked.count("start") == 1

    def test_a_request_that_the_vendor_never_saw_is_sent_again_after_a_look(
        self, starting: Starting, sends_again: None
    ) -> None:
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED)
        starting.fail(status=503)
        outcome = starting.task().next_try()
        assert outcome.error is None
        assert starting.ids == [starting.job_of(outcome.value).id]
        first, second = (number for number, what in enumerate(starting.asked) if what == "start")
        assert "look" in starting.asked[first:second]

    # ------------------------------------------------------------------ crashes

    @pytest.mark.parametrize("when", CRASHES)
    def test_after_a_crash_there_is_one_job(
        self, starting: Starting, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED, list_lag=LIST_LAG)
        started = starting.task(retries=1)
        if when == "before the id is kept":
            started.store = DyingStore(is_kept=False)
            started.crash()
        else:
            with monkeypatch.context() as patched:
                patched.setattr(http, "send", self._dying_send(starting.start, is_sent="after" in when))
                started.crash()
        assert len(starting.ids) == (0 if "before the request" in when else 1)
        outcome = started.next_try()
        assert outcome.error is None
        assert starting.ids == [starting.job_of(outcome.value).id]
        assert starting.asked.count("start") == 1

    @blocking_and_deferred
    def test_a_retry_goes_on_with_the_running_job(self, starting: Starting, deferrable: bool) -> None:
        starting.plan(*[JobState.RUNNING] * 4, JobState.SUCCEEDED)
        started = starting.task(deferrable, retries=1)
        started.store = DyingStore(is_kept=True)
        started.crash()
        outcome = started.next_try()
        assert outcome.error is None
        assert starting.ids == [starting.job_of(outcome.value).id]
        assert starting.asked.count("start") == 1

    def _dying_send(self, start: ContractStart, is_sent: bool) -> Any:
        send = http.send

        def dying(session: Any, settings: Any, method: str, url: str, **kwargs: Any) -> Any:
            if method != "POST" or not re.search(start.path, url):
                return send(session, settings, method, url, **kwargs)
            if is_sent:
                send(session, settings, method, url, **kwargs)
            raise Killed

        return dying

    # ------------------------------------------------------------------ stopping what was started

    def test_a_killed_task_stops_its_job_once(
        self, lab: Lab, cancels: None, starting: Starting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab.sandbox.cancel_delay = 0
        starting.plan(JobState.RUNNING)
        started = starting.task(retries=1)
        task, context = begin(started)

        def kill(seconds: float) -> None:
            # As Airflow does, in a signal handler and before the process ends.
            task.on_kill()
            raise Killed

        with monkeypatch.context() as patched:
            paused = SimpleNamespace(sleep=kill)
            patched.setattr("airflow_provider_ingestjobs.operators.start.time", paused)
            with pytest.raises(Killed):
                task.execute(context)
        self._was_stopped_and_starts_anew(starting, started)

    def test_a_killed_deferred_task_stops_its_job_once(
        self, lab: Lab, cancels: None, starting: Starting
    ) -> None:
        lab.sandbox.cancel_delay = 0
        starting.plan(JobState.RUNNING)
        started = starting.task(deferrable=True)
        trigger = revived(deferral_of(started).trigger)

        async def kill() -> None:
            waiting = asyncio.ensure_future(anext(trigger.run()))
            before = len(lab.requests())
            await until(lambda: len(lab.requests()) > before)
            await killed(trigger)
            waiting.cancel()

        in_time(kill())
        started.clear()
        self._was_stopped_and_starts_anew(starting, started)

    def _was_stopped_and_starts_anew(self, starting: Starting, started: StartedTask) -> None:
        (job_id,) = starting.ids
        assert starting.asked.count("stop") == 1
        assert starting.state_of(job_id) is JobState.CANCELLED
        starting.plan(JobState.RUNNING, JobState.SUCCEEDED)
        outcome = started.next_try()
        assert outcome.error is None
        assert starting.ids == [job_id, starting.job_of(outcome.value).id]
        assert starting.asked.count("stop") == 1

    @blocking_and_deferred
    def test_a_job_whose_time_is_up_is_stopped_once_where_it_can_be(
        self, lab: Lab, starting: Starting, deferrable: bool
    ) -> None:
        lab.sandbox.cancel_delay = 0
        starting.plan(JobState.RUNNING)
        outcome = starting.task(deferrable, timeout=4 * STEP).next_try()
        assert type(outcome.error) is WaitTimeout
        (job_id,) = starting.ids
        assert starting.asked.count("stop") == (1 if lab.row.cancels else 0)
        assert starting.state_of(job_id) is (JobState.CANCELLED if lab.row.cancels else JobState.RUNNING)

    # ------------------------------------------------------------------ what Airflow keeps

    def test_what_is_kept_is_json_and_names_the_job(
        self, starting: Starting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[Any] = []
        started = starting.task(deferrable=True)
        store = started.store = StateStore()
        keep = store.set

        def note(key: str, value: Any, **options: Any) -> None:
            given.append(value)
            keep(key, value, **options)

        monkeypatch.setattr(store, "set", note)
        starting.plan(JobState.RUNNING)
        deferral = deferral_of(started)
        path, arguments = deferral.trigger.serialize()
        for kept in [*given, deferral.kwargs, arguments]:
            assert json.loads(json.dumps(kept)) == kept
        assert list(StartRecord.from_dict(store.get(STATE_KEY)).job_ids) == starting.ids
        assert deferral.kwargs["job_ids"] == arguments["job_ids"] == starting.ids
        assert revived(deferral.trigger).serialize() == (path, arguments)

    def test_nothing_of_it_shows_what_the_connection_proves_itself_with(
        self, lab: Lab, starting: Starting
    ) -> None:
        known = lab.case.sandbox_vendor.credentials
        for auth in lab.auths:
            # Another task's job that is just the same, a moment ago, may be taken for this one's.
            lab.sandbox.reset()
            lab.connect(auth)
            password = known.key if auth == "key" else known.password
            # The second try may find it failed already, and start another one.
            starting.plan(JobState.RUNNING, JobState.FAILED, times=None)
            # The vendor hangs up, then repeats it: what comes of that is told as well.
            starting.fail(drop="before")
            starting.fail(status=503, body={"message": f"{password} may not", "error": password})
            started = starting.task(deferrable=True, retries=1)
            with captured_logs() as logs:
                deferral = deferral_of(started)
                outcome = started.next_try()
            assert type(outcome.error) is StartedJobFailed
            assert started.store is not None
            kept = [started.store.kept, deferral.kwargs, deferral.trigger.serialize()]
            shown = [logs.text, json.dumps(kept), everything_of(outcome)]
            assert not [secret for secret in secrets(lab) if any(secret in text for text in shown)]
