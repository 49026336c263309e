# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Asking a vendor to stop a job, and finding out what came of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Protocol

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    Throttled,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.reading import JobSource, find_job
from airflow_provider_ingestjobs.job import Job, JobState

#: A job in one of these need not be asked to stop.
NOT_TO_BE_STOPPED = frozenset(state for state in JobState if state.is_terminal) | {JobState.CANCELLING}


#: The pause before a vendor in trouble is asked to stop a job again, in seconds.
PAUSE = 0.5


class CancelSource(JobSource, Protocol):
    """What cancelling needs of a vendor's hook, which documents these."""

    @property
    def stops_by_id(self) -> bool: ...

    @property
    def log(self) -> Any: ...

    def add_details(self, job: Job) -> Job: ...

    def send_cancel(self, job: Job) -> None: ...

    def why_refused(self, job: Job) -> str: ...


def cancel_job(source: CancelSource, job_id: str) -> Job:
    """Ask the vendor to stop a job, and return the job as it is after that.

    Where the request was taken and the job cannot be read after it, the job is as it was before it.

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
    ended = _send(source, job)
    if ended is not None:
        return ended
    try:
        return _read(source, job_id)
    except (JobNotFound, VendorUnavailable) as error:
        # The request was taken, and asking again may be refused: whoever waits for the end goes on from here.
        source.log.warning("%s was asked to stop, but cannot be read now: %s", job, error)
        return job


def ask_to_stop(source: CancelSource, job_id: str, looks_first: bool = False) -> Job | None:
    """Ask the vendor to stop a job, without a look at what does not matter for that.

    :param source: the vendor's hook.
    :param job_id: the vendor's id of it.
    :param looks_first: whether it may have been asked before: the answer to that may have been lost.
    :returns: ``None`` if the vendor took the request; the job, if it has ended or is stopping anyway.
    :raises JobNotFound: if the vendor does not know it.
    :raises CancelRefused: if the vendor does not stop it (any more).
    :raises VendorError: if the vendor cannot be reached.
    """
    if source.stops_by_id and not looks_first:
        return _send(source, Job(source.vendor.name, job_id, JobState.UNKNOWN, vendor_state=""))
    job = find_job(source, job_id)
    return job if job.state in NOT_TO_BE_STOPPED else _send(source, job)


def _send(source: CancelSource, job: Job) -> Job | None:
    """Send the request to stop a job; where the vendor is in trouble, a few times, each after a look.

    :returns: ``None`` if it was taken; the job, if it turns out to have ended, or to be stopping, by itself.
    """
    from airflow_provider_ingestjobs.hooks import http

    for tries_left in reversed(range(1 + http.RETRIES)):
        try:
            source.send_cancel(job)
            return None
        except Unreadable as error:
            # Not every vendor publishes what a stop answers; a status of success says that it was taken.
            source.log.info("%s was asked to stop; the answer cannot be read: %s", job, error)
            return None
        except AuthenticationFailed:
            raise
        except VendorUnavailable as error:
            pause = PAUSE if error.retry_after is None else error.retry_after
            is_asked_for = isinstance(error, Throttled) or error.retry_after is not None
            if pause > http.MAX_SLEEP or (is_asked_for and not tries_left):
                raise
            if tries_left:
                time.sleep(pause)
            # Some servers fail over a job that has just ended, and a lost answer may have been a yes.
            now = None
            with suppress(JobNotFound, VendorError):
                now = _read(source, job.id)
            if now is not None and now.state in NOT_TO_BE_STOPPED:
                source.log.info("%s is %s, though its stop met trouble: %s", now, now.describe(), error)
                return now
            if now is None or not tries_left:
                raise
        except VendorError as error:
            return _end_after(source, job, error)
    return None


def _end_after(source: CancelSource, job: Job, refusal: VendorError) -> Job:
    """Return a job whose stop was refused, if it has ended in between, or is stopping.

    :raises CancelRefused: if not.
    """
    now = None
    with suppress(VendorUnavailable):
        now = _read(source, job.id)
    if now is not None and now.state in NOT_TO_BE_STOPPED:
        return now
    how = f"it is {now.describe()}" if now else "and it cannot be read now"
    raise CancelRefused(
        f"{job} was not cancelled, {how}. {source.why_refused(now or job)}{refusal}",
        status=refusal.status,
        request_id=refusal.request_id,
    ) from refusal


def _read(source: CancelSource, job_id: str) -> Job:
    job = find_job(source, job_id)
    return source.add_details(job) if job.state.is_terminal else job
