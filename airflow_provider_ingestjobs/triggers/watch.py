# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The shared poll: all deferred tasks on a connection are served by one reader in the triggerer process.

This module knows the waits, and when to poll; what one poll does is in ``triggers.poll``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    IngestJobsError,
    PermissionDenied,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.selection import Picked, Selection
from airflow_provider_ingestjobs.triggers.backoff import JITTER, backoff
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.triggers.meter import Meter
from airflow_provider_ingestjobs.triggers.poll import Poll, Target, Update, poll
from airflow_provider_ingestjobs.triggers.registry import PerConnection
from airflow_provider_ingestjobs.triggers.report import REPORT_EVERY, describe_waits
from airflow_provider_ingestjobs.triggers.rests import Rests
from airflow_provider_ingestjobs.triggers.subscription import Subscription
from airflow_provider_ingestjobs.triggers.telling import Telling
from airflow_provider_ingestjobs.triggers.threads import in_thread, poll_threads

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

log = logging.getLogger(__name__)

#: Seconds in which new waits gather before they are looked at together.
NEW_WAITS_DELAY = 0.25
#: After a poll, new waits gather for this many times as long as it took, so that thousands of tasks that
#: defer one after the other do not have whole lists read again and again...
REST_FACTOR = 4.0
#: ... but no longer than this, in seconds.
MAX_REST = 5.0
#: The shortest time between two polls of everything, in seconds.
MIN_INTERVAL = 0.1
#: Updates handed out before the event loop has a turn. Each may be a line in its task's log, and an event.
UPDATES_PER_TURN = 50
#: The most reads of a failed job's details at once on a connection, and how long one may take, in seconds.
MAX_DETAIL_READS = 4
MAX_DETAIL_SECONDS = 10.0


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
        self._threads = poll_threads()
        self._detail_threads = asyncio.Semaphore(MAX_DETAIL_READS)
        self._subscriptions: dict[Target, list[Subscription]] = {}
        self._intervals: Counter[tuple[float, float]] = Counter()
        self._quiet_since = 0.0
        self._rests = Rests()
        self._state = ReadState()
        self._picked: dict[Selection, Picked] = {}
        self._picked_at: dict[Selection, float] = {}
        self._to_look_at: set[Target] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hook: IngestJobHook | None = None
        self._current_hook = CurrentHook(hook_class, conn_id, self._hook_params)
        self._failures = 0
        self.trouble: VendorUnavailable | None = None
        self._meter = Meter(hook_class.vendor, conn_id, self._hook_params)
        self._report_at = 0.0
        self._telling = Telling(hook_class, conn_id, self._hook_params)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, nothing runs, and nothing is kept."""
        kept = (self._subscriptions, self._intervals, self._to_look_at, self._picked, self._picked_at)
        return self._task is None and self._state == ReadState() and not any(kept)

    def __repr__(self) -> str:
        return f"<Watch {self._hook_class.__name__} {self._conn_id!r} {len(self._subscriptions)} targets>"

    def join(
        self, target: Target, interval: float, max_interval: float | None = None, task: Any = None
    ) -> Subscription:
        """Return an asynchronous context, and wait for as long as it lasts.

        :param target: the vendor's id of a job, or a selection of jobs.
        :param interval: the longest time between two looks at it, in seconds.
        :param max_interval: what it may grow to, doubling with each poll that finds nothing new.
        :param task: the instance of the task that waits, to be named in logs.
        """
        return Subscription(self, target, (interval, max_interval or interval), task)

    def enter(self, subscription: Subscription) -> None:
        """Take in a new wait; called by the subscription.

        :param subscription: the wait.
        """
        self._subscriptions.setdefault(subscription.target, []).append(subscription)
        self._intervals[subscription.intervals] += 1
        self._quiet_since = clock.monotonic()
        self.look_at(subscription.target)
        if self.trouble is not None:
            subscription.publish(Update(trouble=self.trouble))
        if self._task is None or self._task.done():
            self._meter.start()
            self._report_at = clock.monotonic() + REPORT_EVERY
            # In a context of its own: what the watch logs must not go to the first task's log.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    def leave(self, subscription: Subscription) -> None:
        """Let go of a wait that is over; called by the subscription.

        :param subscription: the wait.
        """
        target = subscription.target
        left = self._subscriptions[target]
        left.remove(subscription)
        if not left:
            del self._subscriptions[target]
            self._to_look_at.discard(target)
        self._intervals[subscription.intervals] -= 1
        if not self._intervals[subscription.intervals]:
            del self._intervals[subscription.intervals]
        if not self._subscriptions:
            # Otherwise the last number would stand for ever.
            self._meter.gauge("waits", 0)
            self._meter.gauge("seconds_since_answer", 0.0)
            self._woken.set()

    def look_at(self, target: Target) -> None:
        """Have a job or selection read in the next moment, and tell its waits what was found.

        :param target: the job's id, or the selection.
        """
        self._to_look_at.add(target)
        self._woken.set()

    def read_at(self, target: Target) -> datetime | None:
        """Return when the vendor last told of a target; ``None`` if not since the first wait for it.

        :param target: the job's id, or the selection.
        """
        found = self._state.seen_at.get(target) if isinstance(target, str) else self._picked_at.get(target)
        return None if found is None else datetime.fromtimestamp(found, UTC)

    async def add_details(self, job: Job) -> Job:
        """Return an ended job with details that take a further request; without them, if that takes too long.

        :param job: the job.
        """
        if self._hook is None:
            return job
        try:
            async with asyncio.timeout(MAX_DETAIL_SECONDS):
                return await in_thread(partial(self._hook.add_details, job), self._detail_threads)
        except (TimeoutError, VendorUnavailable):
            return job

    # ------------------------------------------------------------------ the loop

    async def _run(self) -> None:
        try:
            await self._poll_while_awaited()
        except Exception as error:
            log.exception("The watch on connection %r broke", self._conn_id)
            # A wait that joins from here on starts another run.
            self._task = None
            await self._publish_to_all(list(self._subscriptions), Update(error=error))
        else:
            self._task = None
            self._hook, self._state, self._failures, self.trouble = None, ReadState(), 0, None
            self._current_hook = CurrentHook(self._hook_class, self._conn_id, self._hook_params)
            self._picked, self._picked_at, self._rests = {}, {}, Rests()

    async def _poll_while_awaited(self) -> None:
        loop = asyncio.get_running_loop()
        next_full = polled_at = took = full_took = 0.0
        while self._subscriptions:
            if self._to_look_at:
                next_look = polled_at + min(REST_FACTOR * took, MAX_REST, self._interval)
                await asyncio.sleep(max(min(next_look, next_full) - loop.time(), NEW_WAITS_DELAY))
            full = loop.time() >= next_full
            if full:
                # What a poll finds is told at its end: the longer it takes, the earlier it starts.
                early = min(full_took, self._interval / 4)
                pause = self._interval * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret
                next_full = loop.time() + pause - early
            wanted = set(self._subscriptions) if full else self._to_look_at & self._subscriptions.keys()
            if wanted:
                began = loop.time()
                pause = await self._poll(wanted, full)
                polled_at = loop.time()
                took = polled_at - began
                full_took = took if full else full_took
                if clock.monotonic() >= self._report_at:
                    self._report()
                next_full = max(next_full, polled_at + pause)
            if not self._failures:
                # A new wait with a shorter interval does not wait for the end of a longer one.
                next_full = min(next_full, loop.time() + self._interval)
            await self._sleep_until(next_full)

    @property
    def _interval(self) -> float:
        # As long again as nothing has changed: each pause is twice the one before it, whatever others do.
        quiet = clock.monotonic() - self._quiet_since
        grown = (min(max(first, quiet), longest) for first, longest in self._intervals)
        return max(min(grown, default=MIN_INTERVAL), MIN_INTERVAL)

    async def _sleep_until(self, moment: float) -> None:
        self._woken.clear()
        if self._to_look_at and not self._failures:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(moment):
                while not self._to_look_at or self._failures:
                    await self._woken.wait()
                    self._woken.clear()
                    if not self._subscriptions:
                        return

    async def _poll(self, wanted: set[Target], full: bool) -> float:
        """Read what is wanted, tell its waits, and return the seconds to leave the vendor alone."""
        asked = self._to_look_at & wanted
        started = clock.monotonic()
        try:
            found = await self._read(wanted, full)
        except VendorUnavailable as error:
            return await self._back_off(error)
        except Exception as error:
            # Refused credentials, an unusable connection, a bug: nothing that another poll would mend.
            said = (self._conn_id, error, len(wanted))
            log.warning(
                "Connection %r: %s. Its %d waits end.", *said, exc_info=not isinstance(error, IngestJobsError)
            )
            self._to_look_at -= asked
            await self._publish_to_all(wanted, Update(error=error))
            return 0.0
        self._to_look_at -= asked
        if self._failures:
            # Waits that were told of the trouble are told that it is over.
            asked = wanted
        self._picked.update(found.picked)
        self._picked_at.update(dict.fromkeys(found.picked, clock.time()))
        seconds = clock.monotonic() - started
        self._count(found, len(wanted), seconds)
        self._rests.keep(found.picked, found.troubles, self._interval)
        if await self._publish(found, asked):
            self._quiet_since = clock.monotonic()
        if found.stopped_by:
            return await self._back_off(found.stopped_by)
        if self._failures:
            log.info("Connection %r answers again after %d failed polls.", self._conn_id, self._failures)
        self._failures, self.trouble = 0, None
        self._tell()
        return 0.0

    async def _read(self, wanted: set[Target], full: bool) -> Poll:
        job_ids = {target for target in wanted if isinstance(target, str)}
        selections = {
            target
            for target in wanted
            if not isinstance(target, str) and (target in self._to_look_at or self._rests.are_over(target))
        }
        self._forget_what_nobody_waits_for()
        hook = await self._take_hook()
        known = {job_id: self._state.jobs.get(job_id) for job_id in job_ids}
        # A look at new jobs alone must not count as having seen the others' changes.
        state = self._state if full else self._state.for_some()
        try:
            found = await self._poll_in_thread(hook, job_ids, selections, state, full)
        except PermissionDenied:
            raise
        except AuthenticationFailed:
            # The key may have been replaced in Airflow since this watch read it.
            hook = await self._take_hook(is_refused=True)
            state = self._state if full else self._state.for_some()
            found = await self._poll_in_thread(hook, job_ids, selections, state, full)
        if not full:
            self._state.take_in(state, found.read)
        found.known, found.known_picks = known, dict(self._picked)
        return found

    async def _poll_in_thread(
        self, hook: IngestJobHook, job_ids: set[str], selections: set[Selection], state: ReadState, full: bool
    ) -> Poll:
        seen = {selection: picked.jobs for selection, picked in self._picked.items()}
        return await in_thread(
            partial(poll, hook, job_ids, selections, state, seen, is_whole=full), self._threads
        )

    def _forget_what_nobody_waits_for(self) -> None:
        awaited = self._subscriptions
        self._state.forget_all_but({target for target in awaited if isinstance(target, str)})
        self._picked = {target: picked for target, picked in self._picked.items() if target in awaited}
        self._picked_at = {target: at for target, at in self._picked_at.items() if target in awaited}
        self._rests.forget_all_but(awaited)

    async def _take_hook(self, is_refused: bool = False) -> IngestJobHook:
        hook = await self._current_hook.get(is_refused)
        if hook is not self._hook:
            # With another host or state map, what was read before means nothing.
            self._hook, self._state = hook, ReadState()
            self._picked, self._picked_at, self._rests = {}, {}, Rests()
        return hook

    async def _back_off(self, error: VendorUnavailable) -> float:
        self._failures += 1
        self.trouble = error
        pause = backoff(self._failures, self._interval, error)
        said = (self._conn_id, self._failures, pause, error)
        log.warning("Connection %r: poll failed (%d in a row), next in %.0f s: %s", *said)
        self._meter.failed()
        self._meter.gauge("waits", self._intervals.total())
        self._tell()
        if self._failures == 1:
            self._report()
            await self._publish_to_all(set(self._subscriptions), Update(trouble=error))
        return pause

    async def _publish(self, found: Poll, asked: set[Target]) -> int:
        published = 0
        for target, update in found.updates(asked):
            for subscription in tuple(self._subscriptions.get(target, ())):
                subscription.publish(update)
                published += 1
                if published % UPDATES_PER_TURN == 0:
                    await asyncio.sleep(0)
        return published

    async def _publish_to_all(self, targets: Collection[Target], update: Update) -> None:
        for count, target in enumerate(targets, 1):
            for subscription in tuple(self._subscriptions.get(target, ())):
                subscription.publish(update)
            if count % UPDATES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _count(self, found: Poll, wanted: int, seconds: float) -> None:
        log.debug(
            "Read %d jobs for %d waits on %r in %.3f s", found.jobs_seen, wanted, self._conn_id, seconds
        )
        self._meter.answered(found.jobs_seen, seconds)
        self._meter.gauge("waits", self._intervals.total())

    def _report(self) -> None:
        self._report_at = clock.monotonic() + REPORT_EVERY
        said = describe_waits(self._waits, self._interval, self._meter.silence, self._failures)
        log.info("Connection %r: %s", self._conn_id, said)

    def _tell(self) -> None:
        if HAS_PLUGIN_PAGES:
            self._telling.tell(self._waits, self._interval, self.trouble)

    @property
    def _waits(self) -> list[Subscription]:
        return [wait for same_target in self._subscriptions.values() for wait in same_target]


#: Returns the running event loop's watch on a connection, the same one for all callers.
watch_for = PerConnection(Watch)
