# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the page's server answers with: the jobs of a source, one job, the polls, a task's wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.arguments import check_job_id
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.ui.access import ReadableDags, may
from airflow_provider_ingestjobs.ui.board import Board, Boards, Read
from airflow_provider_ingestjobs.ui.jobs import page_of, plots_of, row_of, targets_of, task_of, waits_by_job
from airflow_provider_ingestjobs.ui.reads import read_ids, read_job, read_selection, read_window
from airflow_provider_ingestjobs.ui.sources import Source, Sources
from airflow_provider_ingestjobs.ui.usual import usual_by_target
from airflow_provider_ingestjobs.ui.waits import Scan, TaskWait, Waits, find_wait
from airflow_provider_ingestjobs.wait_target import describe_target

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.ui.jobs import Query
    from airflow_provider_ingestjobs.ui.waits import PollWord

#: The windows that can be looked at: how far each reaches back, and the seconds between two reads of it.
WINDOWS = {
    "day": (timedelta(days=1), 10.0),
    "week": (timedelta(days=7), 60.0),
    "month": (timedelta(days=30), 300.0),
}
#: The seconds between two reads of the jobs of one task, or of one job.
JOB_INTERVAL = 10.0
#: How many tasks a poll names.
MAX_TASKS = 20

Answer = dict[str, Any]
#: An answer, and when the vendor was read for it.
Dated = tuple[Answer, datetime | None]


class NoWait(Exception):
    """A task has begun no wait."""


class Desk:
    """Answers what the page asks; one for a process."""

    def __init__(self) -> None:
        self._sources = Sources()
        self._boards = Boards()
        self._waits = Waits()
        self._readable = ReadableDags()

    async def source(self, conn_id: str, params: Mapping[str, Any]) -> Source:
        """Return a source, see :class:`~airflow_provider_ingestjobs.ui.sources.Sources`."""
        return await self._sources.get(conn_id, params)

    async def sources(self, user: Any) -> Answer:
        """Return the sources that somebody may read.

        :param user: Airflow's user.
        """
        scan = await self._scan(user)
        known = await self._sources.all(await self._waits.look())
        rows = await in_thread(partial(_source_rows, known, user, scan))
        found: Answer = {"sources": rows, "windows": list(WINDOWS)}
        if not rows:
            found["why"] = NOT_READABLE if known else NO_CONNECTIONS
        return found

    async def jobs(self, user: Any, source: Source, window: str, query: Query) -> Dated:
        """Return a page of a window's jobs, and when they were read.

        :param user: Airflow's user.
        :param source: where they come from.
        :param window: one of :data:`WINDOWS`.
        :param query: which of them.
        """
        board = await self._look(source, *_window_board(window))
        waits, may_cancel = await self._of_user(user, source)
        jobs = board.last_read.jobs if board.last_read else ()
        page = page_of(jobs, query)
        found = {
            "jobs": _rows(source, page.jobs, jobs, waits, may_cancel),
            "total": page.total,
            "page": page.number,
            "pages": page.pages,
            "states": page.states,
            "targets": page.targets,
            "is_cut": bool(board.last_read and board.last_read.is_cut),
            **_state_of(board),
        }
        return found, _read_at(board)

    async def plots(self, source: Source, window: str, target: str) -> Dated:
        """Return what is drawn of a window's jobs, and when they were read.

        :param source: where they come from.
        :param window: one of :data:`WINDOWS`.
        :param target: of which target; empty means of those with the most jobs.
        """
        board = await self._look(source, *_window_board(window))
        jobs = board.last_read.jobs if board.last_read else ()
        found = {"targets": plots_of(jobs, target), "all_targets": targets_of(jobs), **_state_of(board)}
        return found, _read_at(board)

    async def job(self, user: Any, source: Source, job_id: str) -> Dated:
        """Return one job in full, and when it was read.

        :param user: Airflow's user.
        :param source: where it comes from.
        :param job_id: the vendor's id of it.
        :raises JobNotFound: if the vendor does not know it.
        """
        job_id = check_job_id(job_id)
        board = await self._look(source, ("job", job_id), partial(read_job, job_id=job_id), JOB_INTERVAL)
        if board.last_read and board.last_read.missing:
            raise JobNotFound(f"{source.vendor.name} does not know job {job_id}")
        waits, may_cancel = await self._of_user(user, source)
        jobs = board.last_read.jobs if board.last_read else ()
        rows = _rows(source, jobs, self._like(source, jobs), waits, may_cancel)
        return {"job": rows[0] if rows else None, **_state_of(board)}, _read_at(board)

    async def cancel(self, user: Any, source: Source, job_id: str) -> Answer:
        """Ask the vendor to stop a job, and return it as it is after that.

        :param user: Airflow's user.
        :param source: where it comes from.
        :param job_id: the vendor's id of it.
        :raises CancelRefused: if the vendor does not stop it (any more).
        :raises NotSupported: if the vendor documents no way to stop jobs.
        :raises VendorError: if the vendor refuses, or cannot be reached.
        """
        job_id = check_job_id(job_id)
        hook = await self._sources.current_hook(source).get()
        job = await in_thread(partial(hook.cancel_job, job_id))
        self._boards.take_in(job, lambda key: isinstance(key, tuple) and key[0] == source.key)
        waits, may_cancel = await self._of_user(user, source)
        return {
            "job": _rows(source, [job], self._like(source, [job]), waits, may_cancel)[0],
            "message": f"{job} is {job.describe()}",
        }

    async def watches(self, user: Any) -> Answer:
        """Return the polls that serve the tasks that wait.

        :param user: Airflow's user, who may not see all of these tasks.
        """
        scan = await self._scan(user)
        rows = []
        for key, waits in scan.by_source.items():
            try:
                source = await self._sources.of(waits[0].record)
            except InvalidInput:
                continue
            rows.append(_watch_row(source, waits, scan.polls.get(key, ())))
        rows.sort(key=lambda row: (row["vendor"], row["key"]))
        return {"watches": rows, "triggerers": [one.to_dict() for one in scan.triggerers]}

    async def wait(self, user: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> Dated:
        """Return what a task waits for, or has waited for, and when that was read.

        :param user: Airflow's user, who may see the task.
        :param dag_id: its DAG.
        :param run_id: its run.
        :param task_id: its task.
        :param map_index: of a mapped task its index, else -1.
        :raises NoWait: if it has begun no wait.
        """
        task = await in_thread(partial(find_wait, dag_id, run_id, task_id, map_index))
        if task is None:
            raise NoWait(
                "This task has begun no wait for a job: it has not come so far, or failed before that."
            )
        source, target = await self._sources.of(task.record), task.record.target
        if isinstance(target, Selection):
            board = await self._look(source, target, partial(read_selection, selection=target), JOB_INTERVAL)
        else:
            read = partial(read_ids, job_ids=tuple(target))
            board = await self._look(source, ("ids", *target), read, JOB_INTERVAL)
        waits, may_cancel = await self._of_user(user, source)
        jobs = board.last_read.jobs if board.last_read else ()
        found = {
            "task": task_of(task),
            "source": _source_fields(source),
            "what": describe_target(target, source.vendor),
            "job_ids": None if isinstance(target, Selection) else target,
            "selection": target.to_dict() if isinstance(target, Selection) else None,
            "started_at": task.record.started_at.isoformat(),
            "deadline": task.record.deadline.isoformat(),
            "jobs": _rows(source, jobs, self._like(source, jobs), waits, may_cancel),
            "missing": sorted(board.last_read.missing) if board.last_read else [],
            **_state_of(board),
        }
        return found, _read_at(board)

    # ------------------------------------------------------------------ what the answers are made of

    async def _look(self, source: Source, what: Hashable, read: Read, interval: float) -> Board:
        hook = self._sources.current_hook(source)
        key = (source.key, source.hook_class, what)
        board = self._boards.get(key, lambda: Board(hook, read, interval))
        await board.look()
        return board

    async def _scan(self, user: Any) -> Scan:
        """Return which tasks wait, of those that somebody may see."""
        scan = await self._waits.look()
        readable = await self._readable.of(user)
        by_source = {
            key: [wait for wait in waits if wait.dag_id in readable] for key, waits in scan.by_source.items()
        }
        return Scan({key: waits for key, waits in by_source.items() if waits}, scan.polls, scan.triggerers)

    async def _of_user(self, user: Any, source: Source) -> tuple[list[TaskWait], bool]:
        scan = await self._scan(user)
        may_cancel = source.vendor.cancels and await in_thread(partial(may, user, "PUT", source.conn_id))
        return scan.by_source.get(source.key, []), may_cancel

    def _like(self, source: Source, jobs: Iterable[Job]) -> Iterable[Job]:
        """Return the jobs by which it is told what is usual: of the longest window that somebody looks at."""
        for window in reversed(WINDOWS):
            board = self._boards.find((source.key, source.hook_class, _window_board(window)[0]))
            if board and board.last_read:
                return board.last_read.jobs
        return jobs


NO_CONNECTIONS = (
    "There is no connection to a vendor yet. Create one under Admin, Connections; those of a secrets backend "
    "are named by the setting [ingestjobs] connections."
)
NOT_READABLE = (
    "You may read no connection to a vendor: ask an administrator for the permission to read connections. "
    "The jobs of a task can be seen from the task."
)


def _window_board(window: str) -> tuple[Hashable, Read, float]:
    if window not in WINDOWS:
        raise InvalidInput("window", window, f"use one of {', '.join(WINDOWS)}")
    length, interval = WINDOWS[window]
    return ("window", window), partial(read_window, length=length), interval


def _rows(
    source: Source, jobs: Iterable[Job], like: Iterable[Job], waits: list[TaskWait], may_cancel: bool
) -> list[Answer]:
    jobs = list(jobs)
    by_job = waits_by_job(waits, jobs, source.vendor)
    usual = usual_by_target(like)
    return [
        row_of(
            job, source.vendor, usual.get(job.target or "", {}), by_job.get(job.id, ()), may_cancel=may_cancel
        )
        for job in jobs
    ]


def _state_of(board: Board) -> Answer:
    trouble = board.trouble
    return {
        "is_reading": board.last_read is None and trouble is None,
        "trouble": {"text": trouble.text, "since": trouble.since.isoformat()} if trouble else None,
    }


def _read_at(board: Board) -> datetime | None:
    return board.last_read.read_at if board.last_read else None


def _source_fields(source: Source) -> Answer:
    return {
        "key": source.name,
        "conn_id": source.conn_id,
        "params": dict(source.params),
        "vendor": source.vendor.name,
        "conn_type": source.vendor.conn_type,
        "cancels": source.vendor.cancels,
        "counts": sorted(source.vendor.counts),
    }


def _source_rows(sources: Iterable[Source], user: Any, scan: Scan) -> list[Answer]:
    return [
        {
            **_source_fields(source),
            "may_cancel": source.vendor.cancels and may(user, "PUT", source.conn_id),
            "waits": len(scan.by_source.get(source.key, ())),
        }
        for source in sources
        if may(user, "GET", source.conn_id)
    ]


def _watch_row(source: Source, waits: list[TaskWait], polls: Iterable[PollWord]) -> Answer:
    longest = sorted(waits, key=lambda wait: wait.record.started_at)
    return {
        "key": source.name,
        "conn_id": source.conn_id,
        "params": dict(source.params),
        "vendor": source.vendor.name,
        "waits": len(waits),
        "modes": dict(Counter(wait.state for wait in waits)),
        "tasks": [task_of(wait) for wait in longest[:MAX_TASKS]],
        "longest_since": longest[0].record.started_at.isoformat(),
        "polls": [one.to_dict() for one in polls],
    }
