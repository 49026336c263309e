# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Amperity: https://docs.amperity.com/api/ (version 2024-04-01)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_path_part, check_single, check_window, to_utc
from airflow_provider_ingestjobs.errors import CancelRefused, InvalidInput, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.client import TokenRequest
from airflow_provider_ingestjobs.hooks.connection import Settings, check_url
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import as_count, as_object, as_objects, as_text, once
from airflow_provider_ingestjobs.job import (
    Job,
    JobState,
    RowCounts,
    fold_states,
    normalise_word,
    parse_timestamp,
)
from airflow_provider_ingestjobs.vendors import AMPERITY

if TYPE_CHECKING:
    from datetime import datetime

    import pendulum

#: The widest window the API lists, by the jobs' start.
MAX_WINDOW_DAYS = 7
#: The most jobs without tables that one poll takes out of a list to read them, with their workflows, by id.
MAX_READS_WITHOUT_TABLES = 10
#: What is shown for the state of a job that has none, as it has no tables and its workflow goes on.
NO_TABLES = "no tables yet"
#: The key under which `raw` of a job without tables has its workflow run; Amperity has no such field.
WORKFLOW = "workflow"


class AmperityHook(IngestJobHook, vendor=AMPERITY):
    """Amperity's ingest jobs and the workflows that run them.

    An ingest job has no state of its own: it is folded from its tables. Where a job is read by its id and has
    no tables, its workflow is read, too: once that has ended no tables will come, and its end is the job's.

    :param amperity_conn_id: the Airflow connection.
    """

    # https://docs.amperity.com/api/endpoint_get_ingest_jobs_id.html; workflows spell some words otherwise.
    states = {  # noqa: RUF012 - a ClassVar by its base
        "scheduled": JobState.PENDING,
        "started": JobState.RUNNING,
        "in_progress": JobState.RUNNING,
        "running": JobState.RUNNING,
        "running_with_failures": JobState.RUNNING,
        "finalizing": JobState.RUNNING,
        # Of tasks, by endpoint_post_workflows_stop.html: they have begun, and they go on by themselves or by
        # people. Neither is an end, and neither waits for its start.
        "paused": JobState.RUNNING,
        "up_for_retry": JobState.RUNNING,
        "stopping": JobState.CANCELLING,
        "canceling": JobState.CANCELLING,
        "succeeded": JobState.SUCCEEDED,
        "failed": JobState.FAILED,
        "stopped": JobState.CANCELLED,
        "canceled": JobState.CANCELLED,
        "skipped": JobState.SKIPPED,
    }
    # github.com/amperity/amperity-docs, amperity_reference/source/workflows.rst: "Common resolutions"
    may_resume_jobs = True

    def __init__(self, amperity_conn_id: str = "amperity_default") -> None:
        super().__init__(amperity_conn_id)

    def list_jobs(
        self,
        started_from: datetime | str | None = None,
        started_to: datetime | str | None = None,
        *,
        workflow_id: str | None = None,
        feed_id: str | None = None,
        table_name: str | None = None,
    ) -> Iterator[Job]:
        """List the jobs that started in a half-open window.

        The API lists seven days at a time: a wider window takes a request for each seven days.

        :param started_from: aware start, inclusive; seven days before the end if left out.
        :param started_to: aware end, exclusive; now if left out.
        :param workflow_id: only jobs of this workflow run.
        :param feed_id: only jobs that load this feed.
        :param table_name: only jobs that load this table.
        :raises InvalidInput: for a naive or inverted window, or several of one filter.
        """
        start, end = window_of(started_from, started_to)
        workflow_id = check_single("workflow_id", workflow_id)
        feed_id = check_single("feed_id", feed_id)
        table_name = check_single("table_name", table_name)
        return (
            job
            for job in once(self._list(start, end))
            if workflow_id in (None, job.details["workflow_id"])
            and (feed_id is None or feed_id in job.details["feed_ids"])
            and (table_name is None or table_name in job.details["table_names"])
        )

    def get_workflow(self, workflow_id: str, verbose: bool = False) -> dict[str, Any]:
        """Return a workflow run as Amperity describes it.

        :param workflow_id: the workflow run's id.
        :param verbose: also its error and its tasks.
        :raises VendorError: with status 404, if Amperity does not know it.
        """
        path = f"/api/workflow/runs/{check_path_part('workflow_id', workflow_id)}"
        workflow: dict[str, Any] = self.client.request(
            "GET", path, params=[("view", "verbose" if verbose else "overview")]
        )
        return workflow

    def stop_workflow(self, workflow_id: str) -> dict[str, Any]:
        """Stop a workflow run with everything in it, and return it as Amperity describes it.

        :param workflow_id: the workflow run's id.
        :raises VendorError: if Amperity refuses, or cannot be reached.
        """
        path = f"/api/workflow/runs/{check_path_part('workflow_id', workflow_id)}/stop"
        workflow: dict[str, Any] = self.client.request("POST", path)
        return workflow

    def _list(self, start: pendulum.DateTime, end: pendulum.DateTime) -> Iterator[Job]:
        for records in self._windows(start, end):
            yield from self.records.jobs(records, keep_raw=True)

    def _windows(self, start: pendulum.DateTime, end: pendulum.DateTime) -> Iterator[Any]:
        while start < end:
            stop = min(start.add(days=MAX_WINDOW_DAYS), end)
            window = [("created_from", start.to_iso8601_string()), ("created_to", stop.to_iso8601_string())]
            yield self.client.request_list("/api/ingest/jobs", "data", params=window)
            start = stop

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        import pendulum

        # A minute more than now, for a vendor whose clock is ahead.
        end = pendulum.instance(clock.now()).add(minutes=1)
        start = end.subtract(days=MAX_WINDOW_DAYS)
        starts = [state.jobs[job_id].started_at if job_id in state.jobs else None for job_id in wanted]
        if all(starts):
            start = max(start, pendulum.instance(min(moment for moment in starts if moment)))
        for records in self._windows(start, end):
            read.jobs.update(self.records.wanted(records, "id", wanted, state.listed))
        # A list does not tell whether tables will still come: some are left to be read by id, in turn.
        unsettled = [job_id for job_id, job in read.jobs.items() if job.vendor_state == NO_TABLES]
        random.shuffle(unsettled)
        unsettled.sort(key=lambda job_id: state.asked_at.get(job_id, 0.0))
        for job_id in unsettled[:MAX_READS_WITHOUT_TABLES]:
            del read.jobs[job_id]

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        for records in self._windows(*check_window(start, end)):
            yield from self.records.jobs(records)

    def get_record(self, job_id: str) -> Any:
        record = self.client.request("GET", f"/api/ingest/jobs/{quote(job_id, safe='')}")
        if not isinstance(record, Mapping) or record.get("tables", True):
            return record
        workflow_id = as_text(record.get("workflow_id"))
        return {**record, WORKFLOW: self._workflow_of(job_id, workflow_id)} if workflow_id else record

    def _workflow_of(self, job_id: str, workflow_id: str) -> Mapping[str, Any] | None:
        try:
            return as_object(self.get_workflow(workflow_id))
        except (InvalidInput, VendorError) as error:
            if isinstance(error, VendorError) and (
                error.rejects_credentials or isinstance(error, VendorUnavailable)
            ):
                raise
            # The job itself could be read: that its workflow cannot is no reason to end its wait.
            self.log.info("Job %s has no tables, and its workflow cannot be read: %s", job_id, error)
            return None

    def to_job(self, record: Mapping[str, Any]) -> Job:
        tables = record["tables"] or []
        if not isinstance(tables, list):
            raise TypeError(f"its tables are a {type(tables).__name__}")
        state = fold_states([self.words.state_of(table["state"]) for table in tables])
        words = ", ".join(sorted({str(table["state"]) for table in tables}))
        workflow = as_object(record.get(WORKFLOW)) if not tables else {}
        if not tables:
            state, words = self._without_tables(workflow)
        table_names = [name for table in tables if (name := as_text(table.get("table_name")))]
        feed_ids = [feed_id for table in tables if (feed_id := as_text(table.get("feed_id")))]
        starts = [moment for table in tables if (moment := parse_timestamp(table.get("started_at")))]
        ends = [moment for part in (*tables, workflow) if (moment := parse_timestamp(part.get("ended_at")))]
        return Job(
            vendor=self.vendor.name,
            id=str(record["id"]),
            state=state,
            vendor_state=words,
            name=", ".join(feed_ids) or None,
            # The answer's order may change, and two runs with the same tables have the same target.
            target=", ".join(sorted(table_names)) or None,
            started_at=min(starts, default=None),
            ended_at=max(ends, default=None) if state.is_terminal else None,
            rows=rows_of(tables),
            details={
                "workflow_id": as_text(record.get("workflow_id")),
                "feed_ids": feed_ids,
                "table_names": table_names,
            },
        )

    def _without_tables(self, workflow: Mapping[str, Any]) -> tuple[JobState, str]:
        """Return the state of a job without tables, and what to show for the vendor's words."""
        word = as_text(workflow.get("state"))
        state = self.words.state_of(word) if word else JobState.PENDING
        if not state.is_terminal:
            return JobState.PENDING, NO_TABLES
        return state, f"no tables, workflow {word}"

    def fetch_details(self, job: Job) -> Job:
        # An ingest job says that it failed, only its workflow says why.
        workflow_id = job.details.get("workflow_id")
        if job.state is not JobState.FAILED or not workflow_id:
            return job
        workflow = as_object(self.get_workflow(workflow_id, verbose=True))
        failure, attribution = self._reason(workflow)
        return replace(job, failure=failure, details={**job.details, "failure_attribution": attribution})

    def _reason(self, workflow: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Return why a workflow failed, or why tasks of one that goes on did, and by whose fault."""
        error = as_object(workflow.get("error"))
        if message := as_text(error.get("message")):
            return message, as_text(error.get("attribution"))
        texts, attributions = [], set()
        for task in as_objects(workflow.get("task_instances")):
            error = as_object(task.get("error"))
            message = as_text(error.get("message"))
            has_failed = self.states.get(normalise_word(str(task.get("state")))) is JobState.FAILED
            if not (message and has_failed):
                continue
            label = as_text(task.get("label"))
            texts.append(f"{label}: {message}" if label else message)
            attributions.add(as_text(error.get("attribution")))
        # A rerun alone helps only where that holds for every failure.
        attribution = attributions.pop() if len(attributions) == 1 else None
        return "; ".join(dict.fromkeys(texts)) or None, attribution

    def send_cancel(self, job: Job) -> None:
        workflow_id = job.details["workflow_id"]
        if not workflow_id:
            raise CancelRefused("Amperity stops workflows, and this job names none")
        self.log.info("Stopping workflow %s, which runs %s.", workflow_id, job)
        self.stop_workflow(workflow_id)

    def headers(self) -> dict[str, str]:
        extra = self.settings.extras
        return {"amperity-tenant": extra["tenant"], "api-version": extra["api_version"]}

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        if settings.extras["token_url"]:
            check_url(f"connection {settings.conn_id!r}: extra token_url", settings.extras["token_url"])

    def token_request(self) -> TokenRequest:
        # amperity_reference/source/api.rst of github.com/amperity/amperity-docs; whether the hosts that all
        # tenants share answer there, too, is not documented.
        return TokenRequest(
            url=self.settings.extras["token_url"] or f"{self.settings.base_url}/api/v0/oauth2/token",
            form={
                "grant_type": "client_credentials",
                "client_id": self.settings.login or "",
                "client_secret": self.settings.password,
            },
            headers={"X-Amperity-Tenant": self.settings.extras["tenant"]},
            url_field="extra token_url, or its host",
        )

    def ping(self) -> str:
        import pendulum

        end = pendulum.instance(clock.now())
        jobs = list(self._list(end.subtract(hours=1), end))
        tenant = self.settings.extras["tenant"]
        return f"Amperity answers for tenant {tenant!r}: {len(jobs)} ingest jobs in the last hour"


def window_of(
    started_from: datetime | str | None, started_to: datetime | str | None
) -> tuple[pendulum.DateTime, pendulum.DateTime]:
    """Return a window that may lack an end: until now, and of the days that the API lists at once.

    :param started_from: its aware start.
    :param started_to: its aware end.
    :raises InvalidInput: for a naive or inverted window.
    """
    end = to_utc("started_to", clock.now() if started_to is None else started_to)
    start = end.subtract(days=MAX_WINDOW_DAYS) if started_from is None else started_from
    return check_window(start, end)


def rows_of(parts: Sequence[Mapping[str, Any]]) -> RowCounts:
    """Return the counts of something made of parts, such as tables.

    :param parts: their counts.
    """
    return RowCounts(*(_sum(parts, key) for key in ("read", "inserted", "updated", "rejected", "errors")))


def _sum(parts: Sequence[Mapping[str, Any]], key: str) -> int | None:
    counts = [count for part in parts if (count := as_count(part.get(key))) is not None]
    # If one part lacks the count, that of the whole is unknown.
    return sum(counts) if counts and len(counts) == len(parts) else None
