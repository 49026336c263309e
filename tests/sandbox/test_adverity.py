# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Adverity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client, Clock

# The keys of the older help article's sample, help.adverity.com/hc/en-us/articles/360009502939-Jobs.
SAMPLE = {
    "id": int,
    "url": str,
    "job_start": str,
    "job_end": str,
    "range_start": str,
    "range_end": str,
    "scheduled": str,
    "progress": float,
    "duration": str,
    "state": int,
    "state_label": str,
    "state_color": str,
    "datastream": dict,
}
# Null until known, or for states whose number is not published.
MAY_BE_NULL = {"job_start", "job_end", "state", "state_color"}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ids(page: Any) -> list[int]:
    return [job["id"] for job in page["results"]]


def test_records_have_the_samples_shape(sandbox: Sandbox, adverity: Client) -> None:
    sandbox.add_job("adverity", timeline=[(0, "Running")])
    sandbox.add_job("adverity", timeline=[(0, "Scheduled")])
    page = adverity.read("/api/jobs/")
    assert set(page) == {"count", "next", "previous", "results"}
    for job in page["results"]:
        assert set(job) == set(SAMPLE)
        for name, kind in SAMPLE.items():
            assert isinstance(job[name], kind) or (name in MAY_BE_NULL and job[name] is None), name
        assert {"id", "stack_id"} <= set(job["datastream"])
    running = page["results"][1]
    assert (running["state"], running["state_label"], running["state_color"]) == (1, "Running", "orange")
    assert adverity.request("GET", running["url"].removeprefix(sandbox.url)).json()["id"] == running["id"]


@pytest.mark.parametrize("scheme", ["Token", "Basic", ""])
def test_a_key_of_the_user_interface_is_a_bearer(adverity: Client, scheme: str) -> None:
    header = f"{scheme} {CREDENTIALS['adverity'].key}".strip()
    response = adverity.request("GET", "/api/jobs/", headers={"Authorization": header})
    assert response.status_code == 401
    assert set(response.json()) == {"detail"}


def test_a_token_of_a_login_goes_with_token(sandbox: Sandbox, anonymous: Client) -> None:
    known = CREDENTIALS["adverity"]
    refused = anonymous.request("POST", "/api/auth/token/", data={"username": known.login, "password": "no"})
    assert refused.status_code == 401
    form = {"username": known.login, "password": known.password}
    granted = anonymous.request("POST", "/api/auth/token/", data=form).json()
    assert granted == {"username": known.login, "token": granted["token"], "expires_in": None}
    assert anonymous.request("POST", "/api/auth/token/", data=form).json() == granted

    def status(scheme: str) -> int:
        headers = {"Authorization": f"{scheme} {granted['token']}"}
        return anonymous.request("GET", "/api/jobs/", headers=headers).status_code

    assert (status("Token"), status("Bearer")) == (200, 401)
    sandbox.expire_tokens("adverity")
    assert status("Token") == 401
    assert anonymous.request("POST", "/api/auth/token/", data=form).json() != granted


def test_the_current_list_holds_running_and_scheduled_jobs_only(
    sandbox: Sandbox, adverity: Client, clock: Clock
) -> None:
    job = int(sandbox.add_job("adverity", timeline=[(0, "Scheduled"), (2, "Running"), (4, "Success")]))
    assert ids(adverity.read("/api/jobs/")) == [job]
    assert ids(adverity.read("/api/jobs")) == [job]
    clock.advance(2)
    assert ids(adverity.read("/api/jobs/")) == [job]
    clock.advance(2)
    assert ids(adverity.read("/api/jobs/")) == []
    assert adverity.read(f"/api/jobs/{job}/")["state_label"] == "Success"


def test_past_jobs_by_date_and_by_time(sandbox: Sandbox, adverity: Client, clock: Clock) -> None:
    done = int(sandbox.add_job("adverity", timeline=[(0, "Running"), (1, "Failed")]))
    sandbox.add_job("adverity", timeline=[(0, "Running")])
    started = clock.now
    clock.advance(1)
    day = at(started)[:10]
    assert ids(adverity.read("/api/jobs/", start=day, end=day)) == [done]
    assert ids(adverity.read("/api/jobs/", start=at(started - 5), end=at(started + 5))) == [done]
    assert ids(adverity.read("/api/jobs/", start=at(started - 9), end=at(started - 5))) == []
    refused = adverity.get("/api/jobs/", start="today")
    assert refused.status_code == 400
    assert {"detail", "errors"} <= set(refused.json())


def test_datastream_filter_takes_the_documented_trailing_slash(sandbox: Sandbox, adverity: Client) -> None:
    job = int(sandbox.add_job("adverity", fields={"datastream_id": 7}, timeline=[(0, "Running")]))
    sandbox.add_job("adverity", fields={"datastream": {"id": 8}}, timeline=[(0, "Running")])
    for value in ("7", "7/"):
        assert ids(adverity.read("/api/jobs/", datastream_id=value)) == [job]
    assert adverity.get("/api/jobs/", datastream_id="x").json()["datastream_id"] == ["Enter a number."]


def test_pages_link_to_each_other_absolutely(sandbox: Sandbox, adverity: Client) -> None:
    expected = sorted(int(sandbox.add_job("adverity", timeline=[(0, "Running")])) for _ in range(5))
    path, seen, previous = "/api/jobs/?page_size=2&ordering=id&datastream_id=42", [], []
    while path:
        page = adverity.read(path)
        assert page["count"] == 5
        seen += ids(page)
        previous.append(page["previous"])
        assert page["next"] is None or page["next"].startswith(f"{sandbox.url}/api/jobs/?")
        path = (page["next"] or "").removeprefix(sandbox.url)
    assert seen == expected
    assert previous[0] is None
    assert all(previous[1:])
    assert ids(adverity.read("/api/jobs/", ordering="-id")) == expected[::-1]
    assert adverity.get("/api/jobs/", page=99).json() == {"detail": "Invalid page."}


def test_a_job_stops_only_in_the_fetch_stage(sandbox: Sandbox, adverity: Client, clock: Clock) -> None:
    timeline: Timeline = [(0, {"state": "Running", "stage": "fetch"}), (5, {"stage": "load"}), (9, "Success")]
    job, late = (sandbox.add_job("adverity", timeline=timeline) for _ in range(2))
    sandbox.cancel_delay = 1
    assert adverity.request("POST", f"/api/jobs/{job}/stop/").status_code == 200
    assert adverity.read(f"/api/jobs/{job}/")["state_label"] == "Running"
    clock.advance(1)
    assert adverity.read(f"/api/jobs/{job}/")["state_label"] == "Discarded"
    clock.advance(5)
    refused = adverity.request("POST", f"/api/jobs/{late}/stop/")
    assert refused.status_code == 400
    assert refused.json() == {"detail": "Only jobs in the fetch stage can be stopped."}
    clock.advance(5)
    assert adverity.request("POST", f"/api/jobs/{late}/stop/").status_code == 400
    assert adverity.read(f"/api/jobs/{late}/")["state_label"] == "Success"
    assert adverity.request("POST", "/api/jobs/1/stop/").status_code == 404


def test_a_stopped_job_may_be_cancelled_instead(sandbox: Sandbox, adverity: Client) -> None:
    sandbox.cancel_delay = 0
    job = sandbox.add_job("adverity", timeline=[(0, "Running")], cancel_state="Cancelled")
    adverity.request("POST", f"/api/jobs/{job}/stop/")
    assert adverity.read(f"/api/jobs/{job}/")["state_label"] == "Cancelled"


def test_single_job_shows_issues(sandbox: Sandbox, adverity: Client) -> None:
    job = sandbox.add_job("adverity", timeline=[(0, "Failed")], failure="Authorization error")
    record = adverity.read(f"/api/jobs/{job}/")
    assert set(record) == {*SAMPLE, "issues", "manual"}
    assert [issue["message"] for issue in record["issues"]] == ["Authorization error"]
    assert set(record["issues"][0]) == {"message", "type_label", "extraction_state_label", "url"}


def test_imported(sandbox: Sandbox, adverity: Client) -> None:
    plain = sandbox.add_job("adverity", timeline=[(0, "Running")])
    told = sandbox.add_job("adverity", timeline=[(0, "Running")], fields={"imported": {"rows": 3}})
    assert adverity.read(f"/api/jobs/{plain}/imported/")["id"] == int(plain)
    assert adverity.read(f"/api/jobs/{told}/imported/") == {"rows": 3}


def test_ids_are_numbers(sandbox: Sandbox) -> None:
    assert sandbox.add_job("adverity", 12) == "12"
    with pytest.raises(ValueError, match="numbers"):
        sandbox.add_job("adverity", "twelve")
