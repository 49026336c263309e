# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The shared poll: all deferred tasks on a connection are served by one reader in the triggerer process."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Stats

from airflow_provider_ingestjobs.exceptions import AuthenticationFailed, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.hooks.base import JobsRead, Memory

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds in which new waits gather before they are looked at together.
GATHER = 0.25
#: The shortest time between two polls of everything, in seconds.
SHORTEST_INTERVAL = 0.1
#: A poll comes up to this part of the interval early, so that watches do not march in step.
JITTER = 0.1
#: The longest pause after failed polls, in seconds, unless the interval or Retry-After is longer.
LONGEST_BACKOFF = 300.0
#: How long a connection is used before it is read again, in seconds: an edit in Airflow counts from then on.
CONNECTION_AGE = 300.0
#: News handed out before the event loop has a turn.
BATCH = 500


@dataclass(frozen=True, slots=True)
class News:
    """What a poll found about one job, when that is worth telling.

    :param job: the job, if the vendor knows it.
    :param missing: whether the vendor says it does not know it.
    :param trouble: why it could not be read; the wait goes on.
    :param error: why it never will be; the wait is over.
    """

    job: Job | None = None
    missing: bool = False
    trouble: VendorError | None = None
    error: Exception | None = None


class Wait:
    """One task's wait for one job. Made by :meth:`Watch.join`."""

    __slots__ = ("_future", "_pending", "_watch", "intervals", "job_id")

    def __init__(self, watch: Watch, job_id: str, intervals: tuple[float, float]) -> None:
        self.job_id = job_id
        self.intervals = intervals
        self._watch = watch
        self._pending: News | None = None
        self._future: asyncio.Future[None] | None = None

    @property
    def read_at(self) -> float | None:
        """When the vendor last answered this watch, as a UNIX time."""
        return self._watch.answered_at

    async def news(self) -> News:
        """Return the next thing worth telling; of several, the last."""
        if self._pending is None:
            self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None
        news, self._pending = self._pending, None
        assert news is not None  # noqa: S101 - set before the future is
        return news

    def look_now(self) -> None:
        """Have the job read soon, whatever the interval, and its state told even if it has not changed."""
        self._watch.look_at(self.job_id)

    def tell(self, news: News) -> None:
        # The end of a wait must not be overwritten by what a slower poll still says.
        if self._pending is None or self._pending.error is None:
            self._pending = news
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class Watch:
    """Reads all jobs that tasks of one process wait for on one connection.

    A watch is found by :func:`watch_for`, runs while somebody waits, and ends by itself.

    :param hook_class: the vendor's hook.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook, such as a Polaris project.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._hook_class = hook_class
        self._conn_id = conn_id
        self._hook_params = dict(hook_params)
        self._waits: dict[str, list[Wait]] = {}
        self._intervals: Counter[tuple[float, float]] = Counter()
        self._quiet_polls = 0
        self._memory = Memory()
        self._to_look_at: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hook: IngestJobHook | None = None
        self._hook_made_at = 0.0
        self._failures = 0
        self._tags = {"vendor": hook_class.kind.conn_type, "connection": conn_id}
        self.answered_at: float | None = None

    def __repr__(self) -> str:
        return f"<Watch {self._hook_class.__name__} {self._conn_id!r} {len(self._waits)} jobs>"

    @asynccontextmanager
    async def join(
        self, job_id: str, interval: float, longest_interval: float | None = None
    ) -> AsyncIterator[Wait]:
        """Wait for a job for as long as the context lasts.

        :param job_id: the vendor's id of the job.
        :param interval: the longest time between two looks at it, in seconds.
        :param longest_interval: what it may grow to, doubling with each poll that finds nothing new.
        """
        wait = Wait(self, job_id, (interval, longest_interval or interval))
        self._waits.setdefault(job_id, []).append(wait)
        self._intervals[wait.intervals] += 1
        self._quiet_polls = 0
        self.look_at(job_id)
        if self._task is None or self._task.done():
            # In a context of its own: what the watch logs is not the first task's business.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        try:
            yield wait
        finally:
            self._leave(wait)

    def look_at(self, job_id: str) -> None:
        """Have a job read in the next moment, and tell its waits what was found."""
        self._to_look_at.add(job_id)
        self._woken.set()

    def _leave(self, wait: Wait) -> None:
        waits = self._waits[wait.job_id]
        waits.remove(wait)
        if not waits:
            del self._waits[wait.job_id]
            self._to_look_at.discard(wait.job_id)
        self._intervals[wait.intervals] -= 1
        if not self._intervals[wait.intervals]:
            del self._intervals[wait.intervals]
        if not self._waits:
            self._woken.set()

    # ------------------------------------------------------------------ the loop

    async def _run(self) -> None:
        try:
            await self._poll_while_awaited()
        except Exception as error:
            log.exception("The watch on connection %r broke", self._conn_id)
            # Who joins from here on starts another run.
            self._task = None
            await self._tell_all(list(self._waits), News(error=error))
        else:
            self._task = None
            self._hook, self._memory, self._failures = None, Memory(), 0

    async def _poll_while_awaited(self) -> None:
        loop = asyncio.get_running_loop()
        next_full = 0.0
        while self._waits:
            if self._to_look_at:
                await asyncio.sleep(GATHER)
            full = loop.time() >= next_full
            if full:
                pause = self._interval * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret
                next_full = loop.time() + pause
            wanted = set(self._waits) if full else self._to_look_at & self._waits.keys()
            if wanted:
                next_full = max(next_full, loop.time() + await self._poll(wanted, full))
            await self._sleep_until(next_full)

    @property
    def _interval(self) -> float:
        growth = 2 ** min(self._quiet_polls, 16)
        grown = (min(first * growth, longest) for first, longest in self._intervals)
        return max(min(grown, default=SHORTEST_INTERVAL), SHORTEST_INTERVAL)

    async def _sleep_until(self, moment: float) -> None:
        self._woken.clear()
        if self._to_look_at and not self._failures:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(moment):
                while not self._to_look_at or self._failures:
                    await self._woken.wait()
                    self._woken.clear()
                    if not self._waits:
                        return

    async def _poll(self, wanted: set[str], full: bool) -> float:
        """Read the wanted jobs, tell their waits, and return the seconds to leave the vendor alone."""
        asked = self._to_look_at & wanted
        started = time.monotonic()
        try:
            changes = await self._read(wanted, full)
        except VendorUnavailable as error:
            return await self._back_off(error)
        except Exception as error:
            # Refused credentials, an unusable connection, a bug: nothing that another poll would mend.
            log.warning("Connection %r: %s. Its %d waits end.", self._conn_id, error, len(wanted))
            self._to_look_at -= asked
            await self._tell_all(wanted, News(error=error))
            return 0.0
        self._to_look_at -= asked
        if self._failures:
            # Who was told of the trouble is told that it is over.
            asked = wanted
        self._count(changes.read, len(wanted), time.monotonic() - started)
        told = await self._tell(changes, asked)
        self._quiet_polls = 0 if told else self._quiet_polls + 1
        if changes.read.interrupted:
            return await self._back_off(changes.read.interrupted)
        if self._failures:
            log.info("Connection %r answers again after %d failed polls.", self._conn_id, self._failures)
        self._failures = 0
        self.answered_at = time.time()
        return 0.0

    async def _read(self, wanted: set[str], full: bool) -> _Changes:
        self._memory.forget_all_but(self._waits.keys())
        known = {job_id: self._memory.jobs.get(job_id) for job_id in wanted}
        # A look at new jobs alone must not count as having seen the others' changes.
        memory = self._memory if full else Memory()
        hook = await self._current_hook()
        try:
            read = await in_thread(partial(hook.read_jobs, wanted, memory))
        except AuthenticationFailed as error:
            if error.status != 401:
                raise
            # The key may have been replaced in Airflow since this watch read it.
            hook = await self._current_hook(fresh=True)
            read = await in_thread(partial(hook.read_jobs, wanted, memory))
        if not full:
            self._memory.jobs.update(read.jobs)
        return _Changes(read, known)

    async def _current_hook(self, fresh: bool = False) -> IngestJobHook:
        now = time.monotonic()
        if self._hook is None or fresh or now - self._hook_made_at > CONNECTION_AGE:
            hook = await open_hook(self._hook_class, self._conn_id, self._hook_params)
            if self._hook is None or hook.settings != self._hook.settings:
                self._hook = hook
            self._hook_made_at = now
        return self._hook

    async def _back_off(self, error: VendorUnavailable) -> float:
        self._failures += 1
        backoff: float = min(self._interval * 2 ** min(self._failures - 1, 16), LONGEST_BACKOFF)
        pause = max(self._interval, backoff, error.retry_after or 0.0) * random.uniform(1, 1 + JITTER)  # noqa: S311
        log.warning("Poll %d in a row failed, next in %.0f s: %s", self._failures, pause, error)
        Stats.incr("ingestjobs.poll_failures", tags=self._tags)
        if self._failures == 1:
            await self._tell_all(set(self._waits), News(trouble=error))
        return pause

    async def _tell(self, changes: _Changes, asked: set[str]) -> int:
        told = 0
        for job_id, news in changes.news(asked):
            for wait in self._waits.get(job_id, ()):
                wait.tell(news)
                told += 1
                if told % BATCH == 0:
                    await asyncio.sleep(0)
        return told

    async def _tell_all(self, job_ids: Collection[str], news: News) -> None:
        for count, job_id in enumerate(job_ids, 1):
            for wait in self._waits.get(job_id, ()):
                wait.tell(news)
            if count % BATCH == 0:
                await asyncio.sleep(0)

    def _count(self, read: JobsRead, wanted: int, seconds: float) -> None:
        log.debug(
            "Read %d of %d jobs on connection %r in %.3f s", len(read.jobs), wanted, self._conn_id, seconds
        )
        Stats.incr("ingestjobs.polls", tags=self._tags)
        Stats.incr("ingestjobs.jobs_seen", len(read.jobs), tags=self._tags)
        Stats.gauge("ingestjobs.waits", len(self._waits), tags=self._tags)
        Stats.timing("ingestjobs.poll_duration", timedelta(seconds=seconds), tags=self._tags)


@dataclass(frozen=True, slots=True)
class _Changes:
    """A read, beside what was known before it."""

    read: JobsRead
    known: Mapping[str, Job | None]

    def news(self, asked: set[str]) -> list[tuple[str, News]]:
        """Return what is worth telling: other states, what was asked for, and every trouble."""
        news = []
        for job_id, job in self.read.jobs.items():
            before = self.known.get(job_id)
            if before is None or before.state is not job.state or job_id in asked:
                news.append((job_id, News(job=job)))
        for job_id in asked - self.read.jobs.keys():
            if before := self.known.get(job_id):
                news.append((job_id, News(job=before)))
        news += [(job_id, News(missing=True)) for job_id in self.read.missing]
        for job_id, trouble in self.read.troubles.items():
            passing = isinstance(trouble, VendorUnavailable)
            news.append((job_id, News(trouble=trouble) if passing else News(error=trouble)))
        return news


_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], Watch]] = WeakKeyDictionary()


def watch_for(hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> Watch:
    """Return the running event loop's watch for a connection, the same one for everybody who asks."""
    watches = _WATCHES.setdefault(asyncio.get_running_loop(), {})
    key = (hook_class, conn_id, tuple(sorted(hook_params.items())))
    if key not in watches:
        watches[key] = Watch(hook_class, conn_id, hook_params)
    return watches[key]


async def open_hook(
    hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]
) -> IngestJobHook:
    """Return a hook whose connection was read on the event loop, ready for a thread that must not read one.

    :raises InvalidInput: for a connection that is missing or cannot be used.
    :raises VendorUnavailable: if Airflow cannot tell right now.
    """
    try:
        connection = await get_async_connection(conn_id, hook=hook_class)
        extra = await get_async_extra_dejson(connection)
    except AirflowNotFoundException:
        raise hook_class.no_connection(conn_id) from None
    except Exception as error:
        raise VendorUnavailable(
            f"connection {conn_id!r} cannot be read now: {type(error).__name__} {error}"
        ) from error
    hook = hook_class(conn_id, **hook_params)
    hook.settings = hook_class.read_settings(conn_id, connection, extra)
    return hook


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own and await its result.

    The loop's default executor is shared and small: one vendor that hangs would starve all others there, and
    its threads hold up the end of the process. This one is a daemon.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="ingestjobs-poll", daemon=True).start()
    return await future
