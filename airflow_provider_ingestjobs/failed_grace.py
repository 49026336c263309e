# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How long one wait bears that a job has failed, because people may still resume it at the vendor. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ingestjobs.job import Job, JobState


@dataclass(slots=True)
class _Failure:
    job: Job
    until: datetime
    is_borne: bool = False


class FailedGrace:
    """What one wait knows of jobs that have failed, and that may still be resumed.

    A failure counts once the job is still failed so long after its end. If its record has no end, the time
    runs since the failure was first seen here. Where nothing is kept between two looks, it runs since the
    record's last change; a record that has none of these times counts as failed at once.

    :param seconds: how long, more than zero.
    :param log: the task's own log.
    :param is_kept: whether this object is kept between two looks, as it is not in reschedule mode.
    """

    def __init__(self, seconds: float, *, log: Any, is_kept: bool = True) -> None:
        self._seconds = seconds
        self._log = log
        self._is_kept = is_kept
        self._failures: dict[str, _Failure] = {}

    def is_news(self, job: Job, now: datetime) -> bool:
        """Whether to see the job begins to bear a failure, which is then told in the log.

        :param job: the job.
        :param now: when it was read.
        """
        failure = self._failure_of(job, now)
        return failure is not None and failure is not self._failures.get(job.id) and now < failure.until

    def see(self, job: Job, now: datetime, tell: bool = False) -> datetime | None:
        """Note the job as the vendor tells of it, and return until when its failure is borne, if it is.

        :param job: the job.
        :param now: when it was read.
        :param tell: log what is borne though it has been logged before.
        """
        known = self._failures.get(job.id)
        was_borne = known is not None and known.is_borne
        failure = self._failure_of(job, now)
        if failure is None:
            self._failures.pop(job.id, None)
            if was_borne and not job.state.is_terminal:
                self._log.info("%s has been resumed at the vendor: the wait goes on", job)
            return None
        self._failures[job.id] = failure
        failure.is_borne = now < failure.until
        if failure.is_borne:
            if tell or failure is not known:
                self._log.warning(
                    "%s. It may still be resumed at the vendor: the wait bears the failure until %s",
                    failure.job.describe_end(),
                    failure.until.isoformat(timespec="seconds"),
                )
            return failure.until
        if was_borne:
            self._log.warning("%s has not been resumed in time: its failure counts now", job)
        return None

    def describe(self, job_id: str) -> str | None:
        """Return how a job has failed and until when that is borne; ``None`` if it is not.

        :param job_id: the vendor's id of the job.
        """
        failure = self._failures.get(job_id)
        if failure is None or not failure.is_borne:
            return None
        text = (failure.job.failure or "").rstrip(".")
        why = f": {text}" if text else ""
        until = failure.until.isoformat(timespec="seconds")
        return f"failed (vendor says {failure.job.vendor_state!r}{why}), which the wait bore until {until}"

    def _failure_of(self, job: Job, now: datetime) -> _Failure | None:
        """Return the failure as it is known, or as a new one: another end is another failure."""
        if job.state is not JobState.FAILED:
            return None
        known = self._failures.get(job.id)
        if known is not None and known.job.ended_at == job.ended_at:
            return known
        since = self._failed_since(job, now)
        return None if since is None else _Failure(job, since + timedelta(seconds=self._seconds))

    def _failed_since(self, job: Job, now: datetime) -> datetime | None:
        if self._is_kept:
            # The vendor's clock may be ahead: what is seen to have failed has failed by now.
            return min(job.ended_at or now, now)
        end = job.ended_at or job.updated_at
        return None if end is None else min(end, now)
