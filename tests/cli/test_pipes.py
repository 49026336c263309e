# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Who reads the output may stop reading, as ``head`` does: the command does, and returns, what it would."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.utils.log.logging_mixin import RedirectStdHandler

from airflow_provider_ingestjobs.sandbox import Sandbox
from support.command_line import Run

if TYPE_CHECKING:
    from support.connections import Connections

OUTPUTS = ["table", "plain", "json", "yaml"]


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads from any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def start(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
    # Airflow 2 ends by itself where it cannot print one of its warnings.
    command = [sys.executable, "-W", "ignore", "-m", "airflow_provider_ingestjobs", *arguments]
    return subprocess.Popen(command, text=True, **streams)


def test_nobody_reads_the_result(unread: int, sandbox: Sandbox, connections: Connections) -> None:
    conn_id = connections.add("amperity")
    sandbox.add_job("amperity", "isj-1", [(-9, "running"), (-1, "failed")])
    started = [
        start("watch", conn_id, "isj-1", "-o", output, stdout=unread, stderr=subprocess.PIPE)
        for output in OUTPUTS
    ]
    for output, process in zip(OUTPUTS, started, strict=True):
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, (output, err)
        assert "Amperity job isj-1" in err.splitlines()[-1], (output, err)
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


def test_nobody_reads_the_progress(unread: int, sandbox: Sandbox, connections: Connections) -> None:
    conn_id = connections.add("amperity")
    sandbox.add_job("amperity", "isj-1", [(-9, "running"), (-1, "failed")])
    process = start("watch", conn_id, "isj-1", "-v", "-o", "json", stdout=subprocess.PIPE, stderr=unread)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert '"state": "failed"' in out


def test_nobody_reads_anything(unread: int, sandbox: Sandbox, connections: Connections) -> None:
    conn_id = connections.add("amperity")
    sandbox.cancel_delay = 60
    for number in "12":
        sandbox.add_job("amperity", f"isj-{number}", fields={"workflow_id": f"wf-{number}"})
    process = start("cancel", conn_id, "isj-1", "isj-2", "--yes", stdout=unread, stderr=unread)
    assert process.wait(timeout=120) == 0
    asked = [request.path for request in sandbox.requests() if request.method != "GET"]
    assert len([path for path in asked if "wf-1" in path]) == 1
    assert len([path for path in asked if "wf-2" in path]) == 1


@pytest.mark.parametrize("streams", ["stdout", "stderr"])
def test_logs_stay_out_of_the_result(
    streams: str,
    run: Run,
    sandbox: Sandbox,
    connections: Connections,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn_id = connections.add("amperity")
    sandbox.add_job("amperity", "isj-1")
    # Airflow 2 has this one where it logs to stdout.
    handler = RedirectStdHandler(streams)  # type: ignore[no-untyped-call]
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    assert run("get", conn_id, "isj-1", "-v", "-o", "json").data["id"] == "isj-1"
    logging.getLogger("elsewhere").warning("a word")
    out, err = capsys.readouterr()
    assert (out, "a word" in err) == ("", True)
