# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators that start jobs, beyond the suite that every vendor passes: no intention makes two jobs."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import DAG, AirflowFailException
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import (
    JobCancelled,
    JobCheckFailed,
    StartedJobFailed,
    StartUnknown,
    TaskKilled,
    WaitTimeout,
)
from airflow_provider_ingestjobs.hooks import http
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.operators.polaris import PolarisRunJobOperator
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.starts.polaris import check_spec
from support.start_tasks import (
    BATCH_JOB,
    CASES,
    FETCH,
    QUERY,
    RUN_WORKFLOW,
    SQL_JOB,
    Killed,
    StartCase,
    StartedTask,
)
from support.task_runs import TaskInstance, in_time, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.connections import Connections
    from support.logs import Logs

    MakeTask = Callable[..., StartedTask]

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_mode = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
STOPS = ("/stop", "/stop/", "/status")
CANCELLING = [case for case in CASES if case.vendor.cancels]


@pytest.fixture
def task(
    sandbox: Sandbox, connections: Connections, quick_watch: None, monkeypatch: pytest.MonkeyPatch
) -> MakeTask:
    """Make a task of an operator, whose process may be a new one for each of its parts."""
    monkeypatch.setattr("airflow_provider_ingestjobs.operators.start.MIN_INTERVAL", 0.02)
    monkeypatch.setattr("airflow_provider_ingestjobs.starts.once.PAUSE", 0.05)

    def make(case: StartCase, deferrable: bool = False, retries: int = 0, **arguments: Any) -> StartedTask:
        connections.add(case.vendor.name)
        quick = {"poll_interval": 0.03, "timeout": 10, "listing_delay": 0.3, "retries": retries}
        given = {**case.arguments, **quick, **arguments}
        return StartedTask(lambda: case.operator(task_id="start", deferrable=deferrable, **given), retries)

    return make


def plan(sandbox: Sandbox, case: StartCase, *states: JobState, **more: Any) -> None:
    """Let the next job that is started be in these states, one after the other."""
    words = [case.vendor.words[state] for state in states]
    timeline = [(0.1 * number, word) for number, word in enumerate(words)]
    sandbox.plan_start(case.vendor.name, timeline, **more)


def dying_after_the_request() -> Callable[..., Any]:
    """Return what sends requests, and kills the worker when it has the answer to a start."""
    real_send = http.send

    def send(session: Any, settings: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        answer = real_send(session, settings, method, *args, **kwargs)
        if method == "POST":
            raise Killed
        return answer

    return send


class TestStarting:
    @pytest.mark.parametrize("case", CANCELLING, ids=str)
    @each_mode
    def test_what_somebody_cancels_is_not_started_again(
        self, case: StartCase, deferrable: bool, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, case, JobState.RUNNING, JobState.CANCELLED)
        outcome = task(case, deferrable, retries=1).next_try()
        assert isinstance(outcome.error, JobCancelled)
        assert isinstance(outcome.error, AirflowFailException), "a retry would start it against their will"

    def test_a_job_that_cannot_be_read_yet_is_started_all_the_same(
        self, task: MakeTask, sandbox: Sandbox, one_try: None
    ) -> None:
        plan(sandbox, FETCH, JobState.RUNNING)
        sandbox.add_fault(Fault(method="GET", path=r"/jobs/\d+/$", status=503, times=None))
        outcome = task(FETCH, wait_for_termination=False).next_try()
        job = FETCH.job_of(outcome.value)
        assert ([job["id"]], job["state"]) == (FETCH.started(sandbox), "unknown")

    @each_mode
    def test_a_check_fails_the_task(self, deferrable: bool, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, BATCH_JOB, JobState.RUNNING, JobState.SUCCEEDED, rows={"read": 10})
        outcome = task(BATCH_JOB, deferrable, checks={"min_rows": 11}).next_try()
        assert isinstance(outcome.error, JobCheckFailed)


LOSSES = {
    "half an answer": Fault(method="POST", drop="mid_body"),
    "not JSON": Fault(method="POST", status=200, body="<html>", after=True),
}


class TestLostAnswers:
    @pytest.mark.parametrize("case", [FETCH, QUERY], ids=str)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_its_job_is_found(
        self, case: StartCase, loss: str, task: MakeTask, sandbox: Sandbox, logs: Logs
    ) -> None:
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED, list_lag=0.15)
        started = task(case)
        sandbox.add_fault(LOSSES[loss])
        outcome = started.next_try()
        assert outcome.error is None
        assert [case.job_of(outcome.value)["id"]] == case.started(sandbox)
        assert any("is not known" in text for text in logs.warnings)

    def test_an_answer_without_ids(self, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, FETCH, JobState.RUNNING, JobState.SUCCEEDED)
        answer = {"status": "ok", "message": "Fetch scheduled."}
        sandbox.add_fault(Fault(method="POST", status=200, body=answer, after=True))
        outcome = task(FETCH).next_try()
        assert [FETCH.job_of(outcome.value)["id"]] == FETCH.started(sandbox)

    @pytest.mark.parametrize(
        "loss",
        [
            Fault(method="POST", status=200, body={"status": "ok"}, after=True),
            Fault(method="POST", drop="mid_body"),
        ],
        ids=["no ids", "half an answer"],
    )
    def test_a_request_that_was_taken_is_not_sent_again(
        self, loss: Fault, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, FETCH, JobState.RUNNING, list_lag=60)
        sandbox.add_fault(loss)
        started = task(FETCH, retries=2)
        for _ in range(3):
            assert isinstance(started.next_try().error, StartUnknown)
        assert len(FETCH.started(sandbox)) == 1

    def test_those_that_may_be_it_are_named(self, task: MakeTask, sandbox: Sandbox) -> None:
        started = task(FETCH, split=True)
        sandbox.add_fault(Fault(method="POST", drop="before", after=True))
        outcome = started.next_try()
        assert isinstance(outcome.error, StartUnknown)
        ids = FETCH.started(sandbox)
        assert len(ids) == 2, "as many as its schedule says"
        assert all(job_id in str(outcome.error) for job_id in ids)

    def test_an_equal_job_that_was_there_before_is_not_it(self, task: MakeTask, sandbox: Sandbox) -> None:
        started = task(FETCH)
        sandbox.plan_start("adverity", [(0, "Running"), (0.2, "Success")], times=None)
        FETCH.vendor.hook().fetch(218, "2026-01-01", "2026-01-02")
        sandbox.add_fault(Fault(method="POST", drop="before", after=True))
        outcome = started.next_try()
        assert FETCH.job_of(outcome.value)["id"] == FETCH.started(sandbox)[1]

    def test_without_a_range_or_name_people_are_asked(self, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, RUN_WORKFLOW, JobState.RUNNING, JobState.SUCCEEDED, times=None)
        started = task(RUN_WORKFLOW, workflow_name=None)
        sandbox.add_fault(Fault(method="POST", drop="before", after=True))
        first = started.next_try()
        assert isinstance(first.error, StartUnknown)
        assert RUN_WORKFLOW.started(sandbox)[0] in str(first.error)
        # A retry knows no more; whoever clears the task does.
        assert isinstance(started.next_try().error, StartUnknown)
        assert len(RUN_WORKFLOW.started(sandbox)) == 1
        started.clear()
        assert started.next_try().error is None
        assert len(RUN_WORKFLOW.started(sandbox)) == 2


class TestCrashes:
    @pytest.mark.parametrize("case", CANCELLING[:2], ids=str)
    @each_mode
    def test_what_the_next_try_had_to_send_is_its_own(
        self,
        case: StartCase,
        deferrable: bool,
        task: MakeTask,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        started = task(case, deferrable, retries=1)

        def die(*args: Any, **kwargs: Any) -> Any:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(http, "send", die)
            started.crash()
        plan(sandbox, case, JobState.RUNNING, JobState.CANCELLED)
        outcome = started.next_try()
        assert isinstance(outcome.error, JobCancelled), "it is not the earlier try's, which was killed"
        assert len(case.started(sandbox)) == 1

    def test_a_clear_after_a_later_try_was_killed_looks_first(
        self, task: MakeTask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.starts.once.MORE_TIME", timedelta(0))
        started = task(FETCH, retries=1)
        sandbox.add_fault(Fault(method="POST", status=503))
        sandbox.add_fault(Fault(method="GET", status=503, times=None))
        assert isinstance(started.next_try().error, StartUnknown)
        sandbox.clear_faults()
        plan(sandbox, FETCH, JobState.RUNNING, JobState.SUCCEEDED, list_lag=0.2)
        with monkeypatch.context() as patched:
            patched.setattr(http, "send", dying_after_the_request())
            started.crash()
        started.clear()
        outcome = started.next_try()
        assert [FETCH.job_of(outcome.value)["id"]] == FETCH.started(sandbox)


class TestNextTries:
    def test_a_success_that_could_not_be_told_is_returned_after_a_clear(
        self, task: MakeTask, sandbox: Sandbox
    ) -> None:
        def check(job: Job) -> bool:
            if not is_mended:
                raise RuntimeError("the author's mistake")
            return True

        is_mended = False
        plan(sandbox, FETCH, JobState.RUNNING, JobState.SUCCEEDED, times=None)
        started = task(FETCH, check=check)
        assert started.next_try().error is not None
        is_mended = True
        started.clear()
        assert started.next_try().error is None
        assert len(FETCH.started(sandbox)) == 1

    def test_a_clear_counts_though_the_dag_has_fewer_retries_by_now(
        self, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, FETCH, JobState.RUNNING, JobState.SUCCEEDED, times=None)
        started = task(FETCH, retries=3)
        started.next_try()
        started.retries = 1
        started.clear()
        assert started.next_try().error is None
        assert len(FETCH.started(sandbox)) == 2

    @pytest.mark.parametrize("case", [FETCH, RUN_WORKFLOW], ids=str)
    @each_mode
    def test_a_task_that_is_cleared_after_its_success_starts_anew(
        self, case: StartCase, deferrable: bool, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED, times=None)
        started = task(case, deferrable)
        assert started.next_try().error is None
        started.clear()
        outcome = started.next_try()
        assert case.job_of(outcome.value)["id"] == case.started(sandbox)[1]

    @each_case
    def test_so_does_one_that_does_not_wait_once_its_job_has_ended(
        self, case: StartCase, task: MakeTask, sandbox: Sandbox
    ) -> None:
        (running, ended) = (case.vendor.words[state] for state in (JobState.RUNNING, JobState.SUCCEEDED))
        sandbox.plan_start(case.vendor.name, [(0, running)], times=None)
        started = task(case, wait_for_termination=False)
        started.next_try()
        started.clear()
        assert started.next_try().error is None
        (job_id,), (wf_or_job,) = case.started(sandbox), sandbox.job_ids(case.vendor.name)
        sandbox.set_state(case.vendor.name, wf_or_job, ended)
        started.clear()
        outcome = started.next_try()
        assert case.job_of(outcome.value)["id"] == case.started(sandbox)[1] != job_id

    @each_case
    def test_a_retry_after_its_success_returns_it(
        self, case: StartCase, task: MakeTask, sandbox: Sandbox
    ) -> None:
        # What comes after the task's own code may fail, such as the store of its result.
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED)
        started = task(case, retries=1)
        first, second = started.next_try(), started.next_try()
        assert case.job_of(second.value) == case.job_of(first.value)
        assert len(case.started(sandbox)) == 1

    @pytest.mark.parametrize("case", CANCELLING[:2], ids=str)
    @each_mode
    def test_a_job_that_was_cancelled_with_its_try_is_started_anew(
        self, case: StartCase, deferrable: bool, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, case, JobState.RUNNING)
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED)
        sandbox.cancel_delay = 0.2
        started = task(case, deferrable, retries=1, timeout=0.1)
        first = started.next_try()
        assert isinstance(first.error, WaitTimeout)
        again = task(case, deferrable, retries=1)
        again.store, again.try_number = started.store, 1
        outcome = again.next_try()
        assert outcome.error is None
        assert len(case.started(sandbox)) == 2
        assert case.job_of(outcome.value)["id"] == case.started(sandbox)[1]


def kill_once(operator: Any, condition: Callable[[], object]) -> threading.Thread:
    """Kill an operator as a signal does, while it executes."""

    def kill() -> None:
        in_time(until(condition))
        operator.on_kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


class TestKilled:
    def test_it_says_that_a_start_is_not_known(self, task: MakeTask, sandbox: Sandbox, logs: Logs) -> None:
        plan(sandbox, FETCH, JobState.RUNNING, JobState.SUCCEEDED)
        operator, _, context = task(FETCH).process()
        sandbox.add_fault(Fault(method="POST", delay=0.5, after=True))
        kill_once(operator, lambda: FETCH.started(sandbox))
        with pytest.raises(TaskKilled):
            operator.execute(context)
        assert any("whether that runs is not known" in text for text in logs.warnings)
        assert any(request.path.endswith(STOPS) for request in sandbox.requests()), "now it is known"

    def test_it_starts_nothing_any_more(self, task: MakeTask, sandbox: Sandbox) -> None:
        operator, _, context = task(FETCH).process()
        operator.on_kill()
        with pytest.raises(TaskKilled):
            operator.execute(context)
        assert FETCH.started(sandbox) == []

    def test_its_cancel_is_not_taken_for_people_s(self, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, FETCH, JobState.RUNNING)
        operator, _, context = task(FETCH, retries=1).process()
        kill_once(operator, lambda: operator.job_id)
        with pytest.raises(TaskKilled) as raised:
            operator.execute(context)
        assert not isinstance(raised.value, AirflowFailException), "Airflow would not retry it"


class TestBeforeAirflow33:
    """Nothing is kept between two tries: what a retry knows, it has from the vendor's lists."""

    @pytest.fixture
    def task(self, task: MakeTask) -> MakeTask:
        def make(*args: Any, **kwargs: Any) -> StartedTask:
            started = task(*args, **kwargs)
            started.store = None
            return started

        return make

    @each_case
    @pytest.mark.parametrize("deferrable", [True], ids=["deferred"])
    def test_a_retry_goes_on_with_a_job(
        self,
        case: StartCase,
        deferrable: bool,
        task: MakeTask,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        plan(sandbox, case, JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED, list_lag=0.1)
        started = task(case, deferrable, retries=1)
        with monkeypatch.context() as patched:
            patched.setattr(http, "send", dying_after_the_request())
            started.crash()
        outcome = started.next_try()
        assert outcome.error is None
        assert [case.job_of(outcome.value)["id"]] == case.started(sandbox)

    @each_case
    def test_a_retry_starts_anew_after_a_failure_and_not_after_a_success(
        self, case: StartCase, task: MakeTask, sandbox: Sandbox
    ) -> None:
        plan(sandbox, case, JobState.RUNNING, JobState.FAILED)
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED)
        started = task(case, retries=2)
        assert isinstance(started.next_try().error, StartedJobFailed)
        second = started.next_try()
        assert second.error is None
        third = started.next_try()
        assert case.job_of(third.value)["id"] == case.job_of(second.value)["id"]
        assert len(case.started(sandbox)) == 2

    @each_case
    def test_a_cleared_task_starts_anew(self, case: StartCase, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, case, JobState.RUNNING, JobState.SUCCEEDED, times=None)
        started = task(case)
        started.next_try()
        started.clear()
        assert started.next_try().error is None
        assert len(case.started(sandbox)) == 2

    def test_without_a_mark_people_are_asked(self, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, RUN_WORKFLOW, JobState.RUNNING, times=None)
        started = task(RUN_WORKFLOW, retries=1, workflow_name=None, timeout=0.1, cancel_on_kill=False)
        assert isinstance(started.next_try().error, WaitTimeout)
        assert isinstance(started.next_try().error, StartUnknown)
        assert len(RUN_WORKFLOW.started(sandbox)) == 1


class TestArguments:
    @pytest.mark.parametrize(
        ("case", "arguments", "field"),
        [
            (FETCH, {"split": "no"}, "split"),
            (FETCH, {"range_end": "2025-01-01"}, "range_end"),
            (FETCH, {"range_start": "yesterday"}, "range_start"),
            (FETCH, {"priority": "urgent"}, "priority"),
            (RUN_WORKFLOW, {"run_mode": "fast"}, "run_mode"),
            (RUN_WORKFLOW, {"range_from": None, "range_to": "2026-01-02"}, "range_from"),
            (BATCH_JOB, {"spec": {"query": "SELECT 1"}}, "spec"),
            (QUERY, {"cancel_on_kill": True}, "cancel_on_kill"),
        ],
    )
    def test_bad_input_is_refused_in_the_dag(
        self, case: StartCase, arguments: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(InvalidInput, match=field):
            case.operator(task_id="start", **{**case.arguments, **arguments})

    def test_a_spec_may_name_json_files_or_be_one(self, tmp_path: Path) -> None:
        (tmp_path / "job.json").write_text('{"type": "batch", "target": {"tableName": "{{ params.table }}"}}')
        with DAG("d", template_searchpath=[str(tmp_path)], params={"table": "Clicks"}) as dag:
            of_dict = PolarisRunJobOperator(task_id="dict", **BATCH_JOB.arguments)
            of_file = PolarisRunJobOperator(task_id="file", spec="job.json")
        context: Any = {"dag": dag, "ti": TaskInstance(), "params": {"table": "Clicks"}}
        of_dict.render_template_fields(context)
        assert of_dict.spec == BATCH_JOB.arguments["spec"]
        of_file.render_template_fields(context)
        assert check_spec(of_file.spec) == {"type": "batch", "target": {"tableName": "Clicks"}}

    def test_a_query_carries_the_task_s_mark(self, task: MakeTask, sandbox: Sandbox) -> None:
        plan(sandbox, SQL_JOB, JobState.SUCCEEDED)
        outcome = task(SQL_JOB, include_raw=True).next_try()
        query = outcome.value["raw"]["spec"]["query"]
        assert query.startswith("/* Airflow dag.task ")
        assert query.endswith(" */ INSERT INTO Clicks SELECT * FROM Raw")
