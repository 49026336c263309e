# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's answers against what the vendors' own OpenAPI documents say."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from airflow_provider_ingestjobs.sandbox import CREDENTIALS
from airflow_provider_ingestjobs.sandbox.polaris import PROJECT_ID
from support.openapi import answer_validator, as_json_schema, forbid_undocumented
from vendor_specs.reduce import SAMPLE, SAMPLES, json_type

if TYPE_CHECKING:
    from requests import Response

    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client

SPECS = Path(__file__).parent.parent / "vendor_specs"
POLARIS_JOBS = "/v1/projects/{projectId}/jobs"
POLARIS_JOB = POLARIS_JOBS + "/{jobId}"
POLARIS_TYPES = ("batch", "streaming", "sql", "delete_data", "drop_table", "restore_data")
#: Each word of a job's state, after what may come before it.
POLARIS_TIMELINES: dict[str, Timeline] = {
    "pending": [(0, "pending")],
    "running": [(-1, "pending"), (0, {"state": "running", "progress": 0.5})],
    "idle": [(-1, "running"), (0, "idle")],
    "suspended": [(-1, "running"), (0, {"state": "suspended", "desiredExecutionStatus": "suspended"})],
    "unknown": [(-1, "running"), (0, "unknown")],
    "completed": [(-2, "pending"), (-1, "running"), (0, "completed")],
    "canceled": [(-1, "running"), (0, {"state": "canceled", "desiredExecutionStatus": "canceled"})],
    "failed": [(-1, "running"), (0, "failed")],
}
POLARIS_OBJECTS = (
    "JobListResponse",
    "JobSummaryResponse",
    "JobResponse",
    "JobStatusResponse",
    "JobProgressResponse",
    "JobLogsResponse",
    "JobLogEntry",
    "JobMetricsResponse",
    "IngestionJobTotals",
    "ErrorResponse11",
    "CreateJobRequest",
    "JobHealthV2",
    "JobSourceV2",
    "JobSourceSummary",
    "JobTargetV2",
    "UserV2",
)


def validator(document: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


@pytest.fixture(scope="module")
def amperity_spec() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SPECS / "amperity-openapi.json").read_text())
    return document


@pytest.fixture(scope="module")
def narrative_spec() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SPECS / "narrative-openapi.json").read_text())
    schemas = document["components"]["schemas"]
    # Narrative's own sample contradicts its schema: the cluster is spelled differently where it is required,
    # and the kinds of input and of result overlap, so that oneOf accepts neither.
    required = schemas["JobResponse"]["required"]
    required[required.index("executionCluster")] = "execution_cluster"
    for name in ("Input", "Result"):
        schemas[name]["anyOf"] = schemas[name].pop("oneOf")
    # The list's filter knows a state its records' schema does not.
    schemas["State"]["enum"].append("pending_cancellation")
    # The documented samples of a query's answer contradict its schema: what is not there yet is null, a
    # company is a number, the data set is a part of the input, and an error has its text in the singular.
    base = schemas["RunResponseBase"]["properties"]
    base["company_id"] = {"type": "integer"}
    for name in ("completed_at", "result"):
        base[name] = {"anyOf": [base[name], {"type": "null"}]}
    view = schemas["CreateMaterialiedViewRunResponse"]["allOf"][1]["properties"]
    view["input"] = {
        "type": "object",
        "required": ["dataset", "nql"],
        "properties": {"dataset": view["input"]},
    }
    required = schemas["Response"]["required"]
    required[required.index("details")] = "detail"
    schemas["Response"]["properties"]["type"] = {"type": ["string", "null"]}
    # No object has a property that this schema lets it have.
    del schemas["SnapshotRetentionPolicy"]["additionalProperties"]
    return document


@pytest.fixture(scope="module")
def polaris_spec() -> dict[str, Any]:
    document = json.loads((SPECS / "polaris-openapi.json").read_text())
    schemas = document["components"]["schemas"]
    # The document contradicts itself, and so does the vendor's SDK: a job's warnings are `warn` in the enum,
    # which is the filter's as well, and `warning` in the discriminator's mapping. Both are let through.
    mapping = schemas["JobHealthV2"]["discriminator"]["mapping"]
    mapping["warn"] = mapping["warning"]
    schemas["JobHealthStatusV2"]["enum"].append("warning")
    document = as_json_schema(document)
    # Stricter than the document, which lets every object have further fields.
    forbid_undocumented(document, *POLARIS_OBJECTS)
    return document


def unfinished(document: dict[str, Any], schema: str, *absent: str) -> dict[str, Any]:
    """Return the document without requiring what only a finished job has."""
    loose = copy.deepcopy(document)
    required = loose["components"]["schemas"][schema]["required"]
    loose["components"]["schemas"][schema]["required"] = [name for name in required if name not in absent]
    return loose


def test_amperity_jobs(sandbox: Sandbox, amperity: Client, amperity_spec: dict[str, Any]) -> None:
    rows = {"read": 1000, "inserted": 400, "updated": 200, "rejected": 200, "errors": 200}
    for word in ("succeeded", "failed", "canceled", "skipped", "stopped"):
        sandbox.add_job("amperity", f"isj-{word}", timeline=[(-10, "running"), (0, word)], rows=rows)
        validator(amperity_spec, "IngestJobDetails").validate(amperity.read(f"/api/ingest/jobs/isj-{word}"))
    window = {"created_from": "2026-10-24", "created_to": "2026-10-30", "with_total": "true"}
    page = amperity.read("/api/ingest/jobs", **window)
    assert page["total"] == 5
    validator(amperity_spec, "IngestJobDetailsList").validate(page)

    loose = unfinished(amperity_spec, "IngestFeedDetails", "started_at", "ended_at")
    for word in ("scheduled", "running", "stopping"):
        sandbox.add_job("amperity", f"isj-{word}", timeline=[(0, word)])
        validator(loose, "IngestJobDetails").validate(amperity.read(f"/api/ingest/jobs/isj-{word}"))


def test_amperity_workflows_and_errors(
    sandbox: Sandbox, amperity: Client, amperity_spec: dict[str, Any]
) -> None:
    for word in ("succeeded", "failed", "running"):
        fields = {"workflow_id": f"wf-{word}", "attribution": "platform"}
        job = sandbox.add_job("amperity", timeline=[(0, word)], fields=fields)
        sandbox.add_job("amperity", timeline=[(0, "failed")], fields=fields)
        empty = sandbox.add_job("amperity", timeline=[(0, word)], fields={**fields, "tables": []})
        validator(amperity_spec, "IngestJobDetails").validate(amperity.read(f"/api/ingest/jobs/{empty}"))
        assert set(amperity.read(f"/api/ingest/jobs/{job}")) == {"id", "tables", "workflow_id"}
        for view in ("overview", "verbose"):
            run = amperity.read(f"/api/workflow/runs/wf-{word}", view=view)
            validator(amperity_spec, "Workflow").validate(run)
    validator(amperity_spec, "WorkflowList").validate(amperity.read("/api/workflow/runs", limit=1))
    stopped = amperity.request("POST", "/api/workflow/runs/wf-running/stop").json()
    validator(amperity_spec, "Workflow").validate(stopped)
    validator(amperity_spec, "ErrorResponse").validate(amperity.get("/api/ingest/jobs/none").json())
    validator(amperity_spec, "ErrorResponse").validate(amperity.get("/api/ingest/jobs").json())


@pytest.mark.parametrize("loads", [0, 1, 2])
def test_amperity_starts(
    sandbox: Sandbox, amperity: Client, amperity_spec: dict[str, Any], loads: int
) -> None:
    described = amperity_spec["paths"]["/workflow/runs"]["post"]["responses"]
    for word in ("scheduled", "running", "succeeded", "failed"):
        sandbox.plan_start("amperity", [(0, word)], fields={"loads": loads})
        sent = {"config_id": "cg-123ABc4DE", "range_from": "2026-10-01T00:00:00Z", "run_mode": "full"}
        validator(amperity_spec, "WorkflowRunRequest").validate(sent)
        answer = amperity.request("POST", "/api/workflow/runs", json=sent)
        assert str(answer.status_code) in described
        validator(amperity_spec, "Workflow").validate(answer.json())
        for view in ("overview", "verbose"):
            run = amperity.read(f"/api/workflow/runs/{answer.json()['id']}", view=view)
            validator(amperity_spec, "Workflow").validate(run)
            assert run["state"] == word
    validator(amperity_spec, "WorkflowList").validate(amperity.read("/api/workflow/runs"))
    refused = amperity.request("POST", "/api/workflow/runs", json={"config": "cg-123ABc4DE"})
    assert str(refused.status_code) in described
    validator(amperity_spec, "ErrorResponse").validate(refused.json())


@pytest.mark.parametrize("how", ["fetch_fixed", "fetch"])
def test_adverity_starts(sandbox: Sandbox, adverity: Client, how: str) -> None:
    document = json.loads((SPECS / "adverity-facts.json").read_text())
    described = document["paths"][f"/api/datastreams/{{datastream_id}}/{how}/"]["post"]
    sent = {"start": "2026-03-01", "end": "2026-03-02T00:00:00Z", "priority": "low"}
    Draft202012Validator(described["requestBody"]["content"]["application/json"]["schema"]).validate(sent)
    answer = adverity.request("POST", f"/api/datastreams/218/{how}/", json=sent)
    schema = described["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
    Draft202012Validator(schema).validate(answer.json())


def test_narrative_jobs(sandbox: Sandbox, narrative: Client, narrative_spec: dict[str, Any]) -> None:
    for kind in ("materialize-view", "nql-forecast"):
        job = sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"type": kind})
        validator(narrative_spec, "JobResponse").validate(narrative.read(f"/jobs/{job}"))
    validator(narrative_spec, "JobsResponse").validate(narrative.read("/jobs"))

    loose = unfinished(narrative_spec, "JobResponse", "result", "ended_at")
    for word in ("pending", "running", "pending_cancellation", "failed", "cancelled"):
        job = sandbox.add_job("narrative", timeline=[(0, word)])
        validator(loose, "JobResponse").validate(narrative.read(f"/jobs/{job}"))


def test_narrative_record_has_the_fields_of_the_documented_sample(
    sandbox: Sandbox, narrative: Client, narrative_spec: dict[str, Any]
) -> None:
    sample = narrative_spec["components"]["schemas"]["JobResponse"][SAMPLE]
    job = sandbox.add_job("narrative", timeline=[(0, "completed")])
    record = narrative.read(f"/jobs/{job}")
    assert set(record) - set(sample) == {"data_plane_id", "execution_cluster", "failures"}
    for name, value in sample.items():
        assert json_type(record[name]) == ("object" if isinstance(value, dict) else value), name
        if isinstance(value, dict):
            assert set(record[name]) == set(value), name


def test_narrative_statistics(sandbox: Sandbox, narrative: Client, narrative_spec: dict[str, Any]) -> None:
    sample = narrative_spec["components"]["schemas"]["DatasetSummaryResponse"][SAMPLE]
    for rows in (10, 20, 30):
        sandbox.add_job(
            "narrative", timeline=[(0, "completed")], rows={"inserted": rows}, fields={"dataset_id": 7}
        )
    for params in ({}, {"all_records": "true"}, {"per_page": 2, "offset": 1}, {"per_page": 2, "offset": 9}):
        answer = narrative.read("/datasets/7/stats", **params)
        validator(narrative_spec, "DatasetSummariesResponse").validate(answer)
        for record in answer["records"]:
            assert set(record) == set(sample)


QUERIES = (
    "CREATE MATERIALIZED VIEW \"a\" EXPIRE = 'retain_everything' AS SELECT 1 AS x",
    "CREATE MATERIALIZED VIEW \"a\" EXPIRE = 'P30D' WRITE_MODE = 'overwrite' AS SELECT 1 AS x",
    "EXPLAIN SELECT 1 AS x",
)


@pytest.mark.parametrize("nql", QUERIES)
def test_narrative_queries(
    sandbox: Sandbox, narrative: Client, narrative_spec: dict[str, Any], nql: str
) -> None:
    described = narrative_spec["paths"]["/nql/run"]["post"]
    sent = {"nql": nql}
    whole = {**described["requestBody"]["content"]["application/json"]["schema"]}
    Draft202012Validator({**whole, "components": narrative_spec["components"]}).validate(sent)
    answer = narrative.request("POST", "/nql/run", json=sent)
    assert answer.status_code == 201
    validator(narrative_spec, "NQL_RunResponse").validate(answer.json())
    samples = described["responses"]["201"]["content"]["application/json"][SAMPLES]
    sample = samples["explain" if nql.startswith("EXPLAIN") else "create_materialized_view"]
    assert set(answer.json()) == set(sample)
    assert set(answer.json()["input"]) == set(sample["input"])
    loose = unfinished(narrative_spec, "JobResponse", "result", "ended_at")
    validator(loose, "JobResponse").validate(narrative.read(f"/jobs/{answer.json()['id']}"))
    refused = narrative.request("POST", "/nql/run", json={"nql": "SELEC"})
    validator(narrative_spec, "Response").validate(refused.json())


def test_narrative_refreshes(narrative: Client, narrative_spec: dict[str, Any]) -> None:
    path = "/datasets/{dataset_id}/refresh-materialized-view"
    # The document has a status, and no body.
    assert narrative_spec["paths"][path]["post"]["responses"] == {"200": {}}
    for kind in ("full", "incremental"):
        sent = {"type": kind, "execution_cluster": {"type": "dedicated"}}
        validator(narrative_spec, "TriggerMaterializedViewRefresh").validate(sent)
        answer = narrative.request("POST", path.format(dataset_id=7), json=sent)
        loose = unfinished(narrative_spec, "JobResponse", "result", "ended_at")
        validator(loose, "JobResponse").validate(narrative.read(f"/jobs/{answer.json()['id']}"))


def test_narrative_token(anonymous: Client, narrative_spec: dict[str, Any]) -> None:
    known = CREDENTIALS["narrative"]
    form = {"grant_type": "client_credentials"}
    granted = anonymous.request("POST", "/oauth/token", data=form, auth=(known.login, known.password)).json()
    validator(narrative_spec, "AccessToken").validate(granted)


def check(document: dict[str, Any], answer: Response, path: str) -> None:
    """Assert that an answer of Polaris' is one that its document has, with a body of that schema."""
    method = (answer.request.method or "").lower()
    validator = answer_validator(document, method, path, answer.status_code)
    if validator is None:
        assert answer.content == b""
        return
    assert answer.headers["content-type"] == "application/json"
    validator.validate(answer.json())


@pytest.mark.parametrize("word", list(POLARIS_TIMELINES))
@pytest.mark.parametrize("kind", POLARIS_TYPES)
def test_polaris_jobs(
    sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any], kind: str, word: str
) -> None:
    rows = {"read": 1000, "errors": 10, "rejected": 20}
    job = sandbox.add_job(
        "polaris", timeline=POLARIS_TIMELINES[word], rows=rows, fields={"type": kind}, failure="Not JSON"
    )
    jobs = f"/v1/projects/{PROJECT_ID}/jobs"
    listed = polaris.get(jobs)
    assert [summary["executionStatus"] for summary in listed.json()["values"]] == [word]
    check(polaris_spec, listed, POLARIS_JOBS)
    for what in ("", "/status", "/progress", "/logs", "/metrics"):
        check(polaris_spec, polaris.get(f"{jobs}/{job}{what}"), POLARIS_JOB + what)


@pytest.mark.parametrize(
    "health",
    [
        {"status": "ok"},
        {"status": "warn", "code": "no_rows_found"},
        {"status": "warning", "code": "multiple", "log": {"healthStatus": "warn", "message": "x"}},
        {"status": "error", "code": "cannot_parse_source", "message": "Line 7 is not JSON"},
        {"status": "error", "code": "multiple", "message": None, "log": {"timestamp": None}},
        None,
    ],
)
def test_polaris_health(
    sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any], health: dict[str, Any] | None
) -> None:
    logs = [{"timestamp": "2026-10-26T07:33:20Z", "healthStatus": "warn", "code": "x", "message": "y"}]
    job = sandbox.add_job("polaris", timeline=[(0, "completed")], fields={"health": health, "logs": logs})
    jobs = f"/v1/projects/{PROJECT_ID}/jobs"
    check(polaris_spec, polaris.get(jobs), POLARIS_JOBS)
    check(polaris_spec, polaris.get(f"{jobs}/{job}"), POLARIS_JOB)
    logged = polaris.get(f"{jobs}/{job}/logs")
    assert logged.json()["logs"] == logs
    check(polaris_spec, logged, POLARIS_JOB + "/logs")


def test_polaris_updates(sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any]) -> None:
    jobs = f"/v1/projects/{PROJECT_ID}/jobs"
    stream = sandbox.add_job("polaris", fields={"type": "streaming"})
    for desired in ("suspended", "running", "canceled"):
        body = {"desiredExecutionStatus": desired}
        check(polaris_spec, polaris.request("PUT", f"{jobs}/{stream}", json=body), POLARIS_JOB)
        posted = polaris.request("POST", f"{jobs}/{stream}/status", json=body)
        check(polaris_spec, posted, POLARIS_JOB + "/status")
        check(polaris_spec, polaris.request("POST", f"{jobs}/{stream}/reset"), POLARIS_JOB + "/reset")
        check(polaris_spec, polaris.get(jobs), POLARIS_JOBS)


TARGET = {"type": "table", "tableName": "Events"}
INLINE = {"type": "inline", "data": "1", "inputSchema": [], "formatSettings": {"format": "nd-json"}}
POLARIS_REQUESTS: list[dict[str, Any]] = [
    {"type": "batch", "source": INLINE, "target": TARGET, "context": {"mark": "a"}, "replaceAll": False},
    {"type": "batch", "source": {"type": "table", "tableName": "Raw"}, "target": TARGET},
    {"type": "streaming", "source": {"type": "connection", "connectionName": "k"}, "target": TARGET},
    {"type": "sql", "query": 'INSERT INTO "Events" SELECT 1', "createTableIfNotExists": True},
    {"type": "delete_data", "target": TARGET, "softDelete": True},
    {"type": "drop_table", "target": TARGET, "softDelete": True},
    {"type": "restore_data", "target": TARGET, "interval": "2026-10-01/P1D"},
]


@pytest.mark.parametrize("sent", POLARIS_REQUESTS, ids=lambda sent: str(sent["type"]))
def test_polaris_starts(
    sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any], sent: dict[str, Any]
) -> None:
    jobs = f"/v1/projects/{PROJECT_ID}/jobs"
    validator(polaris_spec, "CreateJobRequest").validate(sent)
    answer = polaris.request("POST", jobs, json=sent)
    assert (answer.status_code, "Location" in answer.headers) == (201, True)
    check(polaris_spec, answer, POLARIS_JOBS)
    check(polaris_spec, polaris.get(f"{jobs}/{answer.json()['id']}"), POLARIS_JOB)
    check(polaris_spec, polaris.get(jobs), POLARIS_JOBS)
    for name in sent:
        refused = polaris.request("POST", jobs, json={**sent, name: None})
        if not validator(polaris_spec, "CreateJobRequest").is_valid({**sent, name: None}):
            assert refused.status_code == 400, name
            check(polaris_spec, refused, POLARIS_JOBS)
    check(polaris_spec, polaris.request("POST", jobs, data="x"), POLARIS_JOBS)


def test_polaris_errors(sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any]) -> None:
    jobs = f"/v1/projects/{PROJECT_ID}/jobs"
    job, body = sandbox.add_job("polaris"), {"desiredExecutionStatus": "canceled"}
    found = [
        (polaris.get(jobs, paginationLimit=0), ""),
        (polaris.get(jobs, healthStatus="bad"), ""),
        *((polaris.get(f"{jobs}/none{what}"), "/{jobId}" + what) for what in ("", "/status", "/logs")),
        *((polaris.get(f"{jobs}/none{what}"), "/{jobId}" + what) for what in ("/progress", "/metrics")),
        (polaris.request("PUT", f"{jobs}/none", json=body), "/{jobId}"),
        (polaris.request("PUT", f"{jobs}/{job}", json={}), "/{jobId}"),
        (polaris.request("PUT", f"{jobs}/{job}", data="x"), "/{jobId}"),
        (polaris.request("POST", f"{jobs}/none/status", json=body), "/{jobId}/status"),
        (polaris.request("POST", f"{jobs}/{job}/status", data="x"), "/{jobId}/status"),
        (polaris.request("POST", f"{jobs}/none/reset"), "/{jobId}/reset"),
    ]
    assert [answer.status_code for answer, _ in found] == [400] * 2 + [404] * 6 + [400, 415, 404, 415, 404]
    for answer, path in found:
        check(polaris_spec, answer, POLARIS_JOBS + path)
    # The document has no 400 for this, though it speaks of one beside the values that are wished for.
    refused = polaris.request("POST", f"{jobs}/{job}/status", json={})
    assert refused.status_code == 400
    validator(polaris_spec, "ErrorResponse11").validate(refused.json())


def test_polaris_document_is_taken_at_its_word(
    sandbox: Sandbox, polaris: Client, polaris_spec: dict[str, Any]
) -> None:
    """What has no discriminator's word, or not what belongs to it, is not valid."""
    job = sandbox.add_job("polaris", fields={"type": "batch"})
    record = polaris.read(f"/v1/projects/{PROJECT_ID}/jobs/{job}")
    valid = validator(polaris_spec, "JobResponse").is_valid
    assert valid(record)
    assert not valid({**record, "type": "ingest"})
    assert not valid({**record, "type": "sql"})
    assert not valid({**record, "source": {"type": "s3"}})
    assert not valid({**record, "health": {"status": "error"}})
    assert not valid({**record, "spec": {"type": "batch"}})
    assert not valid({**record, "extra": 1})
    assert not valid({**record, "startedTimestamp": None})
    assert valid({**record, "completedTimestamp": None})
    for name in record.keys() - {"ingestionMode", "mappings", "startedTimestamp"}:
        assert not valid({key: value for key, value in record.items() if key != name}), name
