# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Narrative."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs.sandbox import CREDENTIALS
from airflow_provider_ingestjobs.sandbox.narrative import DATA_PLANE_ID

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.sandbox_clients import Client, Clock

LOGIN, PASSWORD = CREDENTIALS["narrative"].login, CREDENTIALS["narrative"].password


def ids(page: Any) -> list[str]:
    return [job["job_id"] for job in page["records"]]


@pytest.mark.parametrize("header", ["Bearer wrong", f"Basic {CREDENTIALS['narrative'].key}", ""])
def test_every_call_needs_a_key(narrative: Client, header: str) -> None:
    response = narrative.request("GET", "/jobs", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json()["error"] == "Unauthorized"
    assert set(response.json()) == {"error", "error_description"}


def test_a_missing_job_has_the_documented_error_shape(narrative: Client) -> None:
    response = narrative.get("/jobs/2a5b9ad7-dc8f-47bb-8e62-843a38f8054c")
    assert response.status_code == 404
    assert set(response.json()) == {"error", "error_description"}


def test_tokens(sandbox: Sandbox, anonymous: Client) -> None:
    def token(auth: tuple[str, str] | None = (LOGIN, PASSWORD), **form: str) -> requests.Response:
        return anonymous.request("POST", "/oauth/token", data=form, auth=auth)

    assert token().status_code == 400
    assert token(auth=(LOGIN, "no"), grant_type="client_credentials").status_code == 401
    granted = token(grant_type="client_credentials").json()
    by_refresh = {"grant_type": "refresh_token", "client_id": LOGIN}
    assert token(auth=None, refresh_token="no", **by_refresh).status_code == 401
    refreshed = token(auth=None, refresh_token=granted["refresh_token"], **by_refresh).json()
    header = {"Authorization": f"Bearer {refreshed['access_token']}"}
    assert anonymous.request("GET", "/jobs", headers=header).status_code == 200
    sandbox.expire_tokens()
    assert anonymous.request("GET", "/jobs", headers=header).status_code == 401


@pytest.mark.parametrize(
    "params",
    [
        {"per_page": 501},
        {"per_page": 0},
        {"per_page": "many"},
        {"offset": -1},
        {"order_by": "updated_at"},
        {"state": "done"},
        {"state": ["running", "done"]},
        {"data_plane_id": "not-a-uuid"},
        {"dataset_id": "x"},
    ],
)
def test_bad_parameters_are_refused(narrative: Client, params: dict[str, Any]) -> None:
    response = narrative.get("/jobs", **params)
    assert response.status_code == 400
    assert set(response.json()) == {"error", "error_description"}


def test_pages(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    expected = []
    for _ in range(5):
        expected.append(sandbox.add_job("narrative"))
        clock.advance(1)
    first = narrative.read("/jobs", per_page=2)
    assert ids(first) == [expected[4], expected[3]]
    assert {name: value for name, value in first.items() if name != "records"} == {
        "current_page": 1,
        "total_records": 5,
        "total_pages": 3,
        "next_page": 2,
    }
    last = narrative.read("/jobs", per_page=2, offset=4)
    assert ids(last) == [expected[0]]
    assert (last["current_page"], last["prev_page"], "next_page" in last) == (3, 2, False)
    beyond = narrative.read("/jobs", per_page=2, offset=20)
    assert (ids(beyond), beyond["prev_page"]) == ([], 3)
    assert ids(narrative.read("/jobs", order_by="created_at_asc", per_page=3, offset=1)) == expected[1:4]


def test_an_empty_list(narrative: Client) -> None:
    assert narrative.read("/jobs") == {"current_page": 1, "total_records": 0, "total_pages": 0, "records": []}


def test_order_by_update_follows_the_jobs(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    slow = sandbox.add_job("narrative", timeline=[(0, "pending"), (3, "running")])
    fast = sandbox.add_job("narrative", timeline=[(0, "pending"), (2, "running")])
    clock.advance(2)
    assert ids(narrative.read("/jobs", order_by="updated_at_desc")) == [fast, slow]
    clock.advance(2)
    page = narrative.read("/jobs", order_by="updated_at_desc")
    assert ids(page) == [slow, fast]
    assert page["records"][0]["updated_at"] > page["records"][1]["updated_at"]
    assert ids(narrative.read("/jobs", order_by="updated_at_asc")) == [fast, slow]


def test_filters(sandbox: Sandbox, narrative: Client) -> None:
    plane = "00000000-0000-4000-8000-000000000000"
    a = sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"dataset_id": 7, "tags": ["x"]})
    b = sandbox.add_job("narrative", timeline=[(0, "failed")], fields={"type": "nql-forecast", "tags": ["y"]})
    c = sandbox.add_job("narrative", timeline=[(0, "pending_cancellation")], fields={"data_plane_id": plane})

    def found(**params: Any) -> set[str]:
        page = narrative.read("/jobs", **params)
        assert page["total_records"] == len(page["records"])
        return set(ids(page))

    assert found(state="failed") == {b}
    assert found(state=["failed", "pending_cancellation"]) == {b, c}
    assert found(dataset_id=7) == {a}
    assert found(data_plane_id=plane) == {c}
    assert found(data_plane_id=DATA_PLANE_ID) == {a, b}
    assert found(type=["nql-forecast", "materialize-view"]) == {a, b, c}
    assert found(tag=["x", "y", "z"]) == {a, b}
    assert found(tag="x", state="failed") == set()
    assert "tags" not in narrative.read(f"/jobs/{a}")


def test_timestamps_have_no_zone_and_failures_a_message(sandbox: Sandbox, narrative: Client) -> None:
    job = sandbox.add_job("narrative", timeline=[(0, "failed")], failure="Spark died")
    record = narrative.read(f"/jobs/{job}")
    for name in ("created_at", "updated_at", "ended_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", record[name])
    assert record["failures"][0]["message"] == "Spark died"


def test_statistics_of_a_data_set(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    snapshots = []
    for rows in (10, 20, 30):
        job = sandbox.add_job(
            "narrative", timeline=[(0, "completed")], rows={"inserted": rows}, fields={"dataset_id": 7}
        )
        snapshots.append(narrative.read(f"/jobs/{job}")["result"]["snapshot_id"])
        clock.advance(1)
    sandbox.add_job("narrative", timeline=[(0, "running")], rows={"inserted": 40}, fields={"dataset_id": 7})
    sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"dataset_id": 8})

    def added(**params: Any) -> list[tuple[int, int]]:
        answer = narrative.read("/datasets/7/stats", **params)
        assert answer["dataset_id"] == 7
        return [(record["snapshot_id"], record["snapshot_added_records"]) for record in answer["records"]]

    every = list(zip(snapshots, (10, 20, 30), strict=True))[::-1]
    assert min(snapshots) > 2**53
    # Both of per_page and offset, or it is the latest alone.
    assert added() == added(per_page=3) == added(offset=1) == added(all_records="false") == every[:1]
    assert added(all_records="true") == added(per_page=3, offset=0) == every
    assert added(per_page=2, offset=1) == every[1:]
    assert added(per_page=2, offset=3) == []
    (latest,) = narrative.read("/datasets/7/stats")["records"]
    assert latest["active_dataset_stored_records"] == 60


def test_statistics_that_are_not_there(sandbox: Sandbox, narrative: Client) -> None:
    sandbox.add_job("narrative", timeline=[(0, "running")], fields={"dataset_id": 7})
    assert narrative.read("/datasets/7/stats") == {"dataset_id": 7, "records": []}
    assert narrative.get("/datasets/8/stats").status_code == 404
    assert narrative.get("/datasets/x/stats").status_code == 400
    assert narrative.get("/datasets/7/stats", per_page=0, offset=0).status_code == 400


def test_there_is_no_cancel(sandbox: Sandbox, narrative: Client) -> None:
    job = sandbox.add_job("narrative")
    assert narrative.request("POST", f"/jobs/{job}/cancel").status_code == 404
    assert narrative.request("DELETE", f"/jobs/{job}").status_code == 405
