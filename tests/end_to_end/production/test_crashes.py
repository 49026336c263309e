# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Processes of a real Airflow die, hang or lose their database while tasks wait; every task ends right."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.runs import Run, start
from support.vendor_jobs import CANCELLED, RUNNING, SUCCEEDED, add_job, cancel_requests

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance

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
#: The tasks of the DAGs ``user_actions`` and ``workerless_actions``.
USER_ACTIONS = {
    f"{vendor}_{action}": vendor
    for vendor in ("polaris", "amperity")
    for action in ("cleared", "marked_success", "left_alone")
}
#: With and without a worker that starts the task.
each_start = pytest.mark.parametrize("dag_id", ["user_actions", "workerless_actions"])


@pytest.fixture
def hold(airflow: ProductionInstance) -> Path:
    """The folder of the files that hold up the tasks of the DAG ``crashes``."""
    folder = airflow.home / "hold"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def wait_until_held(airflow: ProductionInstance, hold: Path, *task_ids: str) -> None:
    """Wait until tasks have come to where they are held up."""

    def missing() -> list[str]:
        return [task_id for task_id in task_ids if not (hold / f"{task_id}.held").exists()]

    airflow.wait_for(lambda: not missing(), 90, what=lambda: f"{', '.join(missing())} to run")


def at_every_stage(airflow: ProductionInstance, sandbox: Sandbox, hold: Path) -> Run:
    """Start a run of the DAG ``crashes``, and bring each task to where its name says."""
    for task_id in ("sensor_before_execute", "cancel_before_execute", "cancel_asked"):
        (hold / task_id).touch()
    run = start(airflow, sandbox, "crashes", {**SENSORS, **CANCEL_OPERATORS}, CANCEL_OPERATORS)
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


def kill(airflow: ProductionInstance, victim: str, run: Run) -> None:
    """End both processes of a kind, or tasks, or the database for five seconds; and start them again."""
    if victim == "tasks":
        for task_id in IN_A_PROCESS:
            airflow.kill_task(run.dag_id, run.run_id, task_id)
    elif victim == "database":
        airflow.postgres.stop()
        time.sleep(5)
        airflow.postgres.start()
    else:
        killed = airflow.of_kind(victim)
        for name in killed:
            airflow.kill(name)
        for name in killed:
            airflow.start(name)
        airflow.wait_for(airflow.answers, 60, what="the API server to answer")


@pytest.mark.parametrize(
    "victim",
    [
        "triggerer",
        "worker",
        "database",
        pytest.param("tasks", marks=pytest.mark.long),
        pytest.param("scheduler", marks=pytest.mark.long),
        pytest.param("api-server", marks=pytest.mark.long),
        pytest.param("dag-processor", marks=pytest.mark.long),
    ],
)
def test_killed_at_every_stage(
    victim: str, airflow: ProductionInstance, sandbox: Sandbox, hold: Path
) -> None:
    """Every task ends right, and the vendor was asked once for each job that was to be cancelled."""
    run = at_every_stage(airflow, sandbox, hold)
    with airflow.supervised():
        kill(airflow, victim, run)
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
                120,
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
    if victim in ("worker", "tasks"):
        assert {name for name, number in tries.items() if number > 1} == set(IN_A_PROCESS)
    elif victim in ("triggerer", "scheduler", "dag-processor"):
        assert set(tries.values()) == {1}
    else:
        # A task whose supervisor cannot reach Airflow for long enough is tried again.
        assert {name for name, number in tries.items() if number > 1} <= set(IN_A_PROCESS)


def wait_until_read(run: Run) -> None:
    """Wait until the jobs of all tasks have been read."""
    run.wait_until_deferred(run.jobs)

    def unread() -> list[str]:
        return [task_id for task_id in run.jobs if "is running" not in run.log(task_id)]

    run.airflow.wait_for(
        lambda: not unread(), 60, what=lambda: f"the jobs of {', '.join(unread())} to be read"
    )


@each_start
def test_user_actions_on_deferred_tasks(dag_id: str, airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """With ``cancel_on_kill``, a job is cancelled once when its task is cleared or marked as succeeded."""
    run = start(airflow, sandbox, dag_id, USER_ACTIONS)
    wait_until_read(run)
    acted_on = [task_id for task_id in run.jobs if not task_id.endswith("left_alone")]
    for task_id in acted_on:
        if task_id.endswith("cleared"):
            airflow.clear_task(dag_id, run.run_id, task_id)
        else:
            airflow.set_task_state(dag_id, run.run_id, task_id, "success")
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


def test_slow_cancels(airflow: ProductionInstance, sandbox: Sandbox) -> None:
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
def test_user_actions_on_a_task_in_a_worker(
    airflow: ProductionInstance, sandbox: Sandbox, state: str
) -> None:
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


@each_start
def test_two_triggerers(dag_id: str, airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """A triggerer that hangs, or is killed, loses its tasks to the other one; nothing is cancelled."""
    # Of two that run, it is a matter of luck which one takes up a trigger.
    airflow.kill("triggerer")
    run = start(airflow, sandbox, dag_id, USER_ACTIONS)
    wait_until_read(run)
    second, before = run.triggerers(), airflow.triggerers()
    airflow.start("triggerer")
    airflow.wait_for(lambda: airflow.triggerers() - before, 60, what="the usual triggerer to run again")

    airflow.freeze("second-triggerer")
    airflow.wait_for(lambda: not run.triggerers() & {0, *second}, 60, what="the usual triggerer to take over")
    airflow.thaw("second-triggerer")
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


def restart(airflow: ProductionInstance, component: str) -> None:
    """End a component gently and start it again; of a triggerer, wait until it runs."""
    before = airflow.triggerers()
    airflow.terminate(component)
    airflow.start(component)
    if component.endswith("triggerer"):
        airflow.wait_for(lambda: airflow.triggerers() - before, 60, what=f"{component} to run again")


def test_rolling_restart(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """Where all components are ended and started again, one by one, as a deployment does, no task notices."""
    run = start(airflow, sandbox, "user_actions", USER_ACTIONS)
    run.wait_until_deferred(run.jobs)
    for component in airflow.components:
        if component not in ("api-server", "dag-processor"):
            restart(airflow, component)
    for task_id in run.jobs:
        run.end_job(task_id, SUCCEEDED)
    assert run.ends() == dict.fromkeys(run.jobs, "success")
    assert {task["try_number"] for task in run.tasks().values()} == {1}
    assert run.asked_to_cancel() == {}


@pytest.mark.long
def test_timeout_while_the_vendor_hangs(airflow: ProductionInstance, sandbox: Sandbox) -> None:
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


@pytest.mark.long
def test_short_deferrals_at_airflows_default_heartbeat(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """
    Tasks whose jobs have ended already do not fail.

    Airflow's workers report the end of a task's process up to five seconds late by default; a deferred task
    that is resumed before that is taken for killed.
    """
    default = {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5"}
    workers = ("worker", "second-worker")
    for component in workers:
        airflow.terminate(component)
        airflow.start(component, default)
    try:
        job_id = add_job(sandbox, "narrative", [(0.0, SUCCEEDED["narrative"])])
        run_id = airflow.trigger("short", {"job_id": job_id})
        assert airflow.wait_for_run("short", run_id, 180) == "success"
        tasks = airflow.task_instances("short", run_id)
        assert {(task["state"], task["try_number"]) for task in tasks} == {("success", 1)}
        assert all(airflow.was_deferred("short", run_id, task["task_id"]) for task in tasks)
    finally:
        for component in workers:
            airflow.terminate(component)
            airflow.start(component)
