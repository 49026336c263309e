# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waiting for jobs by their ids in the triggerer, and stopping them when a user ends the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.follow import FollowJob
from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.triggers.base import LOG_LEAD, VendorTrigger, own_error
from airflow_provider_ingestjobs.triggers.cancels import cancels_for
from airflow_provider_ingestjobs.triggers.poll import Update
from airflow_provider_ingestjobs.triggers.subscription import Subscription
from airflow_provider_ingestjobs.wait_record import is_wait

#: How long the end of a killed task's trigger waits for what comes of stopping its jobs, in seconds.
KILL_HOLD = 300.0
#: How long it waits to hear whether the task was killed at all, where only the start of the next trigger will
#: tell: if that is to run in the same triggerer, it cannot before this one's end.
MOVE_HOLD = 20.0
_RUNNING_CANCELS: set[asyncio.Task[None]] = set()


class IngestJobTrigger(VendorTrigger):
    """Waits until jobs have ended.

    :param job_ids: the vendor's ids of the jobs.
    :param cancel_on_kill: whether the jobs are cancelled when a user marks or clears the deferred task
        (Airflow 3.3 and newer).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.triggers.base.VendorTrigger`.
    """

    def __init__(self, *, job_ids: Sequence[str], cancel_on_kill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_ids = list(job_ids)
        self.cancel_on_kill = cancel_on_kill
        self._cancels: asyncio.Task[None] | None = None
        self._is_judged: asyncio.Event | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        path, arguments = super().serialize()
        return path, {"job_ids": self.job_ids, "cancel_on_kill": self.cancel_on_kill, **arguments}

    async def on_kill(self) -> None:
        """Cancel the vendor's jobs, where the task asks for that and a user has ended its wait."""
        if not self.cancel_on_kill:
            return
        self._is_judged = asyncio.Event()
        self._cancels = asyncio.create_task(self._cancel_jobs(self._is_judged))
        _RUNNING_CANCELS.add(self._cancels)
        self._cancels.add_done_callback(_RUNNING_CANCELS.discard)

    async def cleanup(self) -> None:
        """Wait for what comes of stopping a killed task's jobs: told later, it is not in the task's log.

        Not in :meth:`on_kill`, which the triggerer cancels again every second, and before Python 3.12 leaves
        at the second time.
        """
        if self._cancels is None or self._is_judged is None:
            await super().cleanup()
            return
        if self.begun_by is not None:
            await _outlast_cancels(asyncio.ensure_future(self._is_judged.wait()), MOVE_HOLD)
        if self.begun_by is None or self._is_judged.is_set():
            await _outlast_cancels(self._cancels, KILL_HOLD)
        if not self._cancels.done():
            self.log.warning("What comes of stopping the killed task's jobs will be in the triggerer's log")
        await _outlast_cancels(asyncio.Future(), LOG_LEAD)

    async def _wait(self) -> Sequence[Job]:
        if len(self.job_ids) == 1:
            # The most usual wait by far: a second task for it would take another kilobyte.
            return [await self._wait_for(self.job_ids[0])]
        waits = [asyncio.ensure_future(self._wait_for(job_id)) for job_id in self.job_ids]
        try:
            return await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wait_for(self, job_id: str) -> Job:
        # The worker logs the end of a single job, and Airflow logs the event. A third line for each of many
        # tasks that end together would block the triggerer's event loop.
        logs_end = len(self.job_ids) > 1
        vendor = self._hook_class.vendor.name
        follow = FollowJob(vendor, job_id, logs_end=logs_end, **self._follow_arguments())
        return await self._follow(follow, job_id, _take)

    def _is_taken_over(self, wait: Any) -> bool | None:
        """Whether this wait is another triggerer's now, by what the task says of its present one."""
        if not is_wait(wait, self.started_at):
            return False
        # A cleared task that has a worker before it is deferred again tells of another wait by now.
        return True if self.begun_by is None or wait.get("by") != self.begun_by else None

    async def _cancel_jobs(self, is_judged: asyncio.Event) -> None:
        try:
            cancels = cancels_for(self._hook_class, self.conn_id, self.hook_params)
            ti = getattr(self, "task_instance", None)
            is_still_awaited = await cancels.is_still_awaited(ti, self._is_taken_over, self.log)
            is_judged.set()
            if is_still_awaited:
                self.log.info("Another triggerer has taken over this wait: nothing is cancelled.")
                return
            await cancels.cancel_all(self.job_ids, self.log, looks_first=is_still_awaited is None)
        except Exception:
            self.log.exception("The task was killed, but its jobs go on: %s", ", ".join(self.job_ids))


async def _outlast_cancels(future: asyncio.Future[Any], seconds: float) -> None:
    """Wait for a future, though the triggerer cancels that every second."""
    until = clock.monotonic() + seconds
    while not future.done() and (left := until - clock.monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({future}, timeout=left)


async def _take(follow: FollowJob, update: Update, wait: Subscription) -> Job | None:
    """Return the job once it has ended."""
    if update.error is not None:
        raise own_error(update.error)
    now = clock.now()
    if update.missing:
        follow.miss(now)
    elif update.job is not None:
        job, read_at = update.job, wait.read_at or now
        if follow.begins_to_bear(job, read_at):
            job = await wait.add_details(job)
        if follow.see(job, read_at):
            return job
    if update.trouble is not None:
        follow.note_trouble(update.trouble)
    return None
