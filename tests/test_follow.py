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

from airflow_provider_ingestjobs.errors import InvalidInput, VendorError, VendorUnavailable
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

    def test_a_long_wait_says_now_and_then_that_it_goes_on(self, follow: FollowJob, log: Log) -> None:
        follow.see(JOB, NOON)
        for minute in range(7 * 24 * 60):
            follow.say_that_it_waits(NOON + minute * MINUTE, read_at=NOON + minute * MINUTE)
        words = [line for line in log.lines if "Still waiting" in line]
        assert 5 <= len(words) <= 10
        assert "Narrative job n-1 had not ended after 1" in words[0]
        assert "It was running" in words[0]
        assert "last read at 2026-03-01T12:1" in words[0]

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
            "Narrative has not known job 'n-1' for 5 minutes. It was never seen. "
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

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_an_end_without_a_time_settles_from_when_it_is_seen(self, log: Log, is_kept: bool) -> None:
        selection = Selection((("dataset_id", "7"),), NOON, NOON + 60 * MINUTE, settle=600)
        follow = FollowSelection(
            "Narrative", selection, conn_id="conn", began=NOON, grace=300, log=log, is_kept=is_kept
        )
        failed = replace(ENDED, ended_at=None, updated_at=NOON)
        # What is not kept between two looks cannot be counted from: there the record's last change counts.
        assert follow.see([failed], NOON + 30 * MINUTE) is not is_kept
        assert follow.see([failed], NOON + 40 * MINUTE)

    def test_more_than_a_task_can_be_given(self, follow: FollowSelection) -> None:
        many = [replace(ENDED, id=str(number)) for number in range(1001)]
        with pytest.raises(InvalidInput, match=r"dataset_id.*1,001 jobs.*at most 1,000.*narrow the window"):
            follow.see(many, NOON + MINUTE)
        assert follow.see(many[:1000], NOON + MINUTE)

    def test_one_that_is_missing_is_told_once_and_waited_for(self, follow: FollowSelection, log: Log) -> None:
        assert not follow.see([JOB], NOON, {JOB.id})
        assert not follow.see([JOB], NOON + MINUTE, {JOB.id})
        assert follow.next_look == NOON + 5 * MINUTE
        assert sum("does not know it any more: waiting up to 5 minutes" in line for line in log.lines) == 1
        with pytest.raises(JobNotFound, match=r"'n-1' had not ended.* for 5 minutes\..*n-1 running.*'conn'"):
            follow.see([JOB], NOON + 5 * MINUTE, {JOB.id})

    def test_one_that_is_not_looked_at_is_not_back(self, follow: FollowSelection) -> None:
        follow.see([JOB], NOON, {JOB.id})
        follow.see([JOB], NOON + 2 * MINUTE, unread={JOB.id})
        with pytest.raises(JobNotFound, match="has not known it for 5 minutes"):
            follow.see([JOB], NOON + 5 * MINUTE, {JOB.id})

    def test_one_that_is_resumed_settles_from_its_second_end(self, log: Log) -> None:
        selection = Selection((("dataset_id", "7"),), NOON, NOON + 60 * MINUTE, settle=600)
        follow = FollowSelection("Narrative", selection, conn_id="conn", began=NOON, grace=300, log=log)
        assert not follow.see([replace(ENDED, ended_at=NOON)], NOON)
        assert not follow.see([replace(ENDED, ended_at=NOON + 30 * MINUTE)], NOON + 31 * MINUTE)
        assert follow.see([replace(ENDED, ended_at=NOON + 30 * MINUTE)], NOON + 40 * MINUTE)

    def test_trouble_that_waiting_does_not_mend_ends_it(self, follow: FollowSelection) -> None:
        with pytest.raises(VendorError, match="410"):
            follow.note_trouble(VendorError("410: gone", status=410))

    def test_one_that_is_back_starts_anew(self, follow: FollowSelection) -> None:
        follow.see([JOB], NOON, {JOB.id})
        follow.see([JOB], NOON + 4 * MINUTE)
        assert not follow.see([JOB], NOON + 6 * MINUTE, {JOB.id})

    def test_an_end_in_the_future_settles_from_when_it_is_seen(self, log: Log) -> None:
        selection = Selection((("dataset_id", "7"),), NOON, NOON + 60 * MINUTE, settle=600)
        follow = FollowSelection("Narrative", selection, conn_id="conn", began=NOON, grace=300, log=log)
        ahead = replace(ENDED, ended_at=NOON + 9 * MINUTE)
        assert not follow.see([ahead], NOON + MINUTE)
        assert follow.see([ahead], NOON + 11 * MINUTE)

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


class TestFailedGrace:
    """A job that has failed may still be resumed for ten minutes after its end."""

    TOLD = (
        "Narrative job n-1 is failed (vendor says 'failed'). It may still be resumed at the vendor: "
        "the wait bears the failure until 2026-03-01T12:10:00+00:00"
    )

    @pytest.fixture
    def make(self, log: Log) -> Callable[..., FollowJob]:
        given = {"conn_id": "conn", "began": NOON, "grace": 300, "log": log, "failed_grace": 600.0}
        return lambda **more: FollowJob("Narrative", "n-1", **{**given, **more})

    @pytest.fixture
    def follow(self, make: Callable[..., FollowJob]) -> FollowJob:
        return make()

    def test_it_counts_once_it_is_that_old(self, follow: FollowJob, log: Log) -> None:
        for minute in range(1, 10):
            assert not follow.see(ENDED, NOON + minute * MINUTE)
            assert not follow.has_ended
            assert follow.next_look == NOON + 10 * MINUTE
        assert log.lines == [self.TOLD]
        assert follow.see(ENDED, NOON + 10 * MINUTE)
        assert follow.has_ended
        assert log.lines[1:] == ["Narrative job n-1 has not been resumed in time: its failure counts now"]

    def test_one_that_is_that_old_already_is_an_end_like_any_other(self, follow: FollowJob, log: Log) -> None:
        assert follow.see(ENDED, NOON + 11 * MINUTE)
        assert log.lines == ["Narrative job n-1 is failed (vendor says 'failed')"]

    def test_why_it_failed_is_told_if_it_is_known(self, follow: FollowJob, log: Log) -> None:
        assert follow.begins_to_bear(ENDED, NOON)
        assert follow.begins_to_bear(ENDED, NOON)
        follow.see(replace(ENDED, failure="Disk full"), NOON)
        assert "is failed (vendor says 'failed'). The vendor says: Disk full. It may" in log.lines[0]
        assert not follow.begins_to_bear(ENDED, NOON + MINUTE)

    def test_nothing_more_is_asked_about_a_failure_that_counts(self, follow: FollowJob) -> None:
        assert not follow.begins_to_bear(ENDED, NOON + 10 * MINUTE)
        assert not follow.begins_to_bear(JOB, NOON)

    @pytest.mark.parametrize("state", [JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN])
    def test_one_that_is_resumed_is_followed_to_its_true_end(
        self, state: JobState, follow: FollowJob, log: Log
    ) -> None:
        follow.see(ENDED, NOON)
        assert not follow.see(replace(JOB, state=state), NOON + MINUTE)
        assert follow.next_look is None
        assert log.lines[1] == "Narrative job n-1 has been resumed at the vendor: the wait goes on"
        assert log.lines[2].startswith(f"Narrative job n-1 is {state.value}")
        assert follow.see(replace(JOB, state=JobState.SUCCEEDED), NOON + 20 * MINUTE)

    def test_one_that_fails_again_may_be_resumed_again(self, follow: FollowJob, log: Log) -> None:
        # It ran in between, or nobody saw that it did.
        for minute, seen_running in ((0, True), (8, False), (16, False)):
            follow.see(replace(ENDED, ended_at=NOON + minute * MINUTE), NOON + minute * MINUTE)
            assert follow.next_look == NOON + (minute + 10) * MINUTE
            if seen_running:
                follow.see(JOB, NOON + (minute + 1) * MINUTE)
        assert len([line for line in log.lines if "may still be resumed" in line]) == 3

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SKIPPED])
    def test_only_failures_are_borne(self, state: JobState, follow: FollowJob) -> None:
        other = replace(ENDED, state=state)
        assert not follow.begins_to_bear(other, NOON)
        assert follow.see(other, NOON)
        assert follow.next_look is None

    @pytest.mark.parametrize("ended_at", [None, datetime.max.replace(tzinfo=UTC)])
    def test_without_a_believable_end_the_time_runs_from_the_first_look(
        self, ended_at: datetime | None, follow: FollowJob
    ) -> None:
        endless = replace(ENDED, ended_at=ended_at, updated_at=NOON - 60 * MINUTE)
        for minute in (20, 25, 29):
            assert not follow.see(endless, NOON + minute * MINUTE)
            assert follow.next_look == NOON + 30 * MINUTE
        assert follow.see(endless, NOON + 30 * MINUTE)
        assert follow.see(endless, NOON + 31 * MINUTE)

    @pytest.mark.parametrize(
        ("times", "borne"),
        [
            ({"ended_at": NOON, "updated_at": None}, True),
            ({"ended_at": None, "updated_at": NOON}, True),
            ({"ended_at": NOON - 10 * MINUTE, "updated_at": NOON}, False),
            ({"ended_at": None, "updated_at": None}, False),
        ],
    )
    def test_where_nothing_is_kept_only_the_record_knows_since_when(
        self, times: dict[str, Any], borne: bool, make: Callable[..., FollowJob]
    ) -> None:
        assert make(is_kept=False).see(replace(ENDED, **times), NOON + MINUTE) is not borne
        assert make(is_kept=False).see(replace(ENDED, **times), NOON + 10 * MINUTE)

    def test_after_trouble_it_is_told_again(self, follow: FollowJob, log: Log) -> None:
        follow.see(ENDED, NOON)
        follow.note_trouble(TROUBLE)
        follow.see(ENDED, NOON + MINUTE)
        assert log.lines[2] == log.lines[0] == self.TOLD

    def test_a_timeout_says_that_it_had_failed_and_that_this_was_borne(self, follow: FollowJob) -> None:
        follow.see(replace(ENDED, failure="Disk full"), NOON)
        follow.see(ENDED, NOON + 5 * MINUTE)
        assert follow.report(NOON + 5 * MINUTE) == (
            "Narrative job n-1 had not ended for good after 5 minutes. It had failed (vendor says 'failed': "
            "Disk full), which the wait bore until 2026-03-01T12:10:00+00:00, last read at "
            "2026-03-01T12:05:00+00:00."
        )

    def test_one_that_vanishes_then_is_missing(self, follow: FollowJob) -> None:
        follow.see(ENDED, NOON)
        follow.miss(NOON + MINUTE)
        with pytest.raises(JobNotFound, match=r"It had failed \(vendor says 'failed'\), which the wait bore"):
            follow.miss(NOON + 6 * MINUTE)


class TestFailedGraceOfSelections:
    @pytest.fixture
    def make(self, log: Log) -> Callable[..., FollowSelection]:
        def make(**more: Any) -> FollowSelection:
            selection = Selection((("dataset_id", "7"),), NOON, NOON + 60 * MINUTE, **more)
            given = {"conn_id": "conn", "began": NOON, "grace": 300, "log": log, "failed_grace": 600.0}
            return FollowSelection("Narrative", selection, **given)

        return make

    def test_it_is_done_when_no_failure_is_borne_any_more(
        self, make: Callable[..., FollowSelection], log: Log
    ) -> None:
        follow = make()
        later = replace(ENDED, id="n-2", ended_at=NOON + 2 * MINUTE)
        good = replace(ENDED, id="n-3", state=JobState.SUCCEEDED)
        assert not follow.see([ENDED, later, good], NOON + 3 * MINUTE)
        assert follow.next_look == NOON + 12 * MINUTE
        assert not follow.see([ENDED, later, good], NOON + 11 * MINUTE)
        assert follow.see([ENDED, later, good], NOON + 12 * MINUTE)
        assert [line for line in log.lines if "n-1" in line] == [
            TestFailedGrace.TOLD,
            "Narrative job n-1 has not been resumed in time: its failure counts now",
        ]

    def test_a_failure_without_an_end_is_borne_once(self, make: Callable[..., FollowSelection]) -> None:
        follow = make()
        endless = replace(ENDED, ended_at=None)
        other = replace(JOB, id="n-2")
        for minute in (0, 9, 10, 15, 25):
            assert not follow.see([endless, other], NOON + minute * MINUTE)
        assert follow.see([endless, replace(other, state=JobState.SUCCEEDED)], NOON + 26 * MINUTE)

    def test_one_that_is_resumed_is_waited_for(self, make: Callable[..., FollowSelection], log: Log) -> None:
        follow = make()
        follow.see([ENDED], NOON)
        assert not follow.see([JOB], NOON + MINUTE)
        assert follow.next_look is None
        assert log.lines[1:] == [
            "Narrative job n-1 has been resumed at the vendor: the wait goes on",
            "Narrative job n-1 is running (vendor says 'running')",
        ]
        assert follow.see([replace(ENDED, state=JobState.SUCCEEDED)], NOON + 20 * MINUTE)

    def test_one_that_took_its_place_ends_it(self, make: Callable[..., FollowSelection]) -> None:
        follow = make(latest_only=True)
        follow.see([ENDED], NOON)
        assert follow.see([replace(ENDED, id="n-2", state=JobState.SUCCEEDED)], NOON + MINUTE)

    def test_a_timeout_tells_of_each(self, make: Callable[..., FollowSelection]) -> None:
        follow = make()
        follow.see([ENDED, replace(JOB, id="n-2")], NOON)
        report = follow.report(NOON + MINUTE)
        assert (
            "had not ended for good after 1 minute. Of at least 1 jobs, these were seen: n-1 failed" in report
        )
        assert "which the wait bore until 2026-03-01T12:10:00+00:00, n-2 running, last read at" in report


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
