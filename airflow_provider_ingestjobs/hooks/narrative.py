# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Narrative: https://docs.narrative.io/ (API 2.4.x). It publishes no way to cancel a job."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_path_part, check_single
from airflow_provider_ingestjobs.errors import InvalidInput, Unreadable
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.reading import MAX_READS, BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_count, as_object, as_objects, as_text, once
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts, parse_timestamp
from airflow_provider_ingestjobs.vendors import NARRATIVE

T = TypeVar("T")
#: The API's largest page; more is a 400.
MAX_PER_PAGE = 500
ORDERS = ("created_at_asc", "created_at_desc", "updated_at_asc", "updated_at_desc")
#: How much older than the newest change seen a record must be to end the reading of changes: wide enough for
#: changes that are listed late, of the same instant, or stamped by another clock.
OVERLAP = timedelta(minutes=2)
#: Seconds between two scans that do not trust the order of changes.
FULL_SCAN_EVERY = 1800.0
#: The type of the jobs whose result names a snapshot of a data set.
MATERIALIZE_VIEW = "materialize-view"
#: Snapshots asked for with each page of a data set's statistics, as many as its older `all_records` gives.
SNAPSHOTS_PER_PAGE = 100
#: The most such pages that are read for one job.
MAX_SNAPSHOT_PAGES = 10


class NarrativeHook(IngestJobHook, vendor=NARRATIVE):
    """Narrative's jobs, such as the materialisation of a view.

    :param narrative_conn_id: the Airflow connection.
    """

    # https://docs.narrative.io/guides/sdk/tracking-jobs; `queued` and `processing` are in what Narrative's
    # own agents are told (github.com/narrative-io/narrative-skills-marketplace, nql-async-execution.md).
    states = {  # noqa: RUF012 - a ClassVar by its base
        "queued": JobState.PENDING,
        "pending": JobState.PENDING,
        "running": JobState.RUNNING,
        "processing": JobState.RUNNING,
        "pending_cancellation": JobState.CANCELLING,
        "completed": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "cancelled": JobState.CANCELLED,
    }

    #: Records asked for with each page where the caller names no number.
    page_size = MAX_PER_PAGE

    def __init__(self, narrative_conn_id: str = "narrative_default") -> None:
        super().__init__(narrative_conn_id)

    def list_jobs(
        self,
        *,
        data_plane_id: str | None = None,
        dataset_id: int | str | None = None,
        state: str | Iterable[str] | None = None,
        job_type: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        order_by: str = "created_at_desc",
        per_page: int = MAX_PER_PAGE,
        offset: int = 0,
    ) -> Iterator[Job]:
        """List jobs.

        :param data_plane_id: only jobs of this data plane.
        :param dataset_id: only jobs whose input is this data set.
        :param state: Narrative's own words; several match any of them.
        :param job_type: such as ``materialize-view``; several match any of them.
        :param tags: jobs with any of these tags.
        :param order_by: ``created_at_desc`` and the like.
        :param per_page: at most 500.
        :param offset: how many jobs to leave out at the start.
        :raises InvalidInput: for an order or page size that the API refuses, or several of a filter that
            takes one.
        """
        if order_by not in ORDERS:
            raise InvalidInput("order_by", order_by, f"use one of {', '.join(ORDERS)}")
        if not 1 <= per_page <= MAX_PER_PAGE:
            raise InvalidInput("per_page", per_page, f"use 1 to {MAX_PER_PAGE}")
        single = {"data_plane_id": data_plane_id, "dataset_id": dataset_id}
        given = {key: check_single(key, value) for key, value in single.items()}
        params = [(key, value) for key, value in given.items() if value is not None]
        for key, values in (("state", state), ("type", job_type), ("tag", tags)):
            params += [(key, value) for value in ([values] if isinstance(values, str) else values or [])]
        pages = self._pages([*params, ("order_by", order_by)], list, per_page, offset)
        return once(job for page, _ in pages for job in self.records.jobs(page, keep_raw=True))

    def run_query(self, nql: str, *, data_plane_id: str | None = None) -> list[str]:
        """Start a query, once: where no answer comes, it may have been started nevertheless.

        :param nql: the query.
        :param data_plane_id: the data plane that it runs on.
        :returns: its job's id; nothing where the answer has none.
        :raises VendorUnavailable: if it is not known whether Narrative has started it.
        :raises VendorError: if Narrative refuses.
        """
        plane = {"data_plane_id": data_plane_id} if data_plane_id else {}
        return _started(self.client.request("POST", "/nql/run", json_body={"nql": nql, **plane}))

    def refresh_view(self, dataset_id: int | str, refresh_type: str) -> list[str]:
        """Start the refresh of a materialised view, once: where no answer comes, it may have been started.

        :param dataset_id: the view's data set.
        :param refresh_type: ``full`` or ``incremental``.
        :returns: its job's id; nothing where the answer has none.
        :raises VendorUnavailable: if it is not known whether Narrative has started it.
        :raises VendorError: if Narrative refuses.
        """
        dataset = check_path_part("dataset_id", check_single("dataset_id", dataset_id))
        path = f"/datasets/{dataset}/refresh-materialized-view"
        return _started(self.client.request("POST", path, json_body={"type": refresh_type}))

    def _pages(
        self,
        params: list[tuple[str, str]],
        take: Callable[[Iterator[Any]], T],
        per_page: int | None = None,
        offset: int = 0,
    ) -> Iterator[tuple[T, int]]:
        """Return what is taken of each page, with how many pages are still to come.

        :param take: gets a page's records one by one.
        """
        per_page = per_page or self.page_size
        last = False
        before: list[Any] = []
        while not last:
            query = [*params, ("per_page", str(per_page)), ("offset", str(offset))]
            answer: dict[str, Any] = {}
            ids: list[Any] = []
            records = self.client.request_list("/jobs", "records", params=query, others=answer)
            taken = take(_noting_ids(records, ids))
            if ids and ids == before:
                raise Unreadable("Narrative's list does not end: it sent the same page again")
            before = ids
            offset += per_page
            total = answer.get("total_records")
            last = not ids or (offset >= total if isinstance(total, int) else len(ids) < per_page)
            pages = max(-(-(total - offset) // per_page), 1) if isinstance(total, int) else 1
            yield taken, 0 if last else pages

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        since = state.changed_until
        full_scan = state.full_scan_at is None or clock.monotonic() - state.full_scan_at > FULL_SCAN_EVERY
        quiet = state.changed_at is not None and (
            clock.monotonic() - state.changed_at >= OVERLAP.total_seconds()
        )
        # After OVERLAP without changes, none older can still show up late.
        read_until = since and (since if state.changes_complete else since - OVERLAP)
        known = set() if full_scan else wanted & state.jobs.keys()
        newest, began = since, clock.now()
        edges: list[Any] = []
        pages = self._pages(
            [("order_by", "updated_at_desc")],
            lambda page: self.records.wanted(_noting_edges(page, edges), "job_id", wanted, state.listed),
        )
        for pages_read, (found, pages_left) in enumerate(pages, 1):
            read.jobs.update(found)
            changes = [moment for record in edges if (moment := _updated_at(record))]
            newest = max([*changes, newest] if newest else changes, default=None)
            past_changes = read_until is not None and len(changes) == 2 and changes[-1] <= read_until
            # Jobs never read before may be on any page: worth as many pages as there are such jobs.
            owed = len(wanted - read.jobs.keys() - known)
            if (full_scan or past_changes) and owed <= pages_left:
                break
            # So many others have changed that the few that are left cost less one by one.
            if not full_scan and len(wanted) - len(read.jobs) <= min(pages_read, pages_left, MAX_READS):
                known = set()
                break
        # A stamp from a clock that is ahead would hide the changes that follow it.
        read.changed_until = newest and min(newest, began)
        read.changes_complete = quiet and read.changed_until == since
        read.full_scan = full_scan
        read.unchanged = known

    def list_range(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> tuple[datetime, datetime]:
        # The list is read from the newest job down, whatever the window's end: distant windows take one list.
        return start, max(end, clock.now())

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        params = [("order_by", "created_at_desc")]
        for name, parameter in (("job_type", "type"), ("tags", "tag")):
            values = common_filters.get(name, ())
            params += [(parameter, value) for value in ([values] if isinstance(values, str) else values)]
        # These two cannot be repeated; several values are picked from the list.
        single = ("dataset_id", "data_plane_id")
        params += [
            (name, common_filters[name]) for name in single if isinstance(common_filters.get(name), str)
        ]
        for page, _ in self._pages(params, list):
            oldest = None
            for job in self.records.jobs(page):
                oldest = job.created_at
                yield job
            if oldest is not None and oldest < start:
                return

    def get_record(self, job_id: str) -> Any:
        return self.client.request("GET", f"/jobs/{quote(job_id, safe='')}")

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["state"])
        result = as_object(record.get("result"))
        dataset_id = as_object(record.get("input")).get("dataset_id")
        if dataset_id is None:
            dataset_id = result.get("dataset_id")
        target = as_text(dataset_id)
        job_type = as_text(record.get("type"))
        failures = as_objects(record.get("failures"))
        messages = [str(failure["message"]) for failure in failures if failure.get("message")]
        return Job(
            vendor=self.vendor.name,
            id=str(record["job_id"]),
            state=state,
            vendor_state=str(record["state"]),
            name=job_type,
            target=target,
            created_at=parse_timestamp(record.get("created_at")),
            # Documented for the job in a webhook's message, and read from the API wherever it is there.
            started_at=parse_timestamp(record.get("dequeued_at")),
            ended_at=parse_timestamp(record.get("ended_at")) if state.is_terminal else None,
            updated_at=parse_timestamp(record.get("updated_at")),
            failure="; ".join(messages) or None,
            url=self._page_of(target),
            details={
                "dataset_id": dataset_id if target else None,
                "data_plane_id": as_text(record.get("data_plane_id")),
                "job_type": job_type,
                # As text: it is larger than the whole numbers that many JSON readers keep exact.
                "snapshot_id": as_text(result.get("snapshot_id")),
            },
        )

    def fetch_details(self, job: Job) -> Job:
        dataset_id, snapshot_id = (as_text(job.details.get(key)) for key in ("dataset_id", "snapshot_id"))
        is_view = job.details.get("job_type") == MATERIALIZE_VIEW and job.state is JobState.SUCCEEDED
        if not (is_view and dataset_id and snapshot_id):
            return job
        for snapshot in self._snapshots(dataset_id):
            if as_text(snapshot.get("snapshot_id")) == snapshot_id:
                added = as_count(snapshot.get("snapshot_added_records"))
                return replace(job, rows=RowCounts(inserted=added))
        self.log.info("Data set %s has no statistics of snapshot %s (any more)", dataset_id, snapshot_id)
        return job

    def _snapshots(self, dataset_id: str) -> Iterator[Mapping[str, Any]]:
        """Return what each snapshot has added to a data set: the latest, then all, up to a limit."""
        path = f"/datasets/{check_path_part('dataset_id', dataset_id)}/stats"
        # Without parameters it is the latest alone, which a job that has just ended has most likely made.
        latest = as_objects(as_object(self.client.request("GET", path)).get("records"))
        yield from latest
        offset, before = 0, None
        for _ in range(MAX_SNAPSHOT_PAGES if latest else 0):
            params = [("per_page", str(SNAPSHOTS_PER_PAGE)), ("offset", str(offset))]
            answer = as_object(self.client.request("GET", path, params=params))
            page = as_objects(answer.get("records"))
            if not page or page == before:
                return
            yield from page
            # The largest page is not published: there may be fewer than asked for, and more behind them.
            offset, before = offset + len(page), page

    def _page_of(self, dataset_id: str | None) -> str | None:
        """Return the address of a data set for people, where the API is the one whose UI is documented."""
        # getting-started/upload-data.mdx of github.com/narrative-io/mintlify-docs
        is_documented = urlsplit(self.settings.base_url).hostname == NARRATIVE.host
        if not (is_documented and dataset_id and dataset_id.isascii() and dataset_id.isdigit()):
            return None
        return f"https://app.narrative.io/platform/my-data/dataset/{dataset_id}#overview"

    def token_request(self) -> TokenRequest:
        # openapi.json, /oauth/token: client id and secret as HTTP basic authentication
        pair = f"{self.settings.login}:{self.settings.password}".encode()
        return TokenRequest(
            url=f"{self.settings.base_url}/oauth/token",
            form={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
            expires_field="access_token_expires_in",
        )

    def ping(self) -> str:
        answer = self.client.request("GET", "/jobs", params=[("per_page", "1")])
        total = answer.get("total_records") if isinstance(answer, Mapping) else None
        return f"Narrative answers: {total} jobs can be read with this key"


def _started(answer: Any) -> list[str]:
    """Return the id of a job that was started: ``id`` by the OpenAPI document; elsewhere it is ``job_id``."""
    found = as_object(answer)
    job_id = as_text(found.get("id")) or as_text(found.get("job_id"))
    return [job_id] if job_id else []


def _noting_ids(records: Iterator[Any], ids: list[Any]) -> Iterator[Any]:
    for record in records:
        ids.append(record.get("job_id") if isinstance(record, Mapping) else record)
        yield record


def _noting_edges(records: Iterator[Any], edges: list[Any]) -> Iterator[Any]:
    """Keep a page's first and last record in a list; the same one twice if it has only one."""
    edges.clear()
    for record in records:
        edges[:] = [edges[0] if edges else record, record]
        yield record


def _updated_at(record: Any) -> Any:
    return parse_timestamp(record.get("updated_at")) if isinstance(record, Mapping) else None
