# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""``cancel``: it says what stops, asks, and says what came of it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.command_line import Run
from support.vendors import ADVERITY, CANCELLING_VENDORS, NARRATIVE, POLARIS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

each_vendor = pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
QUICKLY = ("--poll-interval", "0.05", "--timeout", "20")


def asked_to_stop(sandbox: Sandbox) -> bool:
    return any(request.method != "GET" for request in sandbox.requests())


@each_vendor
def test_yes(case: VendorCase, run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add(case.name)
    sandbox.cancel_delay = 60
    sandbox.add_job(case.name, case.job_id, [(-60, case.words[JobState.RUNNING])])
    done = run("cancel", case.default_conn_id, case.job_id, "--yes", "-o", "json")
    assert done.code == 0
    assert asked_to_stop(sandbox)
    (job,) = done.data
    assert (job["id"], job["state"]) == (case.job_id, "running" if case is ADVERITY else "cancelling")
    assert f"{case.vendor} job {case.job_id} was asked to stop" in done.err


@each_vendor
def test_to_the_end(case: VendorCase, run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add(case.name)
    sandbox.cancel_delay = 0.3
    sandbox.add_job(case.name, case.job_id, [(-60, case.words[JobState.RUNNING])])
    done = run("cancel", case.default_conn_id, case.job_id, "--yes", "--wait", *QUICKLY, "-o", "json")
    assert done.code == 0
    assert [job["state"] for job in done.data] == ["cancelled"]


@pytest.mark.parametrize(
    ("answer", "stops"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("sure\n", False)]
)
def test_the_question(answer: str, stops: bool, run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("polaris")
    sandbox.add_job("polaris", POLARIS.job_id, fields={"target": {"type": "table", "tableName": "Events"}})
    done = run("cancel", "imply_polaris_default", POLARIS.job_id, answer=answer)
    assert "on connection 'imply_polaris_default'" in done.err
    assert f"- Imply Polaris job {POLARIS.job_id}; now running" in done.err
    assert "target Events" in done.err
    assert "Stop it? (y/N) " in done.err
    assert asked_to_stop(sandbox) == stops
    assert done.code == (0 if stops else 130)
    assert ("Nothing was cancelled." in done.err) != stops


def test_nobody_answers(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("polaris")
    sandbox.add_job("polaris", POLARIS.job_id)
    done = run("cancel", "imply_polaris_default", POLARIS.job_id)
    assert (done.code, done.out) == (2, "")
    assert "nobody answers here, and nothing was cancelled: give --yes" in done.lines[-1]
    assert not asked_to_stop(sandbox)


def test_what_stops_with_it(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
    sandbox.add_job("amperity", "isj-2", fields={"workflow_id": "wf-1"})
    done = run("cancel", "amperity_default", "isj-1", answer="n\n")
    assert "and with it the whole workflow wf-1 with everything in it" in done.err


@each_vendor
def test_a_job_that_has_ended(case: VendorCase, run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add(case.name)
    sandbox.add_job(case.name, case.job_id, [(-60, "running"), (-1, case.words[JobState.SUCCEEDED])])
    done = run("cancel", case.default_conn_id, case.job_id, "--wait", "-o", "json")
    assert done.code == 0
    assert [job["state"] for job in done.data] == ["succeeded"]
    assert "has already ended: succeeded" in done.err
    assert "Stop it?" not in done.err
    assert not asked_to_stop(sandbox)


def test_one_of_several_is_unknown(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.add_job("amperity", "isj-1")
    done = run("cancel", "amperity_default", "isj-1", "isj-2", "--yes")
    assert (done.code, done.out) == (5, "")
    assert "Amperity does not know job isj-2: nothing was cancelled." in done.err
    assert not asked_to_stop(sandbox)


def test_one_of_several_is_refused(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("polaris")
    sandbox.add_job("polaris", "job-1")
    sandbox.add_job("polaris", "job-2")
    sandbox.add_fault(Fault(vendor="polaris", method="POST", path="job-1", status=409))
    done = run("cancel", "imply_polaris_default", "job-1", "job-2", "--yes", "-o", "json")
    assert done.code == 4
    assert "Imply Polaris job job-1 was not cancelled: " in done.err
    assert {job["id"]: job["state"] for job in done.data}["job-1"] == "running"
    assert "Imply Polaris job job-2 was asked to stop" in done.err


def test_one_is_refused_and_the_other_is_waited_for(
    run: Run, sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("polaris")
    sandbox.cancel_delay = 0.3
    sandbox.add_job("polaris", "job-1")
    sandbox.add_job("polaris", "job-2")
    sandbox.add_fault(Fault(vendor="polaris", method="POST", path="job-1", status=409))
    done = run("cancel", "imply_polaris_default", "job-1", "job-2", "--yes", "--wait", *QUICKLY, "-o", "json")
    assert done.code == 4
    assert {job["id"]: job["state"] for job in done.data} == {"job-1": "running", "job-2": "cancelled"}


def test_time_is_up(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.cancel_delay = 60
    sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
    quickly = ("--timeout", "0.2", "--poll-interval", "0.05")
    sandbox.add_job("amperity", "isj-2", [(-9, "running"), (-1, "succeeded")])
    done = run("cancel", "amperity_default", "isj-1", "isj-2", "--yes", "--wait", *quickly, "-o", "json")
    assert done.code == 3
    assert [(job["id"], job["state"]) for job in done.data] == [
        ("isj-1", "cancelling"),
        ("isj-2", "succeeded"),
    ]
    assert done.lines[-1].endswith("It was asked to stop.")


def test_the_wait_is_refused(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.cancel_delay = 60
    sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
    refusal = threading.Timer(0.7, sandbox.add_fault, (Fault(vendor="amperity", method="GET", status=403),))
    refusal.start()
    done = run("cancel", "amperity_default", "isj-1", "--yes", "--wait", *QUICKLY, "-o", "json")
    refusal.join()
    assert done.code == 4
    assert [job["state"] for job in done.data] == ["cancelling"]


def test_a_vendor_that_cancels_nothing(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("narrative")
    sandbox.add_job("narrative", NARRATIVE.job_id)
    done = run("cancel", "narrative_default", NARRATIVE.job_id, "--yes")
    assert (done.code, done.out, len(done.lines)) == (4, "", 1)
    assert "Narrative documents no way to cancel" in done.err
    assert sandbox.requests() == []


def test_ctrl_c_after_the_request(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.cancel_delay = 60
    sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
    keyboard = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    keyboard.start()
    done = run("cancel", "amperity_default", "isj-1", "--yes", "--wait", *QUICKLY)
    keyboard.join()
    assert (done.code, done.out) == (130, "")
    assert "Interrupted: Amperity was asked to stop job isj-1." in done.err
