# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the page reads of a vendor: the jobs of a window, those of a task, one job. Blocking, for threads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import IngestJobsError, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.selecting import CLOCK_SKEW
from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.ui.board import LastRead

log = logging.getLogger(__name__)

#: The most jobs of a window that are read, and that are kept.
MAX_READ = 20_000
MAX_KEPT = 5_000
#: How many ended jobs are read in full with each read, where that takes a request each.
DETAILS_PER_READ = 10


def read_window(hook: IngestJobHook, before: LastRead | None, length: timedelta) -> LastRead:
    """Read the jobs of the time until now.

    What of an ended job takes a request of its own, such as the rows with some vendors, comes bit by bit.

    :param hook: the vendor's hook.
    :param before: what the last read has found.
    :param length: how far it reaches back.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    now = clock.now()
    start = now - length
    listed = hook.list_window(*hook.list_range(start, now + CLOCK_SKEW, {}), {})
    found = {job.id: job for job in islice(listed, MAX_READ + 1)}
    jobs = [job for job in found.values() if not job.state.is_terminal or moment_of(job) >= start]
    jobs.sort(key=lambda job: (moment_of(job), job.id), reverse=True)
    is_cut = len(found) > MAX_READ or len(jobs) > MAX_KEPT
    return _last_read(hook, jobs[:MAX_KEPT], now, before, is_cut=is_cut)


def read_job(hook: IngestJobHook, before: LastRead | None, job_id: str) -> LastRead:
    """Read one job with everything that its vendor tells.

    :param hook: the vendor's hook.
    :param before: what the last read has found.
    :param job_id: the vendor's id of it.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    now = clock.now()
    try:
        return LastRead((hook.get_job(job_id),), now)
    except JobNotFound:
        return LastRead((), now, missing=frozenset({job_id}))


def read_ids(hook: IngestJobHook, before: LastRead | None, job_ids: Sequence[str]) -> LastRead:
    """Read jobs by their ids.

    :param hook: the vendor's hook.
    :param before: what the last read has found.
    :param job_ids: the vendor's ids of them.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    now = clock.now()
    read = hook.read_jobs(job_ids)
    if not read.jobs:
        for error in read.errors.values():
            raise error
    known = {job.id: job for job in before.jobs} if before else {}
    jobs = [read.jobs.get(job_id) or known.get(job_id) for job_id in job_ids]
    return _last_read(hook, [job for job in jobs if job], now, before, missing=frozenset(read.missing))


def read_selection(hook: IngestJobHook, before: LastRead | None, selection: Selection) -> LastRead:
    """Read the jobs that a selection picks.

    :param hook: the vendor's hook.
    :param before: what the last read has found.
    :param selection: the selection.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    now = clock.now()
    picked = hook.select_jobs([selection], {selection: before.jobs if before else ()})[selection]
    return _last_read(hook, picked.jobs, now, before, missing=picked.missing)


def moment_of(job: Job) -> datetime:
    """Return by which moment a job has its place in time.

    :param job: the job; one that the vendor gives no time is of now.
    """
    return job.began_at or job.ended_at or clock.now()


def _last_read(
    hook: IngestJobHook, jobs: Sequence[Job], read_at: datetime, before: LastRead | None, **more: Any
) -> LastRead:
    in_full = dict(_in_full(hook, jobs, before.in_full if before else {}))
    whole = tuple(in_full[job.id][1] if job.id in in_full else job for job in jobs)
    return LastRead(whole, read_at, in_full=in_full, **more)


def _in_full(
    hook: IngestJobHook, jobs: Iterable[Job], known: Mapping[str, tuple[Job, Job]]
) -> Iterator[tuple[str, tuple[Job, Job]]]:
    """Return ended jobs as they were listed and in full, by id; of those not known yet a few."""
    left = DETAILS_PER_READ
    for job in jobs:
        if not job.state.is_terminal:
            continue
        if job.id in known and known[job.id][0] == job:
            yield job.id, known[job.id]
        elif left:
            left -= 1
            try:
                yield job.id, (job, hook.add_details(job, needed=True))
            except VendorUnavailable:
                left = 0
            except IngestJobsError as error:
                log.info("The details of %s cannot be read: %s", job, error)
                yield job.id, (job, job)
