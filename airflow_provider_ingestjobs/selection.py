# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that nobody here started: picked by what they load and when they started. Pure data, no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.exceptions import JobNotFound

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job


@dataclass(frozen=True, slots=True)
class Selection:
    """What jobs to look for, and when they count as done.

    :param filters: the vendor's own nouns and the value each must have, such as ``(("feed_id", "df-1"),)``; a
        tuple of values means any of them.
    :param started_from: when the earliest of them started (or was created, where the vendor gives no start).
    :param started_to: the end of that window, exclusive.
    :param min_jobs: how many there must be at least.
    :param settle: seconds after the last end in which further jobs may still appear.
    :param latest_only: of the jobs with the same target, only the one that started last counts.
    """

    filters: tuple[tuple[str, Any], ...]
    started_from: datetime
    started_to: datetime
    min_jobs: int = 1
    settle: float = 0.0
    latest_only: bool = False

    def pick(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs that are selected, by their start."""
        picked = [job for job in jobs if self._takes(job)]
        picked.sort(key=lambda job: (_start(job), job.id))
        if self.latest_only:
            latest = {job.target: job for job in picked}
            picked = [job for job in picked if latest[job.target] is job]
        return picked

    def is_done(self, picked: Sequence[Job], now: datetime) -> bool:
        """Whether enough jobs have appeared, all have ended, and no more are to be expected.

        :param picked: what :meth:`pick` returned.
        :param now: the time of reading them.
        """
        if len(picked) < self.min_jobs or not all(job.state.is_terminal for job in picked):
            return False
        return now >= self._last_end(picked, now) + timedelta(seconds=self.settle)

    def next_look(self, picked: Sequence[Job], began: datetime, grace: float) -> datetime | None:
        """Return when :meth:`is_done` or :meth:`check_hope` may change its mind though no job has."""
        if len(picked) < self.min_jobs:
            return self._hopeless_from(began, grace)
        if all(job.state.is_terminal for job in picked):
            return self._last_end(picked, began) + timedelta(seconds=self.settle)
        return None

    def check_hope(
        self, picked: Sequence[Job], now: datetime, began: datetime, grace: float, conn_id: str
    ) -> None:
        """Refuse to wait for what cannot come any more: no job starts in a window that is over.

        :param began: when the wait began.
        :param grace: seconds in which the vendor may not list a job yet.
        :raises JobNotFound: if too few jobs have appeared.
        """
        if len(picked) < self.min_jobs and now >= self._hopeless_from(began, grace):
            raise JobNotFound(
                f"Only {len(picked)} of at least {self.min_jobs} {self.describe()} are listed on connection "
                f"{conn_id!r}, and that window is over. Vendors list old jobs for a while only."
            )

    def describe(self) -> str:
        """Return what is selected, for logs and errors."""
        what = ", ".join(f"{name}={value!r}" for name, value in self.filters)
        window = f"{self.started_from.isoformat()} to {self.started_to.isoformat()}"
        return f"jobs with {what} that started from {window}"

    def to_dict(self) -> dict[str, Any]:
        """Return the selection as JSON data."""
        return {
            "filters": {
                name: list(value) if isinstance(value, tuple) else value for name, value in self.filters
            },
            "started_from": self.started_from.isoformat(),
            "started_to": self.started_to.isoformat(),
            "min_jobs": self.min_jobs,
            "settle": self.settle,
            "latest_only": self.latest_only,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Selection:
        """Return the selection that :meth:`to_dict` wrote."""
        window = {name: datetime.fromisoformat(data[name]) for name in ("started_from", "started_to")}
        return cls(**{**data, **window, "filters": freeze_filters(data["filters"])})

    def _hopeless_from(self, began: datetime, grace: float) -> datetime:
        return max(self.started_to, began) + timedelta(seconds=grace)

    @staticmethod
    def _last_end(picked: Sequence[Job], default: datetime) -> datetime:
        # Jobs that never ran may end without a time.
        return max((job.ended_at or job.updated_at or _start(job) for job in picked), default=default)

    def _takes(self, job: Job) -> bool:
        start = _start(job)
        return (
            start is not None
            and self.started_from <= start < self.started_to
            and all(fits(job, name, value) for name, value in self.filters)
        )


def freeze_filters(filters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return filters in a form that can be a key."""
    several = (list, tuple, set, frozenset)
    return tuple(
        (name, tuple(sorted(map(str, value))) if isinstance(value, several) else str(value))
        for name, value in sorted(filters.items())
        if value is not None
    )


def fits(job: Job, name: str, value: Any) -> bool:
    """Whether a job has a value (or any of several) for one of its vendor's nouns."""
    details = job.details
    if name not in details and f"{name}s" not in details:
        # Only the vendor can tell, and has: the job comes from a list with this filter.
        return True
    has = details[f"{name}s"] if f"{name}s" in details else [details[name]]
    wanted = value if isinstance(value, tuple) else (value,)
    return any(str(one) in wanted for one in has)


def pick_all(selections: Iterable[Selection], jobs: list[Job]) -> dict[Selection, list[Job]]:
    """Return what each of many selections picks, without comparing every job with every selection."""
    by_noun: dict[str, dict[str, list[Job]]] = {}
    picked = {}
    for selection in selections:
        name, value = selection.filters[0]
        if name not in by_noun:
            by_noun[name] = _index(jobs, name)
        index = by_noun[name]
        values = value if isinstance(value, tuple) else (value,)
        candidates = {job.id: job for one in (*values, _ANY) for job in index.get(one, ())}
        picked[selection] = selection.pick(candidates.values())
    return picked


def merge_windows(windows: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return windows that cover the same time without overlapping, the earliest first."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


_ANY = ""


def _index(jobs: list[Job], name: str) -> dict[str, list[Job]]:
    index: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        details = job.details
        if f"{name}s" in details:
            for value in details[f"{name}s"]:
                index[str(value)].append(job)
        elif name in details:
            index[str(details[name])].append(job)
        else:
            index[_ANY].append(job)
    return index


def _start(job: Job) -> Any:
    return job.started_at or job.created_at
