# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Lists that show what happens to a job later than reads by id do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import Sandbox

if TYPE_CHECKING:
    from support.sandbox_clients import Client, Clock

WEEK = {"created_from": "2026-10-23", "created_to": "2026-10-30"}


def listed(narrative: Client, **params: Any) -> list[tuple[str, str]]:
    return [(job["job_id"], job["state"]) for job in narrative.read("/jobs", **params)["records"]]


def test_a_list_shows_each_step_later_and_as_it_was(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    timeline = [(0, "pending"), (2, "running"), (4, "completed")]
    sandbox.add_job("narrative", "a", timeline=timeline, list_lag=3)
    by_id, in_list = [], []
    for _ in range(8):
        by_id.append(narrative.read("/jobs/a"))
        in_list.append(narrative.read("/jobs")["records"])
        clock.advance(1)
    assert [record["state"][0] for record in by_id] == list("pprrcccc")
    assert [page[0]["state"][0] if page else "-" for page in in_list] == list("---pprrc")
    assert [page[0] for page in in_list[3:]] == by_id[:5]


def test_other_jobs_are_listed_at_once(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    sandbox.add_job("narrative", "late", timeline=[(0, "running")], list_lag=3)
    sandbox.add_job("narrative", "prompt", timeline=[(1, "running")])
    clock.advance(1)
    assert listed(narrative) == [("prompt", "running")]
    clock.advance(2)
    assert listed(narrative) == [("prompt", "running"), ("late", "running")]
    page = narrative.read("/jobs", order_by="updated_at_desc", per_page=1, offset=1)
    assert ([job["job_id"] for job in page["records"]], page["total_records"]) == (["late"], 2)


def test_an_update_comes_late_into_the_list_behind_what_is_newer(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    sandbox.add_job("narrative", "late", timeline=[(-9, "running"), (0, "completed")], list_lag=3)
    sandbox.add_job("narrative", "prompt", timeline=[(-5, "running"), (1, "completed")])
    clock.advance(1)
    order = {"order_by": "updated_at_desc"}
    assert listed(narrative, **order) == [("prompt", "completed"), ("late", "running")]
    clock.advance(2)
    assert listed(narrative, **order) == [("prompt", "completed"), ("late", "completed")]
    assert listed(narrative, order_by="updated_at_asc")[0] == ("late", "completed")


def test_a_state_that_is_set_drops_nothing_the_list_has_still_to_show(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    timeline = [(0, "pending"), (1, "running"), (50, "completed")]
    sandbox.add_job("narrative", "a", timeline=timeline, list_lag=10)
    clock.advance(2)
    sandbox.set_state("narrative", "a", "failed", failure="broken")
    assert narrative.read("/jobs/a")["state"] == "failed"
    seen = []
    for _ in range(60):
        clock.advance(1)
        seen += [state for _, state in listed(narrative) if state not in seen]
    assert seen == ["pending", "running", "failed"]


def test_a_job_that_waits_for_its_first_read_waits_for_that_of_a_list_too(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    timeline = [(0, "running"), (5, "completed")]
    sandbox.add_job("narrative", "a", timeline=timeline, starts="first_read", list_lag=2)
    clock.advance(100)
    assert listed(narrative) == []
    assert narrative.read("/jobs/a")["state"] == "running"
    clock.advance(2)
    assert listed(narrative) == [("a", "running")]
    clock.advance(3)
    assert narrative.read("/jobs/a")["state"] == "completed"
    assert listed(narrative) == [("a", "running")]


def test_a_removed_job_is_in_no_list(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    for job in ("early", "late"):
        sandbox.add_job("narrative", job, list_lag=3)
        clock.advance(2)
    sandbox.remove_job("narrative", "early")
    sandbox.remove_job("narrative", "late")
    clock.advance(9)
    assert listed(narrative) == []
    assert sandbox.add_job("narrative", "late") == "late"


def test_filters_and_states_are_of_what_the_list_shows(
    sandbox: Sandbox, adverity: Client, polaris: Client, clock: Clock
) -> None:
    job = int(sandbox.add_job("adverity", timeline=[(-9, "Running"), (0, "Success")], list_lag=5))
    batch = sandbox.add_job("polaris", timeline=[(-9, "running"), (0, "failed")], list_lag=5)
    assert adverity.read(f"/api/jobs/{job}/")["state_label"] == "Success"
    assert [found["id"] for found in adverity.read("/api/jobs/")["results"]] == [job]
    assert polaris.read(f"/v1/jobs/{batch}")["health"]["status"] == "error"
    assert polaris.read("/v2/jobs", healthStatus="error")["values"] == []
    clock.advance(5)
    assert adverity.read("/api/jobs/")["results"] == []
    assert [found["id"] for found in polaris.read("/v2/jobs", healthStatus="error")["values"]] == [batch]


def test_a_cancel_and_its_workflow_are_listed_late(sandbox: Sandbox, amperity: Client, clock: Clock) -> None:
    sandbox.cancel_delay = 1
    late_table = {"tables": [{"state": "succeeded"}, {"state": "running"}]}
    sandbox.add_job(
        "amperity",
        "isj-1",
        timeline=[(-60, "running"), (-59, late_table), (100, "succeeded")],
        rows={"read": 1000},
        fields={"workflow_id": "wf-1"},
        list_lag=30,
    )

    def by_id() -> tuple[Any, str]:
        return amperity.read("/api/ingest/jobs/isj-1"), amperity.read("/api/workflow/runs/wf-1")["state"]

    def in_lists() -> tuple[Any, str]:
        (job,) = amperity.read("/api/ingest/jobs", **WEEK)["data"]
        (run,) = amperity.read("/api/workflow/runs")["data"]
        return job, run["state"]

    before = by_id()
    assert in_lists() == before
    amperity.request("POST", "/api/workflow/runs/wf-1/stop")
    clock.advance(1)
    after = by_id()
    assert [table["state"] for table in after[0]["tables"]] == ["succeeded", "canceled"]
    assert [table["read"] for table in after[0]["tables"]] == [1000, 0]
    assert after[1] == "canceled"
    assert in_lists() == before
    clock.advance(30)
    assert in_lists() == by_id() == after


@pytest.mark.parametrize("lag", [-1, float("inf"), float("nan")])
def test_a_lag_is_seconds(sandbox: Sandbox, lag: float) -> None:
    with pytest.raises(ValueError, match="list_lag"):
        sandbox.add_job("narrative", list_lag=lag)


def test_over_http(sandbox: Sandbox, narrative: Client, anonymous: Client, clock: Clock) -> None:
    job = {"vendor": "narrative", "job_id": "a", "timeline": [[0, "running"]], "list_lag": 2}
    assert anonymous.request("POST", "/_sandbox/jobs", json=job).json() == {"job_ids": ["a"]}
    assert listed(narrative) == []
    clock.advance(2)
    assert listed(narrative) == [("a", "running")]
