# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One wait's place in the shared poll: the updates that it has not taken yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.triggers.poll import Target, Update

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_ingestjobs.errors import VendorUnavailable
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.triggers.watch import Watch


class Subscription:
    """One task's wait for one job or one selection of jobs. Made by ``Watch.join``.

    :param watch: what reads the target.
    :param target: the vendor's id of a job, or a selection of jobs.
    :param intervals: the longest time between two looks in seconds, and what it may grow to.
    :param task: the task's instance, to be named in logs; ``None`` where there is none.
    """

    __slots__ = ("_future", "_pending", "_watch", "intervals", "target", "task")

    def __init__(
        self, watch: Watch, target: Target, intervals: tuple[float, float], task: Any = None
    ) -> None:
        self.target = target
        self.intervals = intervals
        self.task = task
        self._watch = watch
        self._pending: Update | None = None
        self._future: asyncio.Future[None] | None = None

    # As methods: a generator of `asynccontextmanager` takes half a kilobyte more for each wait.
    async def __aenter__(self) -> Subscription:
        self._watch.enter(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._watch.leave(self)

    @property
    def read_at(self) -> datetime | None:
        """When the vendor last told of the target."""
        return self._watch.read_at(self.target)

    @property
    def trouble(self) -> VendorUnavailable | None:
        """What is in the way of all waits of the watch now."""
        return self._watch.trouble

    async def next_update(self) -> Update:
        """Return the next update worth telling; of several, the last."""
        if self._pending is None:
            self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None
        update, self._pending = self._pending, None
        assert update is not None  # noqa: S101 - set before the future is
        return update

    async def add_details(self, job: Job) -> Job:
        """Return an ended job with details that take a further request, if that can be had soon.

        :param job: the job.
        """
        return await self._watch.add_details(job)

    def look_now(self) -> None:
        """Have the target read soon, whatever the interval, and its state told even if it has not changed."""
        self._watch.look_at(self.target)

    def publish(self, update: Update) -> None:
        """Hand an update over, to be taken by :meth:`next_update`.

        :param update: what a poll found.
        """
        if update.trouble is not None and self._pending is not None:
            # Trouble is added to what was seen before it, which may be the end; it never replaces it.
            update = replace(self._pending, trouble=update.trouble)
        # The end of a wait must not be overwritten by what a slower poll still says.
        if self._pending is None or self._pending.error is None:
            self._pending = update
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
