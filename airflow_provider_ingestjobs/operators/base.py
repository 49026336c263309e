# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' cancel operators share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, VendorUnavailable, WaitTimeout
from airflow_provider_ingestjobs.job import Job, JobState, check_job_id
from airflow_provider_ingestjobs.links import VendorJobLink
from airflow_provider_ingestjobs.sensors.base import (
    TIMEOUT_SLACK,
    VendorJobTask,
    check_argument_id,
    to_seconds,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: How long a vendor may not know a job whose cancellation it has just accepted, in seconds.
MISSING_GRACE = 60.0


class CancelJobOperator(VendorJobTask, BaseOperator):
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

    @property
    def poll_seconds(self) -> float:  # type: ignore[override]
        return self.poll_interval

    def execute(self, context: Context) -> Any:
        """Ask the vendor to stop the job."""
        self.job_id = check_job_id(self.job_id)
        self.keep_link(context)
        job = self.hook.cancel_job(self.job_id)
        if job.state.is_terminal or not self.wait_for_termination:
            return self._report(job)
        self.log.info("%s has taken the request, %s is %s", job.vendor, self.job_name, job.describe())
        if self.deferrable:
            timeout = timedelta(seconds=self.timeout)
            self.defer(
                trigger=self.job_trigger(datetime.now(UTC), timeout, MISSING_GRACE),
                method_name="execute_complete",
                timeout=timeout + TIMEOUT_SLACK,
            )
        return self._report(self._wait(job))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers.job import job_from_event

        try:
            return self._report(job_from_event(event))
        except WaitTimeout as error:
            raise CancelNotConfirmed(f"{error} Its cancellation was asked for.") from error

    def _wait(self, job: Job) -> Job:
        deadline = time.monotonic() + self.timeout
        while not job.state.is_terminal:
            if time.monotonic() >= deadline:
                still = f"is still {job.describe()} after {self.timeout:.0f} s"
                raise CancelNotConfirmed(f"{self.job_name} was asked to stop, but {still}")
            time.sleep(min(self.poll_interval, max(deadline - time.monotonic(), 0)))
            try:
                job = self.hook.get_job(self.job_id)
            except VendorUnavailable as error:
                self.log.warning("%s cannot be read now, the wait goes on: %s", self.job_name, error)
        return job

    def _report(self, job: Job) -> dict[str, Any]:
        if job.state is JobState.CANCELLED:
            self.log.info("%s is cancelled", self.job_name)
        elif job.state.is_terminal:
            self.log.warning("%s was not cancelled, it had ended before: %s", self.job_name, job.describe())
        else:
            self.log.info("%s was asked to stop and is %s", self.job_name, job.describe())
        return job.to_dict()
