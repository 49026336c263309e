# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Reading the jobs that selections pick, from the vendor's lists and, where a list lacks one, by its id."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.reading import (
    MAX_READS,
    BulkRead,
    JobSource,
    look_for_hidden,
    read_one_by_one,
)
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.selection import Picked, merge_windows, pick_all

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.selection import Selection

#: How far the vendor's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=1)


def select_jobs(
    source: JobSource,
    selections: Collection[Selection],
    seen: Mapping[Selection, Collection[Job]] | None = None,
) -> dict[Selection, Picked]:
    """Read the jobs that each of many selections picks; equal and overlapping windows are listed once.

    A list may lack a job for a while: pages shift, a replica lags, a job that has ended is not among the past
    ones yet. So jobs that were seen, had not ended for good, and are in no list now are read by their ids.

    :param source: the vendor's hook.
    :param selections: what to pick.
    :param seen: what each has picked before.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    seen = seen or {}
    keys = source.vendor.filters
    groups: dict[Any, list[Selection]] = defaultdict(list)
    for selection in selections:
        # What only the vendor can judge takes a list of its own.
        groups[tuple(one for one in selection.filters if keys.get(one[0]) is None)].append(selection)
    latest = clock.now() + CLOCK_SKEW
    listed: list[tuple[list[Selection], dict[str, Job]]] = []
    for group in groups.values():
        common_filters = dict(set.intersection(*(set(selection.filters) for selection in group)))
        ranges = [
            source.list_range(s.started_from, min(s.started_to, latest), common_filters)
            for s in group
            if s.started_from < latest
        ]
        # Merged after they were widened: distant windows may lie in one range.
        jobs = [job for one in merge_windows(ranges) for job in source.list_window(*one, common_filters)]
        listed.append((group, {job.id: job for job in jobs}))
    absent = {
        job.id
        for group, by_id in listed
        for selection in group
        for job in seen.get(selection, ())
        if job.id not in by_id and (not job.state.is_terminal or _may_go_on(job, source))
    }
    read = BulkRead(has_answered=True)
    # At random, so that those that stay absent do not keep the others from their turn.
    read_one_by_one(source, random.sample(sorted(absent), min(len(absent), MAX_READS)), read, None)
    if read.missing and source.may_hide_jobs:
        look_for_hidden(source, read)
    picked: dict[Selection, Picked] = {}
    for group, by_id in listed:
        not_found = absent - by_id.keys() - read.jobs.keys()
        as_read = {
            selection: [read.jobs.get(job.id, job) for job in seen.get(selection, ())] for selection in group
        }
        for selection, jobs in pick_all(group, by_id, source.vendor, as_read).items():
            picked[selection] = _as_picked(jobs, not_found, read)
    return picked


def jobs_between(
    source: JobSource, start: datetime, end: datetime, common_filters: Mapping[str, Any]
) -> list[Job]:
    """Read the jobs that started (or were created) in a window, and whatever else their lists have.

    :param source: the vendor's hook.
    :param start: the window's start, inclusive.
    :param end: its end, exclusive.
    :param common_filters: filters that all jobs must match. They may be sent to the vendor; those that only
        the vendor can judge must be.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    listed = source.list_window(*source.list_range(start, end, common_filters), common_filters)
    return list({job.id: job for job in listed}.values())


def _may_go_on(job: Job, source: JobSource) -> bool:
    return job.state is JobState.FAILED and source.may_resume_jobs


def _as_picked(jobs: list[Job], not_found: Collection[str], read: BulkRead) -> Picked:
    gone = {job.id for job in jobs if job.id in not_found and not job.state.is_terminal}
    missing = frozenset(gone & read.missing)
    unread = frozenset(gone - read.missing)
    errors = [read.errors[job_id] for job_id in unread if job_id in read.errors]
    # What is refused for good says more than what may pass.
    errors.sort(key=lambda error: isinstance(error, VendorUnavailable))
    trouble = next(iter(errors), read.stopped_by if unread else None)
    return Picked(tuple(jobs), missing, unread, trouble)
