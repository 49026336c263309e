# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Imply Polaris: https://docs.imply.io/api/polaris/api-reference (Imply's OpenAPI document, API 1.0.0)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_job_id, check_path_part, check_single
from airflow_provider_ingestjobs.errors import CancelRefused, VendorError
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.connection import Settings, check_url
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_count, as_object, as_objects, as_share, as_text, once
from airflow_provider_ingestjobs.hooks.shifting_list import Page, ShiftingList
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts, parse_timestamp
from airflow_provider_ingestjobs.vendors import IMPLY_POLARIS

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_ingestjobs.hooks.http import Params

T = TypeVar("T")
#: The API's largest page; more is a 400.
MAX_PER_PAGE = 1000
#: A page of the list is worth this many reads by id.
READS_PER_PAGE = 20
#: The most entries of a log that make up a failure's text: the last ones say what ended the job.
MAX_LOG_ENTRIES = 3
#: The types of jobs that ingest nothing, so that they have no metrics.
WITHOUT_ROWS = ("delete_data", "drop_table", "restore_data")
#: The types of jobs that delete data (docs.imply.io/polaris/api-delete-data), which the API does not update.
DELETIONS = ("delete_data", "drop_table")
#: ``executionStatus`` of a job that goes on, and of one that does not.
UNFINISHED = [("executionStatus", word) for word in ("pending", "running", "idle", "suspended", "unknown")]
ENDED = [("executionStatus", word) for word in ("completed", "failed", "canceled")]


class PolarisHook(IngestJobHook, vendor=IMPLY_POLARIS):
    """Imply Polaris' ingestion jobs.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    """

    # JobExecutionStatusV2, the whole enum
    states = {  # noqa: RUF012 - a ClassVar by its base
        "pending": JobState.PENDING,
        "running": JobState.RUNNING,
        # A streaming job without data to ingest, or one that its user has suspended: begun, and not ended.
        "idle": JobState.RUNNING,
        "suspended": JobState.RUNNING,
        # Polaris itself cannot tell, usually for minutes.
        "unknown": JobState.UNKNOWN,
        "completed": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "canceled": JobState.CANCELLED,
    }

    stops_by_id = True

    def __init__(
        self, imply_polaris_conn_id: str = "imply_polaris_default", project_id: str | None = None
    ) -> None:
        super().__init__(imply_polaris_conn_id)
        self.project_id = project_id

    def list_jobs(
        self,
        *,
        execution_status: str | Iterable[str] | None = None,
        health_status: str | Iterable[str] | None = None,
        job_type: str | Iterable[str] | None = None,
        table_name: str | None = None,
    ) -> Iterator[Job]:
        """List the project's jobs, those created last first.

        :param execution_status: Polaris' own words, such as ``running``; several match any of them.
        :param health_status: ``ok``, ``warn`` or ``error``; several match any of them.
        :param job_type: such as ``batch``; several match any of them.
        :param table_name: only jobs that load this table.
        :raises InvalidInput: for several tables.
        """
        single = check_single("table_name", table_name)
        filters = {"health_status": health_status, "job_type": job_type, "table_name": single}
        params = [("executionStatus", word) for word in _several(execution_status)] + _as_params(filters)
        pages = self._pages(params, lambda page: list(self.records.jobs(page, keep_raw=True)))
        return once(job for jobs, _ in pages for job in jobs)

    def create_job(self, spec: Mapping[str, Any]) -> list[str]:
        """Start a job, once: where no answer comes, it may have been started nevertheless.

        :param spec: the body of the request, see https://docs.imply.io/api/polaris/api-reference.
        :returns: the new job's id; nothing where the answer has none.
        :raises InvalidInput: if neither the hook nor the connection has a project.
        :raises VendorUnavailable: if it is not known whether Polaris has started it.
        :raises VendorError: if Polaris refuses.
        """
        # Addresses without a project are documented for nothing new.
        path = f"/v1/projects/{check_path_part('project_id', self._project)}/jobs"
        answer = as_object(self.client.request("POST", path, json_body=dict(spec)))
        job_id = as_text(answer.get("id"))
        return [job_id] if job_id else []

    def get_metrics(self, job_id: str) -> dict[str, Any]:
        """Return a job's row counts as Polaris gives them, under ``totals``.

        :param job_id: the job's id.
        :raises VendorError: if Polaris refuses, or cannot be reached.
        """
        return self._get_part(job_id, "metrics")

    def get_logs(self, job_id: str) -> dict[str, Any]:
        """Return a job's log as Polaris gives it: a list of entries under ``logs``.

        :param job_id: the job's id.
        :raises VendorError: if Polaris refuses, or cannot be reached.
        """
        return self._get_part(job_id, "logs")

    def get_progress(self, job_id: str) -> dict[str, Any]:
        """Return how far a job is as Polaris gives it: ``overallProgress``, from 0 to 1.

        :param job_id: the job's id.
        :raises VendorError: if Polaris refuses, or cannot be reached.
        """
        return self._get_part(job_id, "progress")

    # ------------------------------------------------------------------ reading

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        absent = set(wanted)

        def take(records: Iterator[Any]) -> int:
            found = self.records.wanted(records, "id", absent, state.listed)
            read.jobs.update(found)
            absent.difference_update(found)
            return len(found)

        for pages_read, _ in enumerate(self._pages(UNFINISHED, take, exact=False), 1):
            if len(absent) < max(self.list_threshold, pages_read):
                return
        if len(absent) < READS_PER_PAGE:
            return
        # So many have most likely ended; jobs that were never read may be of any age.
        jobs = [state.jobs.get(job_id) for job_id in absent]
        created = [job.created_at for job in jobs if job and job.created_at]
        oldest = min(created) if len(created) == len(absent) else None
        for pages_read, (found, page) in enumerate(self._pages(ENDED, take, exact=False), 1):
            may_go_on = found >= READS_PER_PAGE or oldest is not None
            if not may_go_on or len(absent) < READS_PER_PAGE * pages_read or _is_past(page, oldest):
                return

    def list_range(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> tuple[datetime, datetime]:
        # The list begins with the newest job: distant windows are read in one go, not each from there.
        return start, max(end, clock.now())

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        pages = self._pages(_as_params(common_filters), lambda records: list(self.records.jobs(records)))
        for jobs, page in pages:
            yield from jobs
            if _is_past(page, start):
                return

    def _pages(
        self, params: Params, take: Callable[[Iterator[Any]], T], exact: bool = True
    ) -> Iterator[tuple[T, Page]]:
        """Return what is taken of each page of a list; a job may be on several of them.

        :param take: gets a page's records one by one.
        :param exact: miss no job that leaves its page while the list is read, at the cost of more pages.
        """
        place = ShiftingList(self.vendor.name, MAX_PER_PAGE, exact)
        goes_on = True
        while goes_on:
            taken, page = self._page(params, place.offset, take)
            yield taken, page
            goes_on = place.go_on(page)

    def _page(self, params: Params, offset: int, take: Callable[[Iterator[Any]], T]) -> tuple[T, Page]:
        query: Params = [
            *params,
            # The creation is all that never changes: by any other column, jobs would change pages.
            ("sortColumn", "created_date_time"),
            ("sortOrder", "DESC"),
            ("paginationLimit", str(MAX_PER_PAGE)),
            ("paginationOffset", str(offset)),
        ]
        # Projects from before 2023-09-29 may still have addresses without a project, whose list is the v2
        # one; Imply no longer describes it.
        project = self._project
        path = f"/v1/projects/{check_path_part('project_id', project)}/jobs" if project else "/v2/jobs"
        answer: dict[str, Any] = {}
        keys: list[tuple[Any, Any]] = []
        records = self.client.request_list(
            path, "values", params=query, others=answer, or_bare=project is None
        )
        taken = take(_noting(records, keys))
        has_more = answer.get("moreResultsAvailable")
        return taken, Page(keys, is_last=not has_more if isinstance(has_more, bool) else None)

    def get_record(self, job_id: str) -> Any:
        return self.client.request("GET", self._job_path(job_id))

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["executionStatus"])
        if record.get("desiredExecutionStatus") == "canceled" and not state.is_terminal:
            # Whatever Polaris can tell of it now: it was asked to stop, and asking again would be no news.
            state = JobState.CANCELLING
        table_name = as_text(as_object(record.get("target")).get("tableName"))
        job_type = as_text(record.get("type"))
        health = as_object(record.get("health"))
        return Job(
            vendor=self.vendor.name,
            id=str(record["id"]),
            state=state,
            vendor_state=str(record["executionStatus"]),
            name=job_type,
            target=table_name,
            created_at=parse_timestamp(record.get("createdTimestamp")),
            started_at=parse_timestamp(record.get("startedTimestamp")),
            # Documented for completed jobs alone; `lastUpdatedTimestamp` is the user's last change.
            ended_at=parse_timestamp(record.get("completedTimestamp")) if state.is_terminal else None,
            updated_at=parse_timestamp(record.get("lastUpdatedTimestamp")),
            failure=_reason(health) if state is JobState.FAILED else None,
            details={
                "table_name": table_name,
                "job_type": job_type,
                "health_status": _health_status(health),
                "health_code": as_text(health.get("code")),
            },
        )

    def fetch_details(self, job: Job) -> Job:
        if not job.state.is_terminal:
            return replace(job, progress=as_share(self.get_progress(job.id).get("overallProgress")))
        job = replace(job, failure=self._reason_in_log(job))
        if job.details.get("job_type") in WITHOUT_ROWS:
            return job
        totals = as_object(self.get_metrics(job.id).get("totals"))
        good = as_count(totals.get("numRowsProcessed"))
        # The reference page and the API's document spell this one differently.
        warned = as_count(
            totals.get("numRowsProcessedWithWarning", totals.get("numRowsProcessedWithWarnings"))
        )
        skipped = as_count(totals.get("numRowsSkippedByError"))
        filtered = as_count(totals.get("numRowsSkippedByFilter"))
        rows = RowCounts(
            # Polaris counts as processed neither the rows with a warning nor those it skipped.
            read=None if good is None else good + sum(filter(None, (warned, skipped, filtered))),
            inserted=as_count(totals.get("numRowsPersisted")),
            errors=skipped,
        )
        more = {"rows_skipped_by_filter": filtered, "rows_with_warning": warned}
        return replace(job, rows=rows, details={**job.details, **more})

    def _reason_in_log(self, job: Job) -> str | None:
        """Return why a job failed, from its log where its health has no more than a code."""
        if job.state is not JobState.FAILED or job.failure not in (None, job.details.get("health_code")):
            return job.failure
        try:
            entries = as_objects(self.get_logs(job.id).get("logs"))
        except VendorError as error:
            self.log.warning("The log of %s cannot be read: %s", job, error)
            return job.failure
        errors = [one for one in entries if one.get("healthStatus") == "error"] or entries
        texts = [text for one in errors if (text := as_text(one.get("message")))]
        return "; ".join(texts[-MAX_LOG_ENTRIES:]) or job.failure

    # ------------------------------------------------------------------ cancelling

    def send_cancel(self, job: Job) -> None:
        if job.details.get("job_type") in DELETIONS:
            raise CancelRefused(f"It is a {job.details['job_type']} job")
        # Imply prefers the job's status to the job itself, but names it only for addresses with a project.
        method, path = ("POST", "/status") if self._project else ("PUT", "")
        body = {"desiredExecutionStatus": "canceled"}
        self.client.request(method, self._job_path(job.id) + path, json_body=body)

    def why_refused(self, job: Job) -> str:
        is_deletion = job.details.get("job_type") in DELETIONS
        return "Polaris cannot cancel data deletion jobs. " if is_deletion else ""

    # ------------------------------------------------------------------ the connection

    def _get_part(self, job_id: str, part: str) -> dict[str, Any]:
        answer = self.client.request("GET", f"{self._job_path(check_job_id(job_id))}/{part}")
        return dict(as_object(answer))

    def _job_path(self, job_id: str) -> str:
        project = self._project
        prefix = f"/v1/projects/{check_path_part('project_id', project)}" if project else "/v1"
        return f"{prefix}/jobs/{quote(job_id, safe='')}"

    @property
    def _project(self) -> str | None:
        return self.project_id or self.settings.extras["project_id"]

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        if settings.extras["token_url"]:
            check_url(f"connection {settings.conn_id!r}: extra token_url", settings.extras["token_url"])

    def key_authorization(self) -> str:
        # https://docs.imply.io/polaris/api-keys shows the raw key, its older versions the key as a user name.
        key, scheme = self.settings.password, self.settings.extras["auth_scheme"]
        if scheme == "Basic":
            return f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"
        return f"{scheme.removesuffix('-raw')} {key}"

    def token_request(self) -> TokenRequest:
        # github.com/implydata/polaris-cli, BaseCommand.java; a token lives five minutes
        organization = (urlsplit(self.settings.base_url).hostname or "").partition(".")[0]
        return TokenRequest(
            url=self.settings.extras["token_url"]
            or f"https://id.imply.io/auth/realms/{organization}/protocol/openid-connect/token",
            form={
                "grant_type": "client_credentials",
                "client_id": self.settings.login or "",
                "client_secret": self.settings.password,
            },
            url_field="extra token_url, or its host",
        )

    def ping(self) -> str:
        unhealthy = sum(1 for _ in self.list_jobs(health_status="error"))
        where = f"project {self._project}" if self._project else "the project-less API"
        return f"Imply Polaris answers for {where}: {unhealthy} jobs with an error"


def _several(value: str | Iterable[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _as_params(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return filters as the list's parameters. All but the table's name may be repeated."""
    params = [("healthStatus", _WARN.get(one, one)) for one in _several(filters.get("health_status"))]
    params += [("type", one) for one in _several(filters.get("job_type"))]
    table_names = _several(filters.get("table_name"))
    # Several tables are picked from the list.
    return [*params, ("targetTableName", table_names[0])] if len(table_names) == 1 else params


def _noting(records: Iterator[Any], keys: list[tuple[Any, Any]]) -> Iterator[Any]:
    for record in records:
        known = as_object(record)
        keys.append((as_text(known.get("id")), as_text(known.get("createdTimestamp"))))
        yield record


def _is_past(page: Page, oldest: datetime | None) -> bool:
    """Whether a page ends with a job that was created before this; the following ones were, too."""
    last = parse_timestamp(page.keys[-1][1]) if page.keys else None
    return oldest is not None and last is not None and last < oldest


#: Imply's document calls the health of a job with warnings by both words.
_WARN = {"warning": "warn"}


def _health_status(health: Mapping[str, Any]) -> str | None:
    status = as_text(health.get("status"))
    return _WARN.get(status, status) if status else None


def _reason(health: Mapping[str, Any]) -> str | None:
    message = as_text(health.get("message")) or as_text(as_object(health.get("log")).get("message"))
    return message or as_text(health.get("code"))
