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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Stats

from airflow_provider_ingestjobs.exceptions import AuthenticationFailed, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.hooks.base import JobsRead, Memory
from airflow_provider_ingestjobs.selection import Selection

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

log = logging.getLogger(__name__)

T = TypeVar("T")
#: What a wait is for: a job, by its id, or a selection of jobs.
Target = str | Selection

#: Seconds in which new waits gather before they are looked at together.
GATHER = 0.25
#: After a poll, new waits gather for this many times as long as it took, so that thousands of tasks that
#: defer one after the other do not have whole lists read again and again...
REST = 4.0
#: ... but no longer than this, in seconds.
LONGEST_REST = 5.0
#: The shortest time between two polls of everything, in seconds.
SHORTEST_INTERVAL = 0.1
#: A poll comes up to this part of the interval early, so that watches do not march in step.
JITTER = 0.1
#: The longest pause after failed polls, in seconds, unless the interval or Retry-After is longer.
LONGEST_BACKOFF = 300.0
#: The longest Retry-After that is honoured, in seconds: an absurd one must not silence a connection.
LONGEST_RETRY_AFTER = 3600.0
#: How long a connection is used before it is read again, in seconds: an edit in Airflow counts from then on.
CONNECTION_AGE = 300.0
#: News handed out before the event loop has a turn. Each may be a line in its task's log, and an event.
BATCH = 50


@dataclass(frozen=True, slots=True)
class News:
    """What a poll found about one job, when that is worth telling.

    :param job: the job, if the vendor knows it.
    :param jobs: the jobs that a selection picks.
    :param missing: whether the vendor says it does not know it.
    :param trouble: why it could not be read; the wait goes on.
    :param error: why it never will be; the wait is over.
    """

    job: Job | None = None
    jobs: tuple[Job, ...] | None = None
    missing: bool = False
    trouble: VendorError | None = None
    error: Exception | None = None


class Wait:
    """One task's wait for one job or one selection of jobs. Made by :meth:`Watch.join`."""

    __slots__ = ("_future", "_pending", "_watch", "intervals", "target")

    def __init__(self, watch: Watch, target: Target, intervals: tuple[float, float]) -> None:
        self.target = target
        self.intervals = intervals
        self._watch = watch
        self._pending: News | None = None
        self._future: asyncio.Future[None] | None = None

    # As methods: a generator of `asynccontextmanager` takes half a kilobyte more for each wait.
    async def __aenter__(self) -> Wait:
        self._watch.enter(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._watch.leave(self)

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
        self._watch.look_at(self.target)

    def tell(self, news: News) -> None:
        if news.trouble is not None and self._pending is not None:
            # Trouble comes beside what was seen before it, which may be the end, and never in its place.
            news = replace(self._pending, trouble=news.trouble)
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
        self._waits: dict[Target, list[Wait]] = {}
        self._intervals: Counter[tuple[float, float]] = Counter()
        self._quiet_polls = 0
        self._memory = Memory()
        self._picked: dict[Selection, tuple[Job, ...]] = {}
        self._to_look_at: set[Target] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hook: IngestJobHook | None = None
        self._hook_made_at = 0.0
        self._failures = 0
        # What two watches of a connection differ by: else each would overwrite the other's gauge.
        self._tags = {"vendor": hook_class.kind.conn_type, "connection": conn_id, **self._hook_params}
        self.answered_at: float | None = None

    def __repr__(self) -> str:
        return f"<Watch {self._hook_class.__name__} {self._conn_id!r} {len(self._waits)} targets>"

    def join(self, target: Target, interval: float, longest_interval: float | None = None) -> Wait:
        """Return an asynchronous context, and wait for as long as it lasts.

        :param target: the vendor's id of a job, or a selection of jobs.
        :param interval: the longest time between two looks at it, in seconds.
        :param longest_interval: what it may grow to, doubling with each poll that finds nothing new.
        """
        return Wait(self, target, (interval, longest_interval or interval))

    def enter(self, wait: Wait) -> None:
        self._waits.setdefault(wait.target, []).append(wait)
        self._intervals[wait.intervals] += 1
        self._quiet_polls = 0
        self.look_at(wait.target)
        if self._task is None or self._task.done():
            # In a context of its own: what the watch logs is not the first task's business.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    def look_at(self, target: Target) -> None:
        """Have a job or selection read in the next moment, and tell its waits what was found."""
        self._to_look_at.add(target)
        self._woken.set()

    def leave(self, wait: Wait) -> None:
        waits = self._waits[wait.target]
        waits.remove(wait)
        if not waits:
            del self._waits[wait.target]
            self._to_look_at.discard(wait.target)
        self._intervals[wait.intervals] -= 1
        if not self._intervals[wait.intervals]:
            del self._intervals[wait.intervals]
        if not self._waits:
            # Else the last number would stand for ever.
            self._gauge_waits()
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
        next_full = polled_at = took = full_took = 0.0
        while self._waits:
            if self._to_look_at:
                next_look = polled_at + min(REST * took, LONGEST_REST, self._interval)
                await asyncio.sleep(max(min(next_look, next_full) - loop.time(), GATHER))
            full = loop.time() >= next_full
            if full:
                # What a poll finds is told at its end: the longer it takes, the earlier it starts.
                early = min(full_took, self._interval / 4)
                pause = self._interval * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret
                next_full = loop.time() + pause - early
            wanted = set(self._waits) if full else self._to_look_at & self._waits.keys()
            if wanted:
                began = loop.time()
                pause = await self._poll(wanted, full)
                polled_at = loop.time()
                took = polled_at - began
                full_took = took if full else full_took
                next_full = max(next_full, polled_at + pause)
            if not self._failures:
                # Who came with a shorter interval does not wait for the end of a longer one.
                next_full = min(next_full, loop.time() + self._interval)
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

    async def _poll(self, wanted: set[Target], full: bool) -> float:
        """Read what is wanted, tell its waits, and return the seconds to leave the vendor alone."""
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
        self._picked.update(changes.picked)
        seconds = time.monotonic() - started
        self._count(changes, len(wanted), seconds)
        told = await self._tell(changes, asked)
        self._quiet_polls = 0 if told else self._quiet_polls + 1
        if changes.interrupted:
            return await self._back_off(changes.interrupted)
        if self._failures:
            log.info("Connection %r answers again after %d failed polls.", self._conn_id, self._failures)
        self._failures = 0
        self.answered_at = time.time()
        return 0.0

    async def _read(self, wanted: set[Target], full: bool) -> _Changes:
        job_ids = {target for target in wanted if isinstance(target, str)}
        selections = {target for target in wanted if not isinstance(target, str)}
        self._memory.forget_all_but({target for target in self._waits if isinstance(target, str)})
        self._picked = {target: jobs for target, jobs in self._picked.items() if target in self._waits}
        hook = await self._current_hook()
        known = {job_id: self._memory.jobs.get(job_id) for job_id in job_ids}
        try:
            changes = await in_thread(partial(_read_all, hook, job_ids, selections, self._memory_for(full)))
        except AuthenticationFailed as error:
            if error.status != 401:
                raise
            # The key may have been replaced in Airflow since this watch read it.
            hook = await self._current_hook(fresh=True)
            changes = await in_thread(partial(_read_all, hook, job_ids, selections, self._memory_for(full)))
        if not full:
            self._memory.jobs.update(changes.read.jobs)
        changes.known, changes.known_picks = known, dict(self._picked)
        return changes

    def _memory_for(self, full: bool) -> Memory:
        # A look at new jobs alone must not count as having seen the others' changes.
        return self._memory if full else Memory()

    async def _current_hook(self, fresh: bool = False) -> IngestJobHook:
        now = time.monotonic()
        if self._hook is None or fresh or now - self._hook_made_at > CONNECTION_AGE:
            hook = await open_hook(self._hook_class, self._conn_id, self._hook_params)
            if self._hook is None or hook.settings != self._hook.settings:
                # With another host or state map, what was read before means nothing.
                self._hook, self._memory = hook, Memory()
            self._hook_made_at = now
        return self._hook

    async def _back_off(self, error: VendorUnavailable) -> float:
        self._failures += 1
        backoff: float = min(self._interval * 2 ** min(self._failures - 1, 16), LONGEST_BACKOFF)
        asked_for = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
        pause = max(self._interval, backoff, asked_for) * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret
        log.warning("Poll %d in a row failed, next in %.0f s: %s", self._failures, pause, error)
        Stats.incr("ingestjobs.poll_failures", tags=self._tags)
        if self._failures == 1:
            await self._tell_all(set(self._waits), News(trouble=error))
        return pause

    async def _tell(self, changes: _Changes, asked: set[Target]) -> int:
        told = 0
        for target, news in changes.news(asked):
            for wait in tuple(self._waits.get(target, ())):
                wait.tell(news)
                told += 1
                if told % BATCH == 0:
                    await asyncio.sleep(0)
        return told

    async def _tell_all(self, targets: Collection[Target], news: News) -> None:
        for count, target in enumerate(targets, 1):
            for wait in tuple(self._waits.get(target, ())):
                wait.tell(news)
            if count % BATCH == 0:
                await asyncio.sleep(0)

    def _count(self, changes: _Changes, wanted: int, seconds: float) -> None:
        jobs = len(changes.read.jobs) + sum(map(len, changes.picked.values()))
        log.debug("Read %d jobs for %d waits on %r in %.3f s", jobs, wanted, self._conn_id, seconds)
        Stats.incr("ingestjobs.polls", tags=self._tags)
        Stats.incr("ingestjobs.jobs_seen", jobs, tags=self._tags)
        self._gauge_waits()
        Stats.timing("ingestjobs.poll_duration", timedelta(seconds=seconds), tags=self._tags)

    def _gauge_waits(self) -> None:
        Stats.gauge("ingestjobs.waits", self._intervals.total(), tags=self._tags)


@dataclass(slots=True)
class _Changes:
    """What one poll read, beside what was known before it."""

    read: JobsRead
    picked: dict[Selection, tuple[Job, ...]] = field(default_factory=dict)
    refused: dict[Selection, VendorError] = field(default_factory=dict)
    interrupted: VendorUnavailable | None = None
    known: Mapping[str, Job | None] = field(default_factory=dict)
    known_picks: Mapping[Selection, tuple[Job, ...]] = field(default_factory=dict)

    def news(self, asked: set[Target]) -> Iterator[tuple[Target, News]]:
        """Return what is worth telling: other states, what was asked for, and every trouble."""
        for job_id, job in self.read.jobs.items():
            before = self.known.get(job_id)
            if before is None or before.state is not job.state or job_id in asked:
                yield job_id, News(job=job)
        for job_id, before in self.known.items():
            if before is not None and job_id in asked and job_id not in self.read.jobs:
                yield job_id, News(job=before)
        for job_id in self.read.missing:
            yield job_id, News(missing=True)
        for job_id, trouble in self.read.troubles.items():
            passing = isinstance(trouble, VendorUnavailable)
            yield job_id, News(trouble=trouble) if passing else News(error=trouble)
        for selection, jobs in self.picked.items():
            if selection in asked or _states(jobs) != _states(self.known_picks.get(selection)):
                yield selection, News(jobs=jobs)
        for selection, refused in self.refused.items():
            yield selection, News(error=refused)


def _states(jobs: tuple[Job, ...] | None) -> list[tuple[str, str]] | None:
    return None if jobs is None else [(job.id, job.state) for job in jobs]


def _read_all(
    hook: IngestJobHook, job_ids: Collection[str], selections: Collection[Selection], memory: Memory
) -> _Changes:
    """Read jobs and selections; what goes wrong with the second does not undo the first."""
    changes = _Changes(hook.read_jobs(job_ids, memory))
    changes.interrupted = changes.read.interrupted
    if not selections or changes.interrupted:
        return changes
    try:
        _select_into(changes, hook, list(selections))
    except (AuthenticationFailed, VendorUnavailable) as error:
        if error.status == 403:
            changes.refused = dict.fromkeys(selections, error)
            return changes
        # Raised, it would undo what has been read: the next poll would take that for known.
        if not changes.read.jobs:
            raise
        changes.interrupted = VendorUnavailable(str(error), retry_after=error.retry_after)
    return changes


def _select_into(changes: _Changes, hook: IngestJobHook, selections: list[Selection]) -> None:
    """Read selections; one that the vendor refuses is halved out, as it is no other task's trouble."""
    try:
        picked = hook.select_jobs(selections)
    except (AuthenticationFailed, VendorUnavailable):
        raise
    except VendorError as error:
        if len(selections) == 1:
            changes.refused[selections[0]] = error
            return
        half = len(selections) // 2
        _select_into(changes, hook, selections[:half])
        _select_into(changes, hook, selections[half:])
    else:
        changes.picked |= {selection: tuple(jobs) for selection, jobs in picked.items()}


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
    its threads hold up the end of the process. This one is a daemon, and logs where its caller does.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

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
            result = context.run(call)
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="ingestjobs-poll", daemon=True).start()
    return await future
