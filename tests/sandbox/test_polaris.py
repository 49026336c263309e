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
    from requests import Response

    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client, Clock

JOBS = f"/v1/projects/{PROJECT_ID}/jobs"
TOKEN = f"/auth/realms/{ORGANIZATION}/protocol/openid-connect/token"
KEY = CREDENTIALS["polaris"].key

# The job of docs.imply.io, "View and manage ingestion jobs by API", and what its OpenAPI document adds.
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
    "spec": dict,
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
    # The document describes no 401; the sample of one has no code.
    assert set(response.json()) == ({"message"} if status == 401 else {"code", "message"})


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


def totals(sandbox: Sandbox, polaris: Client, rows: dict[str, int], kind: str = "batch") -> dict[str, int]:
    job = sandbox.add_job("polaris", timeline=[(0, "completed")], rows=rows, fields={"type": kind})
    answer = polaris.read(f"{JOBS}/{job}/metrics")
    assert answer.keys() == {"totals"}
    found: dict[str, int] = answer["totals"]
    return found


def test_metrics(sandbox: Sandbox, polaris: Client) -> None:
    counted = totals(sandbox, polaris, {"read": 100, "errors": 2, "rejected": 40})
    assert counted == {
        "numBytesProcessed": 12800,
        "numRowsPersisted": 58,
        "numRowsProcessed": 58,
        "numRowsProcessedWithWarning": 0,
        "numRowsSkippedByFilter": 40,
        "numRowsSkippedByError": 2,
    }
    named = {"numRowsProcessed": 7, "numRowsProcessedWithWarning": 5, "numBytesProcessed": 1}
    counted = totals(sandbox, polaris, {**named, "inserted": 3})
    assert named.items() <= counted.items()
    assert counted["numRowsPersisted"] == 3
    assert totals(sandbox, polaris, {"read": 9, "numRowsProcessedWithWarning": 4})["numRowsProcessed"] == 5
    misspelled = totals(sandbox, polaris, {"numRowsProcessedWithWarnings": 5})
    assert misspelled["numRowsProcessedWithWarnings"] == 5


def test_streaming_jobs_do_not_report_the_rows_they_persisted(sandbox: Sandbox, polaris: Client) -> None:
    counted = totals(sandbox, polaris, {"read": 9}, "streaming")
    assert counted["numRowsProcessed"] == 9
    assert "numRowsPersisted" not in counted


def test_metrics_of_a_cancelled_job_count_the_rows_until_then(sandbox: Sandbox, polaris: Client) -> None:
    sandbox.cancel_delay = 0
    timeline: Timeline = [(0, {"state": "running", "progress": 0.1}), (100, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline, rows={"read": 500})
    polaris.request("PUT", f"{JOBS}/{job}", json={"desiredExecutionStatus": "canceled"})
    assert polaris.read(f"{JOBS}/{job}")["executionStatus"] == "canceled"
    assert polaris.read(f"{JOBS}/{job}/metrics")["totals"]["numRowsProcessed"] == 50


def record(polaris: Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = polaris.read(f"{JOBS}/{job}")
    return found


def update(polaris: Client, job: str, desired: Any, method: str = "POST") -> Response:
    path = f"{JOBS}/{job}/status" if method == "POST" else f"{JOBS}/{job}"
    return polaris.request(method, path, json={"desiredExecutionStatus": desired})


METHODS = pytest.mark.parametrize("method", ["PUT", "POST"])


@METHODS
def test_cancel(sandbox: Sandbox, polaris: Client, clock: Clock, method: str) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running"), (100, "completed")])
    done = sandbox.add_job("polaris", timeline=[(0, "completed")])
    sandbox.cancel_delay = 3
    clock.advance(1)
    first = update(polaris, job, "canceled", method)
    assert first.status_code == 200
    shown = record(polaris, job)
    assert first.json() == (shown if method == "PUT" else {"executionStatus": "running"})
    assert (shown["desiredExecutionStatus"], shown["executionStatus"]) == ("canceled", "running")
    assert shown["health"] == {"status": "ok"}
    clock.advance(2)
    assert update(polaris, job, "canceled", method).status_code == 200
    assert update(polaris, job, "running", method).status_code == 400
    clock.advance(1)
    ended = record(polaris, job)
    assert ended["executionStatus"] == "canceled"
    assert ended["health"] == {"status": "error", "code": "canceled"}
    # The document gives a time only to the end `completed`, and the last update is that by the user.
    assert ended["lastUpdatedTimestamp"] == shown["lastUpdatedTimestamp"] > ended["createdTimestamp"]
    assert "completedTimestamp" not in ended
    assert update(polaris, job, "canceled", method).status_code == 200
    assert update(polaris, job, "running", method).status_code == 400
    assert update(polaris, done, "canceled", method).status_code == 400
    assert update(polaris, "none", "canceled", method).status_code == 404


@METHODS
def test_an_update_that_makes_no_sense_is_refused(sandbox: Sandbox, polaris: Client, method: str) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    path = f"{JOBS}/{job}/status" if method == "POST" else f"{JOBS}/{job}"
    bodies: list[Any] = [
        {"desiredExecutionStatus": "paused"},
        {"desiredExecutionStatus": ["canceled"]},
        {},
        [],
    ]
    for body in bodies:
        refused = polaris.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "BadRequest")
    as_json = {"Content-Type": "application/json; charset=utf-8"}
    assert polaris.request(method, path, data=b"{", headers=as_json).status_code == 400
    wish = b'{"desiredExecutionStatus": "canceled"}'
    for headers in (
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ):
        refused = polaris.request(method, path, data=wish, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (415, "UnsupportedMediaType")
    assert record(polaris, job)["desiredExecutionStatus"] == "running"
    assert polaris.request(method, path, data=wish, headers=as_json).status_code == 200


@METHODS
def test_a_streaming_job_is_suspended_and_resumed(
    sandbox: Sandbox, polaris: Client, clock: Clock, method: str
) -> None:
    timeline: Timeline = [(0, "running"), (10, "idle"), (20, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline, fields={"type": "streaming"})
    clock.advance(4)
    assert update(polaris, job, "suspended", method).status_code == 200
    suspended = record(polaris, job)
    assert (suspended["executionStatus"], suspended["desiredExecutionStatus"]) == ("suspended", "suspended")
    assert suspended["lastUpdatedTimestamp"] > suspended["createdTimestamp"]
    clock.advance(100)
    assert update(polaris, job, "suspended", method).status_code == 200
    assert record(polaris, job) == suspended
    assert update(polaris, job, "running", method).status_code == 200
    resumed = record(polaris, job)
    assert (resumed["executionStatus"], resumed["desiredExecutionStatus"]) == ("running", "running")
    assert resumed["lastUpdatedTimestamp"] > suspended["lastUpdatedTimestamp"]
    assert resumed["startedTimestamp"] == suspended["startedTimestamp"] == suspended["createdTimestamp"]
    # It goes on where it was.
    clock.advance(5)
    assert record(polaris, job)["executionStatus"] == "running"
    clock.advance(1)
    assert record(polaris, job)["executionStatus"] == "idle"
    assert update(polaris, job, "running", method).status_code == 200
    assert record(polaris, job)["executionStatus"] == "idle"
    clock.advance(10)
    assert record(polaris, job)["executionStatus"] == "completed"


def test_a_suspended_job_is_cancelled(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    sandbox.cancel_delay = 2
    timeline: Timeline = [(0, "running"), (3, {"state": "suspended", "desiredExecutionStatus": "suspended"})]
    job = sandbox.add_job("polaris", timeline=timeline, fields={"type": "streaming"})
    clock.advance(3)
    assert update(polaris, job, "canceled").json() == {"executionStatus": "suspended"}
    clock.advance(2)
    assert polaris.read(f"{JOBS}/{job}/status") == {"executionStatus": "canceled"}


def test_a_job_that_its_timeline_suspends_is_resumed(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    timeline: Timeline = [(0, "running"), (3, "suspended"), (10, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline, fields={"type": "streaming"})
    clock.advance(4)
    assert update(polaris, job, "running").json() == {"executionStatus": "running"}
    clock.advance(6)
    assert record(polaris, job)["executionStatus"] == "completed"


@METHODS
def test_only_streaming_jobs_are_suspended(sandbox: Sandbox, polaris: Client, method: str) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    assert update(polaris, job, "suspended", method).status_code == 400
    assert record(polaris, job)["executionStatus"] == "running"


@METHODS
@pytest.mark.parametrize("kind", ["delete_data", "drop_table"])
def test_a_deletion_job_cannot_be_updated(sandbox: Sandbox, polaris: Client, method: str, kind: str) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")], fields={"type": kind})
    before = record(polaris, job)
    for desired in ("canceled", "suspended", "running"):
        assert update(polaris, job, desired, method).status_code == 400
    assert record(polaris, job) == before


def test_times(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    timeline: Timeline = [(0, "pending"), (2, "running"), (5, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline)
    seen = []
    for _ in range(3):
        seen.append(record(polaris, job))
        clock.advance(2.5)
    pending, running, completed = seen
    assert {"startedTimestamp", "completedTimestamp"}.isdisjoint(pending)
    assert pending["lastUpdatedTimestamp"] == pending["createdTimestamp"]
    assert running["startedTimestamp"] > running["createdTimestamp"]
    assert "completedTimestamp" not in running
    assert completed["startedTimestamp"] == running["startedTimestamp"]
    assert completed["completedTimestamp"] > completed["startedTimestamp"]
    assert {job["lastUpdatedTimestamp"] for job in seen} == {pending["createdTimestamp"]}


@pytest.mark.parametrize("word", ["failed", "canceled"])
def test_an_end_that_is_no_completion_has_no_time_unless_given(
    sandbox: Sandbox, polaris: Client, word: str
) -> None:
    job = sandbox.add_job("polaris", timeline=[(-2, "pending"), (0, word)])
    assert {"startedTimestamp", "completedTimestamp"}.isdisjoint(record(polaris, job))
    given = {"completedTimestamp": "2026-10-26T07:33:21.000000000Z"}
    job = sandbox.add_job("polaris", timeline=[(-2, "running"), (0, word)], fields=given)
    assert given.items() <= record(polaris, job).items()


def test_health_and_logs_of_a_failed_job(sandbox: Sandbox, polaris: Client) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "failed")], failure="Line 7 is not JSON")
    health = record(polaris, job)["health"]
    entry = health.pop("log")
    assert health == {"status": "error", "code": "internal_error", "message": "Line 7 is not JSON"}
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"healthStatus": "error", "code": "internal_error", "message": "Line 7 is not JSON"}
    (logged,) = polaris.read(f"{JOBS}/{job}/logs")["logs"]
    assert logged.items() >= entry.items()
    silent = sandbox.add_job("polaris", timeline=[(0, "failed")])
    assert record(polaris, silent)["health"] == {"status": "error", "code": "internal_error"}
    assert polaris.read(f"{JOBS}/{silent}/logs") == {"logs": []}


def test_health_and_logs_may_be_given(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    warning = {"status": "warning", "code": "no_rows_found"}
    first = {"healthStatus": "warn", "code": "invalid_rows_found", "message": "Row 3 was left out"}
    timeline: Timeline = [
        (0, "running"),
        (1, {"state": "completed", "health": warning, "logs": [first, first]}),
    ]
    job = sandbox.add_job("polaris", timeline=timeline, fields={"logs": [first]})
    assert record(polaris, job)["health"] == {"status": "ok"}
    assert polaris.read(f"{JOBS}/{job}/logs") == {"logs": [first]}
    clock.advance(1)
    shown = record(polaris, job)
    assert (shown["executionStatus"], shown["health"]) == ("completed", warning)
    assert polaris.read(f"{JOBS}/{job}/logs") == {"logs": [first, first]}
    assert "logs" not in shown


def test_progress(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    timeline: Timeline = [(0, "pending"), (1, {"state": "running", "progress": 0.25}), (2, "completed")]
    job = sandbox.add_job("polaris", timeline=timeline)
    seen = []
    for _ in range(3):
        seen.append(polaris.read(f"{JOBS}/{job}/progress"))
        clock.advance(1)
    assert [progress["overallProgress"] for progress in seen] == [0, 0.25, 1]
    stream = sandbox.add_job("polaris", fields={"type": "streaming"})
    refused = polaris.get(f"{JOBS}/{stream}/progress")
    assert (refused.status_code, refused.json()["code"]) == (400, "BadRequest")


def test_reset(sandbox: Sandbox, polaris: Client) -> None:
    stream = sandbox.add_job("polaris", fields={"type": "streaming"})
    before = record(polaris, stream)
    done = polaris.request("POST", f"{JOBS}/{stream}/reset")
    assert (done.status_code, done.content) == (200, b"")
    assert record(polaris, stream) == before
    batch = sandbox.add_job("polaris")
    assert polaris.request("POST", f"{JOBS}/{batch}/reset").status_code == 400


@pytest.mark.parametrize("prefix", [JOBS, "/v1/jobs"])
@pytest.mark.parametrize("what", ["", "/status", "/progress", "/logs", "/metrics"])
def test_a_job_that_is_not_there(sandbox: Sandbox, polaris: Client, prefix: str, what: str) -> None:
    job = sandbox.add_job("polaris")
    assert polaris.get(f"{prefix}/{job}{what}").status_code == 200
    sandbox.remove_job("polaris", job)
    gone = polaris.get(f"{prefix}/{job}{what}")
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFound")
    assert polaris.request("POST", f"{prefix}/{job}/reset").status_code == 404
