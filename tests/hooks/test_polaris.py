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

from airflow_provider_ingestjobs.errors import AuthenticationFailed
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox

if TYPE_CHECKING:
    from support.connections import Connections
    from support.recorder import Recorder

KEY = CREDENTIALS["polaris"].key
JOB_ID = "efb35e3e-406e-4127-ad2e-280fede4f431"
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
        asked, used = recorder.requests
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
        assert paths(sandbox) == [job, f"{job}/metrics", listed, job, job, job]

    def test_an_unknown_project(self, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", JOB_ID)
        hook = PolarisHook(connections.add("polaris"), project_id="other")
        with pytest.raises(JobNotFound, match="Project other not found"):
            hook.get_job(JOB_ID)

    def test_encoded(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("polaris", host=recorder.url)
        recorder.answers["/v1/projects/a%3Ab/jobs"] = {"values": []}
        assert list(PolarisHook(project_id="a:b").list_jobs()) == []
        assert recorder.requests[0].path == "/v1/projects/a%3Ab/jobs"


class TestJob:
    def test_the_documented_sample(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=SAMPLE))
        job = hook.get_job(JOB_ID)
        assert (job.state, job.vendor_state) == (JobState.PENDING, "pending")
        assert (job.name, job.target) == ("batch", "Koalas Subset")
        assert job.created_at == datetime(2022, 8, 9, 22, 34, 46, 716_017, UTC)
        assert job.ended_at is None
        assert job.details == {"table_name": "Koalas Subset", "job_type": "batch", "health_status": "ok"}
        assert len(sandbox.requests()) == 1

    @pytest.mark.parametrize("word", ["pending", "running"])
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


class TestMetrics:
    def test_rows_of_an_ended_job(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        rows = {"read": 99_999, "errors": 2, "rejected": 3, "numRowsPersisted": 99_997}
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")], rows=rows)
        job = hook.get_job(JOB_ID)
        assert job.rows == RowCounts(read=99_999, inserted=99_997, errors=2)
        assert job.details["rows_skipped_by_filter"] == 3
        assert job.details["rows_with_warning"] == 0
        assert paths(sandbox)[1].endswith(f"/jobs/{JOB_ID}/metrics")

    @pytest.mark.parametrize("name", ["numRowsProcessedWithWarning", "numRowsProcessedWithWarnings"])
    def test_both_spellings(self, hook: PolarisHook, sandbox: Sandbox, name: str) -> None:
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")])
        sandbox.add_fault(Fault(path="metrics", body={"totals": {name: 7}}))
        assert hook.get_job(JOB_ID).details["rows_with_warning"] == 7

    def test_none_while_it_runs(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_job("polaris", JOB_ID, rows={"read": 5})
        assert hook.get_job(JOB_ID).rows == RowCounts()
        assert len(sandbox.requests()) == 1

    def test_as_polaris_gives_them(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_job("polaris", JOB_ID, [(0, "completed")], rows={"read": 5})
        assert hook.get_metrics(JOB_ID)["totals"]["numRowsProcessed"] == 5


class TestList:
    @pytest.mark.parametrize(
        ("filters", "query", "found"),
        [
            ({}, {}, "abc"),
            ({"health_status": "error"}, {"healthStatus": ["error"]}, "b"),
            ({"health_status": ["ok", "error"]}, {"healthStatus": ["ok", "error"]}, "abc"),
            ({"job_type": "batch"}, {"type": ["batch"]}, "ab"),
            ({"job_type": ("batch", "streaming")}, {"type": ["batch", "streaming"]}, "abc"),
            (
                {"health_status": "ok", "job_type": "batch"},
                {"healthStatus": ["ok"], "type": ["batch"]},
                "a",
            ),
            ({"table_name": "Orders"}, {}, "c"),
        ],
    )
    def test_filters(
        self, hook: PolarisHook, sandbox: Sandbox, filters: dict[str, Any], query: dict[str, Any], found: str
    ) -> None:
        sandbox.add_job("polaris", "a")
        sandbox.add_job("polaris", "b", [(0, "failed")])
        sandbox.add_job("polaris", "c", fields={"type": "streaming", "target": {"tableName": "Orders"}})
        assert "".join(sorted(job.id for job in hook.list_jobs(**filters))) == found
        assert parse_qs(sandbox.requests()[0].query) == query

    def test_a_bare_list_is_one_too(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=json.dumps([SAMPLE])))
        assert [job.id for job in hook.list_jobs()] == [JOB_ID]


class TestCancel:
    def test_the_documented_request(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("polaris", host=recorder.url, extra={"project_id": "p"})
        recorder.answers[f"/v1/projects/p/jobs/{JOB_ID}"] = SAMPLE
        PolarisHook().cancel_job(JOB_ID)
        (put,) = [kept for kept in recorder.requests if kept.method == "PUT"]
        assert put.path == f"/v1/projects/p/jobs/{JOB_ID}"
        assert json.loads(put.body) == {"desiredExecutionStatus": "canceled"}
        assert put.headers["content-type"] == "application/json"

    def test_the_connection_test(self, hook: PolarisHook, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("polaris", "b", [(0, "failed")])
        worked, message = hook.test_connection()
        assert worked
        assert message.endswith(": 1 jobs with an error")
        project_less = PolarisHook(connections.add("polaris", extra={"project_id": None}))
        assert "the project-less API" in project_less.test_connection()[1]
