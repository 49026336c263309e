# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which jobs a watcher has fired for, and how the asset's state store keeps them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.hooks.selecting import CLOCK_SKEW

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job


@dataclass(slots=True)
class Told:
    """The jobs that need not fire any more.

    A job stays until it is too old to be looked at, however many polls leave it out: a list that is cut short
    says nothing about the jobs that it lacks.

    :param since: when the watcher first ran, as a UNIX time; ``None`` if that is not known.
    :param jobs: by a job's id, when it started or was created, as a UNIX time.
    :param looked_from: what started before this UNIX time has been forgotten: a longer look back, set later,
        must not bring it into view again.
    """

    since: float | None
    jobs: dict[str, float] = field(default_factory=dict)
    looked_from: float = 0.0

    def has(self, job: Job, moment: float) -> bool:
        """Whether a job has fired, or had ended before the watcher first ran.

        :param job: an ended job.
        :param moment: when it started or was created, as a UNIX time.
        """
        return moment < self.looked_from or job.id in self.jobs or self._had_ended(job)

    def add(self, moments: Mapping[str, float]) -> None:
        """Take in jobs that are not to fire again.

        :param moments: by a job's id, when it started or was created, as a UNIX time.
        """
        self.jobs.update(moments)

    def forget_before(self, start: datetime) -> None:
        """Forget the jobs that no poll looks at any more.

        :param start: how far polls look back, from now on.
        """
        self.looked_from = max(self.looked_from, start.timestamp())
        limit = int(self.looked_from)
        self.jobs = {job_id: moment for job_id, moment in self.jobs.items() if moment >= limit}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        jobs = {job_id: int(moment) for job_id, moment in self.jobs.items()}
        return {"since": self.since, "looked_from": self.looked_from, "jobs": jobs}

    @classmethod
    def from_kept(cls, kept: Any, now: datetime) -> Told | None:
        """Return what :meth:`to_dict` wrote, or 0.1.0 as a list of ids; ``None`` for anything else.

        :param kept: what the store has.
        :param now: the time now: ids without a time are kept from here on.
        """
        if isinstance(kept, list):
            return cls(None, dict.fromkeys(map(str, kept), now.timestamp()))
        try:
            since = kept["since"]
            jobs = {job_id: float(moment) for job_id, moment in kept["jobs"].items()}
            return cls(None if since is None else float(since), jobs, float(kept.get("looked_from", 0)))
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _had_ended(self, job: Job) -> bool:
        # Not by its last change: with some vendors that is the user's, long before the end.
        if self.since is None or job.ended_at is None:
            return False
        # By the vendor's clock, which may be behind.
        return (job.ended_at + CLOCK_SKEW).timestamp() < self.since
