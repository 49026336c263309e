# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that nobody here started: picked by what they load and when they started. Pure data, no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.errors import VendorError
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendors import Vendor


_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Selection:
    """What jobs to look for, and when they count as done.

    :param filters: the vendor's filters and the value each must have, such as ``(("feed_id", "df-1"),)``; a
        tuple of values means any of them.
    :param started_from: when the earliest of them started, or was created: see the vendor's ``window``.
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

    def pick(self, jobs: Iterable[Job], vendor: Vendor, seen: Collection[str] = ()) -> list[Job]:
        """Return the jobs that are selected, by their start.

        :param jobs: what the vendor lists.
        :param vendor: the vendor.
        :param seen: ids of jobs that were picked before. They stay selected, whatever has changed about them.
        """
        picked = [job for job in jobs if job.id in seen or self._takes(job, vendor)]
        # A record may have lost its times since it was picked.
        picked.sort(key=lambda job: (job.began_at or _LATEST, job.id))
        if self.latest_only:
            # Jobs without a target share none.
            latest = {job.target: job for job in picked}
            picked = [job for job in picked if job.target is None or latest[job.target] is job]
        return picked

    def is_done(self, picked: Sequence[Job], now: datetime, borne_until: datetime | None = None) -> bool:
        """Whether enough jobs have appeared, all have ended, and no more are to be expected.

        :param picked: what :meth:`pick` returned.
        :param now: the time of reading them.
        :param borne_until: until when those of them that have failed may still be resumed.
        """
        if len(picked) < self.min_jobs or not all(job.state.is_terminal for job in picked):
            return False
        return now >= self._done_at(picked, now, borne_until)

    def next_look(
        self,
        picked: Sequence[Job],
        now: datetime,
        began: datetime,
        grace: float,
        borne_until: datetime | None = None,
    ) -> datetime | None:
        """Return when :meth:`is_done` or :meth:`is_too_late` may turn true although no job has changed.

        :param picked: what :meth:`pick` returned.
        :param now: the time of reading them.
        :param began: when the wait began.
        :param grace: seconds in which the vendor may not list a job yet.
        :param borne_until: until when those of them that have failed may still be resumed.
        """
        if len(picked) < self.min_jobs:
            return self._gives_up_at(began, grace)
        if all(job.state.is_terminal for job in picked):
            return self._done_at(picked, now, borne_until)
        return None

    def is_too_late(self, picked: Sequence[Job], now: datetime, began: datetime, grace: float) -> bool:
        """Whether too few jobs have appeared, and no more can: none starts in a window that is over.

        :param picked: what :meth:`pick` returned.
        :param now: the time of reading them.
        :param began: when the wait began.
        :param grace: seconds in which the vendor may not list a job yet.
        """
        return len(picked) < self.min_jobs and now >= self._gives_up_at(began, grace)

    def describe(self) -> str:
        """Return what is selected, for logs and errors."""
        what = ", ".join(f"{name}={value!r}" for name, value in self.filters)
        window = f"{self.started_from.isoformat()} and {self.started_to.isoformat()}"
        return f"jobs with {what} that started between {window}"

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
        """Return the selection that :meth:`to_dict` wrote, in this release or another one.

        :param data: its dict; unknown keys are left out.
        :raises KeyError, ValueError, TypeError: where the data is no selection.
        """
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        window = {name: datetime.fromisoformat(data[name]) for name in ("started_from", "started_to")}
        return cls(**{**values, **window, "filters": freeze_filters(data["filters"])})

    def _gives_up_at(self, began: datetime, grace: float) -> datetime:
        return max(self.started_to, began) + timedelta(seconds=grace)

    def _done_at(self, picked: Sequence[Job], now: datetime, borne_until: datetime | None) -> datetime:
        # Jobs that never ran may end without a time, and before their planned start. A vendor's clock may be
        # ahead: who is told to have ended has not ended later than now.
        ends = (min(job.ended_at or job.updated_at or job.began_at or now, now) for job in picked)
        settled = max(ends, default=now) + timedelta(seconds=self.settle)
        return settled if borne_until is None else max(settled, borne_until)

    def _takes(self, job: Job, vendor: Vendor) -> bool:
        moments = (getattr(job, name) for name in vendor.window)
        return any(
            moment is not None and self.started_from <= moment < self.started_to for moment in moments
        ) and all(matches(job, vendor.filters[name], value) for name, value in self.filters)


@dataclass(frozen=True, slots=True)
class Picked:
    """What a selection has come to.

    :param jobs: the jobs that it picks, by their start; as last seen, where the vendor's lists lack them now.
    :param missing: ids of those that had not ended, and that the vendor does not know any more.
    :param unread: ids of those that had not ended, and that could not be looked at now.
    :param trouble: why not, if anything was in the way.
    """

    jobs: tuple[Job, ...]
    missing: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    trouble: VendorError | None = None


def freeze_filters(filters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return filters in a form that can be a key.

    :param filters: values by filter; those that are ``None`` are left out.
    """
    several = (list, tuple, set, frozenset)
    return tuple(
        (name, tuple(sorted(map(str, value))) if isinstance(value, several) else str(value))
        for name, value in sorted(filters.items())
        if value is not None
    )


def matches(job: Job, key: str | None, value: Any) -> bool:
    """Whether a job has a value (or any of several) under a key of its details.

    :param job: the job.
    :param key: the key; ``None`` where only the vendor can judge: the job then comes from a list that the
        vendor has filtered.
    :param value: a text, or a tuple of texts.
    """
    if key is None:
        return True
    wanted = value if isinstance(value, tuple) else (value,)
    return any(one in wanted for one in _values(job, key))


def pick_all(
    selections: Iterable[Selection],
    jobs: dict[str, Job],
    vendor: Vendor,
    seen: Mapping[Selection, Collection[Job]],
) -> dict[Selection, list[Job]]:
    """Return what each of many selections picks, without comparing every job with every selection.

    :param selections: the selections.
    :param jobs: what the vendor lists, by id.
    :param vendor: the vendor.
    :param seen: what each has picked before. Of those that the list lacks, the job as it was seen counts.
    """
    indexes: dict[str, dict[str, list[Job]]] = {}
    picked = {}
    for selection in selections:
        name, value = selection.filters[0]
        key = vendor.filters[name]
        before = {job.id: jobs.get(job.id, job) for job in seen.get(selection, ())}
        if key is None:
            picked[selection] = selection.pick((jobs | before).values(), vendor, before)
            continue
        if key not in indexes:
            indexes[key] = _index(jobs.values(), key)
        values = value if isinstance(value, tuple) else (value,)
        candidates = before | {job.id: job for one in values for job in indexes[key].get(one, ())}
        picked[selection] = selection.pick(candidates.values(), vendor, before)
    return picked


def merge_windows(windows: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return windows that cover the same time without overlapping, the earliest first.

    :param windows: start and end of each.
    """
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _index(jobs: Iterable[Job], key: str) -> dict[str, list[Job]]:
    index: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        for value in _values(job, key):
            index[value].append(job)
    return index


def _values(job: Job, key: str) -> list[str]:
    has = job.details.get(key)
    return [str(value) for value in (has if isinstance(has, list) else [has]) if value is not None]
