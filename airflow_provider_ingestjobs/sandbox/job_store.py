# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The jobs a sandbox vendor holds, and how they move along their timelines."""

from __future__ import annotations

import bisect
import heapq
import math
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_ingestjobs.job import normalise_word

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

#: Seconds, and a state word or a dict of changes, in order.
Timeline: TypeAlias = "Sequence[tuple[float, str | dict[str, Any]]]"

ROW_COUNTS = ("read", "inserted", "updated", "rejected", "errors")

#: What a timeline entry may say for the sandbox itself, of every vendor's jobs.
STEP_KEYS = frozenset({"state", "rows", "progress", "failure", "cancel_asked"})


@dataclass(slots=True, eq=False)
class SandboxJob:
    """One job: what is known of it now, and the steps still ahead."""

    id: str
    number: int
    timeline: list[tuple[float, dict[str, Any]]]
    fields: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    failure: str | None = None
    cancel_state: str | None = None
    group: str | None = None

    state: str = ""
    #: What the last steps said under the keys that only this vendor has.
    own: dict[str, Any] = field(default_factory=dict)
    progress: float | None = None
    step_rows: dict[str, int] | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)
    created_at: float = 0.0
    updated_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    cancel_asked: bool = False

    #: Seconds from the timeline's start in which the vendor does not know the job, and when they are over.
    known_after: float = -math.inf
    known_from: float = -math.inf
    #: Seconds by which the lists show each step later; only on ``in_lists``.
    lag: float = 0.0
    #: The job as the lists show it, if that is not what reads by id see.
    in_lists: SandboxJob | None = None
    waits_for_read: bool = False
    visible: bool = False
    removed: bool = False
    ahead: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    plan: int = 0
    rendered: tuple[str, bytes] | None = None

    @property
    def as_listed(self) -> SandboxJob:
        """The job as the lists show it: another object if they lag behind."""
        return self.in_lists or self

    @property
    def is_ended(self) -> bool:
        """Whether the job has come to its end."""
        return self.ended_at is not None

    @property
    def is_complete(self) -> bool:
        """Whether the job has come to its own end, and was not cut short by a cancel."""
        return self.is_ended and not self.cancel_asked

    def rows_now(self, complete: bool) -> dict[str, int]:
        """Return the row counts as of now: those the last step named, else the final ones by progress.

        :param complete: whether the job, or the part of it that is asked for, has come to its own end.
        """
        if self.step_rows is not None:
            return self.step_rows
        if complete:
            return self.rows
        share = self.progress or 0.0
        return {name: int(count * share) for name, count in self.rows.items()}

    def take_step(
        self,
        at: float,
        step: dict[str, Any],
        waiting: frozenset[str],
        ended: frozenset[str],
        own_keys: frozenset[str],
    ) -> None:
        """Apply one timeline step.

        :param at: when the step happens.
        :param step: the step, as ``as_step`` returns it.
        :param waiting: the vendor's words for a job that has not started.
        :param ended: the vendor's words for a job that is over.
        :param own_keys: the keys of a step that only this vendor has; what is left are fields of its record.
        """
        if not self.visible:
            self.visible = True
            self.created_at = at
        self.updated_at = at
        self.rendered = None
        self.cancel_asked = step.get("cancel_asked", self.cancel_asked)
        self.state = step.get("state", self.state)
        word = normalise_word(self.state)
        if word not in waiting and self.started_at is None:
            self.started_at = at
        if word in ended:
            self.ended_at = at if self.ended_at is None else self.ended_at
        else:
            self.ended_at = None
        if "rows" in step:
            self.step_rows = dict(step["rows"])
        elif self.is_complete and self.rows:
            self.step_rows = None
        self.progress = step.get("progress", self.progress)
        self.failure = step.get("failure", self.failure)
        self.own = {**self.own, **{key: value for key, value in step.items() if key in own_keys}}
        fields = {key: value for key, value in step.items() if key not in STEP_KEYS | own_keys}
        if fields:
            self.fields = {**self.fields, **fields}


class SortedJobs:
    """Jobs kept in order of one timestamp, so that a page is a slice and never a sort.

    :param ties: shuffles the jobs of one timestamp at each reading; None: they are in order of their numbers.
    """

    def __init__(self, ties: random.Random | None = None) -> None:
        self._entries: list[tuple[float, int, SandboxJob]] = []
        self._ties = ties

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at: float, job: SandboxJob) -> None:
        """Add a job under a timestamp."""
        bisect.insort(self._entries, (at, job.number, job))

    def remove(self, at: float, job: SandboxJob) -> None:
        """Remove a job that was added under this timestamp."""
        index = bisect.bisect_left(self._entries, (at, job.number))
        del self._entries[index]

    def slice(self, offset: int, count: int, descending: bool) -> list[SandboxJob]:
        """Return ``count`` jobs from ``offset`` on."""
        if not descending:
            return self._between(offset, min(offset + count, len(self._entries)))
        stop = max(len(self._entries) - offset, 0)
        return self._between(max(stop - count, 0), stop)[::-1]

    def walk(self, descending: bool) -> Iterator[SandboxJob]:
        """Yield every job in order."""
        yield from self.slice(0, len(self._entries), descending)

    def _between(self, start: int, stop: int) -> list[SandboxJob]:
        entries = self._entries
        if self._ties is None or start >= stop:
            return [entry[2] for entry in entries[start:stop]]
        # Those before and behind that share a timestamp with the first or the last may come in their place.
        first = bisect.bisect_left(entries, (entries[start][0],))
        end = bisect.bisect_left(entries, (entries[stop - 1][0], math.inf))
        shuffled = [(entry[0], self._ties.random(), entry[2]) for entry in entries[first:end]]
        shuffled.sort(key=itemgetter(0, 1))
        return [entry[2] for entry in shuffled[start - first : stop - first]]


class JobStore:
    """The jobs of one vendor.

    ``all`` and ``groups`` hold them as reads by id see them, ``by_created`` and ``by_updated`` as lists do.

    Jobs move in the order their steps fall due, and only when somebody looks: ``advance`` costs nothing while
    no step is due, whatever the number of jobs.

    :param apply: what a step does to a job of this vendor.
    :param ties: shuffles jobs of the same instant in the lists; None: the one added last is the latest.
    """

    def __init__(
        self,
        apply: Callable[[SandboxJob, float, dict[str, Any]], None],
        ties: random.Random | None = None,
    ) -> None:
        self._apply = apply
        self._numbers = 0
        self._pushes = 0
        self._due: list[tuple[float, int, int, SandboxJob]] = []
        self._unread: dict[str, SandboxJob] = {}
        self.all: dict[str, SandboxJob] = {}
        self.groups: dict[str, dict[str, SandboxJob]] = {}
        self.by_created = SortedJobs(ties)
        self.by_updated = SortedJobs(ties)

    def next_number(self) -> int:
        """Return a number no other job of this store has."""
        self._numbers += 1
        return self._numbers

    def add(self, job: SandboxJob, now: float, list_lag: float = 0.0) -> None:
        """Add a job; its timeline runs from now, or from the first read if it waits for that.

        :param job: the job.
        :param now: seconds since the epoch.
        :param list_lag: seconds by which the lists show each of its steps later.
        """
        if job.id in self.all:
            raise ValueError(f"job {job.id!r} exists already; call remove_job first")
        self.all[job.id] = job
        if list_lag:
            job.in_lists = replace(job, lag=list_lag, parts=deepcopy(job.parts))
        if job.group is not None:
            self.groups.setdefault(job.group, {})[job.id] = job
        if job.waits_for_read:
            self._unread[job.id] = job
        else:
            self._start(job, now)

    def remove(self, job_id: str) -> None:
        """Remove a job for good: the vendor no longer knows it."""
        job = self.all.pop(job_id)
        job.removed = job.as_listed.removed = True
        self._unread.pop(job_id, None)
        if job.group is not None:
            self.groups[job.group].pop(job_id)
            if not self.groups[job.group]:
                del self.groups[job.group]
        listed = job.as_listed
        if listed.visible:
            self.by_created.remove(listed.created_at, listed)
            self.by_updated.remove(listed.updated_at, listed)

    def get(self, job_id: str, now: float) -> SandboxJob | None:
        """Return a job the vendor knows of, or None; a job that waited for its first read starts."""
        if job_id in self._unread:
            self._start(self._unread.pop(job_id), now)
        job = self.all.get(job_id)
        return job if job is not None and job.visible else None

    def read_list(self, now: float) -> None:
        """Start every job that waited for its first read, as a list is about to be read."""
        waiting, self._unread = self._unread, {}
        for job in waiting.values():
            self._start(job, now)

    def replan(self, job: SandboxJob, steps: list[tuple[float, dict[str, Any]]], now: float) -> None:
        """Replace whatever lies ahead of a job by these steps, in order of their absolute times."""
        self._unread.pop(job.id, None)
        job.plan += 1
        job.ahead = steps[::-1]
        self._push(job)
        if job.in_lists is not None:
            # What the job has been through already is still to come in the lists.
            missed = [step for step in job.in_lists.ahead if max(step[0], job.known_from) <= now]
            job.in_lists.plan += 1
            job.in_lists.ahead = [*job.ahead, *missed]
            self._push(job.in_lists)
        self.advance(now)

    def advance(self, now: float) -> None:
        """Apply every step that has fallen due."""
        while self._due and self._due[0][0] <= now:
            _, _, plan, job = heapq.heappop(self._due)
            if plan != job.plan or job.removed:
                continue
            at, step = job.ahead.pop()
            was_visible, updated_at = job.visible, job.updated_at
            self._apply(job, at, step)
            if job.in_lists is None:
                if was_visible:
                    self.by_updated.remove(updated_at, job)
                else:
                    self.by_created.add(job.created_at, job)
                self.by_updated.add(job.updated_at, job)
            self._push(job)

    def _start(self, job: SandboxJob, now: float) -> None:
        job.known_from = job.as_listed.known_from = now + job.known_after
        self.replan(job, [(now + offset, step) for offset, step in job.timeline], now)

    def _push(self, job: SandboxJob) -> None:
        if job.ahead:
            self._pushes += 1
            due = max(job.ahead[-1][0], job.known_from) + job.lag
            heapq.heappush(self._due, (due, self._pushes, job.plan, job))


def as_step(entry: Any) -> dict[str, Any]:
    """Return a timeline entry's second item, a state word or a dict of overrides, as a dict."""
    if isinstance(entry, str):
        return {"state": entry}
    if isinstance(entry, dict):
        return dict(entry)
    raise ValueError(f"a timeline entry's second item is a state word or a dict, not {entry!r}")


def as_timeline(entries: Any) -> list[tuple[float, dict[str, Any]]]:
    """Return a timeline checked: at least one entry, seconds rising, the first one naming a state."""
    timeline = []
    for entry in entries:
        try:
            seconds, what = entry
            at = float(seconds)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a timeline entry is (seconds, state word or dict), not {entry!r}") from error
        timeline.append((at, as_step(what)))
    if not timeline:
        raise ValueError("timeline needs at least one entry, e.g. [(0, 'running')]")
    if any(later[0] < earlier[0] for earlier, later in pairwise(timeline)):
        raise ValueError("timeline entries must be in order of their seconds")
    if "state" not in timeline[0][1]:
        raise ValueError("the first timeline entry must name a state")
    return timeline


def check_job(
    vendor: str,
    *,
    row_names: frozenset[str],
    rows: dict[str, int] | None,
    starts: str,
    known_after: float | None,
    list_lag: float,
) -> None:
    """Check arguments of ``Sandbox.add_job``.

    :param vendor: what the vendor is called.
    :param row_names: names of row counts that only this vendor has.
    :param rows: the row counts.
    :param starts: when the timeline starts.
    :param known_after: seconds in which the vendor does not know the job.
    :param list_lag: seconds by which the lists lag.
    :raises ValueError: if one of them is none that there is.
    """
    if not 0 <= list_lag < math.inf:
        raise ValueError(f"list_lag must be seconds, 0 or more, not {list_lag!r}")
    if known_after is not None and not math.isfinite(known_after):
        raise ValueError(f"known_after must be seconds, or None, not {known_after!r}")
    if starts not in ("now", "first_read"):
        raise ValueError(f"starts must be 'now' or 'first_read', not {starts!r}")
    known = (*ROW_COUNTS, *sorted(row_names))
    unknown = [name for name in rows or {} if name not in known]
    if unknown:
        raise ValueError(f"rows has {unknown}; {vendor}'s may have {', '.join(known)}")
