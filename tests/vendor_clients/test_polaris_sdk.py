# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Imply's own Python client, polaris-sdk, against the sandbox: nothing but its endpoint is set."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS
from airflow_provider_ingestjobs.sandbox.polaris import PROJECT_ID
from airflow_provider_ingestjobs.sandbox.polaris_list import table_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polaris.sdk.client import ProjectClient

    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline

pytestmark = pytest.mark.polaris_sdk

TYPES = {
    "batch": "BatchJob",
    "streaming": "StreamingJob",
    "sql": "SqlJob",
    "delete_data": "DeleteDataJob",
    "drop_table": "DropTableJob",
    "restore_data": "RestoreDataJob",
}
COMPLETED: Timeline = [(-20, "pending"), (-10, "running"), (-1, "completed")]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[ProjectClient]:
    # Not at the top: where the client is not installed these tests are deselected, but read.
    from polaris.sdk.client import ProjectClient

    with ProjectClient.from_endpoint(PROJECT_ID, sandbox.url, CREDENTIALS["polaris"].key) as client:
        yield client


@pytest.fixture
def models() -> Any:
    from polaris.sdk.project_api import models

    return models


def listed(client: ProjectClient, **arguments: Any) -> set[str]:
    return {job.id for job in client.jobs.list_jobs(**arguments).values}


def undocumented(model: Any) -> list[str]:
    """Return the fields of an answer that the client has no attribute for, with those of what is in it."""
    if isinstance(model, list):
        return [name for item in model for name in undocumented(item)]
    if not hasattr(model, "additional_properties"):
        return []
    parts = [value for name, value in vars(model).items() if name != "additional_properties"]
    return [*(model.additional_properties or {}), *undocumented(parts)]


def test_it_reads_all_pages(sandbox: Sandbox, client: ProjectClient) -> None:
    jobs = [sandbox.add_job("polaris", timeline=[(-1, "running")]) for _ in range(1203)]
    assert len(client.jobs.list_jobs().values) == 100
    in_order = {"sort_column": "created_date_time", "sort_order": "ASC"}
    found: list[str] = []
    pages = 0
    more = True
    while more:
        page = client.jobs.list_jobs(**in_order, pagination_limit=500, pagination_offset=len(found))
        found += [job.id for job in page.values]
        more, pages = page.more_results_available, pages + 1
    assert (found, pages) == (jobs, 3)


def test_it_filters(sandbox: Sandbox, client: ProjectClient, models: Any) -> None:
    orders = {"type": "table", "tableName": "orders"}
    kafka = {"type": "connection", "connectionName": "kafka-1"}
    batch = sandbox.add_job("polaris", timeline=COMPLETED)
    failed = sandbox.add_job("polaris", timeline=[(-1, "failed")], fields={"target": orders})
    stream = sandbox.add_job(
        "polaris", timeline=[(-1, "idle")], fields={"type": "streaming", "source": kafka}
    )
    unhealthy = {"type": "sql", "health": {"status": "warning", "code": "no_rows_found"}}
    warned = sandbox.add_job("polaris", timeline=COMPLETED, fields=unhealthy)

    assert listed(client) == {batch, failed, stream, warned}
    assert listed(client, execution_status=["idle", "failed"]) == {stream, failed}
    assert listed(client, execution_status=[models.JobExecutionStatusV2.COMPLETED]) == {batch, warned}
    assert listed(client, health_status=["warn", "error"]) == {warned, failed}
    assert listed(client, type=["batch", "sql"], health_status=["ok"]) == {batch}
    assert listed(client, connection_name=["kafka-1"]) == {stream}
    assert listed(client, target_table_name="orders") == {failed}
    assert listed(client, target_table_id=table_id("orders")) == {failed}
    assert listed(client, search_string="kafka") == {stream}
    for column in models.JobSortSearchColumn:
        first, *_ = client.jobs.list_jobs(sort_column=column, pagination_limit=1).values
        *_, last = client.jobs.list_jobs(sort_column=column, sort_order="ASC").values
        assert first.id == last.id, column


@pytest.mark.parametrize("kind", list(TYPES))
def test_it_knows_every_field(sandbox: Sandbox, client: ProjectClient, kind: str) -> None:
    job = sandbox.add_job("polaris", timeline=COMPLETED, fields={"type": kind})
    (summary,) = client.jobs.list_jobs().values
    record = client.jobs.describe_job(job)
    assert type(summary).__name__ == TYPES[kind] + "SummaryResponse"
    assert type(record).__name__ == TYPES[kind] + "Response"
    assert type(record.spec).__name__ == f"Create{TYPES[kind]}Request"
    assert undocumented(summary) == undocumented(record) == []
    for shown in (summary, record):
        assert (shown.id, shown.type, shown.execution_status) == (job, kind, "completed")
        assert shown.target.table_name == "Events"
        assert shown.health.status == "ok"
        assert (shown.started_timestamp - shown.created_timestamp).total_seconds() == pytest.approx(10)
        assert (shown.completed_timestamp - shown.started_timestamp).total_seconds() == pytest.approx(9)
        assert shown.last_updated_timestamp == shown.created_timestamp


def test_it_reads_health_and_logs(sandbox: Sandbox, client: ProjectClient) -> None:
    failed = sandbox.add_job("polaris", timeline=[(-1, "failed")], failure="Line 7 is not JSON")
    health = client.jobs.describe_job(failed).health
    assert (health.status, health.code, health.message) == ("error", "internal_error", "Line 7 is not JSON")
    assert health.log.message == "Line 7 is not JSON"
    (entry,) = client.jobs.describe_job_logs(failed).logs
    assert (entry.health_status, entry.message, entry.timestamp) == (
        "error",
        health.message,
        health.log.timestamp,
    )
    # Of the two spellings that the document has for it, this is the one that its client reads.
    warning = {"status": "warning", "code": "no_rows_found"}
    warned = sandbox.add_job("polaris", timeline=COMPLETED, fields={"health": warning})
    health = client.jobs.describe_job(warned).health
    assert (type(health).__name__, health.code) == ("JobWarningHealthV2", "no_rows_found")
    assert client.jobs.describe_job_logs(warned).logs == []


def test_it_reads_status_progress_and_metrics(sandbox: Sandbox, client: ProjectClient) -> None:
    half: Timeline = [(-1, {"state": "running", "progress": 0.5})]
    job = sandbox.add_job("polaris", timeline=half, rows={"read": 200, "errors": 10, "rejected": 20})
    assert client.jobs.describe_job_status(job).execution_status == "running"
    assert client.jobs.describe_job_overall_progress(job).overall_progress == 0.5
    totals = client.jobs.describe_job_metrics(job).totals
    assert undocumented(totals) == []
    assert (totals.num_rows_processed, totals.num_rows_processed_with_warning) == (85, 0)
    assert (totals.num_rows_skipped_by_error, totals.num_rows_skipped_by_filter) == (5, 10)
    assert totals.num_rows_persisted == 85
    assert totals.num_bytes_processed > 0
    stream = sandbox.add_job("polaris", fields={"type": "streaming"}, rows={"read": 200})
    assert client.jobs.describe_job_metrics(stream).totals.num_rows_persisted is None


def test_it_updates_cancels_and_resets(sandbox: Sandbox, client: ProjectClient, models: Any) -> None:
    sandbox.cancel_delay = 0
    job = sandbox.add_job("polaris", fields={"type": "streaming"})

    def wish(desired: str) -> Any:
        return models.UpdateJobStatusRequest(desired_execution_status=desired)

    assert client.jobs.update_job_status(job, wish("suspended")).execution_status == "suspended"
    assert client.jobs.describe_job(job).desired_execution_status == "suspended"
    resumed = client.jobs.update_job(job, wish("running"))
    assert (resumed.execution_status, resumed.desired_execution_status) == ("running", "running")
    assert client.jobs.reset_job(job) is None
    assert client.jobs.update_job_status(job, wish("canceled")).execution_status == "canceled"
    canceled = client.jobs.describe_job(job)
    assert canceled.last_updated_timestamp > resumed.last_updated_timestamp
    assert (canceled.health.code, canceled.completed_timestamp) == ("canceled", None)

    batch = sandbox.add_job("polaris")
    assert client.jobs.update_job(batch, wish("canceled")).execution_status == "canceled"
    deletion = sandbox.add_job("polaris", fields={"type": "delete_data"})
    refused = client.jobs.update_job(deletion, wish("canceled"))
    assert (type(refused).__name__, refused.code) == ("ErrorResponse", "BadRequest")
    assert client.jobs.describe_job_status(deletion).execution_status == "running"


def test_it_reads_errors(sandbox: Sandbox, client: ProjectClient) -> None:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
    from polaris.sdk.client import ProjectClient

    job, wish = sandbox.add_job("polaris"), b'{"desiredExecutionStatus": "canceled"}'
    sandbox.add_job("polaris", "stream", fields={"type": "streaming"})
    answers = {
        "BadRequest": [
            client.jobs.list_jobs(execution_status=["succeeded"]),
            client.jobs.update_job(job, io.BytesIO(b"{}")),
            client.jobs.describe_job_overall_progress("stream"),
        ],
        "NotFound": [
            client.jobs.describe_job("none"),
            client.jobs.describe_job_status("none"),
            client.jobs.describe_job_overall_progress("none"),
            client.jobs.describe_job_logs("none"),
            client.jobs.describe_job_metrics("none"),
            client.jobs.reset_job("none"),
            client.jobs.update_job("none", io.BytesIO(wish)),
            client.jobs.update_job_status("none", io.BytesIO(wish)),
        ],
        "UnsupportedMediaType": [
            client.jobs.update_job(job, io.BytesIO(wish), content_type="text/plain"),
            client.jobs.update_job_status(job, io.BytesIO(wish), content_type="text/plain"),
        ],
    }
    for code, errors in answers.items():
        for error in errors:
            assert (type(error).__name__, error.code) == ("ErrorResponse", code)
            assert error.message
            assert undocumented(error) == []
    # The document has no 400 for this one.
    with pytest.raises(HttpResponseError, match="desiredExecutionStatus"):
        client.jobs.update_job_status(job, io.BytesIO(b"{}"))
    stranger = ProjectClient.from_endpoint(PROJECT_ID, sandbox.url, "pok_other")
    with stranger, pytest.raises(ClientAuthenticationError):
        stranger.jobs.list_jobs()
