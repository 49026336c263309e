# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waiting for the jobs of a selection in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_filters
from airflow_provider_ingestjobs.follow import FollowSelection
from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.triggers.base import VendorTrigger, own_error
from airflow_provider_ingestjobs.triggers.poll import Update
from airflow_provider_ingestjobs.triggers.subscription import Subscription


class JobSelectionTrigger(VendorTrigger):
    """Waits until all jobs of a selection have ended.

    :param selection: what :meth:`~airflow_provider_ingestjobs.selection.Selection.to_dict` returns.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.triggers.base.VendorTrigger`.
    """

    def __init__(self, *, selection: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.selection = dict(selection)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        path, arguments = super().serialize()
        return path, {"selection": self.selection, **arguments}

    async def _wait(self) -> Sequence[Job]:
        vendor = self._hook_class.vendor
        # Another release may have stored a filter that is unknown here: without it, more jobs would match.
        check_filters(self.selection["filters"], vendor, prefix="filters ")
        selection = Selection.from_dict(self.selection)
        follow = FollowSelection(vendor.name, selection, **self._follow_arguments())
        return await self._follow(follow, selection, _take)


async def _take(follow: FollowSelection, update: Update, wait: Subscription) -> Sequence[Job] | None:
    """Return the jobs once they are all there and have ended."""
    if update.error is not None:
        raise own_error(update.error)
    if update.picked is not None:
        now = clock.now()
        news = [job for job in update.picked.jobs if follow.begins_to_bear(job, now)]
        detailed = {job.id: job for job in await asyncio.gather(*map(wait.add_details, news))}
        jobs = [detailed.get(job.id, job) for job in update.picked.jobs]
        if follow.see(jobs, now, update.picked.missing, update.picked.unread):
            return jobs
        if update.picked.trouble is not None:
            follow.note_trouble(update.picked.trouble)
    if update.trouble is not None:
        follow.note_trouble(update.trouble)
    return None
