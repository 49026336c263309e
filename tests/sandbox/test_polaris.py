# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Imply Polaris."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS
from airflow_provider_ingestjobs.sandbox.polaris import ORGANIZATION, PROJECT_ID

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client, Clock

JOBS = f"/v1/projects/{PROJECT_ID}/jobs"
TOKEN = f"/auth/realms/{ORGANIZATION}/protocol/openid-connect/token"
KEY = CREDENTIALS["polaris"].key

# The job of docs.imply.io, "View and manage ingestion jobs by API".
SAMPLE = {
    "type": str,
    "id": str,
    "target": dict,
    "desiredExecutionStatus": str,
    "createdBy": dict,
    "lastModifiedBy": dict,
    "executionStatus": str,
    "health": dict,
    "createdTimestamp": str,
    "lastUpdatedTimestamp": str,
    "source": dict,
    "ingestionMode": str,
    "mappings": list,
}


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_record_has_the_samples_shape(sandbox: Sandbox, polaris: Client) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "pending")])
    record = polaris.read(f"{JOBS}/{job}")
    assert {name: type(value) for name, value in record.items()} == SAMPLE
    assert record["target"].keys() == {"type", "tableName"}
    assert record["createdBy"].keys() == {"username", "userId"}
    assert record["health"] == {"status": "ok"}
    assert record["source"].keys() == {"type", "fileList", "inputSchema", "formatSettings"}
    # 2022-08-09T22:34:46.716017658Z
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", record["createdTimestamp"])
    assert polaris.read(f"{JOBS}/{job}/status") == {"executionStatus": "pending"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Basic {KEY}", 404),
        (basic(f"{KEY}:"), 404),
        (basic(KEY), 401),
        (basic(f"{KEY}:password"), 401),
        ("Basic pok_other", 401),
        (f"Bearer {KEY}", 401),
        ("", 401),
    ],
)
def test_a_key_is_raw_or_a_user_name(polaris: Client, header: str, status: int) -> None:
    response = polaris.request("GET", f"{JOBS}/none", headers={"Authorization": header})
    assert response.status_code == status
    assert set(response.json()) == {"message"}


def test_tokens_live_five_minutes(polaris: Client, clock: Clock) -> None:
    known = CREDENTIALS["polaris"]
    form = {
        "grant_type": "client_credentials",
        "client_id": known.login,
        "client_secret": known.password,
    }
    refused = polaris.request(
        "POST", TOKEN, data={**form, "client_secret": "no"}, headers={"Authorization": None}
    )
    assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized_client")
    assert polaris.request("POST", TOKEN.replace(ORGANIZATION, "x"), data=form).status_code == 404
    granted = polaris.request("POST", TOKEN, data=form, headers={"Authorization": None}).json()
    assert granted["expires_in"] == 300
    polaris.session.headers["Authorization"] = f"Bearer {granted['access_token']}"
    assert polaris.get("/v2/jobs").status_code == 200
    clock.advance(300)
    expired = polaris.get("/v2/jobs")
    assert expired.status_code == 401
    assert expired.json() == {"message": 'Token claims invalid: ["exp"]="token expired"'}


def test_jobs_belong_to_projects(sandbox: Sandbox, polaris: Client) -> None:
    here, there = sandbox.add_job("polaris"), sandbox.add_job("polaris", fields={"project_id": "other"})
    assert [job["id"] for job in polaris.read(JOBS)["values"]] == [here]
    assert [job["id"] for job in polaris.read("/v1/projects/other/jobs")["values"]] == [there]
    assert {job["id"] for job in polaris.read("/v2/jobs")["values"]} == {here, there}
    assert polaris.get(f"{JOBS}/{there}").status_code == 404
    assert polaris.read(f"/v1/jobs/{there}")["id"] == there
    assert polaris.get("/v1/projects/none/jobs").status_code == 404


def test_a_repeated_filter_means_or(sandbox: Sandbox, polaris: Client) -> None:
    batch = sandbox.add_job("polaris", timeline=[(0, "running")])
    failed = sandbox.add_job("polaris", timeline=[(0, "failed")])
    stream = sandbox.add_job("polaris", timeline=[(0, "running")], fields={"type": "streaming"})

    def found(**params: Any) -> set[str]:
        return {job["id"] for job in polaris.read(JOBS, **params)["values"]}

    assert found(healthStatus="error") == {failed}
    assert found(healthStatus="ok", type="batch") == {batch}
    assert found(type=["batch", "streaming"]) == {batch, failed, stream}
    assert found(healthStatus=["ok", "error"], type="streaming") == {stream}


def test_metrics(sandbox: Sandbox, polaris: Client) -> None:
    rows = {"read": 99999, "errors": 2, "rejected": 40}
    job = sandbox.add_job("polaris", timeline=[(0, "completed")], rows=rows)
    assert polaris.read(f"{JOBS}/{job}/metrics") == {
        "totals": {
            "numRowsProcessed": 99999,
            "numRowsProcessedWithWarning": 0,
            "numRowsSkippedByFilter": 40,
            "numRowsSkippedByError": 2,
        }
    }
    own = sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"numRowsProcessedWithWarnings": 5})
    assert polaris.read(f"{JOBS}/{own}/metrics")["totals"]["numRowsProcessedWithWarnings"] == 5


def test_metrics_of_a_cancelled_job_count_the_rows_until_then(sandbox: Sandbox, polaris: Client) -> None:
    sandbox.cancel_delay = 0
    timeline: Timeline = [(0, {"state": "running", "progress": 0.1}), (100, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline, rows={"read": 500})
    polaris.request("PUT", f"{JOBS}/{job}", json={"desiredExecutionStatus": "canceled"})
    assert polaris.read(f"{JOBS}/{job}")["executionStatus"] == "canceled"
    assert polaris.read(f"{JOBS}/{job}/metrics")["totals"]["numRowsProcessed"] == 50


def test_cancel(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running"), (100, "completed")])
    done = sandbox.add_job("polaris", timeline=[(0, "completed")])
    sandbox.cancel_delay = 3
    wish = {"desiredExecutionStatus": "canceled"}
    first = polaris.request("PUT", f"{JOBS}/{job}", json=wish)
    assert first.status_code == 200
    assert (first.json()["desiredExecutionStatus"], first.json()["executionStatus"]) == (
        "canceled",
        "running",
    )
    clock.advance(2)
    assert polaris.request("PUT", f"{JOBS}/{job}", json=wish).status_code == 200
    clock.advance(1)
    assert polaris.read(f"{JOBS}/{job}")["executionStatus"] == "canceled"
    assert polaris.request("PUT", f"{JOBS}/{job}", json=wish).status_code == 200
    assert polaris.request("PUT", f"{JOBS}/{done}", json=wish).status_code == 400
    assert polaris.request("PUT", f"{JOBS}/none", json=wish).status_code == 404
    bodies: list[Any] = [{"desiredExecutionStatus": "paused"}, [], None]
    for body in bodies:
        assert polaris.request("PUT", f"{JOBS}/{job}", json=body).status_code == 400
