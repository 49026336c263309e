# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' operators share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_ingestjobs.exceptions import (
    CancelNotConfirmed,
    InvalidInput,
    JobNotFound,
    VendorUnavailable,
    WaitTimeout,
)
from airflow_provider_ingestjobs.job import Job, JobState, check_job_id
from airflow_provider_ingestjobs.links import VendorJobLink
from airflow_provider_ingestjobs.vendor_task import TIMEOUT_SLACK, VendorTask, check_argument_id, to_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: How long a vendor may not know a job whose cancellation it has just accepted, in seconds.
MISSING_GRACE = 60.0
#: The shortest time between two looks at a job, in seconds.
SHORTEST_INTERVAL = 0.1


class CancelJobOperator(VendorTask, BaseOperator):
    """Asks a vendor to stop a job, waits until it has ended, and returns the job as a dict.

    A job that has ended already, or ends otherwise before it is stopped, is a success: its state is in what
    is returned, and in the log.

    :param job_id: the vendor's id of the job (templated).
    :param wait_for_termination: wait until the vendor confirms the end, rather than return when it has
        taken the request.
    :param deferrable: wait in the triggerer.
    :param poll_interval: the longest time between two looks at the job, in seconds.
    :param timeout: how long to wait for the end at most; the task can be retried after that.
    """

    template_fields: Sequence[str] = ("job_id",)
    operator_extra_links = (VendorJobLink(),)
    ui_color = "#f2d9d5"

    def __init__(
        self,
        *,
        job_id: str,
        wait_for_termination: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: timedelta | float = 30.0,
        timeout: timedelta | float = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = check_argument_id(job_id)
        self.wait_for_termination = wait_for_termination
        self.deferrable = deferrable
        self.poll_interval = to_seconds("poll_interval", poll_interval)
        self.timeout = to_seconds("timeout", timeout)

    def execute(self, context: Context) -> Any:
        """Ask the vendor to stop the job."""
        self.job_id = check_job_id(self.job_id)
        self.keep_link(context, self.job_id)
        job = self.hook.cancel_job(self.job_id)
        if job.state.is_terminal or not self.wait_for_termination:
            return self._report(job)
        self.log.info("%s has taken the request, %s is %s", job.vendor, job, job.describe())
        if self.deferrable:
            from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger

            timeout = timedelta(seconds=self.timeout)
            arguments = self.trigger_arguments(datetime.now(UTC), timeout, self.poll_interval, MISSING_GRACE)
            self.defer(
                trigger=IngestJobTrigger(job_ids=[self.job_id], **arguments),
                method_name="execute_complete",
                timeout=timeout + TIMEOUT_SLACK,
            )
        return self._report(self._wait(job))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers.job import jobs_from_event

        try:
            # The shared poll reads states alone; the details are asked for here, as the blocking way does.
            return self._report(self.hook.add_details(jobs_from_event(event)[0]))
        except WaitTimeout as error:
            raise CancelNotConfirmed(f"{error} Its cancellation was asked for.") from error

    def _wait(self, job: Job) -> Job:
        deadline = time.monotonic() + self.timeout
        missing_since = None
        while not job.state.is_terminal:
            if time.monotonic() >= deadline:
                still = f"is still {job.describe()} after {self.timeout:.0f} s"
                raise CancelNotConfirmed(f"{job} was asked to stop, but {still}")
            pause = max(self.poll_interval, SHORTEST_INTERVAL)
            time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            try:
                job = self.hook.get_job(self.job_id)
                missing_since = None
            except VendorUnavailable as error:
                self.log.warning("%s cannot be read now, the wait goes on: %s", job, error)
            except JobNotFound as error:
                missing_since = missing_since or time.monotonic()
                if time.monotonic() - missing_since >= MISSING_GRACE:
                    raise
                self.log.warning("%s Waiting up to %.0f s for it.", error, MISSING_GRACE)
        return job

    def _report(self, job: Job) -> dict[str, Any]:
        if job.state is JobState.CANCELLED:
            self.log.info("%s is cancelled", job)
        elif job.state.is_terminal:
            self.log.warning("%s was not cancelled, it had ended before: %s", job, job.describe())
        else:
            self.log.info("%s was asked to stop and is %s", job, job.describe())
        return job.to_dict()


class ListJobsOperator(VendorTask, BaseOperator):
    """Lists a vendor's jobs, and returns them as a list of dicts.

    :param filters: the arguments of the hook's ``list_jobs``, from the vendor's operator (templated).
    :param max_jobs: the most to return: more is an error, as XCom is no place for whole histories.
    :param include_raw: keep the vendor's whole records.
    """

    ui_color = "#e4e1f0"

    def __init__(
        self, *, filters: Mapping[str, Any], max_jobs: int = 1000, include_raw: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = dict(filters)
        for name, value in self.filters.items():
            setattr(self, name, value)
        if isinstance(max_jobs, bool) or not isinstance(max_jobs, int) or max_jobs < 1:
            raise InvalidInput("max_jobs", max_jobs, "give a number of one or more")
        self.max_jobs = max_jobs
        self.include_raw = include_raw

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the jobs."""
        rendered = {name: getattr(self, name) for name in self.filters}
        jobs = self.hook.list_jobs(**{name: value for name, value in rendered.items() if value is not None})
        found = [job.to_dict(include_raw=self.include_raw) for job in islice(jobs, self.max_jobs + 1)]
        if len(found) > self.max_jobs:
            raise InvalidInput("max_jobs", self.max_jobs, "there are more: narrow the filters, or raise it")
        self.log.info("%s lists %d jobs", self.vendor, len(found))
        return found
