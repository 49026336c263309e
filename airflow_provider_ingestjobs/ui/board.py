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
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import AuthenticationFailed, IngestJobsError
from airflow_provider_ingestjobs.triggers.backoff import backoff
from airflow_provider_ingestjobs.triggers.threads import in_thread, poll_threads

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook

log = logging.getLogger(__name__)

#: How long somebody who looks first waits for the vendor, in seconds, before there is something to show.
FIRST_LOOK = 2.0
#: So many intervals late, what was read is old: nobody has looked for a while.
STALE_AFTER = 2.0
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
    """

    jobs: tuple[Job, ...]
    read_at: datetime
    is_cut: bool = False
    missing: frozenset[str] = frozenset()
    in_full: Mapping[str, tuple[Job, Job]] = field(default_factory=dict)


#: Reads jobs in a thread, by a hook; it gets what was read before.
Read = Callable[["IngestJobHook", LastRead | None], LastRead]


@dataclass
class Board:
    """Reads the same jobs for all who look, at most once an interval.

    :param current_hook: gives the hook, which all boards on its connection share.
    :param read: reads the jobs.
    :param interval: seconds between two reads, while somebody looks.
    """

    current_hook: CurrentHook
    read: Read
    interval: float
    last_read: LastRead | None = None
    trouble: Trouble | None = None
    looked_at: float = field(default_factory=clock.monotonic)
    _reading: asyncio.Task[None] | None = None
    _read_again_at: float = -inf
    _failures: int = 0
    _is_refused: bool = False

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
        if self.last_read is not None:
            jobs = tuple(job if one.id == job.id else one for one in self.last_read.jobs)
            self.last_read = replace(self.last_read, jobs=jobs)

    async def _read(self) -> None:
        try:
            hook = await self.current_hook.get(self._is_refused)
            self.last_read = await in_thread(partial(self.read, hook, self.last_read), poll_threads())
        except Exception as error:
            self._note(error)
        else:
            self._failures, self.trouble, self._is_refused = 0, None, False
            self._read_again_at = clock.monotonic() + self.interval
        finally:
            self._reading = None

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
        self._by_key: dict[Hashable, Board] = {}

    def get(self, key: Hashable, make: Callable[[], Board]) -> Board:
        """Return the board of a key, made if there is none.

        :param key: what tells it from others.
        :param make: makes it.
        """
        self._forget()
        if key not in self._by_key:
            self._by_key[key] = make()
        return self._by_key[key]

    def find(self, key: Hashable) -> Board | None:
        """Return the board of a key, if there is one.

        :param key: what tells it from others.
        """
        return self._by_key.get(key)

    def take_in(self, job: Job, belongs: Callable[[Hashable], bool]) -> None:
        """Have boards show a job as it is after something was done to it.

        :param job: the job.
        :param belongs: says which boards, by their keys.
        """
        for key, board in self._by_key.items():
            if belongs(key):
                board.take_in(job)

    def _forget(self) -> None:
        oldest = clock.monotonic() - FORGET_AFTER
        self._by_key = {key: board for key, board in self._by_key.items() if board.looked_at >= oldest}
