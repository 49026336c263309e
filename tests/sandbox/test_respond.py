# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Answers without a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox
from airflow_provider_ingestjobs.sandbox.narrative import Narrative

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import Route

    from support.sandbox_clients import Client, Clock

KEY = {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"}
LOGIN = {"client_id": CREDENTIALS["amperity"].login, "client_secret": CREDENTIALS["amperity"].password}


@pytest.fixture
def idle(clock: Clock) -> Sandbox:
    """A sandbox that is never started."""
    return Sandbox(clock=clock)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/jobs/a%20b", ""),
        ("/jobs", "per_page=1&order_by=updated_at_asc"),
        ("/jobs", "per_page=0"),
        ("/jobs/none", ""),
        ("/v3/jobs", ""),
    ],
)
def test_it_is_what_a_client_reads_over_the_socket(
    sandbox: Sandbox, narrative: Client, path: str, query: str
) -> None:
    for job in ("a b", "c"):
        sandbox.add_job("narrative", job)
    told = sandbox.respond("GET", path, query=query, headers=KEY)
    read = narrative.get(f"{path}?{query}")
    assert (told.status, told.body) == (read.status_code, read.content)
    assert told.headers["content-type"] == read.headers["Content-Type"]


def test_a_request_may_have_a_body(idle: Sandbox) -> None:
    form = "grant_type=client_credentials&" + "&".join(f"{name}={value}" for name, value in LOGIN.items())
    tenant = {"amperity-tenant": "sandbox-tenant"}
    granted = idle.respond("post", "/api/v0/oauth2/token", headers=tenant, body=form.encode())
    assert granted.status == 200
    token = json.loads(granted.body)["access_token"]
    headers = {**tenant, "Authorization": f"Bearer {token}", "api-version": "2024-04-01"}
    assert idle.respond("GET", "/api/ingest/jobs/none", headers=headers).status == 404
    idle.expire_tokens()
    assert idle.respond("GET", "/api/ingest/jobs/none", headers=headers).status == 401


def test_pages_name_the_host_of_the_request(idle: Sandbox) -> None:
    for _ in range(2):
        idle.add_job("adverity", timeline=[(0, "Running")])
    headers = {"Authorization": f"Bearer {CREDENTIALS['adverity'].key}", "Host": "acme.datatap.adverity.com"}
    page = json.loads(idle.respond("GET", "/api/jobs/", query="page_size=1", headers=headers).body)
    assert page["next"] == "http://acme.datatap.adverity.com/api/jobs/?page_size=1&page=2"


def test_requests_are_recorded(idle: Sandbox, clock: Clock) -> None:
    idle.respond("get", "/jobs", query=f"key={CREDENTIALS['narrative'].key}", headers=KEY)
    idle.respond("GET", "/v3/jobs")
    (request,) = idle.requests()
    assert (request.vendor, request.method, request.path) == ("narrative", "GET", "/jobs")
    assert (request.query, request.status, request.at) == ("key=***", 200, clock.now)


def test_faults_of_status_and_body_strike(idle: Sandbox) -> None:
    idle.add_fault(Fault(vendor="narrative", status=503, headers={"Retry-After": "2"}))
    idle.add_fault(Fault(vendor="narrative", body={"oops": True}))
    idle.add_fault(Fault(vendor="narrative", headers={"X-Seen": "yes"}))
    first, second, third, fourth = (idle.respond("GET", "/jobs", headers=KEY) for _ in range(4))
    assert (first.status, first.headers["retry-after"]) == (503, "2")
    assert set(json.loads(first.body)) == {"error", "error_description"}
    assert (second.status, json.loads(second.body)) == (200, {"oops": True})
    assert (third.headers["x-seen"], json.loads(third.body)["records"]) == ("yes", [])
    assert "x-seen" not in fourth.headers
    assert [request.status for request in idle.requests()] == [503, 200, 200, 200]


@pytest.mark.parametrize(
    "trouble", [{"delay": 1.0}, {"drop": "before"}, {"drop": "mid_body"}, {"drip": 0.1}, {"endless": True}]
)
def test_faults_that_need_a_socket_are_refused(idle: Sandbox, trouble: dict[str, Any]) -> None:
    idle.add_fault(Fault(**trouble))
    with pytest.raises(ValueError, match=rf"{next(iter(trouble))}=.* needs a socket"):
        idle.respond("GET", "/jobs", headers=KEY)
    assert idle.requests() == []


def test_rate_limits_hold(idle: Sandbox, clock: Clock) -> None:
    idle.rate_limit("narrative", 2)
    answers = [idle.respond("GET", "/jobs", headers=KEY) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "1"
    clock.advance(1)
    assert idle.respond("GET", "/jobs", headers=KEY).status == 200


def in_this_thread(call: Callable[[], None]) -> None:
    call()


def in_an_event_loop(call: Callable[[], None]) -> None:
    async def inside() -> None:
        call()

    asyncio.run(inside())


def in_another_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@pytest.mark.parametrize("somewhere", [in_this_thread, in_an_event_loop, in_another_thread])
def test_it_works_in_any_thread(idle: Sandbox, somewhere: Callable[[Callable[[], None]], None]) -> None:
    job = idle.add_job("narrative", timeline=[(0, "completed")])
    states: list[str] = []
    somewhere(
        lambda: states.append(json.loads(idle.respond("GET", f"/jobs/{job}", headers=KEY).body)["state"])
    )
    assert states == ["completed"]


class Sleepy(Narrative):
    """A vendor with an endpoint that waits."""

    def routes(self) -> list[Route]:
        from starlette.routing import Route

        async def endpoint(request: Request) -> None:
            await asyncio.sleep(0)

        return [Route("/jobs", endpoint)]


def test_an_endpoint_that_waits_is_told(clock: Clock) -> None:
    with pytest.raises(RuntimeError, match="only do behind a socket"):
        Sandbox(clock=clock, vendors=[Sleepy]).respond("GET", "/jobs")


@pytest.mark.parametrize("auth", ["key", "login"])
def test_a_connection_names_the_host_that_it_is_given(idle: Sandbox, auth: str) -> None:
    told = idle.connection("polaris", auth, url="https://acme.example")
    assert told["host"] == "https://acme.example"
    token_url = told["extra"].get("token_url", "https://acme.example/")
    assert token_url.startswith("https://acme.example/")
    with pytest.raises(RuntimeError, match="not running"):
        idle.connection("polaris", auth)
