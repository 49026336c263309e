# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Reading one job, many jobs and selections with few requests, and what is kept between two reads."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, repeat
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    PermissionDenied,
    Throttled,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.records import Records
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendors import Vendor

log = logging.getLogger(__name__)

#: The most reads by id in one poll of many jobs; the others have their turn in the next polls.
MAX_READS = 100
#: How long lists that did not answer in time are left alone, in seconds: each would hold up the jobs' reads.
SILENT_LIST_REST = 60.0
#: From how many jobs on lists are tried. What they cost decides whether they are read again: see below.
FEWEST_FROM_LISTS = 2
#: So many records of a list cost about as much as a request of its own: vendors' pages have 500 to 1,000.
RECORDS_PER_REQUEST = 500
#: For how many reads of few jobs the lists are left alone when they did not save a request.
READS_WITHOUT_LISTS = 20
#: The most of them that may fail on the vendor's side before the vendor itself counts as in trouble.
MAX_FAILURES = 3


@dataclass
class ReadState:
    """What is kept between two reads of the same jobs.

    :param jobs: each job as last read.
    :param listed: each job as last made from a list's record, after a hash of that record.
    :param asked_at: when each job was last asked for by its id, by the monotonic clock.
    :param seen_at: when the vendor last told of each job, as a UNIX time.
    :param changed_until: the newest change any list has shown.
    :param changed_at: when it was first shown, by the monotonic clock.
    :param changes_complete: whether lists that must show every change up to then have been read.
    :param full_scan_at: when the lists were last read in full, by the monotonic clock.
    :param lists_rest_until: until when the lists are left alone, by the monotonic clock.
    :param reads_without_lists: for how many more reads of few jobs they are.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    listed: dict[str, tuple[int, Job]] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)
    seen_at: dict[str, float] = field(default_factory=dict)
    changed_until: datetime | None = None
    changed_at: float | None = None
    changes_complete: bool = False
    full_scan_at: float | None = None
    lists_rest_until: float = 0.0
    reads_without_lists: int = 0

    def keep(self, read: BulkRead) -> None:
        """Take in what a whole read found.

        :param read: what :func:`read_jobs` returns.
        """
        self.jobs.update(read.jobs)
        now = clock.time()
        self.seen_at.update(zip(chain(read.jobs, read.unchanged), repeat(now)))
        for job_id in (*read.missing, *read.errors):
            self.jobs.pop(job_id, None)
        if read.stopped_by:
            # What was not looked at may have changed.
            return
        if read.changed_until is not None:
            # The next list is read back to here only: it does not have the older changes of a job that was
            # not looked at.
            for job_id in self.jobs.keys() - read.jobs.keys() - read.unchanged:
                del self.jobs[job_id]
        if read.changed_until not in (None, self.changed_until):
            self.changed_until, self.changed_at = read.changed_until, clock.monotonic()
        self.changes_complete = read.changes_complete
        if read.full_scan:
            self.full_scan_at = clock.monotonic()

    def for_some(self) -> ReadState:
        """Return what to keep while only some of the jobs are read, which says nothing about the others."""
        return ReadState(lists_rest_until=self.lists_rest_until, reads_without_lists=self.reads_without_lists)

    def take_in(self, some: ReadState, read: BulkRead) -> None:
        """Take in a read of some of the jobs.

        :param some: what :meth:`for_some` has returned, after the read.
        :param read: what it found.
        """
        self.jobs.update(read.jobs)
        self.seen_at.update(some.seen_at)
        self.listed.update(some.listed)
        self.lists_rest_until = some.lists_rest_until
        self.reads_without_lists = some.reads_without_lists

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        """Forget the jobs that nobody waits for any more.

        :param job_ids: those that somebody waits for.
        """
        kept: tuple[dict[str, Any], ...] = (self.jobs, self.listed, self.asked_at, self.seen_at)
        for by_id in kept:
            for gone in by_id.keys() - job_ids:
                del by_id[gone]


@dataclass
class BulkRead:
    """What one read of many jobs found. A job in none of the first four was not looked at.

    :param jobs: the jobs found.
    :param unchanged: ids that the lists show not to have changed since the read before.
    :param missing: ids the vendor says it does not know.
    :param errors: what was wrong with single jobs.
    :param stopped_by: why the read stopped before everything was looked at.
    :param has_answered: whether the vendor has answered one of the lists.
    :param changed_until: the newest change that the lists have shown.
    :param changes_complete: whether those lists must have shown every change up to then.
    :param full_scan: whether the lists were read without trusting the order of changes.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    unchanged: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    errors: dict[str, VendorError] = field(default_factory=dict)
    stopped_by: VendorUnavailable | None = None
    has_answered: bool = False
    changed_until: datetime | None = None
    changes_complete: bool = False
    full_scan: bool = False


class JobSource(Protocol):
    """What reading needs of a vendor's hook, which documents these."""

    @property
    def vendor(self) -> Vendor: ...

    @property
    def list_threshold(self) -> int: ...

    @property
    def may_hide_jobs(self) -> bool: ...

    @property
    def may_resume_jobs(self) -> bool: ...

    @property
    def records(self) -> Records: ...

    def get_record(self, job_id: str) -> Any: ...

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None: ...

    def find_hidden(self, job_ids: Collection[str]) -> Iterator[tuple[str, Any]]: ...

    def list_range(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> tuple[datetime, datetime]: ...

    def list_window(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> Iterable[Job]: ...


def read_job(source: JobSource, job_id: str) -> Job:
    """Read one job at its own address.

    :param source: the vendor's hook.
    :param job_id: the vendor's id of it.
    :raises JobNotFound: if the vendor does not know it.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    try:
        record = source.get_record(job_id)
    except VendorError as error:
        if error.status == 404:
            raise JobNotFound(f"{source.vendor.name} does not know job {job_id!r}. {error}") from error
        raise
    job = source.records.job(record, keep_raw=True)
    if job.id.casefold() != job_id.casefold():
        raise Unreadable(f"{source.vendor.name} sent job {job.id[:80]!r} when asked for {job_id!r}")
    return job


def find_job(source: JobSource, job_id: str) -> Job:
    """Read one job at its own address, or wherever else the vendor shows it.

    :param source: the vendor's hook.
    :param job_id: the vendor's id of it.
    :raises JobNotFound: if the vendor does not know it.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    try:
        return read_job(source, job_id)
    except JobNotFound:
        for _, record in source.find_hidden([job_id]):
            return source.records.job(record, keep_raw=True)
        raise


def read_jobs(source: JobSource, job_ids: Collection[str], state: ReadState | None = None) -> BulkRead:
    """Read many jobs, from the vendor's lists where that takes fewer requests.

    :param source: the vendor's hook.
    :param job_ids: the jobs to look for.
    :param state: makes it one of many reads: only what may have changed is read, and only
        :data:`MAX_READS` jobs one by one.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    wanted = set(job_ids)
    read = BulkRead()
    is_silent = False
    if _lists_may_pay(source, len(wanted), state):
        is_silent = _find_in_lists(source, wanted, read, state)
    rest = list(wanted - read.jobs.keys() - read.unchanged)
    if state is not None:
        rest = sorted(rest, key=lambda job_id: state.asked_at.get(job_id, 0.0))[:MAX_READS]
    read_one_by_one(source, rest, read, state)
    if state is not None and is_silent and (read.jobs or read.missing):
        state.lists_rest_until = clock.monotonic() + SILENT_LIST_REST
    if read.missing and source.may_hide_jobs:
        look_for_hidden(source, read)
    if read.stopped_by and not read.jobs:
        raise read.stopped_by
    if not (read.jobs or read.missing or read.unchanged):
        for error in read.errors.values():
            if (error.status or 0) >= 500:
                raise error
    if state is not None:
        state.keep(read)
    elif read.stopped_by:
        raise read.stopped_by
    return read


def _lists_may_pay(source: JobSource, count: int, state: ReadState | None) -> bool:
    """Whether the lists may take fewer requests than this many jobs one by one."""
    if state is None or count < FEWEST_FROM_LISTS:
        return count >= source.list_threshold
    if clock.monotonic() < state.lists_rest_until:
        return False
    if count >= source.list_threshold or not state.reads_without_lists:
        return True
    state.reads_without_lists -= 1
    return False


def must_pause(error: VendorError, has_answered: bool) -> bool:
    """Whether to send nothing else for now; a vendor that has just answered is only silent over this list.

    :param error: what was wrong with a list.
    :param has_answered: whether the vendor has answered anything else since the poll began.
    """
    if not isinstance(error, VendorUnavailable):
        return False
    is_asked_for = isinstance(error, Throttled) or error.retry_after is not None
    return is_asked_for or (error.wants_pause and not has_answered)


def _find_in_lists(source: JobSource, wanted: set[str], read: BulkRead, state: ReadState | None) -> bool:
    """Add to ``read`` what the vendor's lists have, and return whether one of them did not answer in time.

    A list saves requests and is not needed: a vendor that refuses it may still tell of each job.
    """
    before = source.records.looked_at
    try:
        source.find_in_lists(wanted, read, state or ReadState())
    except VendorError as error:
        # A vendor that is silent over its list may answer for single jobs; the first of them shows whether.
        if error.rejects_credentials or must_pause(error, has_answered=True):
            raise
        left = len(wanted - read.jobs.keys() - read.unchanged)
        # Few jobs need no list, and a right to read one even less.
        level = logging.WARNING if len(wanted) >= source.list_threshold else logging.INFO
        log.log(level, "A list of jobs cannot be read, so %d are read one by one: %s", left, error)
        return error.wants_pause
    finally:
        cost = max(ceil((source.records.looked_at - before) / RECORDS_PER_REQUEST), 1)
        if state is not None and len(read.jobs) + len(read.unchanged) <= cost:
            state.reads_without_lists = READS_WITHOUT_LISTS
    read.has_answered = True
    return False


def read_one_by_one(
    source: JobSource, job_ids: Iterable[str], read: BulkRead, state: ReadState | None
) -> None:
    """Add jobs to ``read``, until the vendor is in trouble.

    :param source: the vendor's hook.
    :param job_ids: the jobs to read.
    :param read: takes in what is found.
    :param state: notes when each was asked for.
    """
    failures = 0
    for job_id in job_ids:
        if state is not None:
            # Noted before it may fail; otherwise it stays first in line and starves the ids behind it.
            state.asked_at[job_id] = clock.monotonic()
        try:
            _read_into(source, job_id, read)
        except VendorUnavailable as error:
            vendor_answers = bool(read.has_answered or read.jobs or read.missing)
            if must_pause(error, vendor_answers) or failures == MAX_FAILURES or not vendor_answers:
                read.stopped_by = error
                return
            # The vendor answers for other jobs: only this one is in trouble.
            read.errors[job_id] = error
            failures += 1
            if error.wants_pause and state is not None:
                # Each further silence would hold up all waits as long again. Who is left is first in line at
                # the next look.
                return
        if not (read.has_answered or read.jobs or read.missing) and len(read.errors) > MAX_FAILURES:
            # What fails over each of so many jobs, and answers for none, is in trouble itself.
            read.stopped_by = _passing(read.errors.values())
            if read.stopped_by:
                return


def _passing(errors: Iterable[VendorError]) -> VendorUnavailable | None:
    return next((error for error in errors if isinstance(error, VendorUnavailable)), None)


def _read_into(source: JobSource, job_id: str, read: BulkRead) -> None:
    try:
        read.jobs[job_id] = replace(read_job(source, job_id), raw=None)
    except JobNotFound:
        read.missing.add(job_id)
    except PermissionDenied as error:
        read.errors[job_id] = error
    except AuthenticationFailed:
        raise
    except VendorUnavailable as error:
        # An unreadable record, or a server that fails over it, is this job's trouble; anything else may
        # hit the next job, too.
        is_its_own = isinstance(error, Unreadable) or error.status == 500
        if not is_its_own or error.wants_pause:
            raise
        read.errors[job_id] = error
    except VendorError as error:
        read.errors[job_id] = error


def look_for_hidden(source: JobSource, read: BulkRead) -> None:
    """Look for the jobs that ``read`` has as missing wherever else the vendor shows them.

    :param source: the vendor's hook.
    :param read: takes in what is found.
    """
    missing, read.missing = read.missing, set()
    if read.stopped_by:
        # What has not been looked for is not missing.
        return
    found = set()
    try:
        for job_id, record in source.find_hidden(missing):
            found.add(job_id)
            try:
                read.jobs[job_id] = source.records.job(record)
            except Unreadable as error:
                read.errors[job_id] = error
    except VendorError as error:
        if error.rejects_credentials:
            raise
        if not isinstance(error, VendorUnavailable):
            # A list that is refused for good tells nothing; each job's own address has.
            log.warning("Jobs that the vendor does not know cannot be looked for in its lists: %s", error)
            read.missing = missing - found
        elif error.wants_pause:
            read.stopped_by = error
        else:
            read.errors |= dict.fromkeys(missing - found, error)
    else:
        read.missing = missing - found
