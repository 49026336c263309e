# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
Processes of a real Airflow die, hang or lose their database while tasks wait; every task still ends right.

The metadata database is SQLite, which has no server to restart: another process locks it instead.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.airflow_client import AirflowInstanceError
from support.vendor_jobs import (
    CANCELLED,
    RUNNING,
    STOPPING,
    SUCCEEDED,
    add_job,
    asked_to_cancel,
    cancel_requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

#: The tasks of the DAG ``crashes``, which are named after where they are when something is killed.
SENSORS = {
    "sensor_before_execute": "polaris",
    "sensor_deferred": "adverity",
    "sensor_ended": "amperity",
    "sensor_resuming": "polaris",
}
CANCEL_OPERATORS = {
    "cancel_before_execute": "polaris",
    "cancel_asked": "amperity",
    "cancel_deferred": "adverity",
    "cancel_ended": "amperity",
    "cancel_resuming": "polaris",
}
IN_A_PROCESS = (
    "sensor_before_execute",
    "sensor_resuming",
    "cancel_before_execute",
    "cancel_asked",
    "cancel_resuming",
)
#: The tasks of the DAG ``user_actions``.
USER_ACTIONS = {
    f"{vendor}_{action}": vendor
    for vendor in ("polaris", "amperity")
    for action in ("cleared", "marked_success", "left_alone")
}


@dataclass(frozen=True)
class Run:
    """A DAG run, the vendor of each of its tasks, and the job each got."""

    airflow: AirflowInstance
    sandbox: Sandbox
    dag_id: str
    run_id: str
    vendors: dict[str, str]
    jobs: dict[str, str]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The task instances, by task id."""
        return {task["task_id"]: task for task in self.airflow.task_instances(self.dag_id, self.run_id)}

    def triggerers(self) -> set[int]:
        """The ids of the triggerers that run the triggers; 0 stands for a task that has none."""
        return {(task["triggerer_job"] or {}).get("id", 0) for task in self.tasks().values()}

    def log(self, task_id: str, try_number: int = 1) -> str:
        """A task's log."""
        return self.airflow.task_log(self.dag_id, self.run_id, task_id, try_number)

    def wait_until_deferred(self, task_ids: Iterable[str]) -> None:
        """Wait until a triggerer runs the triggers of some tasks."""
        wanted = set(task_ids)

        def waiting() -> set[str]:
            return wanted - {name for name, task in self.tasks().items() if task["triggerer_job"]}

        self.airflow.wait_for(
            lambda: not waiting(), 90, what=lambda: f"a triggerer to run {', '.join(waiting())}"
        )

    def end_job(self, task_id: str, words: dict[str, str]) -> None:
        """End a task's job, in its vendor's word."""
        vendor = self.vendors[task_id]
        self.sandbox.set_state(vendor, self.jobs[task_id], words[vendor])

    def asked_to_cancel(self) -> dict[str, int]:
        """How often each task's job was asked to stop, where it was at all."""
        return asked_to_cancel(self.sandbox, self.vendors, self.jobs)

    def ends(self, timeout: float = 120) -> dict[str, str]:
        """Each task's state, at the run's end."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, timeout)
        return {name: task["state"] for name, task in self.tasks().items()}


def start(airflow: AirflowInstance, sandbox: Sandbox, dag_id: str, vendors: dict[str, str]) -> Run:
    """Start a run whose jobs run until they are told to end."""
    jobs = {
        task_id: add_job(sandbox, vendor, cancel_state=STOPPING[vendor])
        if task_id in CANCEL_OPERATORS
        else add_job(sandbox, vendor)
        for task_id, vendor in vendors.items()
    }
    return Run(airflow, sandbox, dag_id, airflow.trigger(dag_id, jobs), vendors, jobs)


@pytest.fixture
def hold(airflow: AirflowInstance) -> Path:
    """The folder of the files that hold up the tasks of the DAG ``crashes``."""
    folder = airflow.home / "hold"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def wait_until_held(airflow: AirflowInstance, hold: Path, *task_ids: str) -> None:
    """Wait until tasks have come to where they are held up."""

    def missing() -> list[str]:
        return [task_id for task_id in task_ids if not (hold / f"{task_id}.held").exists()]

    airflow.wait_for(lambda: not missing(), 90, what=lambda: f"{', '.join(missing())} to run")


def at_every_stage(airflow: AirflowInstance, sandbox: Sandbox, hold: Path) -> Run:
    """Start a run of the DAG ``crashes``, and bring each task to where its name says."""
    for task_id in ("sensor_before_execute", "cancel_before_execute", "cancel_asked"):
        (hold / task_id).touch()
    run = start(airflow, sandbox, "crashes", {**SENSORS, **CANCEL_OPERATORS})
    run.wait_until_deferred(name for name in run.jobs if name.endswith(("_deferred", "_ended", "_resuming")))
    wait_until_held(airflow, hold, "sensor_before_execute", "cancel_before_execute", "cancel_asked")

    (hold / "sensor_resuming").touch()
    (hold / "cancel_resuming").touch()
    run.end_job("sensor_resuming", SUCCEEDED)
    run.end_job("cancel_resuming", CANCELLED)
    wait_until_held(airflow, hold, "sensor_resuming", "cancel_resuming")

    # Amperity has taken the request, and is slow to say so.
    asked = run.jobs["cancel_asked"]
    sandbox.add_fault(Fault("amperity", "POST", f"/wf-{asked}/stop$", drip=0.15))
    (hold / "cancel_asked").unlink()
    airflow.wait_for(lambda: cancel_requests(sandbox, "amperity", asked), 20, what="the request to stop")

    # The jobs have ended, and nobody has been told.
    ended = "|".join(run.jobs[f"{kind}_ended"] for kind in ("sensor", "cancel"))
    sandbox.add_fault(Fault("amperity", "GET", f"/({ended})$", delay=12, times=None))
    run.end_job("sensor_ended", SUCCEEDED)
    run.end_job("cancel_ended", CANCELLED)

    assert {name: task["state"] for name, task in run.tasks().items()} == {
        name: "running" if name in IN_A_PROCESS else "deferred" for name in run.jobs
    }
    return run


@pytest.mark.parametrize("victim", ["triggerer", "worker", "scheduler"])
def test_killed_at_every_stage(victim: str, airflow: AirflowInstance, sandbox: Sandbox, hold: Path) -> None:
    """Every task ends right, and the vendor was asked once for each job that was to be cancelled."""
    run = at_every_stage(airflow, sandbox, hold)
    if victim == "worker":
        for task_id in IN_A_PROCESS:
            airflow.kill_task("crashes", run.run_id, task_id)
    else:
        # With the scheduler go the workers that it has started, and their tasks.
        airflow.kill(victim)
        airflow.start(victim)
    sandbox.clear_faults()
    for file in hold.iterdir():
        file.unlink()
    for stage in ("before_execute", "deferred"):
        run.end_job(f"sensor_{stage}", SUCCEEDED)
    run.end_job("cancel_deferred", CANCELLED)
    # Asked by the task's first try or, if that was killed before, by its second.
    for task_id in ("cancel_before_execute", "cancel_asked"):
        airflow.wait_for(
            partial(cancel_requests, sandbox, run.vendors[task_id], run.jobs[task_id]),
            90,
            what=f"{task_id} to ask",
        )
    time.sleep(1)
    run.end_job("cancel_before_execute", CANCELLED)
    run.wait_until_deferred(["cancel_asked"])
    run.end_job("cancel_asked", CANCELLED)

    assert run.ends() == dict.fromkeys(run.jobs, "success")
    for task_id in run.jobs:
        state = "succeeded" if task_id in SENSORS else "cancelled"
        assert airflow.xcom("crashes", run.run_id, task_id)["state"] == state, run.log(task_id)
    assert run.asked_to_cancel() == dict.fromkeys(CANCEL_OPERATORS, 1)
    tries = {name: task["try_number"] for name, task in run.tasks().items()}
    if victim == "triggerer":
        assert set(tries.values()) == {1}
    else:
        assert {name for name, number in tries.items() if number > 1} == set(IN_A_PROCESS)


def test_user_actions_on_deferred_tasks(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """With ``cancel_on_kill``, a job is cancelled once when its task is cleared or marked as succeeded."""
    run = start(airflow, sandbox, "user_actions", USER_ACTIONS)
    run.wait_until_deferred(run.jobs)
    acted_on = [task_id for task_id in run.jobs if not task_id.endswith("left_alone")]
    for task_id in acted_on:
        if task_id.endswith("cleared"):
            airflow.clear_task("user_actions", run.run_id, task_id)
        else:
            airflow.set_task_state("user_actions", run.run_id, task_id, "success")
    for task_id in run.jobs.keys() - acted_on:
        run.end_job(task_id, SUCCEEDED)
    assert run.ends() == {
        task_id: "failed" if task_id.endswith("cleared") else "success" for task_id in run.jobs
    }
    assert run.asked_to_cancel() == dict.fromkeys(acted_on, 1)
    for vendor in ("polaris", "amperity"):
        # The new try waits for the same job, which the old one has cancelled.
        task_id = f"{vendor}_cleared"
        said = run.log(task_id, run.tasks()[task_id]["try_number"])
        assert "JobCancelled" in said
        assert "An earlier try of this task may have cancelled it" in said


def test_slow_cancels(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """All jobs of a task that was marked as failed are cancelled, also if the vendor takes long to answer."""
    jobs = {name: add_job(sandbox, "polaris") for name in ("first_job", "second_job")}
    run_id = airflow.trigger("several", jobs)
    run = Run(airflow, sandbox, "several", run_id, dict.fromkeys(jobs, "polaris"), jobs)
    run.wait_until_deferred(["wait"])
    sandbox.add_fault(Fault("polaris", path=f"/({'|'.join(jobs.values())})$", delay=1.5, times=None))
    try:
        airflow.set_task_state("several", run_id, "wait", "failed")
        airflow.wait_for(lambda: len(run.asked_to_cancel()) == 2, 30, what="both jobs to be asked to stop")
        time.sleep(2)
    finally:
        sandbox.clear_faults()
    assert run.asked_to_cancel() == dict.fromkeys(jobs, 1)


@pytest.mark.parametrize("state", ["failed", "success"])
def test_user_actions_on_a_task_in_a_worker(airflow: AirflowInstance, sandbox: Sandbox, state: str) -> None:
    """All jobs are asked to stop before the worker's process is ended, though the vendor is slow."""
    jobs = {name: add_job(sandbox, "polaris") for name in ("first_job", "second_job")}
    run_id = airflow.trigger("several_in_a_worker", jobs)
    run = Run(airflow, sandbox, "several_in_a_worker", run_id, dict.fromkeys(jobs, "polaris"), jobs)

    def has_looked() -> bool:
        return any(jobs["second_job"] in request.path for request in sandbox.requests("polaris"))

    airflow.wait_for(has_looked, 60, what="the task to wait")
    sandbox.add_fault(Fault("polaris", path=f"/({'|'.join(jobs.values())})$", delay=4, times=None))
    try:
        airflow.set_task_state("several_in_a_worker", run_id, "wait", state)
        airflow.wait_for(lambda: len(run.asked_to_cancel()) == 2, 30, what="both jobs to be asked to stop")
    finally:
        sandbox.clear_faults()
    assert run.asked_to_cancel() == dict.fromkeys(jobs, 1)


@pytest.fixture
def second_triggerer(airflow: AirflowInstance) -> Iterator[str]:
    """A triggerer beside the usual one; afterwards, only the usual one runs."""
    name, before = "second-triggerer", airflow.triggerers()
    airflow.start(name)
    airflow.wait_for(lambda: airflow.triggerers() - before, 60, what="the second triggerer to run")
    yield name
    airflow.kill(name)
    with contextlib.suppress(AirflowInstanceError):
        airflow.start("triggerer")


def test_two_triggerers(airflow: AirflowInstance, sandbox: Sandbox, second_triggerer: str) -> None:
    """A triggerer that hangs, or is killed, loses its tasks to the other one; nothing is cancelled."""
    # Of two that run, it is a matter of luck which one takes up a trigger.
    airflow.kill("triggerer")
    run = start(airflow, sandbox, "user_actions", USER_ACTIONS)
    run.wait_until_deferred(run.jobs)
    second, before = run.triggerers(), airflow.triggerers()
    airflow.start("triggerer")
    airflow.wait_for(lambda: airflow.triggerers() - before, 60, what="the usual triggerer to run again")

    airflow.freeze(second_triggerer)
    airflow.wait_for(lambda: not run.triggerers() & {0, *second}, 60, what="the usual triggerer to take over")
    airflow.thaw(second_triggerer)
    airflow.wait_for(
        lambda: any("Trigger cancelled by user action" in run.log(task_id) for task_id in run.jobs),
        30,
        what="the second one to let go",
    )
    time.sleep(3)
    assert run.asked_to_cancel() == {}

    airflow.kill("triggerer")
    airflow.wait_for(lambda: run.triggerers() == second, 60, what="the second triggerer to take them back")
    for task_id in run.jobs:
        run.end_job(task_id, SUCCEEDED)
    assert run.ends() == dict.fromkeys(run.jobs, "success")
    assert run.asked_to_cancel() == {}


def test_locked_database(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """Jobs that end while Airflow's database cannot be written are told once it can."""
    run = start(airflow, sandbox, "user_actions", USER_ACTIONS)
    run.wait_until_deferred(run.jobs)
    with contextlib.closing(sqlite3.connect(airflow.home / "airflow.db", timeout=60)) as database:
        database.execute("BEGIN EXCLUSIVE")
        for task_id in run.jobs:
            run.end_job(task_id, SUCCEEDED)
        time.sleep(8)
        database.rollback()
    airflow.check_alive()
    assert run.ends() == dict.fromkeys(run.jobs, "success")
    assert {task["try_number"] for task in run.tasks().values()} == {1}
    assert run.asked_to_cancel() == {}


def test_timeout_while_the_vendor_hangs(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """A deferred wait ends on time, and says how long it was, how the job stood, and when that was read."""
    run = start(airflow, sandbox, "hanging", {"times_out": "narrative"})
    job_id = run.jobs["times_out"]
    run.wait_until_deferred(run.jobs)
    airflow.wait_for(lambda: RUNNING["narrative"] in run.log("times_out"), 60, what="the job to be read once")
    sandbox.add_fault(Fault("narrative", path=job_id, delay=300, times=None))
    try:
        assert run.ends(timeout=60) == {"times_out": "failed"}
    finally:
        sandbox.clear_faults()
    log = run.log("times_out")
    said = re.search(rf"WaitTimeout: Narrative job {job_id} had not ended after (\d+) seconds\. (.*)", log)
    assert said, log
    # The timeout of 15 s, and the last look's 20 s.
    assert 35 <= int(said[1]) < 40
    assert re.search(r"It was running .*, last read at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\.", said[2])


def test_short_deferrals_at_airflows_default_heartbeat(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """
    Tasks whose jobs have ended already do not fail.

    Airflow's workers report the end of a task's process up to five seconds late by default; a deferred task
    that is resumed before that is taken for killed.
    """
    default = {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5"}
    for component in ("scheduler", "triggerer"):
        airflow.kill(component)
        airflow.start(component, default)
    try:
        job_id = add_job(sandbox, "narrative", [(0.0, SUCCEEDED["narrative"])])
        run_id = airflow.trigger("short", {"job_id": job_id})
        assert airflow.wait_for_run("short", run_id, 180) == "success"
        tasks = airflow.task_instances("short", run_id)
        assert {(task["state"], task["try_number"]) for task in tasks} == {("success", 1)}
        assert all(airflow.was_deferred("short", run_id, task["task_id"]) for task in tasks)
    finally:
        for component in ("scheduler", "triggerer"):
            airflow.kill(component)
            airflow.start(component)
