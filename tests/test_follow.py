# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One way to follow a job: the same log lines, errors and timeouts, whoever follows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.follow import FollowJob, FollowSelection
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection
from support.task_runs import Outcome, run_deferred, run_in_worker, run_rescheduled
from support.vendors import NARRATIVE

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JOB = Job("Narrative", "n-1", JobState.RUNNING, "running", started_at=NOON)
ENDED = replace(JOB, state=JobState.FAILED, vendor_state="failed", ended_at=NOON)
TROUBLE = VendorUnavailable("Narrative answered 503")


class Log:
    """What a task's log is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, *values: Any) -> None:
        self.lines.append(text % values)

    warning = info


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def follow(log: Log) -> FollowJob:
    return FollowJob("Narrative", "n-1", conn_id="conn", began=NOON, grace=300, log=log)


class TestJob:
    def test_each_state_is_told_once(self, follow: FollowJob, log: Log) -> None:
        for _ in range(3):
            assert not follow.see(JOB, NOON)
        assert follow.see(ENDED, NOON)
        assert log.lines == [
            "Narrative job n-1 is running (vendor says 'running')",
            "Narrative job n-1 is failed (vendor says 'failed')",
        ]

    def test_a_word_that_nobody_has_mapped_says_what_to_do(self, follow: FollowJob, log: Log) -> None:
        follow.see(replace(JOB, state=JobState.UNKNOWN, vendor_state="archived"), NOON)
        assert log.lines[0].endswith(
            "It counts as not ended: map 'archived' in the extra state_map of connection 'conn'"
        )

    def test_a_vendor_that_cannot_tell_itself_gets_no_such_advice(self, follow: FollowJob, log: Log) -> None:
        follow.see(replace(JOB, state=JobState.UNKNOWN, vendor_state="Unknown"), NOON)
        assert log.lines == [
            "Narrative job n-1 is unknown (vendor says 'Unknown'): the vendor itself cannot tell now"
        ]

    def test_trouble_is_told_once_and_so_is_its_end(self, follow: FollowJob, log: Log) -> None:
        follow.see(JOB, NOON)
        for _ in range(3):
            follow.note_trouble(TROUBLE)
        follow.see(JOB, NOON)
        assert log.lines[1:] == [
            "Narrative job n-1 cannot be read now, the wait goes on: Narrative answered 503",
            "Narrative job n-1 is running (vendor says 'running')",
        ]

    def test_a_job_never_seen_is_missing_since_the_wait_began(self, follow: FollowJob) -> None:
        follow.miss(NOON + 4 * MINUTE)
        with pytest.raises(JobNotFound) as caught:
            follow.miss(NOON + 5 * MINUTE)
        assert str(caught.value) == (
            "Narrative does not know job 'n-1', for 5 minutes now. It was never seen. "
            "Check job_id and connection 'conn'."
        )

    def test_one_that_vanishes_has_the_grace_from_then_on(self, follow: FollowJob, log: Log) -> None:
        follow.see(JOB, NOON + 60 * MINUTE)
        follow.miss(NOON + 61 * MINUTE)
        follow.miss(NOON + 65 * MINUTE)
        assert log.lines[-1] == "Narrative does not know job n-1 any more: waiting up to 5 minutes for it"
        with pytest.raises(JobNotFound, match=r"It was running \(vendor says 'running'\)"):
            follow.miss(NOON + 66 * MINUTE)

    def test_one_that_comes_back_has_it_anew(self, follow: FollowJob) -> None:
        follow.see(JOB, NOON)
        follow.miss(NOON + MINUTE)
        follow.see(JOB, NOON + 5 * MINUTE)
        follow.miss(NOON + 7 * MINUTE)
        follow.miss(NOON + 11 * MINUTE)

    def test_a_timeout_says_how_it_stood_when_that_was_read_and_what_was_in_the_way(
        self, follow: FollowJob
    ) -> None:
        follow.see(JOB, NOON + MINUTE)
        follow.note_trouble(TROUBLE)
        assert follow.report(NOON + 60 * MINUTE) == (
            "Narrative job n-1 had not ended after 1 hour. It was running (vendor says 'running'), "
            "last read at 2026-03-01T12:01:00+00:00. The last trouble: Narrative answered 503"
        )

    def test_it_was_read_later_than_it_last_changed(self, follow: FollowJob) -> None:
        follow.see(JOB, NOON)
        assert "last read at 2026-03-01T12:30:00+00:00." in follow.report(
            NOON + 60 * MINUTE, NOON + 30 * MINUTE
        )

    def test_one_never_seen(self, follow: FollowJob) -> None:
        assert follow.report(NOON + MINUTE) == (
            "Narrative job n-1 had not ended after 1 minute. It was never seen."
        )


class TestSelection:
    @pytest.fixture
    def follow(self, log: Log) -> FollowSelection:
        selection = Selection((("dataset_id", "7"),), NOON, NOON + 60 * MINUTE, min_jobs=2)
        return FollowSelection("Narrative", selection, conn_id="conn", began=NOON, grace=300, log=log)

    def test_all_of_them_must_have_ended(self, follow: FollowSelection) -> None:
        other = replace(ENDED, id="n-2")
        assert not follow.see([JOB, other], NOON + MINUTE)
        assert follow.see([ENDED, other], NOON + 2 * MINUTE)

    def test_too_few_when_the_window_is_over(self, follow: FollowSelection) -> None:
        assert not follow.see([ENDED], NOON + 64 * MINUTE)
        assert follow.next_look == NOON + 65 * MINUTE
        with pytest.raises(JobNotFound, match=r"Only 1 of at least 2 .*dataset_id='7'.*'conn'.*is over"):
            follow.see([ENDED], NOON + 65 * MINUTE)

    def test_a_timeout_names_those_that_there_were(self, follow: FollowSelection) -> None:
        follow.see([JOB], NOON)
        assert "Of at least 2 jobs, these were seen: n-1 running, last read at" in follow.report(
            NOON + MINUTE
        )


Runner = Callable[[Callable[[], Any]], Outcome]
MODES: dict[str, tuple[Runner, dict[str, Any]]] = {
    "poke": (run_in_worker, {}),
    "reschedule": (run_rescheduled, {"mode": "reschedule"}),
    "deferred": (run_deferred, {"deferrable": True}),
}


@pytest.mark.usefixtures("quick_watch", "one_try")
class TestModes:
    """The three modes and the operator end with the same words."""

    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add("narrative")

    @pytest.fixture
    def each(self) -> Callable[..., dict[str, Outcome]]:
        def run_each(**arguments: Any) -> dict[str, Outcome]:
            given = {"task_id": "wait", "job_id": NARRATIVE.job_id, "poke_interval": 0.05, **arguments}
            return {
                mode: run(lambda more=more: NARRATIVE.sensor(**given, **more))  # type: ignore[misc]
                for mode, (run, more) in MODES.items()
            }

        return run_each

    def test_a_job_that_is_not_there(self, each: Callable[..., dict[str, Outcome]]) -> None:
        outcomes = each(missing_grace=0)
        assert {type(outcome.error) for outcome in outcomes.values()} == {JobNotFound}
        assert len({str(outcome.error) for outcome in outcomes.values()}) == 1

    def test_a_timeout(self, each: Callable[..., dict[str, Outcome]], sandbox: Sandbox) -> None:
        sandbox.add_job("narrative", NARRATIVE.job_id)
        outcomes = each(timeout=0.3)
        assert {type(outcome.error) for outcome in outcomes.values()} == {WaitTimeout}
        moments = r"\d\d:\d\d:\d\d|(?<=after )[a-z0-9 ]+"
        texts = {re.sub(moments, "T", str(outcome.error)) for outcome in outcomes.values()}
        assert len(texts) == 1, texts

    def test_no_error_is_in_its_own_chain(
        self, each: Callable[..., dict[str, Outcome]], sandbox: Sandbox
    ) -> None:
        # To log such a chain never ends, with the structlog of Airflow 3.0 to 3.2.
        outcomes = list(each(missing_grace=0).values())
        sandbox.add_job("narrative", NARRATIVE.job_id)
        outcomes += each(timeout=0.3).values()
        sandbox.add_fault(Fault(status=403, times=None))
        outcomes += each().values()
        sandbox.clear_faults()
        sandbox.set_state("narrative", NARRATIVE.job_id, "failed")
        outcomes += each().values()
        outcomes += each(soft_fail=True).values()
        assert len(outcomes) == 15
        for outcome in outcomes:
            chain: list[BaseException] = []
            error: BaseException | None = outcome.error
            while error is not None:
                assert not any(error is one for one in chain), chain
                chain.append(error)
                error = error.__cause__ or error.__context__

    def test_trouble_is_told_in_the_same_words(
        self, each: Callable[..., dict[str, Outcome]], sandbox: Sandbox, logs: Logs
    ) -> None:
        sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "completed")])
        for mode, (run, more) in MODES.items():
            logs.records.clear()
            sandbox.add_fault(Fault(status=503))
            run(
                lambda more=more: NARRATIVE.sensor(  # type: ignore[misc]
                    task_id="wait", job_id=NARRATIVE.job_id, poke_interval=0.05, **more
                )
            )
            name = f"Narrative job {NARRATIVE.job_id}"
            assert f"{name} cannot be read now, the wait goes on: Narrative answered 503" in logs.text, mode
