# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that are created at the sandbox's Imply Polaris."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox.polaris import PROJECT_ID

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.sandbox_clients import Client, Clock

JOBS = f"/v1/projects/{PROJECT_ID}/jobs"
TARGET = {"type": "table", "tableName": "Events"}
STREAM = {
    "type": "streaming",
    "source": {"type": "connection", "connectionName": "kafka"},
    "target": TARGET,
}
BATCH = {
    "type": "batch",
    "source": {"type": "uploaded", "fileList": ["a.json"], "inputSchema": []},
    "target": TARGET,
}
REQUESTS: dict[str, dict[str, Any]] = {
    "batch": BATCH,
    "streaming": STREAM,
    "sql": {"type": "sql", "query": '-- attempt 7\nREPLACE INTO "My ""own"" table" SELECT 1'},
    "delete_data": {"type": "delete_data", "target": TARGET, "deleteAll": True},
    "drop_table": {"type": "drop_table", "target": TARGET},
    "restore_data": {"type": "restore_data", "target": TARGET, "interval": "2026-10-01/P1D"},
}


@pytest.mark.parametrize("prefix", [JOBS, "/v1/jobs"])
@pytest.mark.parametrize("kind", list(REQUESTS))
def test_the_whole_request_comes_back(sandbox: Sandbox, polaris: Client, kind: str, prefix: str) -> None:
    answer = polaris.request("POST", prefix, json=REQUESTS[kind])
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert (created["spec"], created["executionStatus"]) == (REQUESTS[kind], "pending")
    assert answer.headers["Location"] == f"{sandbox.url}{JOBS}/{created['id']}"
    assert polaris.read(f"{JOBS}/{created['id']}") == created
    [summary] = polaris.read(JOBS, sortColumn="created_date_time")["values"]
    assert (summary["id"], summary["createdBy"]) == (created["id"], created["createdBy"])
    assert "spec" not in summary


def test_a_mark_in_the_context_and_the_table_of_a_query(sandbox: Sandbox, polaris: Client) -> None:
    marked = polaris.request("POST", JOBS, json={**BATCH, "context": {"mark": "a"}}).json()
    assert polaris.read(f"{JOBS}/{marked['id']}")["context"] == {"mark": "a"}
    created = polaris.request("POST", JOBS, json=REQUESTS["sql"]).json()
    assert created["target"] == {"type": "table", "tableName": 'My "own" table'}
    assert [job["id"] for job in polaris.read(JOBS, targetTableName='My "own" table')["values"]] == [
        created["id"]
    ]


def test_a_table_is_the_target_of_one_streaming_job(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    sandbox.cancel_delay = 1
    first = polaris.request("POST", JOBS, json=STREAM).json()["id"]
    clock.advance(60)
    assert polaris.read(f"{JOBS}/{first}")["executionStatus"] == "running"
    refused = polaris.request("POST", JOBS, json=STREAM)
    assert (refused.status_code, set(refused.json())) == (400, {"code", "message"})
    elsewhere = {**STREAM, "target": {"type": "table", "tableName": "Others"}}
    assert polaris.request("POST", JOBS, json=elsewhere).status_code == 201
    assert polaris.request("POST", JOBS, json=BATCH).status_code == 201
    assert polaris.request("POST", JOBS, json={**STREAM, "replaceRunning": True}).status_code == 201
    assert polaris.read(f"{JOBS}/{first}")["desiredExecutionStatus"] == "canceled"
    clock.advance(1)
    assert polaris.read(f"{JOBS}/{first}")["executionStatus"] == "canceled"
    assert len(sandbox.started_ids("polaris")) == 4


def test_a_table_is_free_once_its_streaming_job_has_ended(sandbox: Sandbox, polaris: Client) -> None:
    first = polaris.request("POST", JOBS, json=STREAM).json()["id"]
    sandbox.set_state("polaris", first, "failed")
    assert polaris.request("POST", JOBS, json=STREAM).status_code == 201


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("batch", {"type": "ingest"}),
        ("batch", {"source": None}),
        ("batch", {"source": {"type": "ftp"}}),
        ("batch", {"source": {"type": "s3", "inputSchema": []}}),
        ("batch", {"source": {"type": "inline", "inputSchema": []}}),
        ("batch", {"target": {"type": "table"}}),
        ("batch", {"target": {"type": "view", "tableName": "a"}}),
        ("batch", {"target": {**TARGET, "tableName": "a" * 256}}),
        ("batch", {"ingestionMode": "upsert"}),
        ("batch", {"replaceAll": True}),
        ("batch", {"replaceAll": "yes"}),
        ("batch", {"target": {**TARGET, "intervals": ["2026-10-01/P1D"]}}),
        ("batch", {"mappings": {}}),
        ("batch", {"maxParseExceptions": True}),
        ("streaming", {"source": BATCH["source"]}),
        ("streaming", {"readFromPoint": "middle"}),
        ("streaming", {"enableUpserts": True}),
        ("streaming", {"target": {**TARGET, "intervals": ["2026-10-01/P1D"]}}),
        ("sql", {"query": None}),
        ("sql", {"query": "SELECT 1"}),
        ("delete_data", {"target": {**TARGET, "intervals": ["2026-10-01/P1D"]}}),
        ("restore_data", {"interval": None}),
    ],
    ids=str,
)
def test_what_is_refused(sandbox: Sandbox, polaris: Client, kind: str, wrong: dict[str, Any]) -> None:
    answer = polaris.request("POST", JOBS, json={**REQUESTS[kind], **wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")
    assert sandbox.started_ids("polaris") == []


def test_it_must_be_json_and_the_project_known(sandbox: Sandbox, polaris: Client) -> None:
    plain = polaris.request("POST", JOBS, data=json.dumps(BATCH), headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["code"]) == (415, "UnsupportedMediaType")
    assert polaris.request("POST", "/v1/projects/none/jobs", json=BATCH).status_code == 404
    assert sandbox.started_ids("polaris") == []


def test_replacing_is_for_jobs_that_replace(polaris: Client) -> None:
    replaces = {**BATCH, "ingestionMode": "replace"}
    assert polaris.request("POST", JOBS, json={**replaces, "replaceAll": True}).status_code == 201
    intervals = {**TARGET, "intervals": ["2026-10-01/P1D"]}
    assert polaris.request("POST", JOBS, json={**replaces, "target": intervals}).status_code == 201
    both = {**replaces, "replaceAll": True, "target": intervals}
    assert polaris.request("POST", JOBS, json=both).status_code == 400


def test_the_answer_shows_a_job_that_reads_do_not_know_yet(
    sandbox: Sandbox, polaris: Client, clock: Clock
) -> None:
    sandbox.plan_start("polaris", [(0, "pending"), (1, "running")], known_after=5)
    created = polaris.request("POST", JOBS, json=BATCH).json()
    assert created["executionStatus"] == "pending"
    assert polaris.get(f"{JOBS}/{created['id']}").status_code == 404
    clock.advance(5)
    known = polaris.read(f"{JOBS}/{created['id']}")
    assert (known["executionStatus"], known["createdTimestamp"]) == ("running", created["createdTimestamp"])
