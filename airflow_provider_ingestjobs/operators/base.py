# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' operators share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import BaseOperator, conf
from airflow_provider_ingestjobs.arguments import (
    check_count,
    check_flag,
    check_given_job_id,
    check_given_moment,
    check_job_id,
    check_rendered,
    one_interval,
    to_seconds,
)
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, WaitTimeout
from airflow_provider_ingestjobs.follow import FollowJob
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.links import JOB_LINKS
from airflow_provider_ingestjobs.vendor_task import MISSING_GRACE, TIMEOUT_SLACK, VendorTask

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.task_arguments import TaskArguments, TemplatedNumber

H = TypeVar("H", bound="IngestJobHook")

#: The shortest time between two looks at a job, in seconds.
MIN_INTERVAL = 0.1


class CancelJobOperator(VendorTask[H], BaseOperator):
    """Asks a vendor to stop a job, waits until it has ended, and returns the job as a dict.

    A job that has ended already, or ends otherwise before it is stopped, is a success: its state is in what
    is returned, and in the log.

    :param job_id: the vendor's id of the job (templated).
    :param wait_for_termination: wait until the vendor confirms the end, rather than return when it has
        taken the request.
    :param deferrable: wait in the triggerer.
    :param poll_interval: the longest time between two looks at the job, in seconds.
    :param poke_interval: what sensors call ``poll_interval``; give one of them.
    :param timeout: how long to wait for the end at most; the task can be retried after that.
    :param missing_grace: how long the vendor may not know the job after it has taken the request.
    :param kwargs: see Airflow's ``BaseOperator``.
    """

    template_fields: Sequence[str] = ("job_id",)
    operator_extra_links: Any = JOB_LINKS
    ui_color = "#f2d9d5"

    def __init__(
        self,
        *,
        job_id: TemplatedNumber,
        wait_for_termination: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: timedelta | float = 30.0,
        timeout: timedelta | float = timedelta(hours=1),
        missing_grace: timedelta | float = MISSING_GRACE,
        poke_interval: timedelta | float | None = None,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = check_given_job_id(job_id)
        self.wait_for_termination = check_flag("wait_for_termination", wait_for_termination)
        self.deferrable = check_flag("deferrable", deferrable)
        interval = one_interval("poll_interval", poll_interval, 30.0, "poke_interval", poke_interval)
        self.poll_interval = to_seconds("poll_interval", interval)
        self.timeout = to_seconds("timeout", timeout)
        self.missing_grace = to_seconds("missing_grace", missing_grace)

    def execute(self, context: Context) -> Any:
        """Ask the vendor to stop the job."""
        self.job_id = check_job_id(self.job_id)
        self.keep_link(context, self.job_id)
        job = self.hook.cancel_job(self.job_id)
        self.keep_page(context, [job])
        if job.state.is_terminal or not self.wait_for_termination:
            return self._report(job)
        began = clock.now()
        self.log.info("%s has taken the request, %s is %s", job.vendor, job, job.describe())
        if self.deferrable:
            from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger

            timeout = self.deferred_for(self.timeout)
            arguments = self.trigger_arguments(
                began, timeout, poll_interval=self.poll_interval, missing_grace=self.missing_grace
            )
            self.keep_wait(context, [self.job_id], began, timeout)
            self.defer(
                trigger=IngestJobTrigger(job_ids=[self.job_id], **arguments),
                method_name="execute_complete",
                timeout=timeout + TIMEOUT_SLACK,
            )
        self.keep_wait(context, [self.job_id], began, timedelta(seconds=self.timeout))
        return self._report(self._wait(job, began))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers.base import deadline_from_event, jobs_from_event

        try:
            job = jobs_from_event(event)[0]
        except WaitTimeout as error:
            raise CancelNotConfirmed(f"{error} It was asked to stop.") from error
        # The shared poll reads only states; the details are read here, as they are in a blocking wait.
        return self._report(self._in_full(job, deadline_from_event(event) or clock.now()))

    def _wait(self, job: Job, began: datetime) -> Job:
        follow = FollowJob(
            self.vendor,
            self.job_id,
            job=job,
            logs_end=False,
            conn_id=self.conn_id,
            began=began,
            grace=self.missing_grace,
            log=self.log,
        )
        deadline = began + timedelta(seconds=self.timeout)
        while not follow.has_ended:
            left = (deadline - clock.now()).total_seconds()
            if left <= 0:
                raise CancelNotConfirmed(f"{follow.report(clock.now())} It was asked to stop.")
            time.sleep(min(max(self.poll_interval, MIN_INTERVAL), left))
            self.look_at({self.job_id: follow})
        return self._in_full(follow.job or job, deadline)

    def _in_full(self, job: Job, deadline: datetime) -> Job:
        reader = self.detail_reader(deadline, self.poll_interval)
        return reader.wait([job])[0]

    def _report(self, job: Job) -> dict[str, Any]:
        if job.state is JobState.CANCELLED:
            self.log.info("%s is cancelled", job)
        elif job.state.is_terminal:
            self.log.warning("%s was not cancelled, it had ended before: %s", job, job.describe())
        else:
            self.log.info("%s was asked to stop and is %s", job, job.describe())
        return job.to_dict()


class ListJobsOperator(VendorTask[H], BaseOperator):
    """Lists a vendor's jobs, and returns them as a list of dicts.

    :param filters: the arguments of the hook's ``list_jobs``, from the vendor's operator (templated).
    :param max_jobs: the most jobs to return; more are an error, as XCom is not made for histories.
    :param include_raw: keep the vendor's whole records.
    :param kwargs: see Airflow's ``BaseOperator``.
    """

    ui_color = "#e4e1f0"

    def __init__(
        self,
        *,
        filters: Mapping[str, Any],
        max_jobs: int = 1000,
        include_raw: bool = False,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        for end in ("started_from", "started_to"):
            check_given_moment(end, filters.get(end))
        self.filters = dict(filters)
        self.max_jobs = check_count("max_jobs", max_jobs)
        self.include_raw = check_flag("include_raw", include_raw)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the jobs."""
        given = [name for name, value in self.filters.items() if value is not None]
        jobs = self.hook.list_jobs(**{name: check_rendered(name, getattr(self, name)) for name in given})
        found = [job.to_dict(include_raw=self.include_raw) for job in islice(jobs, self.max_jobs + 1)]
        if len(found) > self.max_jobs:
            raise InvalidInput(
                "max_jobs", self.max_jobs, "there are more jobs: narrow the filters, or raise max_jobs"
            )
        self.log.info("%s lists %d jobs", self.vendor, len(found))
        return found
