# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One read of a vendor for everybody who looks at the same jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import AuthenticationFailed, IngestJobsError
from airflow_provider_ingestjobs.triggers.backoff import backoff
from airflow_provider_ingestjobs.triggers.threads import in_thread, poll_threads

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long somebody who looks first waits for the vendor, in seconds, before there is something to show.
FIRST_LOOK = 2.0
#: So many intervals late, what was read is old: nobody has looked for a while.
STALE_AFTER = 2.0
#: For so many times as long as a read took, the vendor is left alone after it: long lists must not take the
#: requests that tasks need.
MIN_REST = 10.0
#: The most reads of one connection at once.
MAX_READS = 4
#: How much that was made of the same jobs is kept.
MAX_KNOWN = 100
#: After this many seconds without anybody who looks, a board is let go.
FORGET_AFTER = 600.0


@dataclass(frozen=True)
class Trouble:
    """What keeps a board from being read.

    :param text: for people.
    :param since: when it began.
    """

    text: str
    since: datetime


@dataclass(frozen=True)
class LastRead:
    """What the vendor was last read to have.

    :param jobs: the jobs.
    :param read_at: when.
    :param is_cut: whether there are more than these.
    :param missing: ids that were asked for, and that the vendor does not know.
    :param in_full: by id, the ended jobs that were read in full: as they were listed, and as they are.
    :param known: what was made of these jobs for somebody, for the next who asks the same.
    """

    jobs: tuple[Job, ...]
    read_at: datetime
    is_cut: bool = False
    missing: frozenset[str] = frozenset()
    in_full: Mapping[str, tuple[Job, Job]] = field(default_factory=dict)
    known: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is made of these jobs, made once.

        :param key: what tells it from what else is made of them.
        :param make: makes it.
        """
        # Threads ask this at once: one may make anew what another has just made.
        made: T = self.known[key] if key in self.known else make()
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        self.known[key] = made
        return made


#: Reads jobs in a thread, by a hook; it gets what was read before.
Read = Callable[["IngestJobHook", LastRead | None], LastRead]


class Reader:
    """Reads of one connection, a few at once: a vendor that hangs holds up no other vendor's.

    :param current_hook: gives the hook.
    """

    def __init__(self, current_hook: CurrentHook) -> None:
        self._current_hook = current_hook
        self._places = asyncio.Semaphore(MAX_READS)
        self.used_at = clock.monotonic()

    async def hook(self, is_refused: bool = False) -> IngestJobHook:
        """Return the hook.

        :param is_refused: whether the vendor has refused the credentials at hand.
        :raises InvalidInput: for a connection that cannot be used.
        :raises VendorUnavailable: if it cannot be read now.
        """
        self.used_at = clock.monotonic()
        return await self._current_hook.get(is_refused)

    async def run(self, call: Callable[[], T]) -> T:
        """Run a blocking call to the vendor.

        :param call: what to run.
        """
        async with self._places:
            return await in_thread(call, poll_threads())


@dataclass
class Board:
    """Reads the same jobs for all who look, at most once an interval.

    :param reader: reads of the connection, which all its boards share.
    :param read: reads the jobs.
    :param interval: seconds between two reads, while somebody looks.
    """

    reader: Reader
    read: Read
    interval: float
    last_read: LastRead | None = None
    trouble: Trouble | None = None
    looked_at: float = field(default_factory=clock.monotonic)
    _reading: asyncio.Task[None] | None = None
    _read_again_at: float = -inf
    _failures: int = 0
    _is_refused: bool = False
    _taken_in: list[Job] = field(default_factory=list)

    async def look(self) -> None:
        """Have the jobs read if that is due; wait for it only where there is nothing of late to show."""
        self.looked_at = clock.monotonic()
        if self._reading is None and self.looked_at >= self._read_again_at:
            self._reading = asyncio.create_task(self._read())
        is_old = self.looked_at >= self._read_again_at + STALE_AFTER * self.interval
        if self._reading is not None and is_old and self.trouble is None:
            await asyncio.wait({self._reading}, timeout=FIRST_LOOK)

    def take_in(self, job: Job) -> None:
        """Show a job as it is after something was done to it, and have the next look read all again.

        :param job: the job.
        """
        self._read_again_at = clock.monotonic()
        self._taken_in.append(job)
        self._show_taken_in()

    async def _read(self) -> None:
        began = clock.monotonic()
        self._taken_in.clear()
        try:
            hook = await self.reader.hook(self._is_refused)
            self.last_read = await self.reader.run(partial(self.read, hook, self.last_read))
        except Exception as error:
            self._note(error)
        else:
            self._failures, self.trouble, self._is_refused = 0, None, False
            now = clock.monotonic()
            pause = max(self.interval, MIN_REST * (now - began))
            # What was done to a job meanwhile, this read may not have seen.
            self._read_again_at = now if self._taken_in else now + pause
            self._show_taken_in()
        finally:
            self._reading = None

    def _show_taken_in(self) -> None:
        if self.last_read is None or not self._taken_in:
            return
        newer = {job.id: job for job in self._taken_in}
        jobs = tuple(newer.get(job.id, job) for job in self.last_read.jobs)
        self.last_read = replace(self.last_read, jobs=jobs, known={})

    def _note(self, error: Exception) -> None:
        self._failures += 1
        # A key may have been replaced in Airflow meanwhile.
        self._is_refused = isinstance(error, AuthenticationFailed)
        if not isinstance(error, IngestJobsError):
            log.exception("The jobs of a page cannot be read")
        since = self.trouble.since if self.trouble else clock.now()
        self.trouble = Trouble(str(error) or type(error).__name__, since)
        self._read_again_at = clock.monotonic() + backoff(self._failures, self.interval, error)


class Boards:
    """The boards that somebody looks at; of one event loop."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[Hashable, Hashable], Board] = {}

    def get(self, source: Hashable, what: Hashable, make: Callable[[], Board]) -> Board:
        """Return a board, made if there is none.

        :param source: what tells the source of its jobs from others.
        :param what: what tells it from the source's other boards.
        :param make: makes it.
        """
        self._forget()
        key = (source, what)
        if key not in self._by_key:
            self._by_key[key] = make()
        return self._by_key[key]

    def find(self, source: Hashable, what: Hashable) -> Board | None:
        """Return a board, if there is one.

        :param source: what tells the source of its jobs from others.
        :param what: what tells it from the source's other boards.
        """
        return self._by_key.get((source, what))

    def take_in(self, source: Hashable, job: Job) -> None:
        """Have a source's boards show a job as it is after something was done to it.

        :param source: what tells the source from others.
        :param job: the job.
        """
        for (of_source, _), board in self._by_key.items():
            if of_source == source:
                board.take_in(job)

    def _forget(self) -> None:
        oldest = clock.monotonic() - FORGET_AFTER
        self._by_key = {key: board for key, board in self._by_key.items() if board.looked_at >= oldest}
