# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the page's server answers with: the jobs of a source, one job, the polls, a task's wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_job_id
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.ui.access import ReadableDags, may
from airflow_provider_ingestjobs.ui.board import Board, Boards, LastRead, Read
from airflow_provider_ingestjobs.ui.jobs import (
    MAX_TASKS,
    page_of,
    plots_of,
    row_of,
    targets_of,
    task_of,
    waits_by_job,
)
from airflow_provider_ingestjobs.ui.kept import Kept
from airflow_provider_ingestjobs.ui.reads import read_ids, read_job, read_selection, read_window
from airflow_provider_ingestjobs.ui.sources import Source, Sources
from airflow_provider_ingestjobs.ui.usual import usual_by_target
from airflow_provider_ingestjobs.ui.waits import (
    MAX_AGE,
    STALE_AFTER,
    Scan,
    TaskKey,
    TaskWait,
    find_wait,
    scan,
    uses_connection,
)
from airflow_provider_ingestjobs.wait_target import describe_target

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.ui.jobs import Query
    from airflow_provider_ingestjobs.ui.usual import Usual
    from airflow_provider_ingestjobs.ui.waits import PollWord

#: The windows that can be looked at: how far each reaches back, and the seconds between two reads of it.
WINDOWS = {
    "day": (timedelta(days=1), 10.0),
    "week": (timedelta(days=7), 60.0),
    "month": (timedelta(days=30), 300.0),
}
#: The seconds between two reads of the jobs of one task, or of one job.
JOB_INTERVAL = 10.0

Answer = dict[str, Any]
#: An answer, and when the vendor was read for it.
Dated = tuple[Answer, datetime | None]


class NoWait(Exception):
    """A task has begun no wait."""


class Desk:
    """Answers what the page asks; one for a process.

    What takes time for thousands of jobs is done in threads: Airflow's own UI and API share the event loop.
    """

    def __init__(self) -> None:
        self._sources = Sources()
        self._boards = Boards()
        self._scans = Kept(scan, Scan(), max_age=MAX_AGE, stale_after=STALE_AFTER)
        self._readable = ReadableDags()

    async def source(self, conn_id: str, params: Mapping[str, Any]) -> Source:
        """Return a source, see :class:`~airflow_provider_ingestjobs.ui.sources.Sources`."""
        return await self._sources.get(conn_id, params)

    async def sources(self, user: Any) -> Answer:
        """Return the sources that somebody may read.

        :param user: Airflow's user.
        """
        found, readable = await self._scans.get(), await self._readable.of(user)
        known = await self._sources.all(found)
        rows = await in_thread(partial(_source_rows, known, user, found, readable))
        why = {} if rows else {"why": NOT_READABLE if known else NO_CONNECTIONS}
        return {"sources": rows, "windows": list(WINDOWS), **why}

    async def jobs(self, user: Any, source: Source, window: str, query: Query) -> Dated:
        """Return a page of a window's jobs, and when they were read.

        :param user: Airflow's user.
        :param source: where they come from.
        :param window: one of :data:`WINDOWS`.
        :param query: which of them.
        """
        board = await self._look(source, *_window_board(window))
        read, view = _read_of(board), await self._view(user, source)

        def make() -> Answer:
            page = read.once(query, lambda: page_of(read.jobs, query))
            return {
                "jobs": view.rows(page.jobs, read),
                "total": page.total,
                "page": page.number,
                "pages": page.pages,
                "states": page.states,
                "targets": page.targets,
                "is_cut": read.is_cut,
                **_state_of(board),
            }

        return await in_thread(make), _read_at(board)

    async def plots(self, source: Source, window: str, target: str) -> Dated:
        """Return what is drawn of a window's jobs, and when they were read.

        :param source: where they come from.
        :param window: one of :data:`WINDOWS`.
        :param target: of which target; empty means of those with the most jobs.
        """
        board = await self._look(source, *_window_board(window))
        read = _read_of(board)
        like = self._like(source) or read

        def make() -> Answer:
            usual = _usual_in(like)
            return {
                "targets": read.once(
                    ("plots", target, like.read_at), lambda: plots_of(read.jobs, target, usual)
                ),
                "all_targets": read.once("targets", lambda: targets_of(read.jobs)),
                **_state_of(board),
            }

        return await in_thread(make), _read_at(board)

    async def job(self, user: Any, source: Source, job_id: str) -> Dated:
        """Return one job in full, and when it was read.

        :param user: Airflow's user.
        :param source: where it comes from.
        :param job_id: the vendor's id of it.
        :raises JobNotFound: if the vendor does not know it.
        """
        job_id = check_job_id(job_id)
        board = await self._look(source, ("job", job_id), partial(read_job, job_id=job_id), JOB_INTERVAL)
        read = _read_of(board)
        if read.missing:
            raise JobNotFound(f"{source.vendor.name} does not know job {job_id}")
        view = await self._view(user, source)
        rows = await in_thread(partial(view.rows, read.jobs, read))
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
        reader = self._sources.reader(source)
        hook = await reader.hook()
        job = await reader.run(partial(hook.cancel_job, job_id))
        self._boards.take_in(source.identity, job)
        view = await self._view(user, source)
        rows = await in_thread(partial(view.rows, [job], LastRead((job,), clock.now())))
        return {"job": rows[0], "message": f"{job} is {job.describe()}"}

    async def watches(self, user: Any) -> Answer:
        """Return the polls that serve the tasks that wait.

        :param user: Airflow's user, who may not see all of these tasks.
        """
        found, readable = await self._scans.get(), await self._readable.of(user)
        rows = []
        for key, all_waits in found.by_source.items():
            waits = [wait for wait in all_waits if wait.dag_id in readable]
            if not waits:
                continue
            try:
                source = await self._sources.of(waits[0].record)
            except InvalidInput:
                continue
            rows.append(_watch_row(source, waits, found.polls.get(key, ())))
        rows.sort(key=lambda row: (row["vendor"], row["key"]))
        return {"watches": rows, "triggerers": [one.to_dict() for one in found.triggerers]}

    async def wait(self, user: Any, task: TaskKey) -> Dated:
        """Return what a task waits for, or has waited for, and when that was read.

        :param user: Airflow's user, who may see the task.
        :param task: the task.
        :raises NoWait: if it has begun no wait.
        """
        wait = await in_thread(partial(find_wait, task))
        if wait is None:
            raise NoWait("This task waits for no job: it has not come so far, or failed before that.")
        source, target = await self._sources.of(wait.record), wait.record.target
        found = {
            "task": task_of(wait),
            "source": _source_fields(source),
            "what": describe_target(target, source.vendor),
            "job_ids": None if isinstance(target, Selection) else target,
            "selection": target.to_dict() if isinstance(target, Selection) else None,
            "started_at": wait.record.started_at.isoformat(),
            "deadline": wait.record.deadline.isoformat(),
        }
        may_read = partial(may, user, "GET", source.conn_id)
        if not (await in_thread(may_read) or await in_thread(partial(uses_connection, wait))):
            trouble = {"text": NOT_YOURS.format(source.conn_id), "since": found["started_at"]}
            return {**found, "jobs": [], "missing": [], "is_reading": False, "trouble": trouble}, None
        if isinstance(target, Selection):
            board = await self._look(source, target, partial(read_selection, selection=target), JOB_INTERVAL)
        else:
            ids = partial(read_ids, job_ids=tuple(target))
            board = await self._look(source, ("ids", *target), ids, JOB_INTERVAL)
        read, view = _read_of(board), await self._view(user, source)
        rows = await in_thread(partial(view.rows, read.jobs, read))
        return {**found, "jobs": rows, "missing": sorted(read.missing), **_state_of(board)}, _read_at(board)

    # ------------------------------------------------------------------ what the answers are made of

    async def _look(self, source: Source, what: Hashable, read: Read, interval: float) -> Board:
        reader = self._sources.reader(source)
        board = self._boards.get(source.identity, what, lambda: Board(reader, read, interval))
        await board.look()
        return board

    async def _view(self, user: Any, source: Source) -> View:
        may_cancel = source.vendor.cancels and await in_thread(partial(may, user, "PUT", source.conn_id))
        return View(
            source, await self._scans.get(), await self._readable.of(user), self._like(source), may_cancel
        )

    def _like(self, source: Source) -> LastRead | None:
        """Return the jobs by which it is told what is usual: of the longest window that somebody looks at."""
        for window in reversed(WINDOWS):
            board = self._boards.find(source.identity, _window_board(window)[0])
            if board and board.last_read:
                return board.last_read
        return None


@dataclass(frozen=True)
class View:
    """How somebody sees the jobs of a source.

    :param source: where they come from.
    :param scan: which tasks wait.
    :param readable: the DAGs whose tasks they may see.
    :param like: the jobs by which it is told what is usual; ``None`` where nobody looks at a window of them.
    :param may_cancel: whether they may stop jobs.
    """

    source: Source
    scan: Scan
    readable: Set[str]
    like: LastRead | None
    may_cancel: bool

    def rows(self, shown: Iterable[Job], read: LastRead) -> list[Answer]:
        """Return rows. Takes time.

        :param shown: the jobs of the rows.
        :param read: the jobs that they are of.
        """
        waits = self.scan.by_source.get(self.source.key, [])
        vendor = self.source.vendor
        kept = read.known.get("waits")
        if kept is None or kept[0] is not waits:
            # Another scan may have found others; of the one before, nothing is kept.
            kept = read.known["waits"] = (waits, waits_by_job(waits, read.jobs, vendor))
        usual = _usual_in(self.like or read)
        return [
            row_of(
                job,
                vendor,
                usual.get(job.target or "", {}),
                [wait for wait in kept[1].get(job.id, ()) if wait.dag_id in self.readable],
                may_cancel=self.may_cancel,
            )
            for job in shown
        ]


NOT_YOURS = (
    "You may not read connection {!r}: ask an administrator for that. The task's log says how its job stands."
)
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


def _read_of(board: Board) -> LastRead:
    return board.last_read or LastRead((), clock.now())


def _usual_in(read: LastRead) -> Mapping[str, Usual]:
    return read.once("usual", lambda: usual_by_target(read.jobs))


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
        "params": source.all_params,
        "vendor": source.vendor.name,
        "conn_type": source.vendor.conn_type,
        "cancels": source.vendor.cancels,
        "counts": sorted(source.vendor.counts),
    }


def _source_rows(sources: Iterable[Source], user: Any, scan: Scan, readable: Set[str]) -> list[Answer]:
    return [
        {
            **_source_fields(source),
            "may_cancel": source.vendor.cancels and may(user, "PUT", source.conn_id),
            "waits": sum(wait.dag_id in readable for wait in scan.by_source.get(source.key, ())),
        }
        for source in sources
        if may(user, "GET", source.conn_id)
    ]


def _watch_row(source: Source, waits: list[TaskWait], polls: Iterable[PollWord]) -> Answer:
    longest = sorted(waits, key=lambda wait: wait.record.started_at)
    return {
        "key": source.name,
        "conn_id": source.conn_id,
        "params": source.all_params,
        "vendor": source.vendor.name,
        "waits": len(waits),
        "modes": dict(Counter(wait.state for wait in waits)),
        "tasks": [task_of(wait) for wait in longest[:MAX_TASKS]],
        "longest_since": longest[0].record.started_at.isoformat(),
        "polls": [one.to_dict() for one in polls],
    }
