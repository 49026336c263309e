# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Amperity's workflow runs, each followed as one job: https://docs.amperity.com/api/ (version 2024-04-01)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_window
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook, rows_of, window_of
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import Records, as_object, as_text
from airflow_provider_ingestjobs.job import Job, parse_timestamp

RUNS = "/api/workflow/runs"
#: How much earlier than its workflow an ingest job may seem to have started: both are Amperity's clocks.
AROUND = timedelta(minutes=1)


class AmperityWorkflowHook(AmperityHook):
    """Amperity's workflow runs.

    A run's own state is followed: it may load nothing, and then has no ingest job. The ingest jobs of one
    that has ended are in its details, as ``ingest_jobs``.

    :param amperity_conn_id: the Airflow connection.
    """

    def start_workflow(
        self,
        config_id: str,
        *,
        range_from: str | None = None,
        range_to: str | None = None,
        run_mode: str | None = None,
    ) -> Mapping[str, Any]:
        """Start a run, once: where no answer comes, it may have been started nevertheless.

        :param config_id: the id of a courier group, an orchestration group or a campaign.
        :param range_from: the first day of its files, ISO 8601; file-based groups need it.
        :param range_to: the last one.
        :param run_mode: ``full``, ``refresh`` or ``source``.
        :returns: the run as it begins.
        :raises VendorUnavailable: if it is not known whether Amperity has started it.
        :raises VendorError: if Amperity refuses.
        """
        given = {"range_from": range_from, "range_to": range_to, "run_mode": run_mode}
        asked = {name: value for name, value in given.items() if value is not None}
        return as_object(self.client.request("POST", RUNS, json_body={"config_id": config_id, **asked}))

    def list_jobs(
        self,
        started_from: datetime | str | None = None,
        started_to: datetime | str | None = None,
        *,
        workflow_id: str | None = None,
        feed_id: str | None = None,
        table_name: str | None = None,
    ) -> Iterator[Job]:
        """List the runs that were created in a half-open window.

        :param started_from: aware start, inclusive; seven days before the end if left out.
        :param started_to: aware end, exclusive; now if left out.
        :param workflow_id: only this run.
        :param feed_id: what ingest jobs are selected by, and runs cannot be.
        :param table_name: the same.
        :raises InvalidInput: for a naive or inverted window, or a filter that runs do not have.
        """
        for name, value in (("feed_id", feed_id), ("table_name", table_name)):
            if value is not None:
                raise InvalidInput(name, value, "leave it out: a workflow run does not say what it loads")
        start, end = window_of(started_from, started_to)
        return (
            job
            for job in self.list_window(start, end, {})
            if job.created_at and start <= job.created_at < end and workflow_id in (None, job.id)
        )

    def _run_pages(self, created_from: datetime) -> Iterator[Iterator[Any]]:
        since = ("created_from", created_from.isoformat().replace("+00:00", "Z"))
        token: str | None = None
        while True:
            answer: dict[str, Any] = {}
            params = [since, *([("next_token", token)] if token else [])]
            yield self.client.request_list(RUNS, "data", params=params, others=answer)
            before, token = token, as_text(answer.get("next_token"))
            if token in (None, before):
                return

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        known = [state.jobs[job_id].created_at for job_id in wanted if job_id in state.jobs]
        if len(known) < len(wanted) or None in known:
            # Of unknown age: they are read by their ids, once.
            return
        oldest = min(moment for moment in known if moment)
        for records in self._run_pages(oldest - AROUND):
            read.jobs.update(self.records.wanted(records, "id", wanted, state.listed))

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterator[Job]:
        for records in self._run_pages(start):
            yield from self.records.jobs(records)

    def get_record(self, job_id: str) -> Any:
        return self.get_workflow(job_id)

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["state"])
        return Job(
            vendor=self.vendor.name,
            id=str(record["id"]),
            state=state,
            vendor_state=str(record["state"]),
            name=as_text(record.get("name")),
            created_at=parse_timestamp(record.get("created_at")),
            ended_at=parse_timestamp(record.get("ended_at")) if state.is_terminal else None,
            details={
                "workflow_id": str(record["id"]),
                "workflow_type": as_text(record.get("type")),
                "principal_name": as_text(record.get("principal_name")),
            },
        )

    def fetch_details(self, job: Job) -> Job:
        job = super().fetch_details(job)
        if not job.state.is_terminal:
            return job
        loaded = self._ingest_jobs_of(job)
        return replace(
            job,
            rows=rows_of([asdict(one.rows) for one in loaded]),
            details={**job.details, "ingest_jobs": [one.to_dict() for one in loaded]},
        )

    def _ingest_jobs_of(self, run: Job) -> list[Job]:
        ingest = Records(
            vendor=self.vendor.name, to_job=super().to_job, redact=self.client.redact, log=self.log
        )
        began, ended = run.created_at or clock.now(), run.ended_at or clock.now()
        window = check_window(began - AROUND, max(began, ended) + AROUND)
        found = {job.id: job for records in self._windows(*window) for job in ingest.jobs(records)}
        return [found[job_id] for job_id in sorted(found) if found[job_id].details["workflow_id"] == run.id]

    def send_cancel(self, job: Job) -> None:
        self.log.info("Stopping workflow %s.", job.id)
        self.stop_workflow(job.id)

    def ping(self) -> str:
        runs = list(self.list_jobs(clock.now() - timedelta(hours=1)))
        tenant = self.settings.extras["tenant"]
        return f"Amperity answers for tenant {tenant!r}: {len(runs)} workflow runs in the last hour"
