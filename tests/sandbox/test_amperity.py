# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Amperity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client, Clock

JOBS = "/api/ingest/jobs"

Window = Callable[..., dict[str, str]]


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def window(clock: Clock) -> Window:
    def around(before: float = 3600, after: float = 3600) -> dict[str, str]:
        return {"created_from": at(clock.now - before), "created_to": at(clock.now + after)}

    return around


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {CREDENTIALS['amperity'].key}"}, 401),
        ({"amperity-tenant": None}, 400),
        ({"amperity-tenant": "someone-else"}, 403),
        ({"api-version": None}, 400),
        ({"api-version": "2019-01-01"}, 400),
    ],
)
def test_every_call_needs_token_tenant_and_version(
    amperity: Client, headers: dict[str, str | None], status: int
) -> None:
    response = amperity.request("GET", f"{JOBS}/isj-1", headers=headers)
    assert response.status_code == status
    assert response.json()["status"] == status
    assert set(response.json()) == {"status", "message"}


def test_version_may_be_a_parameter(sandbox: Sandbox, amperity: Client) -> None:
    sandbox.add_job("amperity", "isj-1")
    response = amperity.request("GET", f"{JOBS}/isj-1?api_version=2024-04-01", headers={"api-version": None})
    assert response.status_code == 200


def test_token_endpoint(sandbox: Sandbox, amperity: Client, anonymous: Client, clock: Clock) -> None:
    known = CREDENTIALS["amperity"]
    form = {
        "grant_type": "client_credentials",
        "client_id": known.login,
        "client_secret": known.password,
    }
    path, tenant = "/api/v0/oauth2/token", {"X-Amperity-Tenant": "sandbox-tenant"}
    assert anonymous.request("POST", path, data=form).status_code == 400
    refused = anonymous.request("POST", path, data={**form, "client_secret": "no"}, headers=tenant)
    assert (refused.status_code, refused.json()["status"]) == (401, 401)
    granted = anonymous.request("POST", path, data=form, headers=tenant).json()
    assert set(granted) == {"access_token", "expires_in", "token_type"}
    amperity.session.headers["Authorization"] = f"Bearer {granted['access_token']}"
    assert amperity.get(f"{JOBS}/none").status_code == 404
    clock.advance(3601)
    assert amperity.get(f"{JOBS}/none").status_code == 401


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"created_from": "2026-01-01"},
        {"created_from": "2026-01-01", "created_to": "yesterday"},
        {"created_from": "2026-01-02", "created_to": "2026-01-01"},
        {"created_from": "2026-01-01", "created_to": "2026-01-08T00:00:01Z"},
        {"created_from": "2026-01-01", "created_to": "2026-01-02", "next_token": "ZVEy1iwsKBs9a6H"},
    ],
)
def test_list_refuses_bad_windows(amperity: Client, params: dict[str, Any]) -> None:
    assert amperity.get(JOBS, **params).status_code == 400


def test_list_takes_a_window_of_exactly_seven_days(amperity: Client) -> None:
    assert amperity.read(JOBS, created_from="2026-01-01", created_to="2026-01-08")["data"] == []


def test_list_filters_by_started_at_half_open(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    sandbox.add_job("amperity", "isj-1", timeline=[(0, "running")])
    second = clock.now
    assert amperity.read(JOBS, created_from=at(second), created_to=at(second + 1))["data"]
    assert not amperity.read(JOBS, created_from=at(second - 1), created_to=at(second))["data"]


def test_list_total_only_when_asked(sandbox: Sandbox, amperity: Client, window: Window) -> None:
    sandbox.add_job("amperity", "isj-1")
    assert "total" not in amperity.read(JOBS, **window())
    assert amperity.read(JOBS, with_total="true", **window())["total"] == 1


def test_scheduled_job_is_read_by_id_but_not_listed(
    sandbox: Sandbox, amperity: Client, window: Window, clock: Clock
) -> None:
    sandbox.add_job("amperity", "isj-1", timeline=[(0, "scheduled"), (5, "running")])
    table = amperity.read(f"{JOBS}/isj-1")["tables"][0]
    assert table["state"] == "scheduled"
    assert "started_at" not in table
    assert amperity.read(JOBS, **window())["data"] == []
    clock.advance(5)
    assert [job["id"] for job in amperity.read(JOBS, **window())["data"]] == ["isj-1"]


def test_rows_follow_progress_and_end(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    rows = {"read": 1000, "inserted": 400, "updated": 200, "rejected": 200, "errors": 200}
    timeline: Timeline = [
        (0, "running"),
        (2, {"progress": 0.5}),
        (3, {"rows": {"read": 700}}),
        (4, "succeeded"),
    ]
    sandbox.add_job("amperity", "isj-1", timeline=timeline, rows=rows)
    seen = []
    for _ in range(5):
        seen.append(amperity.read(f"{JOBS}/isj-1")["tables"][0]["read"])
        clock.advance(1)
    assert seen == [0, 0, 500, 700, 1000]
    table = amperity.read(f"{JOBS}/isj-1")["tables"][0]
    assert {name: table[name] for name in rows} == rows
    assert table["files"][0]["errors"] == 200


def test_tables_have_their_own_states(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    sandbox.add_job(
        "amperity",
        "isj-1",
        timeline=[(0, "running"), (2, {"tables": [{"state": "failed"}, {}]}), (4, "succeeded")],
        fields={
            "tables": [{"table_name": "A"}, {"table_name": "B"}, {"table_name": "C", "state": "skipped"}]
        },
    )

    def states() -> list[str]:
        return [table["state"] for table in amperity.read(f"{JOBS}/isj-1")["tables"]]

    assert states() == ["running", "running", "skipped"]
    clock.advance(2)
    assert states() == ["failed", "running", "skipped"]
    sandbox.set_state("amperity", "isj-1", "succeeded")
    assert states() == ["succeeded"] * 3


def test_job_without_tables_gets_them_later(
    sandbox: Sandbox, amperity: Client, window: Window, clock: Clock
) -> None:
    timeline: Timeline = [
        (0, "running"),
        (2, {"tables": [{"state": "running", "table_name": "Late"}]}),
        (4, "succeeded"),
    ]
    sandbox.add_job("amperity", "isj-1", timeline=timeline, fields={"tables": []})
    assert amperity.read(f"{JOBS}/isj-1")["tables"] == []
    assert amperity.read(JOBS, **window())["data"] == []
    clock.advance(2)
    assert [table["table_name"] for table in amperity.read(f"{JOBS}/isj-1")["tables"]] == ["Late"]
    assert len(amperity.read(JOBS, **window())["data"]) == 1


def test_stopping_a_workflow_cancels_its_unfinished_jobs(
    sandbox: Sandbox, amperity: Client, clock: Clock
) -> None:
    for job_id, timeline in (
        ("isj-1", [(0, "running"), (100, "succeeded")]),
        ("isj-2", [(0, "scheduled")]),
        ("isj-3", [(0, "succeeded")]),
    ):
        sandbox.add_job("amperity", job_id, timeline=timeline, fields={"workflow_id": "wf-1"})
    other = sandbox.add_job("amperity", timeline=[(0, "running")])
    sandbox.cancel_delay = 2

    def states() -> list[str]:
        return [amperity.read(f"{JOBS}/isj-{n}")["tables"][0]["state"] for n in (1, 2, 3)]

    stopped = amperity.request("POST", "/api/workflow/runs/wf-1/stop")
    assert stopped.status_code == 200
    assert stopped.json()["state"] == "stopping"
    assert states() == ["stopping", "stopping", "succeeded"]
    assert amperity.request("POST", "/api/workflow/runs/wf-1/stop").status_code == 200
    clock.advance(2)
    assert states() == ["canceled", "canceled", "succeeded"]
    clock.advance(200)
    assert states() == ["canceled", "canceled", "succeeded"]
    assert amperity.read(f"{JOBS}/{other}")["tables"][0]["state"] == "running"
    assert amperity.request("POST", "/api/workflow/runs/wf-1/stop").status_code == 409
    assert amperity.request("POST", "/api/workflow/runs/wf-none/stop").status_code == 404
    run = amperity.read("/api/workflow/runs/wf-1", view="verbose")
    assert (run["state"], run["error"]["message"]) == ("canceled", "Workflow manually stopped")


def test_a_stop_leaves_finished_tables_and_takes_the_word_of_the_job(
    sandbox: Sandbox, amperity: Client
) -> None:
    sandbox.cancel_delay = 0
    sandbox.add_job(
        "amperity",
        "isj-1",
        timeline=[(0, {"state": "running", "tables": [{"state": "succeeded"}, {}]})],
        fields={"workflow_id": "wf-1", "tables": [{}, {}]},
        cancel_state="stopped",
    )
    assert amperity.request("POST", "/api/workflow/runs/wf-1/stop").json()["state"] == "canceled"
    tables = amperity.read(f"{JOBS}/isj-1")["tables"]
    assert [table["state"] for table in tables] == ["succeeded", "stopped"]


def test_a_stopped_job_shows_the_rows_ingested_until_then(sandbox: Sandbox, amperity: Client) -> None:
    sandbox.cancel_delay = 0

    def rows_after_stop(name: str, *timeline: tuple[float, Any]) -> list[int]:
        sandbox.add_job(
            "amperity",
            f"isj-{name}",
            timeline=[*timeline, (100, "succeeded")],
            rows={"read": 1000},
            fields={"workflow_id": f"wf-{name}", "tables": [{}, {}]},
        )
        amperity.request("POST", f"/api/workflow/runs/wf-{name}/stop")
        return [table["read"] for table in amperity.read(f"{JOBS}/isj-{name}")["tables"]]

    assert rows_after_stop("none", (0, "running")) == [0, 0]
    assert rows_after_stop("share", (0, {"state": "running", "progress": 0.25})) == [250, 250]
    assert rows_after_stop("counted", (0, {"state": "running", "rows": {"read": 70}})) == [70, 70]
    one_done = {"state": "running", "tables": [{"state": "succeeded"}, {}]}
    assert rows_after_stop("one-done", (0, one_done)) == [1000, 0]
    sandbox.set_state("amperity", "isj-none", "succeeded")
    assert [table["read"] for table in amperity.read(f"{JOBS}/isj-none")["tables"]] == [1000, 1000]


def test_workflow_shows_its_error_only_when_verbose(sandbox: Sandbox, amperity: Client) -> None:
    sandbox.add_job(
        "amperity",
        "isj-1",
        timeline=[(0, "failed")],
        failure="Found table in an invalid state.",
        fields={"workflow_id": "wf-1", "workflow": {"name": "Nightly"}},
    )
    overview = amperity.read("/api/workflow/runs/wf-1")
    assert set(overview) == {"created_at", "ended_at", "id", "name", "state", "tenant", "type"}
    assert (overview["state"], overview["name"]) == ("failed", "Nightly")
    verbose = amperity.read("/api/workflow/runs/wf-1", view="verbose")
    assert verbose["error"]["message"] == "Found table in an invalid state."
    assert verbose["task_instances"][0]["state"] == "failed"
    assert amperity.get("/api/workflow/runs/wf-1", view="all").status_code == 400


def test_only_tasks_show_an_error_while_the_workflow_goes_on(sandbox: Sandbox, amperity: Client) -> None:
    fields = {"workflow_id": "wf-1", "attribution": "platform"}
    job = sandbox.add_job("amperity", "isj-1", [(0, "failed")], failure="Lost", fields=fields)
    sandbox.add_job("amperity", "isj-2", fields={"workflow_id": "wf-1"})
    run = amperity.read("/api/workflow/runs/wf-1", view="verbose")
    assert (run["state"], "error" in run) == ("running", False)
    errors = [task["error"] for task in run["task_instances"] if "error" in task]
    assert [(error["message"], error["attribution"]) for error in errors] == [("Lost", "platform")]
    assert set(amperity.read(f"{JOBS}/{job}")) == {"id", "tables", "workflow_id"}


def test_a_job_without_tables(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    fields = {"workflow_id": "wf-1", "tables": []}
    sandbox.add_job("amperity", "isj-1", [(0, "running"), (5, "succeeded")], fields=fields)
    for word in ("running", "succeeded"):
        assert amperity.read(f"{JOBS}/isj-1")["tables"] == []
        run = amperity.read("/api/workflow/runs/wf-1")
        assert (run["state"], "ended_at" in run) == (word, word == "succeeded")
        clock.advance(5)


def test_workflow_list_pages_and_filters(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    for number in range(5):
        word = "succeeded" if number % 2 else "running"
        sandbox.add_job("amperity", timeline=[(0, word)], fields={"workflow_id": f"wf-{number}"})
        clock.advance(1)
    first = amperity.read("/api/workflow/runs", limit=3, with_total="true")
    assert (first["total"], [run["id"] for run in first["data"]]) == (5, ["wf-4", "wf-3", "wf-2"])
    second = amperity.read("/api/workflow/runs", limit=3, next_token=first["next_token"])
    assert [run["id"] for run in second["data"]] == ["wf-1", "wf-0"]
    assert "next_token" not in second
    done = amperity.read("/api/workflow/runs", state="Succeeded")["data"]
    assert [run["id"] for run in done] == ["wf-3", "wf-1"]
    assert amperity.get("/api/workflow/runs", next_token="rubbish!").status_code == 400


def test_errors_of_unknown_paths_and_methods_have_the_vendors_shape(amperity: Client) -> None:
    for method, path, status in (("GET", "/api/ingest/nothing", 404), ("DELETE", f"{JOBS}/isj-1", 405)):
        response = amperity.request(method, path)
        assert response.status_code == status
        assert response.json()["status"] == status
