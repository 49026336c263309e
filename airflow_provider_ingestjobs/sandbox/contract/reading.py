# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Reading one job, many jobs, and lists of jobs."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput, Unreadable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.job import TIMESTAMPS, Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab

#: Of characters that an id may have, and an address must not have as they are.
AWKWARD_ID = "job;a=b+ü:1"


class ReadingTests(ContractTests):
    """Reading one job, many jobs, and lists of jobs."""

    def test_a_job(self, lab: Lab) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED)
        job = lab.hook().get_job(job_id)
        assert (job.vendor, job.id, job.state) == (lab.row.name, job_id, JobState.SUCCEEDED)
        moments = [moment for name in TIMESTAMPS if (moment := getattr(job, name))]
        assert moments, "a selection needs to know when a job started or was created"
        assert all(moment.tzinfo for moment in moments)
        assert job.raw is not None
        data = json.loads(json.dumps(job.to_dict(include_raw=True), allow_nan=False))
        assert Job.from_dict(data) == job

    def test_a_job_has_the_keys_that_the_row_speaks_of(self, lab: Lab) -> None:
        details = lab.hook().get_job(lab.add_job(JobState.SUCCEEDED)).details
        assert {key for key in lab.row.filters.values() if key} <= details.keys()
        assert {*lab.row.reads, *lab.row.writes} <= details.keys()

    def test_an_unknown_job(self, lab: Lab) -> None:
        job_id = lab.unknown_job()
        with pytest.raises(JobNotFound, match=job_id):
            lab.hook().get_job(job_id)

    @pytest.mark.parametrize("body", ["[]", '"text"', '{"surprise": 1}', "{}", "null"])
    def test_an_answer_that_is_no_job(self, lab: Lab, body: str) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED)
        lab.sandbox.add_fault(Fault(method="GET", body=body, times=None))
        with pytest.raises(Unreadable):
            lab.hook().get_job(job_id)

    def test_the_record_of_another_job(self, lab: Lab) -> None:
        job_id, other = lab.add_job(JobState.RUNNING), lab.add_job(JobState.SUCCEEDED)
        hook = lab.hook()
        record = json.dumps(hook.get_job(other).raw)
        lab.sandbox.add_fault(Fault(method="GET", body=record, times=None))
        with pytest.raises(Unreadable):
            hook.get_job(job_id)

    @pytest.mark.parametrize("job_id", ["", " ", "..", "{other}?a=1", "{other}#a", "x/../{other}", "a b"])
    def test_what_is_no_id_is_not_asked_for(self, lab: Lab, job_id: str) -> None:
        job_id = job_id.format(other=lab.add_job(JobState.SUCCEEDED))
        with pytest.raises(InvalidInput, match="job_id"):
            lab.hook().get_job(job_id)
        assert not lab.requests()

    def test_an_id_is_percent_encoded(self, lab: Lab) -> None:
        with pytest.raises((JobNotFound, InvalidInput)):
            lab.hook().get_job(AWKWARD_ID)
        raw_paths = [heard for heard in lab.heard if heard.startswith("/")]
        unencoded = [path for path in raw_paths if ";" in path or "+" in path]
        assert not unencoded
        assert not raw_paths or any(quote(AWKWARD_ID, safe="") in path for path in raw_paths)

    @pytest.mark.parametrize("number", [1, 2, 12])
    def test_many_jobs_are_read_as_each_would_be(self, lab: Lab, number: int) -> None:
        states = [JobState.RUNNING, *lab.ends]
        expected = {lab.add_job(state): state for _ in range(number) for state in states}
        found = lab.hook().get_jobs([*expected, lab.unknown_job()])
        assert {job_id: job.state for job_id, job in found.items()} == expected

    def test_jobs_are_listed_once_each(self, lab: Lab) -> None:
        if not lab.row.filters:
            pytest.skip(f"{lab.row.name} documents no list of jobs")
        running = {lab.add_job(JobState.RUNNING) for _ in range(12)}
        listed = [job.id for job in lab.hook().list_jobs()]
        assert len(listed) == len(set(listed))
        assert set(listed) == running

    def test_a_list_has_only_what_matches_its_filter(self, lab: Lab) -> None:
        if not self.case.filters:
            pytest.skip(f"{lab.row.name} has no filters")
        matching = lab.add_job(JobState.RUNNING, fields=dict(self.case.matching))
        lab.add_job(JobState.RUNNING, fields=dict(self.case.other))
        assert [job.id for job in lab.hook().list_jobs(**self.case.filters)] == [matching]
