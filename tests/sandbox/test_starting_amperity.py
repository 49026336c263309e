# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Workflow runs that are started at the sandbox's Amperity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.sandbox_clients import Client, Clock

RUNS = "/api/workflow/runs"
WINDOW = {"created_from": "2026-10-24", "created_to": "2026-10-30"}


def start(amperity: Client, **body: Any) -> str:
    answer = amperity.request("POST", RUNS, json={"config_id": "cg-123ABc4DE", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def loaded(amperity: Client, workflow_id: str) -> list[dict[str, Any]]:
    jobs = amperity.read("/api/ingest/jobs", **WINDOW)["data"]
    return [job for job in jobs if job["workflow_id"] == workflow_id]


def test_the_answer(sandbox: Sandbox, amperity: Client) -> None:
    body = {"config_id": "cg-123ABc4DE", "range_from": "2026-10-01", "range_to": "2026-10-07T00:00:00Z"}
    answer = amperity.request("POST", RUNS, json={**body, "run_mode": "source"})
    run = answer.json()
    assert answer.status_code == 201
    assert (run["state"], run["type"], run["task_instances"]) == ("scheduled", "courier.group/run", [])
    assert {"name", "principal_id", "principal_name", "launched_version", "created_at"} <= set(run)
    # Nothing says what was run: neither the answer, nor the list, nor either view.
    seen = [run, amperity.read(RUNS), amperity.read(f"{RUNS}/{run['id']}", view="verbose")]
    assert "cg-123ABc4DE" not in str(seen)
    in_list = amperity.read(RUNS)["data"][0]
    assert in_list["principal_id"] == run["principal_id"]
    assert [job["workflow_id"] for job in loaded(amperity, run["id"])] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"config_id": "cc"},
        {"config_id": 7},
        {"config_id": "xx-1"},
        {"run_mode": "all"},
        {"range_from": "yesterday"},
        {"range_from": 5},
        {"range_to": "2026-10-07"},
        {"idempotency_key": "a"},
        {"config_id": "og-1", "run_mode": "full"},
    ],
    ids=str,
)
def test_what_is_refused(sandbox: Sandbox, amperity: Client, wrong: dict[str, Any]) -> None:
    answer = amperity.request("POST", RUNS, json={"config_id": "cg-1", **wrong})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert sandbox.started_ids("amperity") == []


def test_a_run_of_one_ingest_job(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    sandbox.plan_start("amperity", [(0, "scheduled"), (1, "running"), (2, "succeeded")], rows={"read": 7})
    run = start(amperity)
    clock.advance(1)
    [job] = loaded(amperity, run)
    assert [job["id"]] == sandbox.job_ids("amperity")
    assert amperity.read(f"{RUNS}/{run}")["state"] == "running"
    clock.advance(1)
    assert loaded(amperity, run)[0]["tables"][0]["read"] == 7
    assert amperity.read(f"{RUNS}/{run}")["state"] == "succeeded"


@pytest.mark.parametrize(("word", "state"), [("succeeded",) * 2, ("failed",) * 2, ("stopped", "canceled")])
def test_a_run_that_loads_nothing(
    sandbox: Sandbox, amperity: Client, clock: Clock, word: str, state: str
) -> None:
    fields = {"loads": 0, "workflow": {"name": "Nightly", "principal_id": "me"}}
    sandbox.plan_start(
        "amperity", [(0, "scheduled"), (1, "running"), (2, word)], fields=fields, failure="No such file"
    )
    run, seen = start(amperity), []
    for _ in range(3):
        seen.append(amperity.read(f"{RUNS}/{run}")["state"])
        clock.advance(1)
    assert seen == ["scheduled", "running", state]
    whole = amperity.read(f"{RUNS}/{run}", view="verbose")
    assert (whole["name"], whole["principal_id"], "ended_at" in whole) == ("Nightly", "me", True)
    assert whole.get("error", {}).get("message") == ("No such file" if word == "failed" else None)
    assert amperity.read(RUNS, state=state)["data"][0]["id"] == run
    assert loaded(amperity, run) == []
    assert sandbox.job_ids("amperity") == []


def test_a_run_of_two_ingest_jobs(sandbox: Sandbox, amperity: Client) -> None:
    sandbox.plan_start("amperity", [(0, "running")], fields={"loads": 2, "tables": [{"table_name": "A"}]})
    run = start(amperity)
    jobs = loaded(amperity, run)
    assert {job["id"] for job in jobs} == set(sandbox.job_ids("amperity"))
    assert [job["tables"][0]["table_name"] for job in jobs] == ["A", "A"]
    assert all(set(job) == {"id", "tables", "workflow_id"} for job in jobs)
    sandbox.set_state("amperity", jobs[0]["id"], "failed")
    assert amperity.read(f"{RUNS}/{run}")["state"] == "running"
    sandbox.set_state("amperity", jobs[1]["id"], "succeeded")
    assert amperity.read(f"{RUNS}/{run}")["state"] == "failed"
    assert sandbox.started_ids("amperity") == [run]


@pytest.mark.parametrize("config", ["og-1", "cc-1"])
def test_what_else_can_be_run_loads_nothing(sandbox: Sandbox, amperity: Client, config: str) -> None:
    run = start(amperity, config_id=config)
    assert amperity.read(f"{RUNS}/{run}")["type"] != "courier.group/run"
    assert sandbox.job_ids("amperity") == []


@pytest.mark.parametrize("arguments", [{"known_after": 9}, {"timeline": [(9, "running")]}], ids=str)
def test_a_run_is_there_before_its_jobs(
    sandbox: Sandbox, amperity: Client, clock: Clock, arguments: dict[str, Any]
) -> None:
    sandbox.plan_start("amperity", **{"timeline": [(0, "running")], **arguments})
    run = start(amperity)
    [job] = sandbox.job_ids("amperity")
    assert amperity.get(f"/api/ingest/jobs/{job}").status_code == 404
    assert amperity.read(f"{RUNS}/{run}")["state"] in {"scheduled", "running"}
    clock.advance(9)
    assert amperity.read(f"/api/ingest/jobs/{job}")["workflow_id"] == run
    assert amperity.read(f"{RUNS}/{run}")["state"] == "running"


@pytest.mark.parametrize("loads", [0, 1, 2])
def test_a_run_can_be_stopped(sandbox: Sandbox, amperity: Client, clock: Clock, loads: int) -> None:
    sandbox.cancel_delay = 2
    sandbox.plan_start("amperity", [(0, "running"), (60, "succeeded")], fields={"loads": loads})
    run = start(amperity)
    stopped = amperity.request("POST", f"{RUNS}/{run}/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopping")
    clock.advance(2)
    whole = amperity.read(f"{RUNS}/{run}", view="verbose")
    assert (whole["state"], whole["error"]["message"]) == ("canceled", "Workflow manually stopped")
    assert [job["tables"][0]["state"] for job in loaded(amperity, run)] == ["canceled"] * loads
    assert amperity.request("POST", f"{RUNS}/{run}/stop").status_code == 409


@pytest.mark.parametrize("arguments", [{"known_after": 9}, {"timeline": [(9, "running")]}], ids=str)
def test_a_run_that_is_stopped_before_it_shows_jobs(
    sandbox: Sandbox, amperity: Client, clock: Clock, arguments: dict[str, Any]
) -> None:
    sandbox.cancel_delay = 0
    sandbox.plan_start("amperity", **{"timeline": [(0, "running")], **arguments})
    run = start(amperity)
    assert amperity.request("POST", f"{RUNS}/{run}/stop").json()["state"] == "canceled"
    clock.advance(9)
    assert amperity.read(f"{RUNS}/{run}")["state"] == "canceled"
    assert {job["tables"][0]["state"] for job in loaded(amperity, run)} <= {"canceled"}


def test_the_heading_s_address(amperity: Client) -> None:
    assert amperity.request("POST", f"{RUNS}/", json={"config_id": "cg-1"}).status_code == 201
