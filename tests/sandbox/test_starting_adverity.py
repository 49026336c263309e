# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Fetches that are started at the sandbox's Adverity."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox
from airflow_provider_ingestjobs.sandbox.adverity import Adverity
from support.sandbox_clients import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED = "/api/datastreams/218/fetch_fixed/"
RANGE = {"start": "2026-03-01", "end": "2026-03-03T12:00:00+01:00"}


class OlderAdverity(Adverity):
    """An instance whose answers name no jobs, and whose schedule makes three of a range."""

    answers_with_jobs = False
    jobs_per_fetch = 3


@pytest.fixture
def older() -> Iterator[tuple[Sandbox, Client]]:
    with Sandbox(vendors=[OlderAdverity]) as sandbox:
        client = Client(sandbox.url, {"Authorization": f"Bearer {CREDENTIALS['adverity'].key}"})
        yield sandbox, client
        client.session.close()


def test_a_single_fetch(sandbox: Sandbox, adverity: Client) -> None:
    body = {**RANGE, "priority": "backdata", "callback": "https://example.com/done"}
    answer = adverity.request("POST", FIXED, json=body)
    [job] = sandbox.job_ids("adverity")
    url = f"{sandbox.url}/api/jobs/{job}/"
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        **RANGE,
        "message": "Fetch scheduled.",
        "jobs": [{"id": int(job), "url": url}],
    }
    record = adverity.read(f"/api/jobs/{job}/")
    assert record["datastream"]["id"] == 218
    assert (record["range_start"], record["range_end"]) == ("2026-03-01T00:00:00Z", "2026-03-03T11:00:00Z")
    assert (
        adverity.read("/api/jobs/", datastream_id=218)["results"][0]["range_start"] == record["range_start"]
    )
    assert adverity.read("/api/jobs/", datastream_id=219)["count"] == 0


def test_fetches_by_the_schedule(sandbox: Sandbox, adverity: Client) -> None:
    body = {"start": "2026-03-01", "end": "2026-03-03", "force": True}
    answer = adverity.request("POST", "/api/datastreams/218/fetch/", json=body).json()
    jobs = [str(job["id"]) for job in answer["jobs"]]
    assert jobs == sandbox.started_ids("adverity") == sandbox.job_ids("adverity")
    ranges = [adverity.read(f"/api/jobs/{job}/")["range_start"] for job in jobs]
    assert ranges == ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]


def test_each_job_of_a_fetch_has_a_plan(sandbox: Sandbox, adverity: Client) -> None:
    sandbox.plan_start("adverity", [(0, "Running")], fields={"datastream": {"name": "Mine"}})
    sandbox.plan_start("adverity", [(0, "Discarded")])
    answer = adverity.request("POST", "/api/datastreams/218/fetch/", json=RANGE).json()
    records = [adverity.read(f"/api/jobs/{job['id']}/") for job in answer["jobs"]]
    assert [record["state_label"] for record in records] == ["Running", "Discarded"]
    assert [record["datastream"]["name"] for record in records] == ["Mine", "Datastream 218"]


def test_older_instances_name_no_jobs(older: tuple[Sandbox, Client]) -> None:
    sandbox, client = older
    for path, jobs in ((FIXED, 1), ("/api/datastreams/218/fetch/", 4)):
        answer = client.request("POST", path, json=RANGE).json()
        assert set(answer) == {"status", "start", "message", "end"}
        assert len(sandbox.job_ids("adverity")) == jobs


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", None),
        ("start", "soon"),
        ("start", 20260301),
        ("end", ""),
        ("end", "2026-02-28"),
        ("priority", "urgent"),
        ("callback", "example.com"),
        ("force", "yes"),
    ],
)
def test_what_is_refused(sandbox: Sandbox, adverity: Client, field: str, value: Any) -> None:
    answer = adverity.request("POST", FIXED, json={**RANGE, field: value})
    assert answer.status_code == 400
    assert set(answer.json()) == {"detail", "errors", field}
    assert sandbox.job_ids("adverity") == []


@pytest.mark.parametrize("stream", ["0", "x", "-1"])
def test_unknown_datastreams(sandbox: Sandbox, adverity: Client, stream: str) -> None:
    answer = adverity.request("POST", re.sub("218", stream, FIXED), json=RANGE)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
