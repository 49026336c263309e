# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Adverity: https://docs.adverity.com/guides/management-api/managing-jobs-in-management-api.html."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_job_id, check_path_part, check_single, check_window
from airflow_provider_ingestjobs.errors import (
    InvalidInput,
    Unreadable,
    VendorError,
)
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_objects, as_share, as_text, once
from airflow_provider_ingestjobs.job import Job, JobState, parse_timestamp
from airflow_provider_ingestjobs.vendors import ADVERITY

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.http import Params

T = TypeVar("T")
#: How far back a job that its own address does not show is looked for among the past jobs: Adverity discards
#: what has not started within two days.
PAST_DAYS = 3
#: How many pages of them are looked through: a job in none of these is missing.
MAX_PAST_PAGES = 10
MAX_PAGES = 1000
#: How often the list of current jobs is read to have it twice the same.
MAX_PASSES = 5
#: How much older than a job the data that it fetches is taken to be, in days. Only the list of one
#: datastream, which is short, reaches back that far.
MAX_DATA_DAYS = 35
#: Longer addresses are not kept with the job.
MAX_LINK_LENGTH = 2000
_NEVER_IN_LINKS = frozenset("\"'<>\\ `")
#: Windows that begin before this are not widened, which dates near year 1 could not be.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AdverityHook(IngestJobHook, vendor=ADVERITY):
    """Adverity's jobs, such as the fetches of a datastream.

    :param adverity_conn_id: the Airflow connection.
    """

    states = {  # noqa: RUF012 - a ClassVar by its base
        "scheduled": JobState.PENDING,
        "running": JobState.RUNNING,
        "success": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "stale": JobState.FAILED,
        "cancelled": JobState.CANCELLED,
        "discarded": JobState.CANCELLED,
    }

    may_hide_jobs = True
    stops_by_id = True

    def __init__(self, adverity_conn_id: str = "adverity_default") -> None:
        super().__init__(adverity_conn_id)

    def list_jobs(
        self,
        *,
        datastream_id: int | str | None = None,
        started_from: datetime | date | str | None = None,
        started_to: datetime | date | str | None = None,
    ) -> Iterator[Job]:
        """List the running and scheduled jobs, or with a window the past ones.

        :param datastream_id: only jobs of this datastream.
        :param started_from: aware start of the window of past jobs, or a date; only with ``started_to``.
        :param started_to: its aware end, or a date.
        :raises InvalidInput: for half a window, a naive or an inverted one, or several datastreams.
        """
        datastream_id = check_single("datastream_id", datastream_id)
        params = [("datastream_id", datastream_id)] if datastream_id is not None else []
        if (started_from is None) != (started_to is None):
            missing = "started_from" if started_from is None else "started_to"
            raise InvalidInput(missing, None, "a window of past jobs needs both ends")
        if started_from is not None and started_to is not None:
            if _is_date(started_from) and _is_date(started_to):
                if str(started_from) > str(started_to):
                    raise InvalidInput("started_to", str(started_to), f"it is before {started_from}")
                params += [("start", str(started_from)), ("end", str(started_to))]
            else:
                params += _in_range(*check_window(started_from, started_to))
        pages = self._pages(params, list)
        return once(job for page, _ in pages for job in self.records.jobs(page, keep_raw=True))

    def fetch(
        self,
        datastream_id: int | str,
        start: str,
        end: str,
        *,
        split: bool = False,
        priority: str | None = None,
    ) -> list[str]:
        """Start a fetch of a datastream, once: where no answer comes, it may have been started nevertheless.

        :param datastream_id: the datastream.
        :param start: the first day or moment of the data, ISO 8601.
        :param end: the last one.
        :param split: make as many jobs of the range as the datastream's schedule does, rather than one.
        :param priority: ``high``, ``default``, ``low`` or ``backdata``.
        :returns: the ids of its jobs; none from an older instance, which does not name them.
        :raises VendorUnavailable: if it is not known whether Adverity has started it.
        :raises VendorError: if Adverity refuses.
        """
        datastream = check_path_part("datastream_id", check_single("datastream_id", datastream_id))
        answer = self.client.request(
            "POST",
            f"/api/datastreams/{datastream}/{'fetch' if split else 'fetch_fixed'}/",
            json_body={"start": start, "end": end, **({"priority": priority} if priority else {})},
        )
        jobs = as_objects(answer.get("jobs")) if isinstance(answer, Mapping) else ()
        return [job_id for job in jobs if (job_id := as_text(job.get("id")))]

    def get_imported(self, job_id: str) -> Any:
        """Return what Adverity says of a job in progress at ``/imported/``; its shape is not published.

        :param job_id: the job's id.
        :raises VendorError: if Adverity refuses, or cannot be reached.
        """
        return self.client.request(
            "GET", f"/api/jobs/{check_path_part('job_id', check_job_id(job_id))}/imported/"
        )

    def _pages(self, params: Params, take: Callable[[Iterator[Any]], T]) -> Iterator[tuple[T, int]]:
        """Return what is taken of each page, with how many pages are still to come.

        :param take: gets a page's records one by one.
        """
        query: Params = [*params, ("page_size", str(self.settings.extras["page_size"]))]
        seen: set[tuple[tuple[str, str], ...]] = set()
        for _ in range(MAX_PAGES):
            answer: dict[str, Any] = {}
            size = count()
            try:
                records = self.client.request_list("/api/jobs/", "results", params=query, others=answer)
                taken = take(record for record, _ in zip(records, size, strict=False))
            except VendorError as error:
                # Jobs have ended since the page before, and this page no longer exists.
                if error.status == 404 and seen:
                    return
                raise
            seen.add(tuple(query))
            if not answer:
                raise Unreadable("Adverity's answer is not a page of its job list")
            next_page, total, records_read = answer.get("next"), answer.get("count"), next(size)
            # Without a count, only the next page is known of.
            pages = -(-total // records_read) - len(seen) if isinstance(total, int) and records_read else 1
            yield taken, pages if next_page else 0
            if not next_page:
                return
            query = _query_of(next_page)
            if tuple(query) in seen:
                raise Unreadable("Adverity's list of jobs does not end: its `next` links go in circles")
        raise Unreadable(
            f"Adverity's list of jobs has more than {MAX_PAGES} pages: raise the connection's extra page_size"
        )

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        # Without a window the API lists scheduled and running jobs: one that is absent has most likely ended.
        unread = self._find_among([], wanted, read, state)
        read.has_answered = True
        absent = wanted - read.jobs.keys()
        if not unread and len(absent) >= self.list_threshold:
            self._find_among(self._range_of(absent, state), absent, read, state)

    @staticmethod
    def _range_of(job_ids: Collection[str], state: ReadState) -> Params:
        """Return the range in which jobs that have ended are listed."""
        oldest, end = _past_range()
        known = [state.jobs.get(job_id) for job_id in job_ids]
        # Which time the range is about is not published. Most candidates are later than these two; should it
        # be the data's, the jobs that the list lacks are read by their ids.
        began = [moment for job in known if job for moment in (job.created_at, job.started_at) if moment]
        start = min(began, default=oldest)
        if None in known or not oldest < start < end:
            start = oldest
        return _in_range(start, end)

    def _find_among(self, params: Params, wanted: set[str], read: BulkRead, state: ReadState) -> int:
        """Add to ``read`` the wanted jobs of a list.

        :returns: how many pages were left unread, as reading one by one is cheaper then.
        """
        pages_left = 0
        for found, pages_left in self._pages(
            params, lambda records: self.records.wanted(records, "id", wanted, state.listed)
        ):
            read.jobs.update(found)
            if len(wanted - read.jobs.keys()) <= pages_left:
                break
        return pages_left

    def list_range(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> tuple[datetime, datetime]:
        # Which time `start` and `end` are about is not published. A job that started in the window may have
        # been planned before it, fetch data that is older still, and have ended long after it; one that was
        # called off may have been planned for a later day than today.
        days = MAX_DATA_DAYS if _of_one_datastream(common_filters) else PAST_DAYS
        widened = start - timedelta(days=days) if start > _EPOCH else start
        latest = min(end + timedelta(days=MAX_DATA_DAYS), clock.now() + timedelta(days=PAST_DAYS))
        return widened, max(end, latest)

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        shared = _of_one_datastream(common_filters)
        # The current jobs first: of one that ends in between, the later record counts.
        yield from self._current_jobs(shared)
        for page, _ in self._pages([*shared, *_in_range(start, end)], list):
            yield from self.records.jobs(page)

    def _current_jobs(self, params: Params) -> Iterator[Job]:
        """Return scheduled and running jobs, some of them twice.

        One that ends moves those behind it up, from the next page to one that was read already: a list of
        several pages is read until it shows the same jobs twice.
        """
        before: set[str] = set()
        for _ in range(MAX_PASSES):
            pages = [(list(self.records.jobs(page)), left) for page, left in self._pages(params, list)]
            jobs = [job for page, _ in pages for job in page]
            yield from jobs
            ids = {job.id for job in jobs}
            was_one_page = pages[0][1] == 0
            if was_one_page or ids == before:
                return
            before = ids

    def get_record(self, job_id: str) -> Any:
        return self.client.request("GET", f"/api/jobs/{quote(job_id, safe='')}/")

    def find_hidden(self, job_ids: Collection[str]) -> Iterator[tuple[str, Any]]:
        left = set(job_ids)

        def take(records: Iterator[Any]) -> list[tuple[str, Any]]:
            by_id = ((str(record.get("id")), record) for record in records if isinstance(record, Mapping))
            return [(job_id, record) for job_id, record in by_id if job_id in left]

        try:
            for found, _ in islice(self._pages(_in_range(*_past_range()), take), MAX_PAST_PAGES):
                yield from found
                left.difference_update(job_id for job_id, _ in found)
                if not left:
                    return
        except VendorError as error:
            if error.status != 404:
                raise

    def to_job(self, record: Mapping[str, Any]) -> Job:
        datastream = record.get("datastream")
        if not isinstance(datastream, Mapping):
            datastream = {"id": datastream}
        datastream_id = as_text(datastream.get("id"))
        state = self.words.state_of(record["state_label"])
        job_id = str(record["id"])
        issues = as_objects(record.get("issues"))
        messages = [str(issue["message"]) for issue in issues if issue.get("message")]
        return Job(
            vendor=self.vendor.name,
            id=job_id,
            state=state,
            vendor_state=str(record["state_label"]),
            name=as_text(datastream.get("name")),
            target=datastream_id,
            created_at=parse_timestamp(record.get("scheduled")),
            started_at=parse_timestamp(record.get("job_start")),
            ended_at=parse_timestamp(record.get("job_end")),
            failure="; ".join(messages) or None,
            progress=as_share(record.get("progress")),
            # Not the record's own `url`: that is the API's, which answers a browser with 401.
            url=_page_of(datastream, self.settings.base_url),
            details={
                "datastream_id": datastream.get("id") if datastream_id else None,
                "range_start": as_text(record.get("range_start")),
                "range_end": as_text(record.get("range_end")),
                # Lists leave the issues out, which does not mean that there are none.
                "issues": len(issues) if isinstance(record.get("issues"), list) else None,
            },
        )

    def fetch_details(self, job: Job) -> Job:
        if not job.state.is_terminal or job.details.get("issues") is not None:
            return job
        whole = self.records.job(self.get_record(job.id))
        return replace(job, failure=whole.failure, details={**job.details, "issues": whole.details["issues"]})

    def send_cancel(self, job: Job) -> None:
        self.client.request("POST", f"/api/jobs/{quote(job.id, safe='')}/stop/")

    def why_refused(self, job: Job) -> str:
        return "Adverity only stops jobs in their fetch stage. "

    def key_authorization(self) -> str:
        return f"{self.settings.extras['auth_scheme']} {self.settings.password}"

    def token_request(self) -> TokenRequest:
        # https://docs.adverity.com/guides/management-api/authorizing-to-management-api.html
        return TokenRequest(
            url=f"{self.settings.base_url}/api/auth/token/",
            form={"username": self.settings.login or "", "password": self.settings.password},
            token_field="token",  # noqa: S106 - a field's name
            scheme="Token",
        )

    def ping(self) -> str:
        answer = self.client.request("GET", "/api/jobs/", params=[("page_size", "1")])
        count = answer.get("count") if isinstance(answer, Mapping) else None
        return f"Adverity at {self.settings.base_url} answers: {count} jobs running or scheduled"


def _query_of(link: object) -> Params:
    """Return the query of a `next` link; the rest is not used, so that no link sends the key elsewhere.

    :raises Unreadable: if it has none: a list that breaks off must not look like one that ends.
    """
    try:
        query = parse_qsl(urlsplit(link).query) if isinstance(link, str) else []
    except ValueError:
        query = []
    if not query:
        raise Unreadable("Adverity's list of jobs has a `next` link without a query")
    return query


def _of_one_datastream(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parameter for a filter that has one value: that it may repeat is not documented."""
    given = filters.get("datastream_id", ())
    values = [given] if isinstance(given, str) else list(given)
    return [("datastream_id", values[0])] if len(values) == 1 else []


def _page_of(datastream: Mapping[str, Any], base_url: str) -> str | None:
    """Return the address of a datastream's page for people, where its record has one that may be a link."""
    link = datastream.get("absolute_url")
    if not isinstance(link, str) or len(link) > MAX_LINK_LENGTH or not link.isprintable():
        return None
    if set(link) & _NEVER_IN_LINKS:
        return None
    # Two slashes would begin another host's address.
    if link.startswith("/") and not link.startswith("//"):
        return base_url + link
    try:
        parts = urlsplit(link)
        is_page = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        return None
    return link if is_page else None


def _is_date(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _in_range(start: datetime, end: datetime) -> list[tuple[str, str]]:
    return [
        (name, moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        for name, moment in (("start", start), ("end", end))
    ]


def _past_range() -> tuple[datetime, datetime]:
    """Return the range in which a past job is looked for; a minute more than now, as clocks differ."""
    now = clock.now()
    return now - timedelta(days=PAST_DAYS), now + timedelta(minutes=1)
