# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Airbyte against what Airbyte documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from airbyte_api import JOB, JOBS, STATUSES, TOKEN
from jsonschema import validate

from airflow_provider_ingestjobs.sandbox import VENDORS, Sandbox
from ingestjobs_airbyte.sandbox import Airbyte

if TYPE_CHECKING:
    from collections.abc import Callable

    from clock import Clock

    Read = Callable[..., requests.Response]

CONNECTION = "9924bcd0-99be-453d-ba47-c2c9766f7da5"
ROWS = {"read": 100, "bytes": 2048}


@pytest.mark.parametrize("word", STATUSES)
def test_a_job_in_each_state_is_as_documented(sandbox: Sandbox, clock: Clock, read: Read, word: str) -> None:
    job = sandbox.add_job("airbyte", timeline=[(0, "pending"), (3725, word)], rows=ROWS)
    clock.advance(3725)
    answer = read("GET", f"/jobs/{job}").json()
    validate(answer, JOB)
    assert (answer["jobId"], answer["status"]) == (int(job), word)
    assert ("lastUpdatedAt" in answer) == (word in ("failed", "succeeded", "cancelled"))
    assert answer.get("duration") == (None if word == "pending" else "PT1H2M5S")


def test_a_time_on_the_minute_has_no_seconds(sandbox: Sandbox, clock: Clock, read: Read) -> None:
    clock.now = 1_679_707_800.9
    job = sandbox.add_job("airbyte", timeline=[(0, "running"), (50, "succeeded")])
    clock.advance(50)
    answer = read("GET", f"/jobs/{job}").json()
    assert (answer["startTime"], answer["lastUpdatedAt"]) == ("2023-03-25T01:30Z", "2023-03-25T01:30:50Z")


def test_a_list_has_the_oldest_first_and_twenty_of_them(sandbox: Sandbox, clock: Clock, read: Read) -> None:
    ids = []
    for _ in range(25):
        ids.append(int(sandbox.add_job("airbyte", timeline=[(0, "running")])))
        clock.advance(1)
    page = read("GET", "/jobs").json()
    validate(page, JOBS)
    assert [job["jobId"] for job in page["data"]] == ids[:20]
    assert page["previous"] == ""
    rest = read("GET", "/jobs", params={"offset": 20, "limit": 100, "orderBy": "createdAt|DESC"}).json()
    assert [job["jobId"] for job in rest["data"]] == ids[4::-1]
    assert rest["next"] != ""
    assert read("GET", "/jobs", params={"offset": 40}).json()["next"] == ""


def test_the_link_to_the_next_page_loses_what_the_list_was_asked_for(sandbox: Sandbox, read: Read) -> None:
    sandbox.add_job("airbyte", fields={"connectionId": CONNECTION})
    params = {"connectionId": CONNECTION, "status": "running", "orderBy": "updatedAt|DESC", "limit": 5}
    link = urlsplit(read("GET", "/jobs", params=params).json()["next"])
    assert parse_qs(link.query) == {"connectionId": [CONNECTION], "limit": ["5"], "offset": ["5"]}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 101},
        {"offset": -1},
        {"status": "done"},
        {"jobType": "copy"},
        {"orderBy": "jobId|DESC"},
        {"updatedAtStart": "yesterday"},
    ],
)
def test_what_the_api_does_not_have_is_refused(read: Read, params: dict[str, Any]) -> None:
    assert read("GET", "/jobs", params=params).status_code == 400


def test_filters(sandbox: Sandbox, clock: Clock, read: Read) -> None:
    def listed(**params: Any) -> list[int]:
        return [job["jobId"] for job in read("GET", "/jobs", params=params).json()["data"]]

    sandbox.add_job("airbyte", 1, [(0, "running"), (60, "failed")], fields={"connectionId": CONNECTION})
    sandbox.add_job("airbyte", 2, [(0, "running")], fields={"jobType": "reset", "workspaceId": "w-2"})
    clock.advance(60)
    sandbox.add_job("airbyte", 3, [(0, "queued")], fields={"connectionId": CONNECTION})
    later = "2023-11-14T22:14:20Z"
    assert listed(connectionId=CONNECTION) == [1, 3]
    assert listed(status="running") == [2]
    assert listed(jobType="reset") == [2]
    assert listed(workspaceIds=["w-1", "w-2"]) == [2]
    assert listed(createdAtStart=later) == [3]
    assert listed(createdAtEnd=later) == [1, 2]
    assert listed(updatedAtStart=later, orderBy="updatedAt|DESC") == [3, 1]
    assert listed(updatedAtEnd=later) == [2]


def test_a_cancel_stops_what_the_connection_runs_whichever_job_is_named(sandbox: Sandbox, read: Read) -> None:
    sandbox.add_job("airbyte", 1, [(0, "succeeded")], fields={"connectionId": CONNECTION})
    sandbox.add_job("airbyte", 2, [(0, "running")], fields={"connectionId": CONNECTION})
    answer = read("DELETE", "/jobs/1")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert read("GET", "/jobs/2").json()["status"] == "cancelled"
    assert read("DELETE", "/jobs/2").status_code == 200
    assert read("DELETE", "/jobs/3").status_code == 404


@pytest.mark.parametrize("form", [True, False])
def test_a_token_is_given_for_json_and_for_a_form(sandbox: Sandbox, form: bool) -> None:
    url = f"{sandbox.url}{Airbyte.api_path}/applications/token"
    known = Airbyte.credentials
    body = {
        "client_id": known.login,
        "client_secret": known.password,
        "grant-type": "client_credentials",
    }
    given = {"data": body} if form else {"json": body}
    validate(requests.post(url, timeout=10, **given).json(), TOKEN)  # type: ignore[arg-type]
    assert requests.post(url, json={**body, "client_secret": "wrong"}, timeout=10).status_code == 401
    assert requests.post(url, json={}, timeout=10).status_code == 400


def test_it_may_stand_beside_the_four_and_has_demo_jobs() -> None:
    with Sandbox(vendors=[*VENDORS, Airbyte], demo=True) as sandbox:
        assert sandbox.describe()["vendors"]["airbyte"]["jobs"] == 4
