# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Imply Polaris: https://docs.imply.io/polaris/api-manage-job."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_provider_ingestjobs.arguments import check_job_id, check_path_part
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.connection import Settings, check_url
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_count, as_object, as_text, once
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts, parse_timestamp
from airflow_provider_ingestjobs.vendors import IMPLY_POLARIS

if TYPE_CHECKING:
    from datetime import datetime


class PolarisHook(IngestJobHook, vendor=IMPLY_POLARIS):
    """Imply Polaris' ingestion jobs.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    """

    # Only `pending` is published where it could be read; the others are the plain words of the same API.
    states = {  # noqa: RUF012 - a ClassVar by its base
        "pending": JobState.PENDING,
        "running": JobState.RUNNING,
        "canceling": JobState.CANCELLING,
        "completed": JobState.SUCCEEDED,
        "succeeded": JobState.SUCCEEDED,
        "success": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "canceled": JobState.CANCELLED,
    }

    def __init__(
        self, imply_polaris_conn_id: str = "imply_polaris_default", project_id: str | None = None
    ) -> None:
        super().__init__(imply_polaris_conn_id)
        self.project_id = project_id

    def list_jobs(
        self,
        *,
        health_status: str | Iterable[str] | None = None,
        job_type: str | Iterable[str] | None = None,
        table_name: str | None = None,
    ) -> Iterator[Job]:
        """List the project's jobs.

        :param health_status: ``ok`` or ``error``; several match any of them.
        :param job_type: such as ``batch``; several match any of them.
        :param table_name: only jobs that load this table; picked here, the API has no such filter.
        """
        params = [("healthStatus", status) for status in _several(health_status)]
        params += [("type", kind) for kind in _several(job_type)]
        jobs = once(self.records.jobs(self._list(params), keep_raw=True))
        return (job for job in jobs if table_name in (None, job.target))

    def get_metrics(self, job_id: str) -> dict[str, Any]:
        """Return a job's row counts as Polaris gives them, under ``totals``.

        :param job_id: the job's id.
        :raises VendorError: if Polaris refuses, or cannot be reached.
        """
        metrics: dict[str, Any] = self.client.request(
            "GET", self._job_path(check_job_id(job_id)) + "/metrics"
        )
        return metrics

    def _list(self, params: list[tuple[str, str]]) -> Iterator[Any]:
        # Projects from before 2023-09-29 have addresses without a project; their list is the v2 one.
        project = self._project
        path = f"/v1/projects/{check_path_part('project_id', project)}/jobs" if project else "/v2/jobs"
        # The list's envelope is not published; Polaris' other lists have `values`.
        return self.client.request_list(path, "values", params=params, or_bare=True)

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        read.jobs.update(self.records.wanted(self._list([]), "id", wanted, state.listed))

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        params = [("type", kind) for kind in _several(common_filters.get("job_type"))]
        return self.records.jobs(self._list(params))

    def get_record(self, job_id: str) -> Any:
        return self.client.request("GET", self._job_path(job_id))

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["executionStatus"])
        if record.get("desiredExecutionStatus") == "canceled" and state in (
            JobState.PENDING,
            JobState.RUNNING,
        ):
            state = JobState.CANCELLING
        updated_at = parse_timestamp(record.get("lastUpdatedTimestamp"))
        table_name = as_text(as_object(record.get("target")).get("tableName"))
        job_type = as_text(record.get("type"))
        return Job(
            vendor=self.vendor.name,
            id=str(record["id"]),
            state=state,
            vendor_state=str(record["executionStatus"]),
            name=job_type,
            target=table_name,
            created_at=parse_timestamp(record.get("createdTimestamp")),
            # Polaris gives no end; the record of an ended job does not change any more.
            ended_at=updated_at if state.is_terminal else None,
            updated_at=updated_at,
            details={
                "table_name": table_name,
                "job_type": job_type,
                "health_status": as_text(as_object(record.get("health")).get("status")),
            },
        )

    def fetch_details(self, job: Job) -> Job:
        totals = as_object(as_object(self.get_metrics(job.id)).get("totals"))
        rows = RowCounts(
            read=as_count(totals.get("numRowsProcessed")),
            inserted=as_count(totals.get("numRowsPersisted")),
            errors=as_count(totals.get("numRowsSkippedByError")),
        )
        more = {"rows_skipped_by_filter": as_count(totals.get("numRowsSkippedByFilter"))}
        # The reference page and the sample answer spell this one differently.
        more["rows_with_warning"] = as_count(
            totals.get("numRowsProcessedWithWarning", totals.get("numRowsProcessedWithWarnings"))
        )
        return replace(job, rows=rows, details={**job.details, **more})

    def send_cancel(self, job: Job) -> None:
        self.client.request("PUT", self._job_path(job.id), json_body={"desiredExecutionStatus": "canceled"})

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
        unhealthy = sum(1 for _ in self._list([("healthStatus", "error")]))
        where = f"project {self._project}" if self._project else "the project-less API"
        return f"Imply Polaris answers for {where}: {unhealthy} jobs with an error"


def _several(value: str | Iterable[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
