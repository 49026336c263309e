# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""``soft_fail`` skips over how jobs ended, and over nothing that is broken; in every mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from support.task_runs import Outcome, TaskInstance, finish, run_deferred, run_in_worker, run_rescheduled

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.connections import Connections

MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "poke": (run_in_worker, {"mode": "poke", "deferrable": False}),
    "reschedule": (run_rescheduled, {"mode": "reschedule", "deferrable": False}),
    "deferred": (run_deferred, {"deferrable": True}),
}
each_mode = pytest.mark.parametrize("mode", MODES)
BUGS = [RuntimeError("broken"), AirflowException("broken"), AirflowFailException("broken")]
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)


@pytest.fixture
def run(sandbox: Sandbox, connections: Connections, quick_watch: None) -> Callable[..., Outcome]:
    """Run a sensor for a job that has ended well, to its end in a mode."""
    connections.add("narrative")
    job_id = sandbox.add_job("narrative", timeline=[(0, "completed")])

    def run_sensor(mode: str, **arguments: Any) -> Outcome:
        runner, of_mode = MODES[mode]
        given = {"task_id": "wait", "job_id": job_id, "poke_interval": 0.03, "timeout": 10, **of_mode}
        outcome: Outcome = runner(lambda: NarrativeJobSensor(**{**given, "soft_fail": True, **arguments}))
        return outcome

    return run_sensor


def raising(error: BaseException) -> Callable[[Job], bool]:
    def check(job: Job) -> bool:
        raise error

    return check


@each_mode
def test_a_skip_as_time_is_up_says_how_it_stood(
    mode: str, run: Callable[..., Outcome], sandbox: Sandbox
) -> None:
    running = sandbox.add_job("narrative")
    outcome = run(mode, job_id=running, timeout=0.3)
    assert outcome.skipped
    assert f"Narrative job {running} had not ended" in str(outcome.error)
    assert "It was running" in str(outcome.error)


class TestBugs:
    @each_mode
    @each_bug
    def test_in_a_check(self, mode: str, bug: Exception, run: Callable[..., Outcome]) -> None:
        outcome = run(mode, check=raising(bug))
        assert not outcome.skipped
        assert outcome.error is bug

    @each_mode
    @each_bug
    def test_in_what_is_asked_after_the_end(
        self, mode: str, bug: Exception, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fetch_details(hook: NarrativeHook, job: Job) -> Job:
            raise bug

        monkeypatch.setattr(NarrativeHook, "fetch_details", fetch_details)
        outcome = run(mode)
        assert not outcome.skipped
        assert outcome.error is bug

    @each_mode
    def test_an_error_keeps_its_cause_and_is_not_its_own(
        self, mode: str, run: Callable[..., Outcome]
    ) -> None:
        bug, cause = AirflowFailException("broken"), KeyError("why")
        bug.__cause__ = cause
        error: BaseException | None = run(mode, check=raising(bug)).error
        assert error is bug
        assert error.__cause__ is cause
        assert error.__suppress_context__

    @each_mode
    def test_a_skip_that_a_check_asks_for_is_one(self, mode: str, run: Callable[..., Outcome]) -> None:
        outcome = run(mode, check=raising(AirflowSkipException("nothing to do")), soft_fail=False)
        assert outcome.skipped
        assert str(outcome.error) == "nothing to do"

    @each_mode
    def test_never_fail_is_what_it_says(self, mode: str, run: Callable[..., Outcome]) -> None:
        for bug in BUGS:
            assert run(mode, check=raising(bug), soft_fail=False, never_fail=True).skipped


class TestResumed:
    """Airflow resumes a task without an event where its trigger has failed, or the deferral took too long."""

    @staticmethod
    def resume(error: str, **arguments: Any) -> Outcome:
        ti = TaskInstance()
        sensor: Any = NarrativeJobSensor(task_id="wait", job_id="1", deferrable=True, **arguments)
        return finish(lambda: sensor.resume_execution("__fail__", {"error": error}, {"ti": ti}), ti)

    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_a_broken_trigger_is_a_failure(self, soft_fail: bool) -> None:
        outcome = self.resume("Trigger failure", soft_fail=soft_fail)
        assert not outcome.skipped
        assert type(outcome.error).__name__ == "TaskDeferralError"

    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"])
    def test_a_deferral_whose_time_is_up_is_a_timeout(self, soft_fail: bool, error: str) -> None:
        outcome = self.resume(error, soft_fail=soft_fail)
        assert outcome.skipped == soft_fail
        assert soft_fail or type(outcome.error) is WaitTimeout
        assert f"The jobs of Narrative had not ended when Airflow ended the deferral: {error}" in str(
            outcome.error
        )

    @pytest.mark.parametrize("mode", ["poke", "deferred"])
    def test_an_execution_timeout_is_a_timeout(self, mode: str, run: Callable[..., Outcome]) -> None:
        timeout = AirflowTaskTimeout("Timeout, PID: 1")
        assert run(mode, check=raising(timeout)).skipped
        with pytest.raises(AirflowTaskTimeout):
            run(mode, check=raising(timeout), soft_fail=False)
