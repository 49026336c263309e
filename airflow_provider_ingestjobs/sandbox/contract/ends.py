# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A wait ends alike in poke, in reschedule mode and deferred, and so does one for a job that is not there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ingestjobs.exceptions import JobCancelled, JobFailed, JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox.contract.lab import (
    INTERVAL,
    MODES,
    ContractTests,
    Lab,
    each_mode,
    worker_and_triggerer,
)
from airflow_provider_ingestjobs.sandbox.task_runs import TaskInstance, defer, revived

#: What a wait raises for each end that is no success.
FAILURES = {JobState.FAILED: JobFailed, JobState.CANCELLED: JobCancelled, JobState.SKIPPED: JobFailed}
REASON = "the disk of the warehouse is full"


class EndTests(ContractTests):
    """The ends that a wait may have, in each mode."""

    def test_success_is_the_same_in_every_mode(self, lab: Lab) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED, rows={"read": 10, "errors": 1})
        outcomes = {mode: lab.wait(mode, job_id=job_id, include_raw=True) for mode in MODES}
        values = [outcome.value for outcome in outcomes.values()]
        assert values[0] == values[1] == values[2]
        job = Job.from_dict(values[0])
        assert (job.vendor, job.id, job.state) == (lab.row.name, job_id, JobState.SUCCEEDED)
        assert values[0]["raw"]
        assert outcomes["deferred"].deferred

    @each_mode
    def test_a_job_is_followed_to_its_end(self, lab: Lab, mode: str) -> None:
        states = [JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED]
        had = [state for state in states if state in self.case.words]
        job_id = lab.add_job(*had, starts="first_read")
        outcome = lab.wait(mode, job_id=job_id)
        assert outcome.value["state"] == "succeeded"
        assert outcome.value["vendor_state"] == self.case.words[JobState.SUCCEEDED]
        assert "raw" not in outcome.value

    @each_mode
    def test_several_jobs(self, lab: Lab, mode: str) -> None:
        job_ids = [lab.add_job(JobState.SUCCEEDED) for _ in range(3)]
        outcome = lab.wait(mode, job_id=job_ids)
        assert [job["id"] for job in outcome.value] == job_ids

    def test_a_bad_end_is_the_same_in_every_mode(self, lab: Lab, bad_end: JobState) -> None:
        job_id = lab.add_job(bad_end, failure=REASON)
        errors = [lab.wait(mode, job_id=job_id).error for mode in MODES]
        assert [type(error) for error in errors] == [FAILURES[bad_end]] * 3
        assert len(set(map(str, errors))) == 1
        text, word = str(errors[0]), self.case.words[bad_end]
        assert all(part in text for part in (lab.row.name, job_id, word))
        failure = lab.hook().get_job(job_id).failure
        assert failure is None or failure in text

    def test_a_bad_end_may_be_expected(self, lab: Lab, bad_end: JobState) -> None:
        job_id = lab.add_job(bad_end)
        values = [lab.wait(mode, job_id=job_id, expected_states=[bad_end]).value for mode in MODES]
        assert [value["state"] for value in values] == [bad_end.value] * 3

    @each_mode
    def test_soft_fail_skips_where_the_job_is_at_fault(self, lab: Lab, mode: str) -> None:
        job_id = lab.add_job(JobState.FAILED)
        outcome = lab.wait(mode, job_id=job_id, soft_fail=True)
        assert outcome.skipped
        assert job_id in str(outcome.error)

    @each_mode
    def test_a_job_that_does_not_end_in_time(self, lab: Lab, mode: str) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        outcome = lab.wait(mode, job_id=job_id, timeout=0.2)
        assert type(outcome.error) is WaitTimeout
        assert job_id in str(outcome.error)
        assert self.case.words[JobState.RUNNING] in str(outcome.error)

    @each_mode
    def test_a_job_that_is_not_there(self, lab: Lab, mode: str) -> None:
        job_id = lab.unknown_job()
        outcome = lab.wait(mode, job_id=job_id, missing_grace=timedelta(seconds=0.1))
        assert type(outcome.error) is JobNotFound
        assert job_id in str(outcome.error)
        assert lab.wait(mode, job_id=job_id, missing_grace=0, soft_fail=True).skipped

    @worker_and_triggerer
    def test_a_job_that_appears_late(self, lab: Lab, mode: str) -> None:
        words = self.case.words
        timeline: list[Any] = [(0.2, words[JobState.RUNNING]), (0.3, words[JobState.SUCCEEDED])]
        job_id = lab.add_job(timeline=timeline, starts="first_read")
        assert lab.wait(mode, job_id=job_id, missing_grace=60).value["state"] == "succeeded"

    def test_a_job_that_vanishes(self, lab: Lab) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        sensor = lab.sensor("poke", job_id=job_id, missing_grace=0)
        context: Any = {"ti": TaskInstance()}
        assert sensor.poke(context) is False
        lab.sandbox.remove_job(lab.name, job_id)
        with pytest.raises(JobNotFound, match=self.case.words[JobState.RUNNING]):
            sensor.poke(context)

    def test_a_job_that_vanishes_for_a_while(self, lab: Lab) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        sensor = lab.sensor("poke", job_id=job_id, missing_grace=60)
        context: Any = {"ti": TaskInstance()}
        assert sensor.poke(context) is False
        lab.sandbox.remove_job(lab.name, job_id)
        assert sensor.poke(context) is False
        lab.add_job(JobState.SUCCEEDED, job_id=job_id)
        assert sensor.poke(context).xcom_value["state"] == "succeeded"

    def test_a_trigger_is_kept_as_plain_json(self, lab: Lab) -> None:
        trigger = defer(lab.sensor("deferred", job_id=lab.add_job(JobState.RUNNING)))
        path, arguments = trigger.serialize()
        assert json.loads(json.dumps(arguments)) == arguments
        assert arguments["hook"] == lab.row.hook
        assert arguments["poll_interval"] == INTERVAL
        assert revived(trigger).serialize() == (path, arguments)
