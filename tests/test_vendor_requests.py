# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The check of all requests of the hooks against the vendors' documents: what it finds, and that it is on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import vendor_requests
from support.vendor_documents import FORM, JSON, Documents, SentRequest
from support.vendors import VENDORS

TENANT = (("amperity-tenant", "acme"), ("api-version", "2024-04-01"))
WINDOW = "created_from=2026-03-01T00:00:00Z&created_to=2026-03-08T00:00:00Z"
JOB = "efb35e3e-406e-4127-ad2e-280fede4f431"
PROJECT = "/v1/projects/p-1/jobs"


def request(vendor: str, method: str, address: str, kind: str = "", body: bytes = b"") -> SentRequest:
    path, _, query = address.partition("?")
    headers = TENANT if vendor == "amperity" else ()
    return SentRequest(vendor, method, path, query, (*headers, ("content-type", kind)), body)


GOOD = [
    request("amperity", "GET", f"/api/ingest/jobs?{WINDOW}&with_total=true"),
    request("amperity", "GET", "/api/ingest/jobs/isj-1%2F2"),
    request("amperity", "POST", "/api/workflow/runs/wf-1/stop"),
    request("adverity", "GET", "/api/jobs/?datastream_id=42&start=2026-03-01&end=2026-03-02&page_size=1000"),
    request("adverity", "GET", "/api/jobs?start=2026-03-01T00:00:00Z&end=2026-03-02T00:00:00Z&page=2"),
    request("adverity", "POST", "/api/jobs/4711/stop/"),
    request("adverity", "POST", "/api/auth/token/", FORM, b"username=u&password=p%26"),
    request("polaris", "GET", f"{PROJECT}?type=batch&type=sql&paginationLimit=1000&sortOrder=DESC"),
    request("polaris", "PUT", f"{PROJECT}/{JOB}", JSON, b'{"desiredExecutionStatus": "canceled"}'),
    request("polaris", "POST", f"{PROJECT}/{JOB}/status", JSON, b'{"desiredExecutionStatus": "canceled"}'),
    request("polaris", "GET", f"/v1/jobs/{JOB}/metrics"),
    request("polaris", "GET", "/v2/jobs?healthStatus=error"),
    request("narrative", "GET", "/jobs?state=running&state=failed&tag=a&tag=b&order_by=updated_at_desc"),
    request("narrative", "POST", "/oauth/token", f"{FORM}; charset=utf-8", b"grant_type=client_credentials"),
]
BAD = {
    "another path": (request("narrative", "GET", f"/jobs/{JOB}/cancel"), "no document of narrative has"),
    "a path without its slash": (request("adverity", "GET", "/api/jobs/4711"), "no document of adverity has"),
    "another method": (
        request("amperity", "DELETE", "/api/ingest/jobs/isj-1"),
        "amperity-openapi.json: /api/ingest/jobs/{job-id} has only GET",
    ),
    "a method of a project-less address": (
        request("polaris", "POST", f"/v1/jobs/{JOB}"),
        "polaris-openapi.json: /v1/jobs/{jobId} has only GET, PUT",
    ),
    "another parameter": (
        request("adverity", "GET", "/api/jobs/?state=1"),
        "parameter state is not documented, only datastream_id, end, ordering, page, page_size, stack, start",
    ),
    "a parameter where there is none": (
        request("narrative", "GET", f"/jobs/{JOB}?verbose=1"),
        "parameter verbose is not documented, only none",
    ),
    "a parameter that is missing": (
        request("amperity", "GET", "/api/ingest/jobs?created_from=2026-03-01T00:00:00Z"),
        "parameter created_to is required",
    ),
    "a parameter that is repeated": (
        request("adverity", "GET", "/api/jobs/?datastream_id=42&datastream_id=43"),
        "parameter datastream_id: it may not be repeated",
    ),
    "a page that is too large": (
        request("polaris", "GET", f"{PROJECT}?paginationLimit=1001"),
        "parameter paginationLimit: 1001 is greater than the maximum of 1000",
    ),
    "a page that is empty": (
        request("polaris", "GET", f"{PROJECT}?paginationLimit=0"),
        "parameter paginationLimit: 0 is less than the minimum of 1",
    ),
    "a page size that only a newer page limits": (
        request("narrative", "GET", "/jobs?per_page=501"),
        "parameter per_page: 501 is greater than the maximum of 500",
    ),
    "a page size that is no number": (
        request("adverity", "GET", "/api/jobs/?page_size=all"),
        "parameter page_size: 'all' is not of type 'integer'",
    ),
    "another word": (
        request("polaris", "GET", f"{PROJECT}?executionStatus=running&executionStatus=done"),
        "parameter executionStatus: 'done' is not one of ['pending'",
    ),
    "a name that is too long": (
        request("polaris", "GET", f"{PROJECT}?targetTableName={'x' * 256}"),
        "parameter targetTableName: 'xxx",
    ),
    "a time without a zone": (
        request("amperity", "GET", f"/api/ingest/jobs?{WINDOW.replace('Z', '')}"),
        "parameter created_from: '2026-03-01T00:00:00' is not a 'date-time'",
    ),
    "a header that is missing": (
        SentRequest("amperity", "GET", "/api/ingest/jobs/isj-1", "", TENANT[:1]),
        "header api-version is required",
    ),
    "another word in the body": (
        request("polaris", "PUT", f"{PROJECT}/{JOB}", JSON, b'{"desiredExecutionStatus": "stopped"}'),
        "the body: 'stopped' is not one of ['running'",
    ),
    "another field in the body": (
        request(
            "polaris",
            "PUT",
            f"{PROJECT}/{JOB}",
            JSON,
            b'{"desiredExecutionStatus": "canceled", "force": true}',
        ),
        "the body's force is not documented, only desiredExecutionStatus",
    ),
    "a body that is missing": (request("polaris", "PUT", f"{PROJECT}/{JOB}"), "a body is required"),
    "a body where there is none": (
        request("adverity", "POST", "/api/jobs/4711/stop/", JSON, b"{}"),
        "a body of type 'application/json' is not documented, only none",
    ),
    "a body of another type": (
        request("amperity", "POST", "/api/v0/oauth2/token", JSON, b"{}"),
        "a body of type 'application/json' is not documented, only application/x-www-form-urlencoded",
    ),
    "a body that is none": (
        request("polaris", "PUT", f"{PROJECT}/{JOB}", JSON, b"{"),
        "the body is no application/json",
    ),
    "a form that lacks a field": (
        request("polaris", "POST", "/auth/realms/acme/protocol/openid-connect/token", FORM, b"client_id=1"),
        "the body: 'grant_type' is a required property",
    ),
}


class TestDocuments:
    @pytest.mark.parametrize("good", GOOD, ids=str)
    def test_what_they_have(self, good: SentRequest) -> None:
        assert Documents().troubles(good) == []

    @pytest.mark.parametrize("bad", BAD)
    def test_what_they_do_not_have(self, bad: str) -> None:
        sent, told = BAD[bad]
        found = Documents().troubles(sent)
        assert any(told in one for one in found), found
        (paragraph,) = vendor_requests.undocumented([sent, sent])
        assert paragraph.startswith(f"{sent.vendor}: {sent.method} {sent.path}")
        assert told in paragraph


#: A test for each vendor whose hook sends one parameter too many, one whose hooks send what they should, and
#: one that sends by itself what no vendor documents.
INNER_TESTS = """
import contextlib
import pytest
import requests
from airflow_provider_ingestjobs.errors import VendorError
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.connections import Connections
from support.vendors import BY_NAME

PATHS = {
    "amperity": "/api/ingest/jobs",
    "adverity": "/api/jobs/",
    "polaris": "/v1/projects/p-1/jobs",
    "narrative": "/jobs",
}

@pytest.fixture
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox

@pytest.fixture
def connections(sandbox, monkeypatch):
    return Connections(sandbox, monkeypatch)

@pytest.mark.parametrize("name", PATHS)
def test_wrong(name, connections):
    hook = BY_NAME[name].hook(connections.add(name))
    with contextlib.suppress(VendorError):
        hook.client.request("GET", PATHS[name], params=[("colour", "blue")])

@pytest.mark.parametrize("name", PATHS)
def test_right(name, connections):
    for auth in ("key", "login"):
        assert BY_NAME[name].hook(connections.add(name, auth)).test_connection()[0]

def test_not_a_hook_s(sandbox):
    assert requests.get(sandbox.url + "/jobs?colour=blue", timeout=10).status_code == 401

@pytest.mark.undocumented("parameter colour")
@pytest.mark.parametrize("colour", ["blue", None])
def test_on_purpose(colour, connections):
    hook = BY_NAME["narrative"].hook(connections.add("narrative"))
    hook.client.request("GET", "/jobs", params=[("colour", colour)] if colour else [])
"""


def test_it_is_on_for_each_vendor(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER_TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "support.vendor_requests", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "requests of the hooks: checked against vendor_specs" in done.stdout, done.stdout + done.stderr
    for case in VENDORS:
        assert f"FAILED test_inner.py::test_wrong[{case.name}]" in done.stdout
        assert f"\n  {case.name}: GET " in done.stdout
    assert done.stdout.count("parameter colour is not documented, only ") == len(VENDORS)
    assert "The test is marked as sending 'parameter colour', and does not" in done.stdout
    assert f"{len(VENDORS) + 1} failed, {len(VENDORS) + 2} passed" in done.stdout
