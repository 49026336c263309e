# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Whether ended jobs are what a task wants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.checks import failed_check, failed_checks, lacks_numbers
from airflow_provider_ingestjobs.exceptions import JobCancelled, JobCheckFailed, JobEnded, JobFailed
from airflow_provider_ingestjobs.job import Job, JobState

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.vendors import Vendor


@dataclass(frozen=True)
class Wanted:
    """What a task wants of the jobs it waits for.

    :param vendor: their vendor.
    :param states: the states that count as success.
    :param checks: limits for their counts.
    :param check: the author's own check.
    """

    vendor: Vendor
    states: Collection[JobState]
    checks: Mapping[str, float | str]
    check: Callable[[Job], bool | str] | None = None

    def expects(self, jobs: Sequence[Job]) -> bool:
        """Whether all jobs ended in a state that counts as success.

        :param jobs: the ended jobs.
        """
        return all(job.state in self.states for job in jobs)

    def needs_details_of(self, jobs: Sequence[Job]) -> set[str]:
        """Return the ids of the jobs that cannot be judged without what takes another request.

        :param jobs: the ended jobs, as the wait has read them.
        """
        if not self.expects(jobs):
            # Numbers do not matter any more.
            return set()
        return {job.id for job in jobs if self.check or lacks_numbers(job, self.checks, self.vendor)}

    def what_is_wrong(self, jobs: Sequence[Job], note: str = "") -> JobEnded | None:
        """Return the error of jobs that are not what is wanted; ``None`` if all are.

        :param jobs: the ended jobs, with their details.
        :param note: what else to say where they were cancelled.
        """
        if bad := [job for job in jobs if job.state not in self.states]:
            end = "; ".join(job.describe_end() for job in bad)
            if all(job.state is JobState.CANCELLED for job in bad):
                return JobCancelled(end + note, bad[0])
            return JobFailed(end, bad[0])
        if wrong := [f"{job}: {failure}" for job in jobs for failure in self._failures(job)]:
            return JobCheckFailed("; ".join(wrong), jobs[0])
        return None

    def _failures(self, job: Job) -> list[str]:
        failures = failed_checks(job, self.checks, self.vendor)
        return [*failures, *failed_check(job, self.check)] if self.check else failures
