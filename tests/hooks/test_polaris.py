# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Imply Polaris' endpoints, with and without a project, its keys, and its metrics."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_ingestjobs.errors import AuthenticationFailed, CancelRefused
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs
    from support.recorder import Recorder

KEY = CREDENTIALS["polaris"].key
JOB_ID = "efb35e3e-406e-4127-ad2e-280fede4f431"
LIST = "/v1/projects/p/jobs"
PATH = f"{LIST}/{JOB_ID}"
#: From the sample of https://docs.imply.io/polaris/api-manage-job
SAMPLE: dict[str, Any] = {
    "type": "batch",
    "id": JOB_ID,
    "target": {"type": "table", "tableName": "Koalas Subset"},
    "desiredExecutionStatus": "running",
    "executionStatus": "pending",
    "health": {"status": "ok"},
    "createdTimestamp": "2022-08-09T22:34:46.716017658Z",
    "lastUpdatedTimestamp": "2022-08-09T22:34:46.716017658Z",
}


@pytest.fixture
def hook(sandbox: Sandbox, connections: Connections) -> PolarisHook:
    return PolarisHook(connections.add("polaris"))


@pytest.fixture
def polaris(recorder: Recorder, connections: Connections) -> PolarisHook:
    """The hook on a server that answers what a test tells it."""
    connections.add("polaris", host=recorder.url, extra={"project_id": "p"})
    return PolarisHook()


def paths(sandbox: Sandbox) -> list[str]:
    return [request.path for request in sandbox.requests()]


class TestAuthorisation:
    @pytest.mark.parametrize("scheme", [None, "Basic", "Basic-raw"])
    def test_accepted_keys(self, scheme: str | None, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", JOB_ID)
        hook = PolarisHook(connections.add("polaris", extra={"auth_scheme": scheme}))
        assert hook.get_job(JOB_ID).state is JobState.RUNNING

    def test_accepted_client_credentials(self, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", JOB_ID)
        hook = PolarisHook(connections.add("polaris", auth="login"))
        assert hook.get_job(JOB_ID).state is JobState.RUNNING

    @pytest.mark.parametrize(
        ("scheme", "header"),
        [
            (None, f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}"),
            ("Basic", f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}"),
            ("Basic-raw", f"Basic {KEY}"),
            ("Bearer", f"Bearer {KEY}"),
        ],
    )
    def test_schemes(
        self, scheme: str | None, header: str, recorder: Recorder, connections: Connections
    ) -> None:
        connections.add("polaris", host=recorder.url, extra={"auth_scheme": scheme, "project_id": "p"})
        recorder.answers[f"/v1/projects/p/jobs/{JOB_ID}"] = SAMPLE
        PolarisHook().get_job(JOB_ID)
        assert recorder.requests[0].headers["authorization"] == header

    def test_an_api_key_is_no_bearer_token(self, connections: Connections) -> None:
        hook = PolarisHook(connections.add("polaris", extra={"auth_scheme": "Bearer"}))
        with pytest.raises(AuthenticationFailed, match="Unauthorized"):
            hook.get_job(JOB_ID)

    def test_what_is_sent_for_a_token(self, recorder: Recorder, connections: Connections) -> None:
        extra = {"project_id": "p", "token_url": f"{recorder.url}/realm/token"}
        connections.add("polaris", auth="login", host=recorder.url, extra=extra)
        recorder.answers["/realm/token"] = {"access_token": "fresh", "expires_in": 300}
        recorder.answers[f"/v1/projects/p/jobs/{JOB_ID}"] = SAMPLE
        PolarisHook().get_job(JOB_ID)
        asked, used, *_ = recorder.requests
        known = CREDENTIALS["polaris"]
        assert parse_qs(asked.body.decode()) == {
            "grant_type": ["client_credentials"],
            "client_id": [known.login],
            "client_secret": [known.password],
        }
        assert used.headers["authorization"] == "Bearer fresh"

    def test_where_tokens_come_from_by_default(self, connections: Connections) -> None:
        connections.add(
            "polaris", auth="login", host="acme.us-east-1.aws.api.imply.io", extra={"token_url": None}
        )
        assert PolarisHook().token_request().url == (
            "https://id.imply.io/auth/realms/acme/protocol/openid-connect/token"
        )


class TestProjects:
    @pytest.mark.parametrize(
        ("of_connection", "of_hook", "prefix", "listed"),
        [
            (None, None, "/v1/jobs", "/v2/jobs"),
            ("p-1", None, "/v1/projects/p-1/jobs", "/v1/projects/p-1/jobs"),
            (None, "p-2", "/v1/projects/p-2/jobs", "/v1/projects/p-2/jobs"),
            ("p-1", "p-2", "/v1/projects/p-2/jobs", "/v1/projects/p-2/jobs"),
        ],
    )
    def test_addresses(
        self,
        of_connection: str | None,
        of_hook: str | None,
        prefix: str,
        listed: str,
        sandbox: Sandbox,
        connections: Connections,
    ) -> None:
        sandbox.cancel_delay = 60
        hook = PolarisHook(connections.add("polaris", extra={"project_id": of_connection}), of_hook)
        sandbox.add_job("polaris", JOB_ID, fields={"project_id": of_hook or of_connection})
        hook.get_job(JOB_ID)
        hook.get_metrics(JOB_ID)
        assert [job.id for job in hook.list_jobs()] == [JOB_ID]
        hook.cancel_job(JOB_ID)
        job = f"{prefix}/{JOB_ID}"
        stop = f"{job}/status" if prefix != "/v1/jobs" else job
        progress, metrics = f"{job}/progress", f"{job}/metrics"
        assert paths(sandbox) == [job, progress, metrics, listed, job, stop, job]

    def test_an_unknown_project(self, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", JOB_ID)
        hook = PolarisHook(connections.add("polaris"), project_id="other")
        with pytest.raises(JobNotFound, match="Project other not found"):
            hook.get_job(JOB_ID)

    def test_encoded(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("polaris", host=recorder.url)
        recorder.answers["/v1/projects/a%3Ab/jobs"] = {"values": []}
        assert list(PolarisHook(project_id="a:b").list_jobs()) == []
        assert recorder.requests[0].path.startswith("/v1/projects/a%3Ab/jobs?")


class TestJob:
    def test_the_documented_sample(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=SAMPLE))
        job = hook.get_job(JOB_ID)
        assert (job.state, job.vendor_state) == (JobState.PENDING, "pending")
        assert (job.name, job.target) == ("batch", "Koalas Subset")
        assert job.created_at == datetime(2022, 8, 9, 22, 34, 46, 716_017, UTC)
        assert (job.started_at, job.ended_at, job.failure) == (None, None, None)
        assert job.details == {
            "table_name": "Koalas Subset",
            "job_type": "batch",
            "health_status": "ok",
            "health_code": None,
        }

    def test_start_and_end_are_their_own_timestamps(self, recorder: Recorder, polaris: PolarisHook) -> None:
        stamps = {
            "createdTimestamp": "2026-06-01T04:00:00.000Z",
            "lastUpdatedTimestamp": "2026-06-01T04:00:00.000Z",
            "startedTimestamp": "2026-06-01T04:00:10.000Z",
            "completedTimestamp": "2026-06-01T04:05:00.000Z",
        }
        recorder.answers[PATH] = {**SAMPLE, **stamps, "executionStatus": "completed"}
        job = polaris.get_job(JOB_ID)
        assert job.started_at == datetime(2026, 6, 1, 4, 0, 10, tzinfo=UTC)
        assert job.ended_at == datetime(2026, 6, 1, 4, 5, tzinfo=UTC)
        assert job.duration == 290

    @pytest.mark.parametrize("word", ["failed", "canceled"])
    def test_the_last_change_by_a_user_is_no_end(
        self, word: str, recorder: Recorder, polaris: PolarisHook
    ) -> None:
        recorder.answers[PATH] = {**SAMPLE, "executionStatus": word}
        job = polaris.get_job(JOB_ID)
        assert (job.ended_at, job.duration) == (None, None)

    @pytest.mark.parametrize(
        ("word", "state"),
        [("idle", JobState.RUNNING), ("suspended", JobState.RUNNING), ("unknown", JobState.UNKNOWN)],
    )
    def test_words_that_are_no_ends_and_no_news(
        self, word: str, state: JobState, recorder: Recorder, polaris: PolarisHook, logs: Logs
    ) -> None:
        recorder.answers[PATH] = {**SAMPLE, "executionStatus": word}
        job = polaris.get_job(JOB_ID)
        assert (job.state, job.vendor_state) == (state, word)
        assert "state_map" not in logs.text

    def test_progress_where_it_is_read_for_its_own_sake(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_job("polaris", JOB_ID, [(0, {"state": "running", "progress": 0.25})])
        assert hook.get_job(JOB_ID).progress == 0.25
        before = len(sandbox.requests())
        assert hook.get_jobs([JOB_ID])[JOB_ID].progress is None
        assert len(sandbox.requests()) == before + 1

    @pytest.mark.parametrize("status", [403, 404, 500])
    def test_a_job_is_read_without_its_progress_if_need_be(
        self, status: int, hook: PolarisHook, sandbox: Sandbox
    ) -> None:
        sandbox.add_job("polaris", JOB_ID)
        sandbox.add_fault(Fault(path="/progress$", status=status, times=None))
        assert hook.get_job(JOB_ID).state is JobState.RUNNING

    @pytest.mark.parametrize("word", ["pending", "running", "idle", "suspended", "unknown"])
    def test_canceling_by_what_is_desired(self, hook: PolarisHook, sandbox: Sandbox, word: str) -> None:
        record = {**SAMPLE, "executionStatus": word, "desiredExecutionStatus": "canceled"}
        sandbox.add_fault(Fault(body=record))
        job = hook.get_job(JOB_ID)
        assert (job.state, job.vendor_state) == (JobState.CANCELLING, word)

    @pytest.mark.parametrize("word", ["completed", "failed", "canceled"])
    def test_an_end_is_an_end_whatever_is_desired(
        self, hook: PolarisHook, sandbox: Sandbox, word: str
    ) -> None:
        record = {**SAMPLE, "executionStatus": word, "desiredExecutionStatus": "canceled"}
        sandbox.add_fault(Fault(body=record))
        assert hook.get_job(JOB_ID).state.is_terminal

    @pytest.mark.parametrize("field", ["target", "health"])
    @pytest.mark.parametrize("value", [None, [], "x"])
    def test_odd_parts(self, hook: PolarisHook, sandbox: Sandbox, field: str, value: Any) -> None:
        sandbox.add_fault(Fault(body={**SAMPLE, field: value}))
        assert hook.get_job(JOB_ID).state is JobState.PENDING


class TestFailure:
    @pytest.mark.parametrize(
        ("health", "text"),
        [
            ({"code": "cannot_parse_source", "message": "Line 7 is not JSON"}, "Line 7 is not JSON"),
            ({"code": "multiple", "log": {"message": "Row 3 has no time"}}, "Row 3 has no time"),
            ({"code": "multiple", "message": None, "log": {"message": ""}}, "first error; second error"),
            ({"code": "internal_error"}, "first error; second error"),
            ({}, "first error; second error"),
        ],
    )
    def test_of_the_health_and_else_of_the_log(
        self, health: dict[str, Any], text: str, recorder: Recorder, polaris: PolarisHook
    ) -> None:
        recorder.answers[PATH] = {
            **SAMPLE,
            "executionStatus": "failed",
            "health": {"status": "error", **health},
        }
        entries = [("ok", "it began"), ("error", "first error"), ("warn", "odd"), ("error", "second error")]
        recorder.answers[f"{PATH}/metrics"] = {"totals": {"numRowsProcessed": 1}}
        recorder.answers[f"{PATH}/logs"] = {
            "logs": [{"healthStatus": status, "message": message} for status, message in entries]
        }
        job = polaris.get_job(JOB_ID)
        assert job.failure == text
        assert job.details["health_code"] == health.get("code")
        assert job.rows.read == 1

    def test_of_the_list_alone(self, recorder: Recorder, polaris: PolarisHook) -> None:
        health = {"status": "error", "code": "row_too_large"}
        failed = {**SAMPLE, "executionStatus": "failed", "health": health}
        recorder.answers[LIST] = {"values": [failed], "moreResultsAvailable": False}
        (job,) = polaris.list_jobs()
        assert (job.failure, len(recorder.requests)) == ("row_too_large", 1)

    def test_a_log_that_cannot_be_read_costs_no_more_than_its_text(
        self, recorder: Recorder, polaris: PolarisHook
    ) -> None:
        health = {"status": "error", "code": "row_too_large"}
        recorder.answers[PATH] = {**SAMPLE, "executionStatus": "failed", "health": health}
        recorder.answers[f"{PATH}/metrics"] = {"totals": {"numRowsProcessed": 3}}
        job = polaris.get_job(JOB_ID)
        assert (job.failure, job.rows.read) == ("row_too_large", 3)

    @pytest.mark.parametrize("status", ["warn", "warning", "error"])
    def test_an_unhealthy_job_may_have_completed(
        self, status: str, recorder: Recorder, polaris: PolarisHook
    ) -> None:
        health = {"status": status, "code": "no_rows_found"}
        recorder.answers[PATH] = {**SAMPLE, "executionStatus": "completed", "health": health}
        job = polaris.get_job(JOB_ID)
        assert (job.state, job.failure) == (JobState.SUCCEEDED, None)
        assert job.details["health_status"] == status.removesuffix("ing")
        assert job.details["health_code"] == "no_rows_found"


class TestMetrics:
    def test_rows_of_an_ended_job(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        rows = {"read": 100_004, "errors": 2, "rejected": 3, "numRowsPersisted": 99_997}
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")], rows=rows)
        job = hook.get_job(JOB_ID)
        assert job.rows == RowCounts(read=100_004, inserted=99_997, errors=2)
        assert job.details["rows_skipped_by_filter"] == 3
        assert job.details["rows_with_warning"] == 0
        assert paths(sandbox)[1].endswith(f"/jobs/{JOB_ID}/metrics")

    @pytest.mark.parametrize(
        ("totals", "read", "errors"),
        [
            (
                {
                    "numRowsProcessed": 900,
                    "numRowsProcessedWithWarning": 0,
                    "numRowsSkippedByError": 100,
                    "numRowsPersisted": 900,
                },
                1000,
                100,
            ),
            (
                {
                    "numRowsProcessed": 0,
                    "numRowsProcessedWithWarning": 500,
                    "numRowsSkippedByError": 0,
                    "numRowsPersisted": 500,
                },
                500,
                0,
            ),
            ({"numRowsProcessed": 5, "numRowsSkippedByFilter": 7}, 12, None),
            ({"numRowsSkippedByError": 7}, None, 7),
            ({"numRowsProcessed": 5, "numRowsProcessedWithWarning": None}, 5, None),
        ],
    )
    def test_rows_read_are_all_that_were_looked_at(
        self,
        totals: dict[str, Any],
        read: int | None,
        errors: int | None,
        recorder: Recorder,
        polaris: PolarisHook,
    ) -> None:
        recorder.answers[PATH] = {**SAMPLE, "executionStatus": "completed"}
        recorder.answers[f"{PATH}/metrics"] = {"totals": totals}
        rows = polaris.get_job(JOB_ID).rows
        assert (rows.read, rows.errors) == (read, errors)

    @pytest.mark.parametrize("name", ["numRowsProcessedWithWarning", "numRowsProcessedWithWarnings"])
    def test_both_spellings(self, hook: PolarisHook, sandbox: Sandbox, name: str) -> None:
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")])
        sandbox.add_fault(Fault(path="metrics", body={"totals": {name: 7}}))
        assert hook.get_job(JOB_ID).details["rows_with_warning"] == 7

    def test_none_while_it_runs(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_job("polaris", JOB_ID, rows={"read": 5})
        assert hook.get_job(JOB_ID).rows == RowCounts()
        assert not [path for path in paths(sandbox) if path.endswith("/metrics")]

    def test_as_polaris_gives_them(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")], rows={"read": 5})
        assert hook.get_metrics(JOB_ID)["totals"]["numRowsProcessed"] == 5


class TestCancel:
    def test_the_documented_request(self, recorder: Recorder, polaris: PolarisHook) -> None:
        recorder.answers[PATH] = SAMPLE
        recorder.answers[f"{PATH}/status"] = {"executionStatus": "pending"}
        polaris.cancel_job(JOB_ID)
        (post,) = [kept for kept in recorder.requests if kept.method == "POST"]
        assert post.path == f"{PATH}/status"
        assert json.loads(post.body) == {"desiredExecutionStatus": "canceled"}
        assert post.headers["content-type"] == "application/json"

    def test_without_a_project(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("polaris", host=recorder.url, extra={"project_id": None})
        recorder.answers[f"/v1/jobs/{JOB_ID}"] = SAMPLE
        PolarisHook().cancel_job(JOB_ID)
        (put,) = [kept for kept in recorder.requests if kept.method == "PUT"]
        assert put.path == f"/v1/jobs/{JOB_ID}"
        assert json.loads(put.body) == {"desiredExecutionStatus": "canceled"}

    def test_a_job_of_which_polaris_cannot_tell_is_not_asked_again(
        self, hook: PolarisHook, sandbox: Sandbox
    ) -> None:
        record = {**SAMPLE, "executionStatus": "unknown", "desiredExecutionStatus": "canceled"}
        sandbox.add_fault(Fault(body=record))
        assert hook.cancel_job(JOB_ID).state is JobState.CANCELLING
        assert {request.method for request in sandbox.requests()} == {"GET"}

    def test_one_that_restores_data_may_be_stopped(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.cancel_delay = 0
        sandbox.add_job("polaris", JOB_ID, fields={"type": "restore_data"})
        assert hook.cancel_job(JOB_ID).state is JobState.CANCELLED

    @pytest.mark.parametrize("job_type", ["delete_data", "drop_table"])
    def test_a_deletion_job_is_not_asked_to_stop(
        self, job_type: str, hook: PolarisHook, sandbox: Sandbox
    ) -> None:
        sandbox.add_job("polaris", JOB_ID, fields={"type": job_type})
        with pytest.raises(CancelRefused, match="Polaris cannot cancel data deletion jobs"):
            hook.cancel_job(JOB_ID)
        assert {request.method for request in sandbox.requests()} == {"GET"}

    def test_the_connection_test(self, hook: PolarisHook, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", "b", [(0, "failed")])
        worked, message = hook.test_connection()
        assert worked
        assert message.endswith(": 1 jobs with an error")
        project_less = PolarisHook(connections.add("polaris", extra={"project_id": None}))
        assert "the project-less API" in project_less.test_connection()[1]
