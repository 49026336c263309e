# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Faults, as a client sees them on the socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.sandbox_clients import Client, Clock


@pytest.fixture
def job(sandbox: Sandbox) -> str:
    return sandbox.add_job("narrative", "2a5b9ad7-dc8f-47bb-8e62-843a38f8054c")


def connected(sandbox: Sandbox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=5)


def request_for(path: str) -> bytes:
    key = CREDENTIALS["narrative"].key
    return f"GET {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def raw_answer(sandbox: Sandbox, path: str, read_at_most: int = 1 << 20) -> bytes:
    """Return what comes over the wire until the server closes the connection."""
    with connected(sandbox) as connection:
        connection.sendall(request_for(path))
        received = b""
        while len(received) < read_at_most and (chunk := connection.recv(65536)):
            received += chunk
        return received


def test_status_alone_has_the_vendors_error_body(
    sandbox: Sandbox, narrative: Client, amperity: Client, job: str
) -> None:
    sandbox.add_fault(Fault(status=503, headers={"Retry-After": "2"}, times=2))
    refused = narrative.get(f"/jobs/{job}")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert set(refused.json()) == {"error", "error_description"}
    assert amperity.get("/api/ingest/jobs/x").json()["status"] == 503
    assert narrative.get(f"/jobs/{job}").status_code == 200


@pytest.mark.parametrize(
    ("body", "seen"), [({"a": 1}, b'{"a": 1}'), ("<html>", b"<html>"), (b"\xff", b"\xff")]
)
def test_body(sandbox: Sandbox, narrative: Client, body: Any, seen: bytes) -> None:
    sandbox.add_fault(Fault(body=body, headers={"content-type": "text/html"}))
    answer = narrative.get("/jobs")
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, seen, "text/html")


def test_a_fault_hits_only_what_it_names(
    sandbox: Sandbox, narrative: Client, polaris: Client, job: str
) -> None:
    sandbox.add_fault(Fault(vendor="narrative", method="get", path=r"/jobs/\w+", status=500, times=None))
    assert narrative.get("/jobs").status_code == 200
    assert narrative.request("POST", f"/jobs/{job}").status_code == 405
    assert polaris.get("/v1/jobs/x").status_code == 404
    for _ in range(3):
        assert narrative.get(f"/jobs/{job}").status_code == 500
    sandbox.clear_faults()
    assert narrative.get(f"/jobs/{job}").status_code == 200


def test_a_fault_may_let_requests_pass_first(sandbox: Sandbox, narrative: Client, polaris: Client) -> None:
    sandbox.add_fault(Fault(vendor="narrative", status=500, skip=2, times=2))
    assert polaris.get("/v2/jobs").status_code == 200
    assert [narrative.get("/jobs").status_code for _ in range(5)] == [200, 200, 500, 500, 200]


def test_what_an_earlier_fault_hits_has_not_passed(sandbox: Sandbox, narrative: Client) -> None:
    sandbox.add_fault(Fault(status=500))
    sandbox.add_fault(Fault(status=503, skip=1))
    assert [fault["skip"] for fault in sandbox.describe()["faults"]] == [0, 1]
    assert [narrative.get("/jobs").status_code for _ in range(4)] == [500, 200, 503, 200]


def test_faults_may_name_the_connection_type(sandbox: Sandbox, polaris: Client) -> None:
    sandbox.add_fault(Fault(vendor="imply_polaris", status=500))
    assert polaris.get("/v2/jobs").status_code == 500


def test_drop_before_closes_without_an_answer(sandbox: Sandbox, narrative: Client, job: str) -> None:
    sandbox.add_fault(Fault(drop="before", times=2))
    assert raw_answer(sandbox, f"/jobs/{job}") == b""
    with pytest.raises(requests.ConnectionError):
        narrative.get(f"/jobs/{job}")
    assert [request.status for request in sandbox.requests()] == [None, None]


def test_drop_mid_body_closes_within_the_declared_length(
    sandbox: Sandbox, narrative: Client, job: str
) -> None:
    whole = narrative.get(f"/jobs/{job}").content
    sandbox.add_fault(Fault(drop="mid_body", times=2))
    head, _, body = raw_answer(sandbox, f"/jobs/{job}").partition(b"\r\n\r\n")
    assert f"content-length: {len(whole)}".encode() in head.lower()
    assert body == whole[: len(whole) // 2]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        narrative.get(f"/jobs/{job}")


def test_drop_mid_body_of_a_cancel_still_cancels(sandbox: Sandbox, polaris: Client) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    sandbox.cancel_delay = 0
    sandbox.add_fault(Fault(method="PUT", drop="mid_body"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        polaris.request("PUT", f"/v1/jobs/{job}", json={"desiredExecutionStatus": "canceled"})
    assert polaris.read(f"/v1/jobs/{job}")["executionStatus"] == "canceled"


@pytest.mark.parametrize(
    "lost",
    [
        {"status": 502},
        {"body": "<html>"},
        {"status": 200, "body": {}},
        {"drop": "before"},
        {"drop": "mid_body"},
    ],
    ids=str,
)
def test_after_the_vendor_has_dealt_with_the_request(
    sandbox: Sandbox, polaris: Client, lost: dict[str, Any]
) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    sandbox.cancel_delay = 0
    sandbox.add_fault(Fault(method="PUT", after=True, **lost))
    body = {"desiredExecutionStatus": "canceled"}
    if "drop" in lost:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            polaris.request("PUT", f"/v1/jobs/{job}", json=body)
    else:
        answer = polaris.request("PUT", f"/v1/jobs/{job}", json=body)
        assert (answer.status_code, "executionStatus" in answer.text) == (lost.get("status", 200), False)
    # A mark of what was recorded: a dropped answer has no status, half of one has the vendor's.
    recorded = None if lost == {"drop": "before"} else lost.get("status", 200)
    assert [request.status for request in sandbox.requests()] == [recorded]
    assert polaris.read(f"/v1/jobs/{job}")["executionStatus"] == "canceled"


@pytest.mark.parametrize("lost", [{"status": 502}, {"drop": "before"}], ids=str)
def test_before_the_vendor_has_seen_the_request(
    sandbox: Sandbox, polaris: Client, lost: dict[str, Any]
) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    sandbox.cancel_delay = 0
    sandbox.add_fault(Fault(method="PUT", **lost))
    with contextlib.suppress(requests.ConnectionError):
        polaris.request("PUT", f"/v1/jobs/{job}", json={"desiredExecutionStatus": "canceled"})
    assert polaris.read(f"/v1/jobs/{job}")["executionStatus"] == "running"


def test_a_delay_after_the_vendor_has_dealt_with_the_request(sandbox: Sandbox, polaris: Client) -> None:
    jobs = [sandbox.add_job("polaris", timeline=[(0, "running")]) for _ in range(2)]
    sandbox.cancel_delay = 0
    body = {"desiredExecutionStatus": "canceled"}
    sandbox.add_fault(Fault(method="PUT", delay=60, after=True))
    with pytest.raises(requests.ReadTimeout):
        polaris.session.put(f"{polaris.url}/v1/jobs/{jobs[0]}", json=body, timeout=0.2)
    assert polaris.read(f"/v1/jobs/{jobs[0]}")["executionStatus"] == "canceled"
    sandbox.add_fault(Fault(method="PUT", delay=0.01, after=True))
    late = polaris.request("PUT", f"/v1/jobs/{jobs[1]}", json=body)
    assert (late.status_code, late.json()["executionStatus"]) == (200, "canceled")


def test_after_without_a_socket(sandbox: Sandbox, polaris: Client) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")])
    sandbox.cancel_delay = 0
    sandbox.add_fault(Fault(method="PUT", status=504, after=True))
    headers = {"Authorization": str(polaris.session.headers["Authorization"])}
    lost = sandbox.respond(
        "PUT",
        f"/v1/jobs/{job}",
        headers={**headers, "Content-Type": "application/json"},
        body=b'{"desiredExecutionStatus": "canceled"}',
    )
    assert lost.status == 504
    assert polaris.read(f"/v1/jobs/{job}")["executionStatus"] == "canceled"


def test_drip_sends_byte_by_byte(sandbox: Sandbox, narrative: Client) -> None:
    sandbox.add_fault(Fault(body="0123456789", drip=0.01))
    assert narrative.get("/jobs").content == b"0123456789"
    sandbox.add_fault(Fault(body="0123456789", drip=60))
    with connected(sandbox) as connection:
        connection.sendall(request_for("/jobs"))
        received = b""
        while not received.endswith(b"\r\n\r\n0"):
            received += connection.recv(1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_delay_then_the_real_answer(sandbox: Sandbox, narrative: Client, job: str) -> None:
    sandbox.add_fault(Fault(delay=0.05))
    assert narrative.get(f"/jobs/{job}").json()["job_id"] == job


def test_a_delayed_answer_is_overtaken(sandbox: Sandbox, narrative: Client, job: str) -> None:
    sandbox.add_fault(Fault(delay=60))
    with connected(sandbox) as connection:
        connection.sendall(request_for(f"/jobs/{job}"))
        wait_until(lambda: not sandbox.describe()["faults"])
        assert narrative.get(f"/jobs/{job}").status_code == 200
        assert [request.status for request in sandbox.requests()] == [200]
    # Its client has gone, so that nobody waits for the answer any more.
    wait_until(lambda: len(sandbox.requests()) == 2)
    assert [request.status for request in sandbox.requests()] == [200, None]


def test_endless_streams_until_the_client_goes(sandbox: Sandbox, narrative: Client) -> None:
    sandbox.add_fault(Fault(endless=True))
    assert len(raw_answer(sandbox, "/jobs", read_at_most=300_000)) >= 300_000
    assert narrative.get("/jobs").status_code == 200


def test_a_fault_underway_does_not_keep_the_server_from_stopping() -> None:
    with Sandbox() as sandbox:
        sandbox.add_fault(Fault(delay=60))
        connection = connected(sandbox)
        connection.sendall(request_for("/jobs"))
        wait_until(lambda: not sandbox.describe()["faults"])
    # It ended by itself, as the connection was dropped; one that uvicorn gives up on leaves no record.
    assert [request.status for request in sandbox.requests()] == [None]
    with connection, contextlib.suppress(ConnectionError):
        assert connection.recv(1) == b""


def test_latency_holds_up_an_answer() -> None:
    arrived = threading.Event()

    def clock() -> float:
        arrived.set()
        return time.time()

    with Sandbox(clock=clock) as sandbox:
        sandbox.latency = 60
        arrived.clear()
        with connected(sandbox) as connection:
            connection.sendall(request_for("/jobs"))
            assert arrived.wait(10)
            sandbox.latency = 0.01
            answered = requests.get(f"{sandbox.url}/jobs", timeout=10)
            assert [request.status for request in sandbox.requests()] == [answered.status_code]


def test_rate_limit(sandbox: Sandbox, amperity: Client, narrative: Client, clock: Clock) -> None:
    sandbox.rate_limit("amperity", 10)
    statuses = [amperity.get("/api/ingest/jobs/x").status_code for _ in range(12)]
    assert statuses == [404] * 10 + [429] * 2
    refused = amperity.get("/api/ingest/jobs/x")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json() == {"status": 429, "message": "Too many requests"}
    assert narrative.get("/jobs").status_code == 200
    clock.advance(1)
    assert amperity.get("/api/ingest/jobs/x").status_code == 404
    sandbox.rate_limit("amperity", None)
    assert {amperity.get("/api/ingest/jobs/x").status_code for _ in range(12)} == {404}


@pytest.mark.parametrize(
    "wrong",
    [
        {"drop": "after"},
        {"times": 0},
        {"status": 99},
        {"skip": -1},
        {"after": True},
        {"after": True, "headers": {"Retry-After": "2"}},
        {"after": True, "drip": 1},
    ],
)
def test_bad_faults_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault(**wrong)


def test_faults_over_http(sandbox: Sandbox, narrative: Client, anonymous: Client) -> None:
    fault = {"vendor": "narrative", "status": 502, "body": {"oops": True}, "times": None}
    assert anonymous.request("POST", "/_sandbox/faults", json=fault).json() == {"ok": True}
    assert json.loads(anonymous.get("/_sandbox").json()["faults"][0]["body"]) == {"oops": True}
    assert narrative.get("/jobs").json() == {"oops": True}
    anonymous.request("DELETE", "/_sandbox/faults")
    assert narrative.get("/jobs").status_code == 200
    assert anonymous.request("POST", "/_sandbox/faults", json={"drop": "x"}).status_code == 400
    assert anonymous.request("POST", "/_sandbox/faults", json={"vendor": "x"}).status_code == 400
