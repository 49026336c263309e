# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs as the page shows them: filtered, sorted, in pages, and as rows of JSON data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.selection import Selection, pick_all
from airflow_provider_ingestjobs.ui.reads import moment_of
from airflow_provider_ingestjobs.ui.usual import what_is_unusual

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.ui.usual import Range, Usual
    from airflow_provider_ingestjobs.ui.waits import TaskWait
    from airflow_provider_ingestjobs.vendors import Vendor

PAGE_SIZE = 50
#: How many of the tasks that wait for the same are named.
MAX_TASKS = 20
#: How many targets are drawn at once, and how many jobs of each.
MAX_PLOTS = 8
MAX_POINTS = 500

#: What jobs can be sorted by; ``None`` is always behind.
SORTS: Mapping[str, Callable[[Job], Any]] = {
    "state": lambda job: job.state.value,
    "target": lambda job: job.target,
    "name": lambda job: job.name,
    "id": lambda job: job.id,
    "started_at": moment_of,
    "duration": lambda job: job.duration,
    "read": lambda job: job.rows.read,
    "written": lambda job: job.rows.written,
    "bad": lambda job: job.rows.bad,
}


@dataclass(frozen=True)
class Query:
    """What of a window's jobs somebody wants to see.

    :param states: in which states; empty means in any.
    :param target: of which target; empty means of any.
    :param text: a text that is in the job's id, name, target, failure or details, in whatever case.
    :param sort: one of :data:`SORTS`, with ``-`` before it from the largest to the smallest.
    :param page: which page, from 1 on.
    """

    states: frozenset[JobState] = frozenset()
    target: str = ""
    text: str = ""
    sort: str = "-started_at"
    page: int = 1

    @classmethod
    def of(cls, states: Collection[str], target: str, text: str, sort: str, page: int) -> Query:
        """Return the query of an address.

        :param states: see above; as words.
        :param target: see above.
        :param text: see above.
        :param sort: see above.
        :param page: see above.
        :raises InvalidInput: naming the field and the fix.
        """
        known = [state.value for state in JobState]
        for state in states:
            if state not in known:
                raise InvalidInput("state", state, f"use one of {', '.join(known)}")
        if sort.removeprefix("-") not in SORTS:
            raise InvalidInput("sort", sort, f"use one of {', '.join(SORTS)}, with - before it to reverse it")
        return cls(frozenset(map(JobState, states)), target, text.strip().lower(), sort, max(page, 1))


@dataclass(frozen=True)
class Page:
    """A page of jobs.

    :param jobs: its jobs.
    :param total: how many there are on all pages.
    :param number: which it is.
    :param pages: how many there are.
    :param states: how many jobs there are in each state, whichever states are wanted.
    :param targets: the targets of all jobs of the window.
    """

    jobs: Sequence[Job]
    total: int
    number: int
    pages: int
    states: Mapping[str, int]
    targets: Sequence[str]


def page_of(jobs: Sequence[Job], query: Query) -> Page:
    """Return a page of a window's jobs.

    :param jobs: the jobs.
    :param query: what is wanted.
    """
    found = [
        job for job in jobs if query.target in ("", job.target) and query.text in _text_of(job, query.text)
    ]
    states = Counter(job.state.value for job in found)
    wanted = _sorted([job for job in found if not query.states or job.state in query.states], query.sort)
    pages = max(-(-len(wanted) // PAGE_SIZE), 1)
    number = min(query.page, pages)
    shown = wanted[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return Page(shown, len(wanted), number, pages, dict(states), targets_of(jobs))


def targets_of(jobs: Iterable[Job]) -> list[str]:
    """Return the targets of jobs, for a choice.

    :param jobs: the jobs.
    """
    return sorted({job.target for job in jobs if job.target is not None}, key=str.lower)


def waits_by_job(waits: Iterable[TaskWait], jobs: Sequence[Job], vendor: Vendor) -> dict[str, list[TaskWait]]:
    """Return which tasks wait for each job, by the job's id.

    :param waits: the waits on the jobs' source.
    :param jobs: the jobs.
    :param vendor: whose jobs they are.
    """
    by_job: dict[str, list[TaskWait]] = defaultdict(list)
    by_selection: dict[Selection, list[TaskWait]] = defaultdict(list)
    for wait in waits:
        if isinstance(wait.record.target, Selection):
            by_selection[wait.record.target].append(wait)
            continue
        for job_id in wait.record.target:
            by_job[job_id].append(wait)
    known = [one for one in by_selection if all(name in vendor.filters for name, _ in one.filters)]
    for selection, picked in pick_all(known, {job.id: job for job in jobs}, vendor, {}).items():
        for job in picked:
            by_job[job.id] += by_selection[selection]
    return by_job


def row_of(
    job: Job, vendor: Vendor, usual: Usual, waits: Sequence[TaskWait] = (), *, may_cancel: bool = False
) -> dict[str, Any]:
    """Return a job as a row.

    :param job: the job.
    :param vendor: its vendor.
    :param usual: what is usual for its target.
    :param waits: the tasks that wait for it.
    :param may_cancel: whether whoever sees it may stop jobs.
    """
    return {
        **job.to_dict(),
        "written": job.rows.written,
        "bad": job.rows.bad,
        "unusual": [
            {"what": one.what, "value": one.value, "low": one.usual.low, "high": one.usual.high}
            for one in what_is_unusual(job, usual)
        ],
        "waited_for_by": [task_of(wait) for wait in waits[:MAX_TASKS]],
        "waits": len(waits),
        "may_cancel": may_cancel and vendor.cancels and not job.state.is_terminal,
        "what_stops": f"This stops {vendor.what_stops(job.id, job.details)}.",
    }


def task_of(wait: TaskWait) -> dict[str, Any]:
    """Return a task that waits as JSON data.

    :param wait: its wait.
    """
    return {
        **wait.task._asdict(),
        "state": wait.state,
        "since": wait.record.started_at.isoformat(),
        "until": wait.record.deadline.isoformat(),
    }


def plots_of(jobs: Sequence[Job], target: str, usual: Mapping[str, Usual]) -> list[dict[str, Any]]:
    """Return what is drawn of a window's jobs, by target, as JSON data.

    :param jobs: the jobs.
    :param target: which one; empty means those with the most jobs.
    :param usual: what is usual, by target.
    """
    by_target: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.target is not None and target in ("", job.target):
            by_target[job.target].append(job)
    most = sorted(by_target, key=lambda one: (-len(by_target[one]), one))[:MAX_PLOTS]
    return [_plot(one, by_target[one], usual.get(one, {})) for one in most]


def _plot(target: str, jobs: list[Job], usual: Usual) -> dict[str, Any]:
    latest = sorted(jobs, key=moment_of)[-MAX_POINTS:]
    return {
        "target": target,
        "usual": {what: _ends(usual.get(what)) for what in ("rows", "duration")},
        "points": [
            {
                "id": job.id,
                "started_at": moment_of(job).isoformat(),
                "state": job.state.value,
                "rows": job.rows.size,
                "bad": job.rows.bad,
                "duration": job.duration,
                "is_unusual": bool(what_is_unusual(job, usual)),
            }
            for job in latest
        ],
    }


def _ends(usual: Range | None) -> list[float] | None:
    return None if usual is None else [usual.low, usual.high]


def _sorted(jobs: list[Job], sort: str) -> list[Job]:
    key = SORTS[sort.removeprefix("-")]
    known = [job for job in jobs if key(job) is not None]
    # The newest first among equals.
    known.sort(key=moment_of, reverse=True)
    known.sort(key=key, reverse=sort.startswith("-"))
    return known + [job for job in jobs if key(job) is None]


def _text_of(job: Job, text: str) -> str:
    if not text:
        return ""
    parts = [job.id, job.name, job.target, job.failure, *job.details.values()]
    return "\n".join(str(part) for part in parts if part is not None).lower()
