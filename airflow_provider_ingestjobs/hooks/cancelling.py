# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Asking a vendor to stop a job, and finding out what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.reading import JobSource, find_job
from airflow_provider_ingestjobs.job import JobState

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job


class CancelSource(JobSource, Protocol):
    """What cancelling needs of a vendor's hook, which documents these."""

    @property
    def log(self) -> Any: ...

    def add_details(self, job: Job) -> Job: ...

    def send_cancel(self, job: Job) -> None: ...

    def why_refused(self, job: Job) -> str: ...


def cancel_job(source: CancelSource, job_id: str) -> Job:
    """Ask the vendor to stop a job, and return the job as it is after that.

    :param source: the vendor's hook.
    :param job_id: the vendor's id of it.
    :raises JobNotFound: if the vendor does not know it.
    :raises CancelRefused: if the vendor does not stop it (any more).
    :raises VendorError: if the vendor refuses to tell of it, or cannot be reached.
    """
    job = _read(source, job_id)
    if job.state.is_terminal:
        source.log.info("%s has already ended: %s. Nothing to cancel.", job, job.describe())
        return job
    if job.state is JobState.CANCELLING:
        # Asked before, perhaps by an earlier try of this task whose worker died before the answer came.
        source.log.info("%s is stopping already: %s. It is not asked to stop again.", job, job.describe())
        return job
    try:
        source.send_cancel(job)
    except Unreadable as error:
        # Not every vendor publishes what a stop answers; a status of success says that it was taken.
        source.log.info("%s was asked to stop; the answer cannot be read: %s", job, error)
    except (AuthenticationFailed, VendorUnavailable):
        raise
    except VendorError as error:
        # It may have ended in between.
        job = _read(source, job_id)
        if job.state.is_terminal:
            return job
        raise CancelRefused(
            f"{job} was not cancelled, it is {job.describe()}. {source.why_refused(job)}{error}",
            status=error.status,
            request_id=error.request_id,
        ) from error
    return _read(source, job_id)


def _read(source: CancelSource, job_id: str) -> Job:
    job = find_job(source, job_id)
    return source.add_details(job) if job.state.is_terminal else job
