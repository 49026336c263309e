# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Timelines, what the sandbox offers tests, its own endpoints, its fixture and its command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox
from airflow_provider_ingestjobs.sandbox.narrative import Narrative

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
    from support.sandbox_clients import Client, Clock

ROOT = Path(__file__).parents[2]
VENDORS = ("amperity", "adverity", "polaris", "narrative")


def state(narrative: Client, job: str) -> str:
    return str(narrative.read(f"/jobs/{job}")["state"])


def test_a_timeline_runs_with_the_clock(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    job = sandbox.add_job("narrative", timeline=[(0, "pending"), (1.5, "running"), (3, "completed")])
    seen = []
    for _ in range(4):
        seen.append(state(narrative, job))
        clock.advance(1)
    assert seen == ["pending", "pending", "running", "completed"]


def test_entries_at_the_same_second_all_happen_in_order(sandbox: Sandbox, narrative: Client) -> None:
    job = sandbox.add_job("narrative", timeline=[(0, "pending"), (0, "running"), (0, "completed")])
    assert state(narrative, job) == "completed"


def test_a_job_is_unknown_before_its_first_entry(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    job = sandbox.add_job("narrative", timeline=[(5, "running")])
    assert narrative.get(f"/jobs/{job}").status_code == 404
    assert narrative.read("/jobs")["total_records"] == 0
    clock.advance(5)
    assert state(narrative, job) == "running"


def test_a_timeline_may_lie_in_the_past(sandbox: Sandbox, narrative: Client) -> None:
    job = sandbox.add_job("narrative", timeline=[(-100, "running"), (-10, "completed")])
    record = narrative.read(f"/jobs/{job}")
    assert record["state"] == "completed"
    assert record["created_at"] < record["ended_at"]


def test_a_job_may_wait_for_its_first_read(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    timeline = [(0, "pending"), (2, "running")]
    by_id = sandbox.add_job("narrative", timeline=timeline, starts="first_read")
    clock.advance(100)
    assert state(narrative, by_id) == "pending"
    clock.advance(2)
    assert state(narrative, by_id) == "running"
    sandbox.add_job("narrative", timeline=timeline, starts="first_read")
    assert {job["state"] for job in narrative.read("/jobs")["records"]} == {"pending", "running"}


def test_a_timeline_may_change_fields(sandbox: Sandbox, narrative: Client) -> None:
    executor = {"state": "running", "executor": "late"}
    job = sandbox.add_job("narrative", timeline=[(0, "pending"), (0, executor)], fields={"executor": "early"})
    assert narrative.read(f"/jobs/{job}")["executor"] == "late"


def test_set_state_overrules_the_timeline(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    job = sandbox.add_job("narrative", timeline=[(0, "pending"), (5, "running")])
    sandbox.set_state("narrative", job, "failed", failure="broken")
    assert narrative.read(f"/jobs/{job}")["failures"][0]["message"] == "broken"
    clock.advance(10)
    assert state(narrative, job) == "failed"
    sandbox.set_state("narrative", job, "running")
    assert "ended_at" not in narrative.read(f"/jobs/{job}")


def test_remove_job(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    jobs = [sandbox.add_job("narrative", timeline=[(0, "pending"), (1, "running")]) for _ in range(3)]
    sandbox.remove_job("narrative", jobs[1])
    clock.advance(1)
    assert narrative.get(f"/jobs/{jobs[1]}").status_code == 404
    assert {job["job_id"] for job in narrative.read("/jobs", order_by="updated_at_asc")["records"]} == {
        jobs[0],
        jobs[2],
    }
    with pytest.raises(KeyError):
        sandbox.remove_job("narrative", jobs[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vendor": "acme"}, "vendor must be one of"),
        ({"timeline": []}, "at least one"),
        ({"timeline": [(2, "running"), (1, "completed")]}, "in order"),
        ({"timeline": [(0, {"progress": 0.5})]}, "must name a state"),
        ({"timeline": ["running"]}, "timeline entry"),
        ({"timeline": [(0, 7)]}, "state word or a dict"),
        ({"starts": "later"}, "first_read"),
        ({"job_id": "twice"}, "exists already"),
        ({"rows": {"reads": 1}}, "narrative's may have read, inserted, updated, rejected, errors$"),
        ({"rows": {"numRowsPersisted": 1}}, "rows"),
        ({"vendor": "polaris", "rows": {"numRows": 1}}, "numRowsPersisted"),
    ],
)
def test_bad_jobs_are_refused(sandbox: Sandbox, arguments: dict[str, Any], message: str) -> None:
    sandbox.add_job("narrative", "twice")
    with pytest.raises(ValueError, match=message):
        sandbox.add_job(**{"vendor": "narrative", **arguments})


def test_ids_look_like_the_vendors(sandbox: Sandbox) -> None:
    ids = {vendor: sandbox.add_job(vendor) for vendor in VENDORS}
    assert ids["amperity"].startswith("isj-20")
    assert ids["adverity"].isdigit()
    assert [len(ids[vendor]) for vendor in ("polaris", "narrative")] == [36, 36]


def test_requests_are_recorded_without_secrets(
    sandbox: Sandbox, narrative: Client, anonymous: Client
) -> None:
    key = CREDENTIALS["narrative"].key
    narrative.get("/jobs", per_page=5)
    narrative.get("/jobs", key=key)
    anonymous.get("/api/jobs/")
    first, second = sandbox.requests("narrative")
    assert (first.method, first.path, first.query, first.status) == ("GET", "/jobs", "per_page=5", 200)
    assert second.query == "key=***"
    assert [request.vendor for request in sandbox.requests()] == ["narrative", "narrative", "adverity"]
    assert key not in repr(sandbox.requests())


def test_reset_forgets_everything(sandbox: Sandbox, narrative: Client) -> None:
    sandbox.add_job("narrative")
    sandbox.latency = 5
    sandbox.rate_limit("narrative", 0.001)
    narrative.session.close()
    sandbox.reset()
    assert narrative.read("/jobs")["total_records"] == 0
    assert len(sandbox.requests()) == 1
    assert sandbox.latency == 0


@pytest.mark.parametrize("auth", ["key", "login"])
def test_connections_name_what_airflow_needs(sandbox: Sandbox, auth: str) -> None:
    for vendor in VENDORS:
        connection = sandbox.connection(vendor, auth)
        assert set(connection) == {"conn_id", "conn_type", "host", "login", "password", "extra"}
        assert connection["host"] == sandbox.url
        assert connection["conn_id"] == f"{connection['conn_type']}_default"
        assert (connection["login"] is None) == (auth == "key")
    assert sandbox.connection("imply_polaris", "login")["extra"]["token_url"].startswith(sandbox.url)


def test_connection_env(sandbox: Sandbox) -> None:
    variables = sandbox.connection_env()
    assert set(variables) == {
        "AIRFLOW_CONN_AMPERITY_DEFAULT",
        "AIRFLOW_CONN_ADVERITY_DEFAULT",
        "AIRFLOW_CONN_IMPLY_POLARIS_DEFAULT",
        "AIRFLOW_CONN_NARRATIVE_DEFAULT",
    }
    assert json.loads(variables["AIRFLOW_CONN_AMPERITY_DEFAULT"])["extra"] == {"tenant": "sandbox-tenant"}


def test_paths_of_no_vendor(anonymous: Client) -> None:
    response = anonymous.get("/v3/jobs")
    assert response.status_code == 404
    assert "/_sandbox" in response.json()["message"]


def test_jobs_over_http(sandbox: Sandbox, narrative: Client, anonymous: Client) -> None:
    job = {"vendor": "narrative", "job_id": "a", "timeline": [[0, "pending"], [900, "completed"]]}
    assert anonymous.request("POST", "/_sandbox/jobs", json=job).json() == {"job_ids": ["a"]}
    more = [{**job, "job_id": "b"}, {**job, "job_id": "c"}]
    assert anonymous.request("POST", "/_sandbox/jobs", json=more).json() == {"job_ids": ["b", "c"]}
    told = {"vendor": "narrative", "job_id": "a", "state": "failed"}
    assert anonymous.request("POST", "/_sandbox/jobs/state", json=told).status_code == 200
    assert state(narrative, "a") == "failed"
    assert anonymous.request("DELETE", "/_sandbox/jobs?vendor=narrative&job_id=b").status_code == 200
    page = anonymous.get("/_sandbox").json()
    assert page["vendors"]["narrative"]["states"] == {"failed": 1, "pending": 1}
    assert "POST /_sandbox/jobs" in page["endpoints"]
    assert anonymous.request("DELETE", "/_sandbox/jobs?vendor=narrative&job_id=b").status_code == 404
    for wrong in ({**job, "timeline": []}, {"vendor": "acme"}, {**job, "colour": "red"}, 7):
        refused = anonymous.request("POST", "/_sandbox/jobs", json=wrong)
        assert refused.status_code == 400, wrong
        assert refused.json()["message"]
    anonymous.request("DELETE", "/_sandbox")
    assert narrative.read("/jobs")["total_records"] == 0


def test_tokens_requests_and_settings_over_http(
    sandbox: Sandbox, anonymous: Client, narrative: Client
) -> None:
    form, auth = {"grant_type": "client_credentials"}, CREDENTIALS["narrative"]
    login = (auth.login, auth.password)
    token = anonymous.request("POST", "/oauth/token", data=form, auth=login).json()["access_token"]
    narrative.session.headers["Authorization"] = f"Bearer {token}"
    assert narrative.get("/jobs").status_code == 200
    anonymous.request("POST", "/_sandbox/tokens/expire", json={"vendor": "narrative"})
    assert narrative.get("/jobs").status_code == 401
    seen = anonymous.get("/_sandbox/requests", vendor="narrative").json()["requests"]
    assert [request["status"] for request in seen] == [200, 200, 401]
    settings = {"latency": 0.01, "cancel_delay": 3, "rate_limits": {"narrative": 1}}
    anonymous.request("POST", "/_sandbox/settings", json=settings)
    assert (sandbox.latency, sandbox.cancel_delay) == (0.01, 3)
    assert [narrative.get("/jobs").status_code for _ in range(2)] == [401, 429]


def test_the_server_comes_and_goes() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    job = sandbox.add_job("polaris")
    for _ in range(2):
        with sandbox:
            url = sandbox.url
            headers = {"Authorization": f"Basic {CREDENTIALS['polaris'].key}"}
            assert requests.get(f"{url}/v1/jobs/{job}", headers=headers, timeout=5).status_code == 200
            with pytest.raises(RuntimeError, match="running already"):
                sandbox.start()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=1)


def test_a_taken_port_is_told(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=port).start()


def test_a_record_is_made_once_for_each_change_and_no_page_makes_another_ones(clock: Clock) -> None:
    rendered: list[str] = []

    class CountingNarrative(Narrative):
        def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
            rendered.append(job.id)
            return super().record(job, base_url)

    sandbox = Sandbox(clock=clock, vendors=[CountingNarrative])
    for number in range(10_000):
        sandbox.add_job("narrative", timeline=[(-number / 100, "pending"), (0, "running"), (5, "completed")])
    key = {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"}
    made = []
    for query in ("per_page=500", "per_page=500", "per_page=500&order_by=updated_at_desc", "per_page=500"):
        page = json.loads(sandbox.respond("GET", "/jobs", query=query, headers=key).body)
        assert (len(page["records"]), page["total_records"]) == (500, 10_000)
        made.append(len(rendered))
    assert made == [500, 500, 1000, 1000]
    clock.advance(5)
    sandbox.respond("GET", "/jobs", query="per_page=500", headers=key)
    assert len(rendered) == 1500


def test_ten_thousand_jobs_of_a_window_are_all_listed(sandbox: Sandbox, amperity: Client) -> None:
    for _ in range(10_000):
        sandbox.add_job("amperity", timeline=[(0, "running")])
    window = {"created_from": "2026-10-24", "created_to": "2026-10-30"}
    assert len(amperity.read("/api/ingest/jobs", **window)["data"]) == 10_000


def test_threads_may_change_jobs_while_others_read(sandbox: Sandbox, narrative: Client) -> None:
    done = threading.Event()
    troubles = []

    def read() -> None:
        while not done.is_set():
            response = requests.get(f"{sandbox.url}/jobs", headers=narrative.session.headers, timeout=5)
            if response.status_code != 200:
                troubles.append(response.text)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        job = sandbox.add_job("narrative")
        sandbox.set_state("narrative", job, "completed")
        sandbox.remove_job("narrative", job)
    done.set()
    for reader in readers:
        reader.join()
    assert troubles == []


class TestFixture:
    """The fixture gives each test an empty sandbox on one server."""

    urls: list[str] = []  # noqa: RUF012 shared between the tests on purpose

    @pytest.mark.parametrize("turn", [1, 2])
    def test_each_test_finds_it_empty(self, ingest_sandbox: Sandbox, turn: int) -> None:
        assert ingest_sandbox.requests() == []
        assert ingest_sandbox.add_job("polaris", "only") == "only"
        self.urls.append(ingest_sandbox.url)
        assert len(set(self.urls)) == 1


def test_demo_jobs_cover_every_vendor_and_start_anew() -> None:
    with Sandbox(demo=True) as sandbox:
        for _ in range(2):
            held = {name: held["jobs"] for name, held in sandbox.describe()["vendors"].items()}
            assert held == {"amperity": 5, "adverity": 6, "polaris": 4, "narrative": 4}
            headers = {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"}
            assert (
                requests.get(f"{sandbox.url}/jobs", headers=headers, timeout=5).json()["total_records"] == 4
            )
            sandbox.reset()


def test_command_line() -> None:
    command = [sys.executable, "-m", "airflow_provider_ingestjobs.sandbox", "--port", "0", "--demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) and "2a5b9ad7-dc8f-47bb-8e62-843a38f81004" not in line:
            lines.append(line)
        text = "".join(lines)
        try:
            assert text.count("export AIRFLOW_CONN_") == 4
            url = text.split("answers at ")[1].split(";")[0]
            assert requests.get(f"{url}/_sandbox", timeout=5).json()["url"] == url
            assert f'"host": "{url}"' in text
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0


def test_command_line_says_when_the_port_is_taken(sandbox: Sandbox) -> None:
    command = [sys.executable, "-m", "airflow_provider_ingestjobs.sandbox"]
    port = sandbox.url.rpartition(":")[2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*command, "--port", port], capture_output=True, text=True, env=environment, timeout=20, check=False
    )
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
    assert "--port" in ended.stderr


def test_the_sandbox_needs_no_airflow() -> None:
    code = (
        "import sys; import airflow_provider_ingestjobs.sandbox.__main__; "
        "sys.exit(any(name.partition('.')[0] == 'airflow' for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
