# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a vendor tells of an ended job only when asked once more: its counts, why it failed, its whole record.

It is asked by the rules of the wait and within the wait's deadline. What a check needs is asked for again
until then; all else is asked for once, and the task goes on without it.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence, Set
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import IngestJobsError, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.hooks.reading import find_job
from airflow_provider_ingestjobs.job import duration_in_words
from airflow_provider_ingestjobs.triggers.backoff import backoff

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

#: The most jobs of one task that are asked about at once.
MAX_THREADS = 4
#: How long a look may take that ends after the wait's deadline, in seconds.
LAST_LOOK_TIMEOUT = 20.0
#: The most requests of one look that the vendor itself fails, before the rest are not sent.
MAX_FAILURES = 3
#: The shortest time between two looks, in seconds.
MIN_INTERVAL = 0.1
#: How often the thread that waits for the others looks whether it may mask a token, in seconds.
TURN = 1.0
#: The most ids of jobs in one line of the log.
MAX_NAMES = 5


class DetailReader:
    """Reads the details of one task's ended jobs, and keeps what it has.

    :param hook: the vendor's hook.
    :param deadline: when the wait for the jobs ends.
    :param interval: seconds between two looks.
    :param grace: seconds in which the vendor may not know details that are needed (yet).
    :param log: the task's own log.
    :param include_raw: whether the jobs' whole records are wanted, too.
    :param is_kept: whether this object is kept between two looks, as it is not in reschedule mode.
    """

    def __init__(
        self,
        hook: IngestJobHook,
        *,
        deadline: datetime,
        interval: float,
        grace: float,
        log: Any,
        include_raw: bool = False,
        is_kept: bool = True,
    ) -> None:
        self._hook = hook
        self._deadline = deadline
        self._interval = interval
        self._grace = grace
        self._log = log
        self._include_raw = include_raw
        self._is_kept = is_kept
        #: Each job as it was handed in, and with its details.
        self._read: dict[str, tuple[Job, Job]] = {}
        self._missing_since: dict[str, datetime] = {}
        self._unread: list[Job] = []
        self._trouble: VendorError | None = None
        self._has_told = False

    def wait(self, jobs: Sequence[Job], needed: Set[str] = frozenset()) -> list[Job]:
        """Return jobs with their details, after asking as often as it takes.

        :param jobs: the ended jobs.
        :param needed: the ids of those without whose details the task cannot go on.
        :raises WaitTimeout: if details that are needed have not come by the deadline.
        :raises VendorError: if the vendor refuses details that are needed.
        """
        while (found := self.look(jobs, needed)) is None:
            time.sleep(self.pause())
        return found

    def pause(self) -> float:
        """Return the seconds after which to look again."""
        pause = backoff(1, max(self._interval, MIN_INTERVAL), self._trouble or VendorUnavailable(""))
        left = (self._deadline - clock.now()).total_seconds()
        return max(min(pause, left), 0.0)

    def look(self, jobs: Sequence[Job], needed: Set[str] = frozenset()) -> list[Job] | None:
        """Ask once, and return the jobs with their details; ``None`` if it has to be tried again.

        :param jobs: the ended jobs.
        :param needed: the ids of those without whose details the task cannot go on.
        :raises WaitTimeout: if details that are needed have not come by the deadline.
        :raises VendorError: if the vendor refuses details that are needed.
        """
        self._ask(self._unknown(jobs), needed)
        if optional := [job for job in self._unknown(jobs) if job.id not in needed]:
            self._read |= {job.id: (job, job) for job in optional}
            self._log.warning("The task goes on without the details of %s", _names(optional))
        self._unread = self._unknown(jobs)
        if not self._unread:
            return [self._read[job.id][1] for job in jobs]
        if clock.now() >= self._deadline:
            raise WaitTimeout(self.report())
        if not self._has_told:
            self._log.warning("%s The wait goes on.", self.report())
            self._has_told = True
        return None

    def report(self) -> str:
        """Return what to say of details that are needed and have not come; empty if none are."""
        if not self._unread:
            return ""
        why = self._trouble or "there was no answer in time"
        return f"{_names(self._unread)} ended, but details that a check needs could not be read: {why}."

    def _unknown(self, jobs: Sequence[Job]) -> list[Job]:
        # A selection's jobs are read again at each look: one that has changed has other details.
        return [job for job in jobs if self._read.get(job.id, (None,))[0] != job]

    def _ask(self, jobs: Sequence[Job], needed: Set[str]) -> None:
        now = clock.now()
        until = self._deadline
        if now >= until or not needed.isdisjoint(job.id for job in jobs):
            # As the wait's own last look, this one may outlast the deadline: a task must not fail because
            # its job ended a moment before that, nor lose the counts because no worker was free.
            until = max(until, now + timedelta(seconds=LAST_LOOK_TIMEOUT))
        try:
            # The connection is looked up here: Airflow's line to its supervisor is not for several threads.
            _ = self._hook.records
        except IngestJobsError as error:
            for job in jobs:
                self._note(job, error, needed)
            return
        failures = 0
        with closing(side_by_side(self._read_one, jobs, until, self._mask_tokens)) as results:
            for job, result in results:
                self._note(job, result, needed)
                if isinstance(result, VendorError):
                    failures += result.wants_pause or result.rejects_credentials
                if failures == MAX_FAILURES:
                    return

    def _note(self, job: Job, result: Job | Exception, needed: Set[str]) -> None:
        if not isinstance(result, Exception):
            self._read[job.id] = (job, result)
        elif not isinstance(result, IngestJobsError):
            raise result
        elif job.id in needed:
            self._bear(job, result)
        else:
            self._log.warning("The details of %s cannot be read: %s", job, result)
            self._read[job.id] = (job, job)

    def _mask_tokens(self) -> None:
        if self._hook.token_mask is not None:
            self._hook.token_mask.catch_up()

    def _read_one(self, job: Job) -> Job:
        if self._include_raw:
            job = self._with_record(job)
        return self._hook.add_details(job, needed=True)

    def _with_record(self, job: Job) -> Job:
        try:
            whole = find_job(self._hook, job.id)
        except IngestJobsError as error:
            # The end is known; only the record is missing.
            self._log.warning("The whole record of %s cannot be read: %s", job, error)
            return job
        return whole if whole.state is job.state else replace(job, raw=whole.raw)

    def _bear(self, job: Job, error: IngestJobsError) -> None:
        """Note trouble that passes; any other is raised."""
        if isinstance(error, VendorUnavailable):
            self._trouble = error
            return
        if not isinstance(error, VendorError) or error.status != 404:
            raise error
        now = clock.now()
        # Where nothing is kept between two looks, the time runs since the end.
        since = now if self._is_kept else min(job.ended_at or now, now)
        missing = (now - self._missing_since.setdefault(job.id, since)).total_seconds()
        if missing >= self._grace:
            self._log.error("The vendor has had no details of %s for %s", job, duration_in_words(missing))
            raise error
        self._trouble = error


def side_by_side(
    call: Callable[[Job], Job], jobs: Sequence[Job], until: datetime, each_turn: Callable[[], None]
) -> Generator[tuple[Job, Job | Exception], None, None]:
    """Yield each job with what a call made of it, as the calls end, in a few threads.

    A request cannot be stopped from outside. What has not come in time is left out; its thread is a daemon,
    and ends with the request.

    :param call: what to do with a job, in another thread.
    :param jobs: the jobs.
    :param until: when to give up.
    :param each_turn: called now and then in this thread.
    """
    left = deque(jobs)
    done: SimpleQueue[tuple[Job, Job | Exception]] = SimpleQueue()

    def work() -> None:
        while True:
            try:
                job = left.popleft()
            except IndexError:
                return
            try:
                done.put((job, call(job)))
            except Exception as error:
                done.put((job, error))

    try:
        for _ in range(min(MAX_THREADS, len(jobs))):
            context = contextvars.copy_context()
            try:
                threading.Thread(target=context.run, args=[work], name="ingestjobs", daemon=True).start()
            except RuntimeError:
                # No further thread can be started now.
                work()
                break
        awaited = len(jobs)
        while awaited and (seconds := (until - clock.now()).total_seconds()) > 0:
            try:
                result = done.get(timeout=min(seconds, TURN))
            except Empty:
                continue
            finally:
                each_turn()
            awaited -= 1
            yield result
    finally:
        left.clear()


def _names(jobs: Sequence[Job]) -> str:
    more = len(jobs) - MAX_NAMES
    ids = ", ".join(job.id for job in jobs[:MAX_NAMES])
    return f"{jobs[0].vendor} job{'s' if len(jobs) > 1 else ''} {ids}" + (
        f" and {more} more" if more > 0 else ""
    )
