# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the pages have their readers paste into a shell runs as it stands.

The blocks of a page run in order, in one folder. What would change the machine, run without an end or ask
other hosts is not done, but looked at: see ``support/stand_ins.py``.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import STARTS_FROM_TRIGGER
from airflow_provider_ingestjobs.catalogue import hook_paths
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sandbox.task_runs import run_deferred
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from support.fences import ROOT, Fence, fences
from support.stand_ins import write_stand_ins

pytestmark = pytest.mark.skipif(
    not STARTS_FROM_TRIGGER, reason="the pages are written for the newest Airflow, which has all commands"
)

BLOCKS = fences("bash")
#: The examples' pages are those of packages of their own, whose tests need them installed.
PAGES = sorted({block.page for block in BLOCKS if not block.is_of_an_example})
GUIDE = "docs/getting-started.md"
COMMAND_LINE = "docs/guides/command-line.md"
TESTING = "docs/guides/testing.md"
#: Those with a test of their own.
TOLD_APART = (GUIDE, COMMAND_LINE, TESTING)
SERVES = "airflow_provider_ingestjobs.sandbox"
#: What a reader's environment does not have.
OF_THIS_TEST = ("AIRFLOW_CONN_", "PYTEST_", "FORCE_COLOR", "PY_COLORS")


class Reader:
    """Somebody who pastes the blocks of a page into a shell, one after the other.

    :param folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self._end = folder / "end"
        programs = folder / "programs"
        for made in (self.folder, programs, folder / "home"):
            made.mkdir()
        write_stand_ins(programs)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OF_THIS_TEST)},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
            "HOME": str(folder / "home"),
            "COLUMNS": "200",
        }
        self._server: subprocess.Popen[str] | None = None

    def paste(self, block: Fence, **environment: str) -> str:
        """Run a block; return what it prints, or of a server its first words, and let it run."""
        if SERVES in block.code:
            return self._serve(block)
        # Where the reader is afterwards, and what the shell has.
        script = f'{block.code}\nended=$?; pwd > "{self._end}"; env -0 >> "{self._end}"; exit $ended'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block.name}\n{done.stdout}\n{done.stderr}"
        assert "command not found" not in done.stderr
        self.folder = Path(self._end.read_text().partition("\n")[0])
        return done.stdout

    def save(self, block: Fence) -> Path:
        """Save a block as the file that the page says; return it."""
        assert block.saved_as
        path = self.folder / block.saved_as
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code)
        return path

    @property
    def exported(self) -> dict[str, str]:
        """What the last block's shell had in its environment at its end."""
        lines = self._end.read_text().partition("\n")[2].split("\0")
        return dict(line.split("=", 1) for line in lines if line)

    def _serve(self, block: Fence) -> str:
        self._server = subprocess.Popen(
            ["bash", "-c", block.code],
            cwd=self.folder,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._server.stdout is not None
        # One that says nothing ends the test, not the patience of whoever waits for it.
        alarm = Timer(60, os.killpg, (self._server.pid, signal.SIGKILL))
        alarm.start()
        printed = ""
        try:
            for line in self._server.stdout:
                printed += line
                if line.startswith("narrative ") and "Ctrl-C ends it" in printed:
                    return printed
        finally:
            alarm.cancel()
        raise AssertionError(f"{block.name}\n{printed}")

    def leave(self) -> None:
        """End what still runs."""
        if self._server is not None:
            # Not Ctrl-C, which what a script starts in the background ignores: these tests may be that.
            os.killpg(self._server.pid, signal.SIGTERM)
            assert self._server.stdout is not None
            self._server.stdout.close()
            self._server.wait(20)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    someone = Reader(tmp_path)
    yield someone
    someone.leave()


def blocks_of(page: str) -> list[Fence]:
    return [block for block in BLOCKS if block.page == page]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TOLD_APART])
def test_page(reader: Reader, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks_of(page):
        reader.paste(block)
        connections = re.findall(r"^export AIRFLOW_CONN_(\w+)=", block.code, re.MULTILINE)
        for name in connections:
            value = reader.exported[f"AIRFLOW_CONN_{name}"]
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", value)
            hook_class_from(hook_paths()[json.loads(value)["conn_type"]])(name.lower()).get_conn()
        assert connections or "AIRFLOW_CONN" not in block.code


def test_the_command_line(reader: Reader) -> None:
    with Sandbox() as sandbox:
        asked_for = {job for block in blocks_of(COMMAND_LINE) for job in re.findall(r"isj-\S+", block.code)}
        for job_id in sorted(asked_for):
            sandbox.add_job("amperity", job_id, timeline=[(0, "succeeded")])
        table = {"target": {"type": "table", "tableName": "Events"}}
        ended = sandbox.add_job("imply_polaris", timeline=[(0, "completed")], fields=table)
        (reader.folder / "publish.sh").write_text('#!/bin/sh\ncat "$1"')
        (reader.folder / "publish.sh").chmod(0o755)
        connections = sandbox.connection_env()
        lists, without_airflow, script, stop = blocks_of(COMMAND_LINE)
        assert "succeeded" in reader.paste(lists, **connections)
        reader.paste(without_airflow, **connections)
        assert [job["id"] for job in json.loads(reader.paste(script, **connections))] == [ended]
        running = [sandbox.add_job("imply_polaris", fields=table) for _ in range(2)]
        reader.paste(stop, **connections)
        requests = sandbox.requests("imply_polaris")
        asked = {one.path.split("/")[-2] for one in requests if one.method == "POST" and "status" in one.path}
        assert asked == set(running)


def test_getting_started(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but Airflow's scheduler: the guide's task is run without one."""
    install, checkout, sandbox, folders, airflow, end, shell = blocks_of(GUIDE)
    reader.paste(install)
    assert reader.folder.name == "ingestjobs-tour"
    reader.paste(checkout)
    printed = reader.paste(sandbox)
    assert [line for line in shown("The sandbox answers") if line not in printed] == []
    reader.paste(folders)
    (dag,) = saved_blocks_of(GUIDE)
    path = reader.save(dag)
    reader.paste(airflow)
    connection = "AIRFLOW_CONN_AMPERITY_DEFAULT"
    monkeypatch.setenv(connection, reader.exported[connection])
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")

    (job_id,) = re.findall(r'params={"job_id": "(\S+)"}', dag.code)
    assert "{{ params.job_id }}" in dag.code
    assert job_id in end.code
    runpy.run_path(str(path))
    ended: list[Any] = []
    sensor = partial(AmperityJobSensor, task_id="wait", poll_interval=1, deferrable=True)
    failed = run_deferred(partial(sensor, job_id="isj-20261102-30113-Pos002"))
    assert shown("JobFailed") == [f"{type(failed.error).__name__}: {failed.error}"]
    waiting = Thread(target=lambda: ended.append(run_deferred(partial(sensor, job_id=job_id))))
    waiting.start()
    reader.paste(end)
    waiting.join(30)
    job = ended[0].value
    told = f"{job['target']} {job['state']} {job['rows']['inserted']} new rows"
    assert [told] == shown("Order history")

    printed, table = reader.paste(shell), shown("id  ")
    assert printed.splitlines()[0].split() == table[0].split()
    # The others begin when they are first listed.
    assert job_id in printed


def test_testing_your_dags(reader: Reader) -> None:
    install, run = blocks_of(TESTING)
    reader.paste(install)
    for block in saved_blocks_of(TESTING):
        reader.save(block)
    assert " 2 passed" in reader.paste(run)


def test_what_is_saved_is_run() -> None:
    saved_on = {block.page for block in fences("python") if block.saved_as}
    assert saved_on == {GUIDE, TESTING}


def saved_blocks_of(page: str) -> list[Fence]:
    return [block for block in fences("python") if block.page == page and block.saved_as]


def shown(beginning: str) -> list[str]:
    """Return the lines of what the guide shows of what is printed."""
    (text,) = [
        block.code for block in fences("text") if block.page == GUIDE and block.code.startswith(beginning)
    ]
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_it_is_a_shells(block: Fence) -> None:
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-n", "-c", block.code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
