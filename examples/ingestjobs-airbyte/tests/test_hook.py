# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The hook: records, credentials, addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput, PermissionDenied
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.job import JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from ingestjobs_airbyte import get_provider_info
from ingestjobs_airbyte.sandbox import Airbyte
from ingestjobs_airbyte.sensors.airbyte import AirbyteJobsSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from clock import Clock
    from starlette.responses import Response

    from airflow_provider_ingestjobs.sandbox.vendor import Call
    from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook

    Connect = Callable[..., AirbyteJobsHook]

CONNECTION = "9924bcd0-99be-453d-ba47-c2c9766f7da5"


class Cloud(Airbyte):
    """Airbyte Cloud, where the API has another path; keeps what is sent for a token."""

    api_path = "/v1"
    owns_path = re.compile(r"/v1(/|$)")
    asked: ClassVar[list[Any]] = []

    def token(self, call: Call) -> Response:
        self.asked.append(call.json())
        return super().token(call)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", JobState.PENDING),
        ("queued", JobState.PENDING),
        ("running", JobState.RUNNING),
        ("incomplete", JobState.RUNNING),
        ("failed", JobState.FAILED),
        ("succeeded", JobState.SUCCEEDED),
        ("cancelled", JobState.CANCELLED),
        ("deferred", JobState.UNKNOWN),
    ],
)
def test_states(sandbox: Sandbox, hook: AirbyteJobsHook, word: str, state: JobState) -> None:
    job = hook.get_job(sandbox.add_job("airbyte", timeline=[(0, word)]))
    assert (job.state, job.vendor_state) == (state, word)


def test_a_job_has_what_its_record_tells(sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook) -> None:
    clock.now = 1_679_707_800.0
    sandbox.add_job(
        "airbyte",
        "9007199254740993",
        [(0, "pending"), (60, "running"), (3600, "succeeded")],
        rows={"read": 12, "bytes": 3456},
        fields={"connectionId": CONNECTION, "jobType": "refresh"},
    )
    clock.advance(3600)
    job = hook.get_job("9007199254740993")
    assert job.id == "9007199254740993"
    assert (job.target, job.name) == (CONNECTION, "refresh")
    assert job.created_at == datetime(2023, 3, 25, 1, 30, tzinfo=UTC)
    assert job.ended_at == job.updated_at == datetime(2023, 3, 25, 2, 30, tzinfo=UTC)
    assert job.duration == 3600
    assert job.rows == RowCounts(read=12)
    assert job.details == {"connection_id": CONNECTION, "job_type": "refresh", "bytes_synced": 3456}


def test_an_unfinished_job_has_no_end(sandbox: Sandbox, hook: AirbyteJobsHook) -> None:
    job = hook.get_job(sandbox.add_job("airbyte", timeline=[(0, "incomplete")]))
    assert (job.ended_at, job.updated_at, job.rows) == (None, None, RowCounts())


def test_a_client_id_and_secret_are_exchanged_as_json_below_the_path_of_the_api(
    monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(Cloud, "asked", [])
    with Sandbox(vendors=[Cloud]) as cloud:
        hook = connect("login", sandbox=cloud)
        works, said = hook.test_connection()
        assert works, said
        assert f"{cloud.url}/v1 answers" in said
        hook.test_connection()
        assert [request.path for request in cloud.requests()] == [
            "/v1/applications/token",
            "/v1/jobs",
            "/v1/jobs",
        ]
    assert Cloud.asked == [
        {
            "client_id": "sandbox-airbyte-client",
            "client_secret": "sandbox-airbyte-secret",
            "grant-type": "client_credentials",
        }
    ]


def test_an_expired_token_is_replaced_once(sandbox: Sandbox, connect: Connect) -> None:
    hook = connect("login")
    job = sandbox.add_job("airbyte", timeline=[(0, "running")])
    hook.get_job(job)
    sandbox.expire_tokens()
    hook.get_job(job)
    asked = [(request.path.rpartition("/")[2], request.status) for request in sandbox.requests()]
    assert asked == [("token", 200), (job, 200), (job, 401), ("token", 200), (job, 200)]


@pytest.mark.parametrize("path", ["/api/public/v1", "api/public/v1", "/api/public/v1/"])
def test_the_path_of_a_self_managed_airbyte(sandbox: Sandbox, connect: Connect, path: str) -> None:
    hook = connect(extra={"api_path": path})
    works, said = hook.test_connection()
    assert works, said
    assert [request.path for request in sandbox.requests()] == ["/api/public/v1/jobs"]


def test_without_a_path_it_is_that_of_airbyte_cloud(connect: Connect) -> None:
    with Sandbox(vendors=[Cloud]) as cloud:
        works, said = connect(sandbox=cloud, extra={}).test_connection()
        assert works, said


@pytest.mark.parametrize("path", ["/v1?x=1", "/v1/../private", "/v 1", "https://other.example/v1", "/v1//x"])
def test_what_is_no_path_is_refused(connect: Connect, path: str) -> None:
    hook = connect(extra={"api_path": path})
    with pytest.raises(InvalidInput, match="api_path"):
        _ = hook.settings


def test_a_job_that_is_not_there(sandbox: Sandbox, hook: AirbyteJobsHook) -> None:
    with pytest.raises(JobNotFound):
        hook.get_job("1")
    # What the server's source answers to an admin.
    sandbox.add_fault(Fault(status=409, body='{"detail": "Could not find job with id 1"}', times=1))
    with pytest.raises(JobNotFound, match="Could not find job"):
        hook.get_job("1")


def test_a_job_that_is_somebody_elses(sandbox: Sandbox, hook: AirbyteJobsHook) -> None:
    sandbox.add_fault(Fault(status=403, times=1))
    with pytest.raises(PermissionDenied):
        hook.get_job("1")


def test_its_names_are_not_those_of_airflows_own_provider() -> None:
    info = get_provider_info()
    assert info["package-name"] == "ingestjobs-airbyte"
    assert [one["connection-type"] for one in info["connection-types"]] == ["airbyte_jobs"]
    assert AirbyteJobsSensor(task_id="wait", job_id="1").conn_id == "airbyte_jobs_default"
