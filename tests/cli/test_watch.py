# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""``watch``: it waits as a sensor does, and its exit code says what a sensor's end would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.command_line import Ran, Run
from support.vendors import AMPERITY, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
FEED = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}
SELECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "amperity": ("feed_id=df-1", FEED),
    "adverity": ("datastream_id=42", {"datastream_id": 42}),
    "polaris": ("table_name=Events", {"target": {"type": "table", "tableName": "Events"}}),
    "narrative": ("dataset_id=10674", {"dataset_id": 10674}),
}
QUICKLY = ("--poll-interval", "0.05", "--timeout", "20")


def states(done: Ran) -> list[str]:
    return [job["state"] for job in done.data]


class TestJobs:
    @each_vendor
    def test_to_the_end(self, case: VendorCase, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(case.name)
        words = case.words
        timeline = [
            (0, words[JobState.PENDING]),
            (0.3, words[JobState.RUNNING]),
            (0.7, words[JobState.SUCCEEDED]),
        ]
        sandbox.add_job(case.name, case.job_id, timeline)
        done = run("watch", case.default_conn_id, case.job_id, *QUICKLY, "-o", "json")
        assert done.code == 0
        (job,) = done.data
        assert (job["id"], job["state"]) == (case.job_id, "succeeded")
        name = f"{case.vendor} job {case.job_id}"
        assert done.lines[0] == f"Waiting for {name}"
        told = [line.split(" is ", 1)[1].split()[0] for line in done.lines[1:]]
        assert told == ["pending", "running", "succeeded"]

    @each_vendor
    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
    def test_another_end(
        self, case: VendorCase, state: JobState, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(
            case.name, case.job_id, [(-9, "running"), (-1, case.words[state])], failure="no such column"
        )
        done = run("watch", case.default_conn_id, case.job_id, *QUICKLY, "-o", "json")
        assert done.code == 1
        assert states(done) == [state.value]
        assert done.lines[-1].startswith(f"{case.vendor} job {case.job_id} is {state.value}")
        expected = ("--expected-states", f"succeeded,{state.value}")
        assert run("watch", case.default_conn_id, case.job_id, *QUICKLY, *expected).code == 0

    def test_several(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-1", [(0, "running"), (0.3, "succeeded")])
        sandbox.add_job("amperity", "isj-2", [(0, "running"), (0.1, "failed")])
        done = run("watch", "amperity_default", "isj-1", "isj-2", "isj-1", *QUICKLY, "-o", "json")
        assert done.code == 1
        assert [(job["id"], job["state"]) for job in done.data] == [
            ("isj-1", "succeeded"),
            ("isj-2", "failed"),
        ]
        assert "isj-1" not in done.lines[-1]

    def test_progress(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("polaris")
        timeline: Any = [(0, "running"), (0.3, {"progress": 40}), (0.9, "completed")]
        sandbox.add_job("polaris", POLARIS.job_id, timeline)
        done = run("watch", "imply_polaris_default", POLARIS.job_id, *QUICKLY)
        assert done.code == 0
        lines = [line.split(" is ", 1)[1] for line in done.lines[1:]]
        assert len(lines) == len(set(lines)), "nothing is told twice"

    def test_checks(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job(
            "amperity", "isj-1", [(-9, "running"), (-1, "succeeded")], rows={"read": 9, "errors": 2}
        )
        watch = ("watch", "amperity_default", "isj-1", *QUICKLY)
        assert run(*watch, "--check", "max_error_rows=2", "--check", "min_rows=1").code == 0
        done = run(*watch, "--check", "max_error_ratio=0.1", "-o", "json")
        assert done.code == 1
        assert states(done) == ["succeeded"]
        assert "max_error_ratio=0.1 is exceeded: 2 errors of 9 read" in done.lines[-1]

    @pytest.mark.parametrize(
        "order", [("isj-1", *QUICKLY), (*QUICKLY, "isj-1"), (*QUICKLY, "isj-1", "isj-2")]
    )
    def test_options_may_come_first(
        self, order: tuple[str, ...], run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("amperity")
        for job_id in ("isj-1", "isj-2"):
            sandbox.add_job("amperity", job_id, [(-9, "running"), (-1, "succeeded")])
        done = run("watch", "amperity_default", *order, "-o", "json")
        assert (done.code, len(states(done))) == (0, len(order) - len(QUICKLY)), done.err

    def test_time_is_up(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-1", [(0, "running")])
        done = run(
            "watch", "amperity_default", "isj-1", "--timeout", "0.3", "--poll-interval", "0.05", "-o", "json"
        )
        assert done.code == 3
        assert states(done) == ["running"]
        assert "Amperity job isj-1 had not ended after" in done.lines[-1]
        assert "It was running" in done.lines[-1]

    def test_an_unknown_job(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        watch = ("watch", "amperity_default", AMPERITY.job_id, *QUICKLY)
        done = run(*watch, "--missing-grace", "0")
        assert done.code == 5
        assert "Amperity does not know job" in done.lines[-1]
        assert done.out == ""
        sandbox.add_job("amperity", AMPERITY.job_id, [(0, "running"), (0.5, "succeeded")], known_after=0.3)
        assert run(*watch, "--missing-grace", "10s").code == 0

    def test_failures_that_may_be_mended(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-1", [(0, "failed"), (0.4, "running"), (0.8, "succeeded")])
        done = run("watch", "amperity_default", "isj-1", *QUICKLY, "--failed-grace", "10s")
        assert done.code == 0
        assert "It may still be resumed at the vendor" in done.err
        connections.add("narrative")
        done = run("watch", "narrative_default", "n-1", "--failed-grace", "10s")
        assert done.code == 2
        assert "Narrative documents no way to resume a failed job" in done.err

    def test_passing_trouble(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-1", [(0, "running"), (0.2, "succeeded")])
        sandbox.add_fault(Fault(vendor="amperity", status=503, times=2))
        done = run("watch", "amperity_default", "isj-1", *QUICKLY)
        assert done.code == 0
        assert sum("cannot be read now, the wait goes on" in line for line in done.lines) == 1

    def test_a_long_wait(
        self, run: Run, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.follow.FIRST_WORD", timedelta(seconds=0.2))
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-1", [(0, "running"), (0.6, "succeeded")])
        done = run("watch", "amperity_default", "isj-1", *QUICKLY)
        assert done.code == 0
        assert "Still waiting. Amperity job isj-1 had not ended after" in done.err

    def test_refused(self, run: Run, connections: Connections) -> None:
        done = run("watch", connections.add("amperity", password="wrong-secret"), "isj-1", *QUICKLY)
        assert (done.code, done.out) == (4, "")
        assert "401" in done.lines[-1]
        assert "wrong-secret" not in done.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                [],
                "job_id=None cannot be used: give job_id, or select jobs by feed_id, table_name, workflow_id",
            ),
            (["isj-1", "--filter", "feed_id=df-1"], "give either job_id or feed_id, not both"),
            (["isj-1", "--min-jobs", "2"], "min_jobs=2 cannot be used: leave it out beside job_id"),
            (["isj-1", "--look-back", "3d"], "leave it out beside job_id"),
            (["isj-1", "--started-to", "2026-01-01"], "leave it out beside job_id"),
            (["isj-1", "--latest-only"], "latest_only=True cannot be used: leave it out beside job_id"),
            (["--filter", "feed_id=df-1", "--min-jobs", "0"], "--min-jobs=0 cannot be used"),
            (["--filter", "feed=df-1"], "--filter feed='df-1' cannot be used: use feed_id"),
            (["isj-1", "--timeout", "soon"], "--timeout='soon' cannot be used"),
            (["isj-1", "--expected-states", "running"], "name states that a job ends in"),
            (["isj-1", "--check", "max_rows=1"], "checks='max_rows' cannot be used: use one or more of"),
            (["isj-1", "--check", "min_rows=many"], "checks min_rows='many' cannot be used: give a number"),
            (["isj 1"], "give the vendor's job id alone"),
        ],
    )
    def test_what_cannot_be(
        self, arguments: list[str], message: str, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        done = run("watch", connections.add("amperity"), *arguments)
        assert (done.code, done.out, len(done.lines)) == (2, "", 1), done
        assert message in done.err
        assert sandbox.requests() == []


class TestSelections:
    @each_vendor
    def test_to_the_end(self, case: VendorCase, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(case.name)
        given, fields = SELECTED[case.name]
        words = case.words
        for start in (-60.0, -50.0):
            timeline = [(start, words[JobState.RUNNING]), (0.4, words[JobState.SUCCEEDED])]
            sandbox.add_job(case.name, timeline=timeline, fields=fields)
        done = run("watch", case.default_conn_id, "--filter", given, "--min-jobs", 2, *QUICKLY, "-o", "json")
        assert done.code == 0, done.err
        assert states(done) == ["succeeded", "succeeded"]

    def test_the_latest_alone(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", timeline=[(-90, "running"), (-80, "failed")], fields=FEED)
        latest = sandbox.add_job("amperity", timeline=[(-60, "running"), (-1, "succeeded")], fields=FEED)
        watch = ("watch", "amperity_default", "--filter", "feed_id=df-1", *QUICKLY, "-o", "json")
        assert run(*watch).code == 1
        done = run(*watch, "--latest-only")
        assert done.code == 0
        assert [job["id"] for job in done.data] == [latest]

    def test_those_that_come_late(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", timeline=[(-1, "running"), (0, "succeeded")], fields=FEED)
        sandbox.add_job("amperity", timeline=[(0.3, "running"), (0.6, "succeeded")], fields=FEED)
        done = run(
            "watch", "amperity_default", "--filter", "feed_id=df-1", "--settle", "1s", *QUICKLY, "-o", "json"
        )
        assert done.code == 0
        assert len(done.data) == 2

    def test_too_few_in_a_window_that_is_over(self, run: Run, connections: Connections) -> None:
        connections.add("amperity")
        end = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        done = run(
            "watch",
            "amperity_default",
            "--filter",
            "feed_id=df-1",
            "--started-to",
            end,
            "--missing-grace",
            "0.2",
            *QUICKLY,
            "-o",
            "json",
        )
        assert done.code == 5
        assert done.data == []
        assert "Only 0 of at least 1 jobs with feed_id='df-1'" in done.lines[-1]

    def test_time_is_up(self, run: Run, connections: Connections) -> None:
        connections.add("amperity")
        done = run("watch", "amperity_default", "--filter", "feed_id=df-1", "--timeout", "0.2")
        assert done.code == 3
        assert "Of at least 1 jobs, these were seen: none" in done.lines[-1]


def test_ctrl_c_leaves_the_job_alone(sandbox: Sandbox, connections: Connections) -> None:
    conn_id = connections.add("amperity")
    sandbox.add_job("amperity", "isj-1", [(0, "running")])
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_ingestjobs", "watch", conn_id, "isj-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stderr is not None
    # A process that hangs must not hang the tests.
    guard = threading.Timer(240, process.kill)
    guard.start()
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if "is running" in line:
                process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    finally:
        guard.cancel()
        process.kill()
    assert process.returncode == 130, lines
    assert lines[-1] == "Interrupted: nothing was cancelled, what runs at Amperity goes on.\n"
    assert out == ""
    assert {request.method for request in sandbox.requests()} == {"GET"}
