# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A job that has failed may still be resumed at its vendor: a wait bears that for a while, in every mode."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.exceptions import JobCancelled, JobFailed, WaitTimeout
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.task_runs import PATIENCE, DagRun, Outcome, run_deferred, run_in_worker, run_rescheduled
from support.vendors import AMPERITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.connections import Connections
    from support.logs import Logs

    Wait = Callable[..., Outcome]

MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "poke": (run_in_worker, {"mode": "poke", "deferrable": False}),
    "reschedule": (run_rescheduled, {"mode": "reschedule", "deferrable": False}),
    "deferred": (run_deferred, {"deferrable": True}),
}
FEED = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}
#: Longer than any of these waits, and a time that is over while one lasts.
LONG = 600.0
SHORT = 1.0
BORNE = "It may still be resumed at the vendor: the wait bears the failure until "
RESUMED = "has been resumed at the vendor: the wait goes on"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def wait(mode: str, connections: Connections, quick_watch: None) -> Wait:
    """Run Amperity's sensor to its end in a mode."""
    connections.add("amperity", extra={"requests_per_second": 1000})
    runner, of_mode = MODES[mode]

    def run_sensor(**arguments: Any) -> Outcome:
        given = {"poke_interval": 0.05, "timeout": 9, **of_mode, **arguments}
        context = {"dag_run": DagRun(logical_date=datetime.now(UTC))}
        outcome: Outcome = runner(lambda: AMPERITY.sensor(task_id="wait", **given), context=context)
        return outcome

    return run_sensor


@contextmanager
def people_who(sandbox: Sandbox, job_id: str, logs: Logs, **steps: tuple[str, str]) -> Iterator[None]:
    """Put a job into another state when the log says something of it.

    :param steps: what the log says, and the state's word, in order; their names are for the reader.
    """

    def work() -> None:
        give_up = time.monotonic() + PATIENCE
        for told, word in steps.values():
            while not any(job_id in line and told in line for line in logs.text.splitlines()):
                if time.monotonic() > give_up:
                    return
                time.sleep(0.01)
            sandbox.set_state("amperity", job_id, word)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def resume(sandbox: Sandbox, job_id: str, logs: Logs, end: str = "succeeded") -> Any:
    return people_who(sandbox, job_id, logs, resume_it=(BORNE, "running"), see_it_end=("is running", end))


class TestById:
    def test_a_job_that_is_resumed_has_its_true_end(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        with resume(sandbox, job_id, logs):
            outcome = wait(job_id=job_id, failed_grace=LONG)
        assert outcome.error is None
        assert outcome.value["state"] == "succeeded"

    def test_the_log_tells_of_all_of_it(self, sandbox: Sandbox, wait: Wait, logs: Logs, mode: str) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        ends_at = datetime.now(UTC).timestamp() + LONG
        with resume(sandbox, job_id, logs):
            wait(job_id=job_id, failed_grace=LONG)
        told = next(line for line in logs.warnings if BORNE in line)
        assert f"Amperity job {job_id} is failed" in told
        (until,) = re.findall(r"until ([\d:T+-]+)", told)
        assert datetime.fromisoformat(until).timestamp() == pytest.approx(ends_at, abs=5)
        # A look in reschedule mode knows nothing of the one before.
        assert (f"Amperity job {job_id} {RESUMED}" in logs.text) is (mode != "reschedule")
        assert f"Amperity job {job_id} is running" in logs.text

    def test_one_that_is_not_resumed_has_failed(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        job_id = sandbox.add_job(
            "amperity", timeline=[(0, "failed")], failure="No such bucket", starts="first_read"
        )
        outcome = wait(job_id=job_id, failed_grace=SHORT)
        assert type(outcome.error) is JobFailed
        assert "The vendor says: No such bucket" in str(outcome.error)
        assert "The vendor says: No such bucket" in logs.text
        assert BORNE in logs.text

    def test_it_is_borne_though_nobody_can_say_why_it_failed(
        self, sandbox: Sandbox, wait: Wait, logs: Logs, one_try: None
    ) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        sandbox.add_fault(Fault(vendor="amperity", path="workflow", status=500, times=None))
        with resume(sandbox, job_id, logs):
            assert wait(job_id=job_id, failed_grace=LONG).value["state"] == "succeeded"

    def test_one_that_failed_longer_ago_has_failed(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(-90, "running"), (-60, "failed")])
        assert type(wait(job_id=job_id, failed_grace=30).error) is JobFailed
        assert BORNE not in logs.text

    def test_by_default_nothing_is_borne(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        assert type(wait(job_id=job_id).error) is JobFailed
        assert BORNE not in logs.text

    def test_one_that_is_resumed_may_fail_for_good(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(-3600, "running"), (0, "failed")])
        with resume(sandbox, job_id, logs, end="canceled"):
            assert type(wait(job_id=job_id, failed_grace=LONG).error) is JobCancelled

    @pytest.mark.parametrize(("word", "error"), [("canceled", JobCancelled), ("skipped", JobFailed)])
    def test_only_failures_are_borne(
        self, word: str, error: type[Exception], sandbox: Sandbox, wait: Wait
    ) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, word)])
        assert type(wait(job_id=job_id, failed_grace=LONG).error) is error

    def test_a_failure_that_is_expected_is_an_end(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        outcome = wait(job_id=job_id, failed_grace=LONG, expected_states=("succeeded", "failed"))
        assert outcome.value["state"] == "failed"

    def test_the_timeout_still_bounds_it_and_says_so(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        outcome = wait(job_id=job_id, failed_grace=LONG, timeout=SHORT)
        assert type(outcome.error) is WaitTimeout
        said = str(outcome.error)
        assert f"Amperity job {job_id} had not ended for good after" in said
        assert "It had failed (vendor says 'failed'" in said
        assert "which the wait bore until" in said

    def test_trouble_in_between_does_not_end_it(
        self, sandbox: Sandbox, wait: Wait, logs: Logs, one_try: None
    ) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
        sandbox.add_fault(Fault(vendor="amperity", path="ingest", status=503, skip=1))
        with resume(sandbox, job_id, logs):
            assert wait(job_id=job_id, failed_grace=LONG).value["state"] == "succeeded"

    def test_without_an_end_it_counts_from_the_first_look(
        self, sandbox: Sandbox, wait: Wait, logs: Logs, mode: str
    ) -> None:
        fields = {"tables": [{"ended_at": None}]}
        job_id = sandbox.add_job("amperity", timeline=[(-60, "failed")], fields=fields)
        assert type(wait(job_id=job_id, failed_grace=SHORT).error) is JobFailed
        # Where nothing is kept, and the record says nothing either, the failure counts at once.
        assert (BORNE in logs.text) is (mode != "reschedule")

    def test_of_several_each_has_its_own(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        resumed = sandbox.add_job("amperity", timeline=[(0, "failed")])
        good = sandbox.add_job("amperity", timeline=[(0, "succeeded")])
        with resume(sandbox, resumed, logs):
            outcome = wait(job_id=[resumed, good], failed_grace=LONG)
        assert [job["state"] for job in outcome.value] == ["succeeded", "succeeded"]

        old = sandbox.add_job("amperity", timeline=[(-2 * LONG, "failed")])
        other = sandbox.add_job("amperity", timeline=[(0, "failed")])
        with resume(sandbox, other, logs):
            outcome = wait(job_id=[old, other], failed_grace=LONG)
        assert type(outcome.error) is JobFailed
        assert old in str(outcome.error)
        assert other not in str(outcome.error)


class TestSelections:
    def test_a_selection_with_a_failure_that_is_borne_is_not_done(
        self, sandbox: Sandbox, wait: Wait, logs: Logs
    ) -> None:
        failed = sandbox.add_job("amperity", timeline=[(0, "failed")], fields=FEED)
        sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=FEED)
        with resume(sandbox, failed, logs):
            outcome = wait(feed_id="df-1", min_jobs=2, failed_grace=LONG)
        assert outcome.error is None
        assert [job["state"] for job in outcome.value] == ["succeeded", "succeeded"]

    def test_it_is_done_when_that_time_is_over(self, sandbox: Sandbox, wait: Wait, logs: Logs) -> None:
        failed = sandbox.add_job(
            "amperity", timeline=[(0, "failed")], fields=FEED, starts="first_read", failure="No such bucket"
        )
        outcome = wait(feed_id="df-1", failed_grace=SHORT)
        assert type(outcome.error) is JobFailed
        assert failed in str(outcome.error)
        assert "The vendor says: No such bucket" in logs.text
        assert BORNE in logs.text

    def test_the_timeout_says_what_was_borne(self, sandbox: Sandbox, wait: Wait) -> None:
        failed = sandbox.add_job("amperity", timeline=[(0, "failed")], fields=FEED)
        outcome = wait(feed_id="df-1", failed_grace=LONG, timeout=SHORT)
        assert type(outcome.error) is WaitTimeout
        assert f"these were seen: {failed} failed (vendor says 'failed'" in str(outcome.error)
        assert "which the wait bore until" in str(outcome.error)


def test_a_task_that_is_killed_cancels_what_has_been_resumed_alone(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("amperity")
    sandbox.cancel_delay = 0
    job_id = sandbox.add_job("amperity", timeline=[(0, "failed")])
    sensor = AMPERITY.sensor(task_id="wait", job_id=job_id, failed_grace=LONG, cancel_on_kill=True)
    sensor.on_kill()
    assert sensor.hook.get_job(job_id).state is JobState.FAILED
    sandbox.set_state("amperity", job_id, "running")
    sensor.on_kill()
    assert sensor.hook.get_job(job_id).state is JobState.CANCELLED
