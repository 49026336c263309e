# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Queries and refreshes that are started at the sandbox's Narrative."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox
from airflow_provider_ingestjobs.sandbox.narrative import Narrative
from support.sandbox_clients import Client

if TYPE_CHECKING:
    from support.sandbox_clients import Clock

REFRESH = "/datasets/10736/refresh-materialized-view"
VIEW = "CREATE MATERIALIZED VIEW \"a\"\n  EXPIRE = 'P30D'\n  DISPLAY_NAME = 'A view' AS\nSELECT 1 AS x"


class BothKeys(Narrative):
    """A vendor whose answer to a refresh has the id twice."""

    refresh_id_keys = ("id", "job_id")


def run(narrative: Client, nql: str, **more: Any) -> dict[str, Any]:
    answer = narrative.request("POST", "/nql/run", json={"nql": nql, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_query_that_creates_a_view(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    sandbox.plan_start("narrative", [(0, "pending"), (1, "completed")], rows={"inserted": 9})
    plane = str(uuid.uuid4())
    answer = run(narrative, VIEW, data_plane_id=plane)
    assert "job_id" not in answer
    assert (answer["state"], answer["result"], answer["completed_at"]) == ("pending", None, None)
    dataset = answer["input"]["dataset"]
    assert answer["input"]["nql"] == "SELECT 1 AS x"
    assert (dataset["name"], dataset["display_name"]) == ("a", "A view")
    assert dataset["retention_policy"]["expression"]["period"] == "P30D"
    record = narrative.read(f"/jobs/{answer['id']}")
    assert "id" not in record
    assert (record["job_id"], record["type"]) == (answer["id"], "materialize-view")
    assert (record["input"]["nql"], record["input"]["dataset_id"]) == (VIEW, dataset["id"])
    assert record["idempotency_key"] == answer["idempotency_key"]
    assert record["request_source"] == answer["request_source"]
    found = narrative.read("/jobs", dataset_id=dataset["id"], data_plane_id=plane, type="materialize-view")
    assert [job["job_id"] for job in found["records"]] == [answer["id"]]
    clock.advance(1)
    added = narrative.read(f"/datasets/{dataset['id']}/stats")["records"][0]["snapshot_added_records"]
    assert added == 9


def test_a_query_that_forecasts(narrative: Client, clock: Clock) -> None:
    nql = 'explain SELECT "value" FROM "company_data"."10674"'
    answer = run(narrative, nql)
    assert answer["input"]["nql"] == nql
    clock.advance(3)
    record = narrative.read(f"/jobs/{answer['id']}")
    assert (record["type"], record["state"], record["input"]["nql"]) == ("nql-forecast", "completed", nql)


@pytest.mark.parametrize(
    "wrong",
    [{"nql": ""}, {"nql": 7}, {"nql": "SELECT 1"}, {"data_plane_id": "x"}, {"data_plane_id": 7}],
    ids=str,
)
def test_queries_that_are_refused(sandbox: Sandbox, narrative: Client, wrong: dict[str, Any]) -> None:
    answer = narrative.request("POST", "/nql/run", json={"nql": VIEW, **wrong})
    assert answer.status_code == 400
    assert {"title", "status", "detail", "instance", "log_id"} <= set(answer.json())
    assert sandbox.started_ids("narrative") == []


@pytest.mark.parametrize(
    "body", [{"type": "full"}, {"type": "incremental", "execution_cluster": {"type": "dedicated"}}]
)
def test_a_refresh(sandbox: Sandbox, narrative: Client, body: dict[str, Any]) -> None:
    answer = narrative.request("POST", REFRESH, json=body)
    assert (answer.status_code, set(answer.json())) == (200, {"id"})
    record = narrative.read(f"/jobs/{answer.json()['id']}")
    assert (record["type"], record["state"], record["input"]["dataset_id"]) == (
        "materialize-view",
        "pending",
        10736,
    )
    assert record["execution_cluster"] == body.get("execution_cluster", {"type": "shared"})["type"]
    assert record["idempotency_key"].startswith("10736:")
    assert narrative.read("/jobs", dataset_id=10736)["total_records"] == 1


@pytest.mark.parametrize(
    "wrong",
    [{"type": "half"}, {"execution_cluster": "shared"}, {"execution_cluster": {"type": "own"}}],
    ids=str,
)
def test_refreshes_that_are_refused(sandbox: Sandbox, narrative: Client, wrong: dict[str, Any]) -> None:
    answer = narrative.request("POST", REFRESH, json={"type": "full", **wrong})
    assert (answer.status_code, set(answer.json())) == (400, {"error", "error_description"})
    assert sandbox.started_ids("narrative") == []


@pytest.mark.parametrize(("dataset", "status"), [("x", 400), ("0", 404)])
def test_unknown_data_sets(narrative: Client, dataset: str, status: int) -> None:
    path = f"/datasets/{dataset}/refresh-materialized-view"
    assert narrative.request("POST", path, json={"type": "full"}).status_code == status


def test_an_answer_may_spell_the_id_otherwise() -> None:
    with Sandbox(vendors=[BothKeys]) as sandbox:
        client = Client(sandbox.url, {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"})
        answer = client.request("POST", REFRESH, json={"type": "full"}).json()
        client.session.close()
        assert answer == dict.fromkeys(("id", "job_id"), sandbox.job_ids("narrative")[0])
