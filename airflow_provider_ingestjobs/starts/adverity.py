# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting a fetch of Adverity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import to_utc
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import parse_timestamp
from airflow_provider_ingestjobs.starts.request import AHEAD, Found, check_choice, to_day_or_moment

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
    from airflow_provider_ingestjobs.job import Job

#: docs.adverity.com, collecting data through the Management API
PRIORITIES = ("high", "default", "low", "backdata")


@dataclass(frozen=True)
class Fetch:
    """A fetch of a datastream.

    :param hook: the hook.
    :param datastream_id: the datastream.
    :param start: the first day or moment of the data, ISO 8601.
    :param end: the last one.
    :param split: whether the datastream's schedule says how many jobs it is.
    :param priority: Adverity's word for it.
    """

    hook: AdverityHook
    datastream_id: str
    start: str
    end: str
    split: bool
    priority: str | None

    @property
    def content(self) -> Any:
        """What is sent."""
        return [self.datastream_id, self.start, self.end, self.split, self.priority]

    def send(self) -> list[str]:
        """Ask for the fetch."""
        return self.hook.fetch(
            self.datastream_id, self.start, self.end, split=self.split, priority=self.priority
        )

    def find(self, since: datetime) -> Found:
        """Return the datastream's jobs since then: those of this range load the same."""
        jobs = self.hook.jobs_between(since, clock.now() + AHEAD, {"datastream_id": self.datastream_id})
        ours = [
            job
            for job in jobs
            if job.target == self.datastream_id and (job.created_at is None or job.created_at >= since)
        ]
        # How a range is divided is not published, nor how the ends of a day are shown.
        certain = [job for job in ours if self._is_of_range(job) and not self.split]
        return Found(certain, [job for job in ours if job not in certain])

    def _is_of_range(self, job: Job) -> bool:
        ends = ((self.start, "range_start"), (self.end, "range_end"))
        return job.created_at is not None and all(
            _is_time(job.details.get(key), asked) for asked, key in ends
        )

    def __str__(self) -> str:
        return f"a fetch of datastream {self.datastream_id} from {self.start} to {self.end}"


def _is_time(shown: Any, asked: str) -> bool:
    """Whether a job shows the day or the moment that was asked for."""
    if "T" not in asked:
        return str(shown)[:10] == asked
    return parse_timestamp(shown) == parse_timestamp(asked)


def check_priority(value: Any) -> str | None:
    """Return Adverity's word for a priority; ``None`` if none was given.

    :param value: what was given, rendered.
    :raises InvalidInput: for another word.
    """
    return None if value is None else check_choice("priority", value, PRIORITIES)


def check_range(start: Any, end: Any) -> tuple[str, str]:
    """Return both ends of a range as Adverity takes them.

    :param start: its start, rendered.
    :param end: its end, rendered.
    :raises InvalidInput: for what is no day or moment, and for an end before the start.
    """
    if to_utc("range_end", end) < to_utc("range_start", start):
        raise InvalidInput("range_end", str(end), f"it is before range_start, {start}")
    return to_day_or_moment("range_start", start), to_day_or_moment("range_end", end)
