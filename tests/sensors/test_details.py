# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is asked after a job's end follows the rules of the wait, and its deadline, in every mode."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.details import MAX_THREADS
from airflow_provider_ingestjobs.errors import AuthenticationFailed, PermissionDenied, VendorError
from airflow_provider_ingestjobs.exceptions import JobCheckFailed, JobFailed, WaitTimeout
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor
from support.task_runs import DagRun, Outcome, TaskInstance, run_deferred, run_in_worker, run_rescheduled

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.connections import Connections
    from support.logs import Logs

    RunSensor = Callable[..., Outcome]

MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "poke": (run_in_worker, {"mode": "poke", "deferrable": False}),
    "reschedule": (run_rescheduled, {"mode": "reschedule", "deferrable": False}),
    "deferred": (run_deferred, {"deferrable": True}),
}
each_mode = pytest.mark.parametrize("mode", MODES)
METRICS = "/metrics$"
TABLE = {"target": {"type": "table", "tableName": "orders"}}

pytestmark = pytest.mark.usefixtures("one_try")


@pytest.fixture
def run(connections: Connections, quick_watch: None, monkeypatch: pytest.MonkeyPatch) -> RunSensor:
    """Run a sensor of Polaris, whose counts take another request, to its end in a mode."""
    monkeypatch.setattr("airflow_provider_ingestjobs.details.MIN_INTERVAL", 0.02)
    connections.add("polaris", extra={"read_timeout": 2})

    def run_sensor(mode: str, **arguments: Any) -> Outcome:
        runner, of_mode = MODES[mode]
        given = {"task_id": "wait", "poke_interval": 0.03, "timeout": 10, **of_mode, **arguments}
        outcome: Outcome = runner(lambda: PolarisJobSensor(**given), context={"dag_run": DagRun()})
        assert outcome.deferred == (mode == "deferred")
        return outcome

    return run_sensor


@pytest.fixture
def job_id(sandbox: Sandbox) -> str:
    """A job that has ended well, with 200 rows."""
    return sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 200, "errors": 0})


def trouble(sandbox: Sandbox, times: int | None = 3, **fault: Any) -> None:
    sandbox.add_fault(Fault(vendor="polaris", path=METRICS, times=times, **fault))


def asked_for_metrics(sandbox: Sandbox, *job_ids: str) -> int:
    asked = [request.path for request in sandbox.requests("polaris") if request.path.endswith("/metrics")]
    return sum(job_id in path for path in asked for job_id in job_ids)


class TestNeeded:
    """A check cannot be made without them."""

    @each_mode
    @pytest.mark.parametrize("include_raw", [False, True])
    @pytest.mark.parametrize(
        "fault",
        [{"status": 503}, {"status": 429}, {"status": 404}, {"drop": "before"}, {"body": "<html>"}],
        ids=str,
    )
    def test_passing_trouble_is_tried_again(
        self,
        mode: str,
        include_raw: bool,
        fault: dict[str, Any],
        run: RunSensor,
        sandbox: Sandbox,
        job_id: str,
    ) -> None:
        trouble(sandbox, **fault)
        outcome = run(mode, job_id=job_id, checks={"min_rows": 200}, include_raw=include_raw)
        assert outcome.error is None
        assert outcome.value["rows"]["read"] == 200
        assert ("raw" in outcome.value) == include_raw

    @each_mode
    def test_an_own_check_needs_them_too(
        self, mode: str, run: RunSensor, sandbox: Sandbox, job_id: str
    ) -> None:
        trouble(sandbox, status=503)
        outcome = run(mode, job_id=job_id, check=lambda job: f"{job.rows.read} rows")
        assert str(outcome.error) == f"Imply Polaris job {job_id}: 200 rows"

    @each_mode
    def test_a_selection_s_jobs(self, mode: str, run: RunSensor, sandbox: Sandbox) -> None:
        ids = [
            sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 7}, fields=TABLE)
            for _ in range(3)
        ]
        trouble(sandbox, status=503, times=4)
        outcome = run(mode, table_name="orders", checks={"min_rows": 7}, min_jobs=3)
        assert outcome.error is None
        assert sorted(job["id"] for job in outcome.value) == sorted(ids)

    @pytest.mark.parametrize("mode", ["poke", "deferred"])
    def test_what_has_come_is_not_asked_for_again(self, mode: str, run: RunSensor, sandbox: Sandbox) -> None:
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 7}) for _ in range(4)]
        sandbox.add_fault(Fault(path=f"{ids[2]}{METRICS}", status=503, times=2))
        assert run(mode, job_id=ids, checks={"min_rows": 7}).error is None
        assert asked_for_metrics(sandbox, *ids) == len(ids) + 2

    @each_mode
    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize("fault", [{"status": 503}, {"status": 404}, {"delay": 3}], ids=str)
    def test_what_never_comes_is_a_timeout_that_says_so(
        self,
        mode: str,
        soft_fail: bool,
        fault: dict[str, Any],
        run: RunSensor,
        sandbox: Sandbox,
        job_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.details.LAST_LOOK_TIMEOUT", 0.2)
        trouble(sandbox, times=None, **fault)
        outcome = run(mode, job_id=job_id, checks={"min_rows": 1}, timeout=0.4, soft_fail=soft_fail)
        assert outcome.skipped == soft_fail
        if not soft_fail:
            assert type(outcome.error) is WaitTimeout
        said = str(outcome.error)
        assert f"Imply Polaris job {job_id} ended, but details that a check needs could not be read" in said
        assert str(fault.get("status", "no answer in time")) in said

    @each_mode
    @pytest.mark.parametrize(
        ("status", "error"), [(401, AuthenticationFailed), (403, PermissionDenied), (400, VendorError)]
    )
    def test_a_refusal_is_an_error_at_once_and_no_skip(
        self, mode: str, status: int, error: type[Exception], run: RunSensor, sandbox: Sandbox, job_id: str
    ) -> None:
        trouble(sandbox, status=status, times=None)
        outcome = run(mode, job_id=job_id, checks={"min_rows": 1}, soft_fail=True)
        assert not outcome.skipped
        assert type(outcome.error) is error
        assert asked_for_metrics(sandbox, job_id) == 1

    @each_mode
    def test_what_the_vendor_does_not_know_for_so_long_is_its_own_error(
        self, mode: str, run: RunSensor, sandbox: Sandbox, job_id: str
    ) -> None:
        trouble(sandbox, status=404, times=None)
        outcome = run(mode, job_id=job_id, checks={"min_rows": 1}, missing_grace=0.0, soft_fail=True)
        assert type(outcome.error) is VendorError
        assert "404" in str(outcome.error)

    @each_mode
    def test_a_vendor_that_answers_without_the_count(
        self, mode: str, run: RunSensor, sandbox: Sandbox, job_id: str
    ) -> None:
        trouble(sandbox, body={"totals": {}}, times=None)
        outcome = run(mode, job_id=job_id, checks={"min_rows": 1})
        assert type(outcome.error) is JobCheckFailed
        assert asked_for_metrics(sandbox, job_id) == 1


class TestNotNeeded:
    """They are asked for once, and the task goes on with a warning."""

    @each_mode
    @pytest.mark.parametrize(
        "arguments", [{}, {"checks": {"max_health": "error"}}, {"include_raw": True}], ids=str
    )
    @pytest.mark.parametrize("status", [503, 403, 404])
    def test_they_are_given_up_at_once(
        self,
        mode: str,
        arguments: dict[str, Any],
        status: int,
        run: RunSensor,
        sandbox: Sandbox,
        job_id: str,
        logs: Logs,
    ) -> None:
        sandbox.set_state("polaris", job_id, "completed")
        trouble(sandbox, status=status, times=None)
        outcome = run(mode, job_id=job_id, **arguments)
        assert outcome.error is None
        assert outcome.value["rows"]["read"] is None
        assert asked_for_metrics(sandbox, job_id) == 1
        assert any(f"details of Imply Polaris job {job_id}" in text for text in logs.warnings)

    @each_mode
    def test_how_another_job_failed_is_told_without_them(
        self, mode: str, run: RunSensor, sandbox: Sandbox, job_id: str
    ) -> None:
        failed = sandbox.add_job("polaris", timeline=[(0, "failed")])
        trouble(sandbox, status=503, times=None)
        outcome = run(mode, job_id=[job_id, failed], checks={"min_rows": 1})
        assert type(outcome.error) is JobFailed

    @each_mode
    def test_the_time_is_up_before_many_have_answered(
        self, mode: str, run: RunSensor, sandbox: Sandbox, logs: Logs
    ) -> None:
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")]) for _ in range(12)]
        trouble(sandbox, delay=1.5, times=None)
        outcome = run(mode, job_id=ids, timeout=1)
        assert outcome.error is None
        assert [job["id"] for job in outcome.value] == ids
        assert asked_for_metrics(sandbox, *ids) <= MAX_THREADS
        assert any("The task goes on without the details of" in text for text in logs.warnings)

    @each_mode
    def test_a_vendor_in_trouble_is_not_asked_about_each_job(
        self, mode: str, run: RunSensor, sandbox: Sandbox
    ) -> None:
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")]) for _ in range(40)]
        trouble(sandbox, status=504, times=None)
        assert run(mode, job_id=ids).error is None
        assert asked_for_metrics(sandbox, *ids) < len(ids) / 2


class TestManyJobs:
    @each_mode
    def test_they_are_read_side_by_side(
        self, mode: str, run: RunSensor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = threading.Barrier(4)
        metrics = PolarisHook.get_metrics

        def get_metrics(hook: PolarisHook, job_id: str) -> Any:
            together.wait(5)
            return metrics(hook, job_id)

        monkeypatch.setattr(PolarisHook, "get_metrics", get_metrics)
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": n}) for n in range(8)]
        outcome = run(mode, job_id=ids)
        assert [job["rows"]["read"] for job in outcome.value] == list(range(8))

    @each_mode
    def test_a_bug_in_one_is_the_task_s_error(
        self, mode: str, run: RunSensor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")]) for _ in range(8)]
        monkeypatch.setattr(PolarisHook, "get_metrics", lambda hook, job_id: 1 // 0)
        outcome = run(mode, job_id=ids, soft_fail=True)
        assert isinstance(outcome.error, ZeroDivisionError)

    def test_a_token_that_a_thread_gets_is_masked_by_the_task_s_own(
        self, connections: Connections, sandbox: Sandbox, job_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        masked_in = []
        monkeypatch.setattr(
            "airflow_provider_ingestjobs.hooks.token_mask.mask_secret",
            lambda token: masked_in.append(threading.current_thread()),
        )
        connections.add("polaris", "login")
        job = Job("Imply Polaris", job_id, JobState.SUCCEEDED, "completed")
        sensor: Any = PolarisJobSensor(task_id="wait", job_id=job_id)
        ended = sensor.execute_complete({"ti": TaskInstance()}, {"status": "ended", "jobs": [job.to_dict()]})
        assert ended["rows"]["read"] == 200
        assert masked_in == [threading.current_thread()]


class TestEvents:
    """The worker has the deadline from the event."""

    @pytest.fixture
    def resume(self, run: RunSensor, job_id: str) -> Callable[..., Any]:
        """Go on with a task that waited at most an hour, as if its trigger had fired this event."""
        job = Job("Imply Polaris", job_id, JobState.SUCCEEDED, "completed").to_dict()
        sensor = partial(PolarisJobSensor, task_id="wait", job_id=job_id, checks={"min_rows": 1})

        def resume(began: timedelta, **event: Any) -> Any:
            ti = TaskInstance(datetime.now(UTC) + began)
            given = {"event": {"status": "ended", "jobs": [job], **event}}
            task: Any = sensor(timeout=3600, poke_interval=0.03)
            return task.resume_execution("execute_complete", given, {"ti": ti})

        return resume

    def test_it_holds_however_long_the_timeout_is(
        self, resume: Callable[..., Any], sandbox: Sandbox, job_id: str
    ) -> None:
        trouble(sandbox, status=503, times=None)
        deadline = datetime.now(UTC) + timedelta(seconds=0.3)
        with pytest.raises(WaitTimeout):
            resume(timedelta(), deadline=deadline.isoformat())
        assert asked_for_metrics(sandbox, job_id) > 1

    def test_a_worker_that_starts_late_still_looks_once(
        self, resume: Callable[..., Any], sandbox: Sandbox, job_id: str
    ) -> None:
        late = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        assert resume(timedelta(hours=-2), deadline=late)["rows"]["read"] == 200
        trouble(sandbox, status=503, times=None)
        with pytest.raises(WaitTimeout):
            resume(timedelta(hours=-2), deadline=late)
        assert asked_for_metrics(sandbox, job_id) == 2

    @pytest.mark.parametrize(
        "event", [{}, {"deadline": None}, {"deadline": "soon"}, {"deadline": 5}], ids=str
    )
    def test_without_one_the_task_s_start_tells(
        self, event: dict[str, Any], resume: Callable[..., Any], sandbox: Sandbox
    ) -> None:
        trouble(sandbox, status=503, times=2)
        assert resume(timedelta(), **event)["rows"]["read"] == 200
        trouble(sandbox, status=503, times=2)
        with pytest.raises(WaitTimeout):
            resume(timedelta(hours=-2), **event)
