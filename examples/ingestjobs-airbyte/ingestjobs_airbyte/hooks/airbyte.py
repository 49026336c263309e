# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airbyte: https://reference.airbyte.com/reference/getjob (public API, v1).

Where its documents are silent, what is said here was read from the server's source,
github.com/airbytehq/airbyte-platform, commit 310e6cb6ac.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from airflow_provider_ingestjobs.arguments import to_utc
from airflow_provider_ingestjobs.errors import (
    CancelRefused,
    InvalidInput,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.reading import MAX_READS, BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_count, as_text, once
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts, parse_timestamp
from ingestjobs_airbyte.vendors import AIRBYTE

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.connection import Settings

T = TypeVar("T")
Query = list[tuple[str, str]]

#: The API's largest page; more is a 400.
MAX_PER_PAGE = 100
ORDERS = ("createdAt|ASC", "createdAt|DESC", "updatedAt|ASC", "updatedAt|DESC")
NEWEST_CHANGES_FIRST = ("orderBy", "updatedAt|DESC")
#: The words under which jobs that have not ended are listed. Releases before May 2026 refuse "queued" as a
#: filter; such jobs are read by id until they change.
UNFINISHED = ("running", "incomplete", "pending")
#: How far before the newest change seen the list of changes is read again: wide enough for changes that are
#: listed late, of the same second, or stamped by another clock.
OVERLAP = timedelta(minutes=2)
#: Seconds between two scans that do not rely on the list of changes.
FULL_SCAN_EVERY = 1800.0


class AirbyteJobsHook(IngestJobHook, vendor=AIRBYTE):
    """Airbyte's jobs: the syncs, resets, refreshes and clears of its connections.

    :param airbyte_jobs_conn_id: the Airflow connection.
    """

    states = {  # noqa: RUF012 - a ClassVar by its base
        "pending": JobState.PENDING,
        "queued": JobState.PENDING,
        "running": JobState.RUNNING,
        # An attempt failed: the next one follows, or the job becomes "failed".
        "incomplete": JobState.RUNNING,
        "failed": JobState.FAILED,
        "succeeded": JobState.SUCCEEDED,
        "cancelled": JobState.CANCELLED,
    }

    def __init__(self, airbyte_jobs_conn_id: str = "airbyte_jobs_default") -> None:
        super().__init__(airbyte_jobs_conn_id)
        # Who is waited for and was in a list. Not in the ReadState: a look at new waits alone has its own.
        self._listed: set[str] = set()

    def list_jobs(
        self,
        *,
        connection_id: str | None = None,
        workspace_ids: str | Iterable[str] | None = None,
        job_type: str | None = None,
        status: str | None = None,
        created_from: datetime | str | None = None,
        created_to: datetime | str | None = None,
        updated_from: datetime | str | None = None,
        updated_to: datetime | str | None = None,
        order_by: str = "createdAt|DESC",
        per_page: int = MAX_PER_PAGE,
    ) -> Iterator[Job]:
        """List jobs.

        :param connection_id: only jobs of this Airbyte connection.
        :param workspace_ids: only jobs of these workspaces; without effect beside ``connection_id``.
        :param job_type: ``sync``, ``reset``, ``refresh`` or ``clear``. Without it, servers of before 2026
            leave out refreshes and clears.
        :param status: only jobs in this state, in Airbyte's word.
        :param created_from: only jobs created from this aware moment on.
        :param created_to: only jobs created until this aware moment.
        :param updated_from: only jobs whose state has changed from this aware moment on.
        :param updated_to: only jobs whose state has last changed until this aware moment.
        :param order_by: ``createdAt|DESC`` and the like.
        :param per_page: at most 100.
        :raises InvalidInput: for an order or page size that the API refuses, and for a naive moment.
        """
        if order_by not in ORDERS:
            raise InvalidInput("order_by", order_by, f"use one of {', '.join(ORDERS)}")
        if not 1 <= per_page <= MAX_PER_PAGE:
            raise InvalidInput("per_page", per_page, f"use 1 to {MAX_PER_PAGE}")
        params = [("orderBy", order_by)]
        texts = {"connectionId": connection_id, "jobType": job_type, "status": status}
        params += [(name, value) for name, value in texts.items() if value is not None]
        workspaces = [workspace_ids] if isinstance(workspace_ids, str) else workspace_ids or []
        params += [("workspaceIds", workspace) for workspace in workspaces]
        moments = {
            "createdAtStart": ("created_from", created_from),
            "createdAtEnd": ("created_to", created_to),
            "updatedAtStart": ("updated_from", updated_from),
            "updatedAtEnd": ("updated_to", updated_to),
        }
        params += [
            (parameter, _as_text(to_utc(name, value)))
            for parameter, (name, value) in moments.items()
            if value is not None
        ]
        pages = self._pages(params, list, per_page)
        return once(job for page, _ in pages for job in self.records.jobs(page, keep_raw=True))

    def _pages(
        self, params: Query, take: Callable[[Iterator[Any]], T], per_page: int = MAX_PER_PAGE
    ) -> Iterator[tuple[T, bool]]:
        """Return what is taken of each page, with whether it is the last one.

        The answer's ``next`` is not followed: it loses most filters and the order, and may name another host.

        :param params: filters and order.
        :param take: gets a page's records one by one.
        :param per_page: the size of a page.
        """
        is_last = False
        before: list[Any] = []
        offset = 0
        while not is_last:
            query = [*params, ("limit", str(per_page)), ("offset", str(offset))]
            ids: list[Any] = []
            records = self.client.request_list(f"{self._api}/jobs", "data", params=query)
            taken = take(_noting_ids(records, ids))
            if ids and ids == before:
                raise Unreadable("Airbyte's list does not end: it sent the same page again")
            before = ids
            offset += per_page
            is_last = len(ids) < per_page
            yield taken, is_last

    # ------------------------------------------------------------------ many waits, few requests

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        is_due = state.full_scan_at is None or time.monotonic() - state.full_scan_at > FULL_SCAN_EVERY
        if is_due or state.changed_until is None:
            self._scan(wanted, read, state)
            return
        self._read_changes(wanted, read, state, since=state.changed_until)
        new = wanted - state.jobs.keys() - read.jobs.keys()
        if len(new) >= self.list_threshold:
            self._find_unfinished(new, read, state)

    def _scan(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        """Find jobs wherever they may be: among the latest changes, and among those that have not ended."""
        began = datetime.now(UTC)
        stamps: list[datetime] = []
        changes = self._pages(
            [NEWEST_CHANGES_FIRST], lambda page: self._wanted(_noting_stamps(page, stamps), wanted, state)
        )
        found, is_last = next(changes)
        read.jobs.update(found)
        newest = max(stamps, default=None)
        if not is_last:
            self._find_unfinished(wanted, read, state)
            # Only where more have ended long ago than are read one by one in a poll, pages are worth it.
            self._take(changes, wanted, read, at_least=MAX_READS + 1)
        # A stamp from a clock that is ahead would hide the changes that follow it.
        read.changed_until = newest and min(newest, began)
        read.full_scan = True

    def _find_unfinished(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        """Find jobs among those that have not ended."""
        for word in UNFINISHED:
            # New waits are for new jobs. One that ends meanwhile moves others to the page before: who is
            # missed is read by id.
            pages = self._pages(
                [("status", word), ("orderBy", "createdAt|DESC")],
                lambda page: self._wanted(page, wanted, state),
            )
            self._take(pages, wanted, read, at_least=self.list_threshold)

    @staticmethod
    def _take(
        pages: Iterator[tuple[dict[str, Job], bool]], wanted: set[str], read: BulkRead, at_least: int
    ) -> None:
        """Read the pages of a list for as long as that may save requests.

        :param at_least: how many jobs must be left for it to be worth a look.
        """
        left = wanted - read.jobs.keys()
        if len(left) < at_least:
            return
        in_vain = 0
        for found, is_last in pages:
            read.jobs.update(found)
            left -= found.keys()
            in_vain = 0 if found else in_vain + 1
            # As many requests as there are jobs left would have told of each.
            if is_last or in_vain >= len(left):
                return

    def _read_changes(self, wanted: set[str], read: BulkRead, state: ReadState, since: datetime) -> None:
        """Read what has changed since the read before; what lists have shown and is not there, has not."""
        began = datetime.now(UTC)
        is_quiet = state.changed_at is not None and (
            time.monotonic() - state.changed_at >= OVERLAP.total_seconds()
        )
        # After OVERLAP without changes, none older can still show up late.
        read_from = since if state.changes_complete else since - OVERLAP
        # Jobs that no list has shown, such as refreshes on older servers, are in no list of changes, either.
        self._listed &= wanted
        known = self._listed & state.jobs.keys()
        stamps = [since]
        pages = self._pages(
            [NEWEST_CHANGES_FIRST, ("updatedAtStart", _as_text(read_from))],
            lambda page: self._wanted(_noting_stamps(page, stamps), wanted, state),
        )
        for requests, (found, is_last) in enumerate(pages, 1):
            read.jobs.update(found)
            # So many others have changed that the few that are left cost less one by one.
            if not is_last and len(wanted - read.jobs.keys()) <= min(requests, MAX_READS):
                known = set()
                break
        read.changed_until = min(max(stamps), max(began, since))
        read.changes_complete = is_quiet and read.changed_until == since
        read.unchanged = known - read.jobs.keys()

    def _wanted(self, page: Iterator[Any], wanted: set[str], state: ReadState) -> dict[str, Job]:
        found = self.records.wanted(page, "jobId", wanted, state.listed)
        self._listed |= found.keys()
        return found

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        # The oldest first: jobs that are created meanwhile move no others.
        params = [("orderBy", "createdAt|ASC"), ("createdAtStart", _as_text(start))]
        params.append(("createdAtEnd", _as_text(end + timedelta(seconds=1))))
        # Neither can be repeated; several values are picked from the list.
        single = {"connection_id": "connectionId", "job_type": "jobType"}
        params += [(single[name], value) for name, value in common_filters.items() if isinstance(value, str)]
        for page, _ in self._pages(params, list):
            yield from self.records.jobs(page)

    # ------------------------------------------------------------------ one job

    def get_record(self, job_id: str) -> Any:
        try:
            return self.client.request("GET", self._path_of(job_id))
        except VendorError as error:
            # Documented is 404; the server answers an instance's admin with a 409, "Could not find job".
            if error.status == 409:
                raise VendorError(str(error), status=404, request_id=error.request_id) from error
            raise

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["status"])
        connection_id = as_text(record.get("connectionId"))
        job_type = as_text(record.get("jobType"))
        updated_at = parse_timestamp(record.get("lastUpdatedAt"))
        return Job(
            vendor=self.vendor.name,
            id=str(record["jobId"]),
            state=state,
            vendor_state=str(record["status"]),
            name=job_type,
            target=connection_id,
            # The server fills startTime with the job's creation.
            created_at=parse_timestamp(record.get("startTime")),
            ended_at=updated_at if state.is_terminal else None,
            updated_at=updated_at,
            rows=RowCounts(read=as_count(record.get("rowsSynced"))),
            details={
                "connection_id": connection_id,
                "job_type": job_type,
                "bytes_synced": as_count(record.get("bytesSynced")),
            },
        )

    def send_cancel(self, job: Job) -> None:
        """Stop the job's connection.

        Airbyte does not stop a job by its id: it stops whatever the job's connection runs at that moment. So
        the connection's jobs are looked at first. Should this job end and the connection's next one start in
        the moment between the two requests, the next one is stopped.

        :param job: the job, as it was read just before.
        :raises CancelRefused: if the connection runs another job.
        :raises VendorUnavailable: if that cannot be found out.
        """
        other = self._other_run(job)
        if other is not None:
            raise CancelRefused(f"it would stop job {other.id}, which is {other.describe()}")
        self.client.request("DELETE", self._path_of(job.id))

    def why_refused(self, job: Job) -> str:
        return f"Airbyte stops whatever connection {job.target} runs. "

    def _other_run(self, job: Job) -> Job | None:
        """Return an unfinished job of the same connection that a cancel would or might stop instead."""
        if job.target is None:
            raise VendorUnavailable(f"Airbyte did not say whose {job} is: it is not cancelled")
        params = [("connectionId", job.target), ("orderBy", "createdAt|DESC")]
        try:
            page, _ = next(self._pages(params, list))
            newest = list(self.records.jobs(page))
        except Unreadable as error:
            # Not as unreadable: that would stand for a cancel that was sent, and none was.
            raise VendorUnavailable(f"{job} is not cancelled: {error}", status=error.status) from error
        for other in newest:
            if other.id == job.id or other.state.is_terminal:
                continue
            is_newer = not (other.created_at and job.created_at) or other.created_at >= job.created_at
            runs_first = job.state is JobState.PENDING and other.state is not JobState.PENDING
            if is_newer or runs_first:
                return other
        return None

    # ------------------------------------------------------------------ the connection

    @property
    def _api(self) -> str:
        path = str(self.settings.extras["api_path"]).strip("/")
        return f"/{path}" if path else ""

    def _path_of(self, job_id: str) -> str:
        return f"{self._api}/jobs/{quote(job_id, safe='')}"

    def token_request(self) -> TokenRequest:
        # /applications/token; "grant-type" is spelt so on the wire
        return TokenRequest(
            url=f"{self.settings.base_url}{self._api}/applications/token",
            json_body={
                "client_id": self.settings.login,
                "client_secret": self.settings.password,
                "grant-type": "client_credentials",
            },
        )

    def ping(self) -> str:
        self.client.request("GET", f"{self._api}/jobs", params=[("limit", "1")])
        return f"Airbyte at {self.settings.base_url}{self._api} answers"

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        path = str(settings.extras["api_path"])
        parts = path.strip("/").split("/")
        if path.strip("/") and not all(re.fullmatch(r"(?!\.+$)[A-Za-z0-9._~-]+", part) for part in parts):
            name = f"connection {settings.conn_id!r}: extra api_path"
            raise InvalidInput(name, path, "write a path such as /api/public/v1")


def _as_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _noting_ids(records: Iterator[Any], ids: list[Any]) -> Iterator[Any]:
    for record in records:
        ids.append(record.get("jobId") if isinstance(record, Mapping) else record)
        yield record


def _noting_stamps(records: Iterator[Any], stamps: list[datetime]) -> Iterator[Any]:
    """Keep the newest moment that records have: only ended ones tell when they last changed."""
    for record in records:
        if isinstance(record, Mapping):
            stamp = parse_timestamp(record.get("lastUpdatedAt") or record.get("startTime"))
            if stamp is not None:
                stamps[:] = [max(stamp, *stamps)] if stamps else [stamp]
        yield record
