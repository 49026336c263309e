# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waiting for jobs that somebody else starts, selected by one of the row's filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_ingestjobs.exceptions import JobFailed, JobNotFound
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab, worker_and_triggerer
from airflow_provider_ingestjobs.sandbox.task_runs import DagRun, Outcome

HOUR = timedelta(hours=1)


class SelectionTests(ContractTests):
    """Waits for all jobs that match a filter and started in a window."""

    @pytest.fixture(autouse=True)
    def _has_filters(self, request: pytest.FixtureRequest) -> None:
        if request.function.__module__ == __name__ and not self.case.hook.vendor.filters:
            pytest.skip(f"{self.case} has no filters")

    def select(self, lab: Lab, mode: str, **arguments: Any) -> Outcome:
        """Run a sensor that selects jobs by the case's filter, of this hour unless it says otherwise.

        :param lab: the vendor.
        :param mode: how to wait.
        :param arguments: see :meth:`Lab.sensor`.
        """
        now = datetime.now(UTC)
        window = {"started_from": now - HOUR, "started_to": now + HOUR}
        return lab.wait(mode, {"dag_run": DagRun()}, **{**self.case.filters, **window, **arguments})

    def add(self, lab: Lab, *states: JobState, matches: bool = True, **options: Any) -> str:
        """Add a job that matches the case's filter, or one that does not.

        :param lab: the vendor.
        :param states: see :meth:`Lab.add_job`.
        :param matches: whether it matches.
        :param options: see :meth:`Lab.add_job`.
        """
        fields = dict(self.case.matching if matches else self.case.other)
        return lab.add_job(*states, fields=fields, **options)

    def test_the_case_names_a_filter(self) -> None:
        assert self.case.filters.keys() <= self.case.hook.vendor.filters.keys()
        assert self.case.filters, (
            "give one of the row's filters, and the fields of jobs that do and do not match"
        )
        assert self.case.matching != self.case.other

    @worker_and_triggerer
    def test_all_matching_jobs_are_waited_for_and_no_others(self, lab: Lab, mode: str) -> None:
        ended = self.add(lab, JobState.SUCCEEDED)
        running = self.add(lab, JobState.RUNNING, JobState.SUCCEEDED)
        self.add(lab, JobState.RUNNING, matches=False)
        outcome = self.select(lab, mode, min_jobs=2)
        assert {job["id"] for job in outcome.value} == {ended, running}
        assert {job["state"] for job in outcome.value} == {"succeeded"}

    @worker_and_triggerer
    def test_a_job_that_is_yet_to_come(self, lab: Lab, mode: str) -> None:
        words = self.case.words
        timeline: list[Any] = [(0.2, words[JobState.RUNNING]), (0.3, words[JobState.SUCCEEDED])]
        job_id = self.add(lab, timeline=timeline, starts="first_read")
        assert [job["id"] for job in self.select(lab, mode).value] == [job_id]

    @worker_and_triggerer
    def test_a_job_that_failed(self, lab: Lab, mode: str) -> None:
        self.add(lab, JobState.SUCCEEDED)
        failed = self.add(lab, JobState.FAILED)
        outcome = self.select(lab, mode)
        assert type(outcome.error) is JobFailed
        assert failed in str(outcome.error)
        assert self.select(lab, mode, soft_fail=True).skipped

    @worker_and_triggerer
    def test_a_window_that_is_over_without_such_a_job(self, lab: Lab, mode: str) -> None:
        self.add(lab, JobState.SUCCEEDED)
        now = datetime.now(UTC)
        before = {"started_from": now - 2 * HOUR, "started_to": now - HOUR, "missing_grace": 0}
        outcome = self.select(lab, mode, **before)
        assert type(outcome.error) is JobNotFound
        name, value = next(iter(self.case.filters.items()))
        assert f"{name}={value!r}" in str(outcome.error)
