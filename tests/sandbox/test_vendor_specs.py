# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's answers against the vendors' own OpenAPI documents."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from airflow_provider_ingestjobs.sandbox import CREDENTIALS

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.sandbox_clients import Client

SPECS = Path(__file__).parent.parent / "vendor_specs"
pytestmark = pytest.mark.skipif(
    not SPECS.is_dir(), reason="the vendors' documents are in the repository alone, not in the sdist"
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
        sandbox.add_job("amperity", timeline=[(0, word)], fields={"workflow_id": f"wf-{word}"})
        for view in ("overview", "verbose"):
            run = amperity.read(f"/api/workflow/runs/wf-{word}", view=view)
            validator(amperity_spec, "Workflow").validate(run)
    validator(amperity_spec, "WorkflowList").validate(amperity.read("/api/workflow/runs", limit=1))
    stopped = amperity.request("POST", "/api/workflow/runs/wf-running/stop").json()
    validator(amperity_spec, "Workflow").validate(stopped)
    validator(amperity_spec, "ErrorResponse").validate(amperity.get("/api/ingest/jobs/none").json())
    validator(amperity_spec, "ErrorResponse").validate(amperity.get("/api/ingest/jobs").json())


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
    sample = narrative_spec["components"]["schemas"]["JobResponse"]["example"]
    job = sandbox.add_job("narrative", timeline=[(0, "completed")])
    record = narrative.read(f"/jobs/{job}")
    assert set(record) - set(sample) == {"data_plane_id", "execution_cluster", "failures"}
    for name, value in sample.items():
        assert type(record[name]) is type(value), name
        if isinstance(value, dict):
            assert set(record[name]) == set(value), name


def test_narrative_token(anonymous: Client, narrative_spec: dict[str, Any]) -> None:
    known = CREDENTIALS["narrative"]
    form = {"grant_type": "client_credentials"}
    granted = anonymous.request("POST", "/oauth/token", data=form, auth=(known.login, known.password)).json()
    validator(narrative_spec, "AccessToken").validate(granted)
