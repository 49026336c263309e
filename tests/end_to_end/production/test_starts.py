# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Tasks that start jobs on a real Airflow, killed at the worst of times: one job for each, and success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.vendor_jobs import FAILED, RUNNING, SUCCEEDED

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance

pytestmark = pytest.mark.end_to_end

VENDORS = ("adverity", "amperity", "polaris", "narrative")
MODES = ("blocking", "deferred")
#: The tasks of the DAG ``starts``.
TASKS = [f"{vendor}_{mode}" for vendor in VENDORS for mode in MODES]
CLEARED = ("adverity", "amperity", "polaris")
#: What starts a job, by vendor.
STARTS = {
    "adverity": "/fetch_fixed/$",
    "amperity": "/workflow/runs$",
    "polaris": "/jobs$",
    "narrative": "/nql/run$",
}
HELD_STAGES = ("before_the_request", "before_the_store")
#: Where what another stage shows is shown once more: of its code, not of Airflow.
LONG = ("before_the_store",)
STAGES = (*HELD_STAGES, "before_the_answer", "while_it_waits")


@pytest.fixture
def hold(airflow: ProductionInstance) -> Path:
    """The folder of the files that hold up the tasks of the DAG ``starts``."""
    folder = airflow.home / "hold"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


@pytest.fixture(autouse=True)
def _forgetful(sandbox: Sandbox) -> None:
    sandbox.reset()


def plan(sandbox: Sandbox, *words: dict[str, str], times: int | None = None) -> None:
    """Let the jobs of all vendors that are started next be in these states, one after the other."""
    for vendor in VENDORS:
        timeline = [(float(number), states[vendor]) for number, states in enumerate(words)]
        sandbox.plan_start(vendor, timeline, times=times)


def started(sandbox: Sandbox) -> dict[str, int]:
    """How many jobs each vendor has started."""
    return {vendor: len(sandbox.started_ids(vendor)) for vendor in VENDORS}


def wait_until_started(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """Wait until each task has started a job."""
    everything = dict.fromkeys(VENDORS, len(MODES))
    airflow.wait_for(
        lambda: started(sandbox) == everything, 90, what=lambda: f"all to be started: {started(sandbox)}"
    )


def check_success(airflow: ProductionInstance, sandbox: Sandbox, run_id: str) -> None:
    """Every task has succeeded, and returned the one job that it has started."""
    airflow.wait_for_run("starts", run_id, 180)
    tasks = {task["task_id"]: task["state"] for task in airflow.task_instances("starts", run_id)}
    logs = {
        name: airflow.task_log("starts", run_id, name, 2)
        for name, state in tasks.items()
        if state != "success"
    }
    assert tasks == dict.fromkeys(TASKS, "success"), logs
    returned: dict[str, list[str]] = {}
    for name in TASKS:
        value = airflow.xcom("starts", run_id, name)
        (job,) = value if isinstance(value, list) else [value]
        returned.setdefault(name.partition("_")[0], []).append(job["id"])
    for vendor in VENDORS:
        assert sorted(returned[vendor]) == sorted(sandbox.started_ids(vendor)), vendor


@pytest.mark.parametrize(
    "stage",
    [pytest.param(stage, marks=pytest.mark.long if stage in LONG else ()) for stage in STAGES],
)
def test_killed_workers_start_one_job(
    stage: str, airflow: ProductionInstance, sandbox: Sandbox, hold: Path
) -> None:
    if stage in HELD_STAGES:
        for name in TASKS:
            (hold / f"{name}.{stage}").touch()
    if stage == "before_the_answer":
        for vendor, path in STARTS.items():
            sandbox.add_fault(Fault(vendor, "POST", path, delay=300, after=True, times=len(MODES)))
    plan(sandbox, RUNNING, *([] if stage == "while_it_waits" else [SUCCEEDED]))
    run_id = airflow.trigger("starts", {})
    if stage in HELD_STAGES:
        airflow.wait_for(
            lambda: len(list(hold.glob("*.held"))) == len(TASKS),
            60,
            what=lambda: (
                f"all tasks to be held up, not {[file.name for file in hold.glob('*.held')]}; "
                f"{[(t['task_id'], t['state']) for t in airflow.task_instances('starts', run_id)]} "
                f"{airflow.task_log('starts', run_id, TASKS[0])}"
            ),
        )
    else:
        wait_until_started(airflow, sandbox)
    if stage == "while_it_waits":
        airflow.wait_for(
            lambda: (
                [task["state"] for task in airflow.task_instances("starts", run_id)].count("deferred") == 4
            ),
            60,
            what="four tasks to be deferred",
        )
    assert sum(started(sandbox).values()) == (0 if stage == "before_the_request" else len(TASKS))
    killed = [name for name in TASKS if stage != "while_it_waits" or name.endswith("blocking")]
    for name in killed:
        airflow.kill_task("starts", run_id, name)
    for file in hold.iterdir():
        file.unlink()
    sandbox.clear_faults()
    if stage == "while_it_waits":
        airflow.wait_for(
            lambda: all(
                task["try_number"] == 2
                for task in airflow.task_instances("starts", run_id)
                if task["task_id"] in killed
            ),
            90,
            what="the second tries",
        )
        for vendor in VENDORS:
            for job_id in sandbox.job_ids(vendor):
                sandbox.set_state(vendor, job_id, SUCCEEDED[vendor])
    check_success(airflow, sandbox, run_id)
    tries = {task["task_id"]: task["try_number"] for task in airflow.task_instances("starts", run_id)}
    assert {name for name, number in tries.items() if number > 1} == set(killed)


@pytest.mark.long
def test_lost_answers(airflow: ProductionInstance, sandbox: Sandbox, hold: Path) -> None:
    for vendor, path in STARTS.items():
        sandbox.add_fault(Fault(vendor, "POST", path, drop="before", after=True, times=len(MODES)))
    plan(sandbox, RUNNING, SUCCEEDED)
    run_id = airflow.trigger("starts", {})
    check_success(airflow, sandbox, run_id)
    assert started(sandbox) == dict.fromkeys(VENDORS, len(MODES))


@pytest.mark.long
def test_a_retry_after_a_failure_starts_another_job(
    airflow: ProductionInstance, sandbox: Sandbox, hold: Path
) -> None:
    plan(sandbox, RUNNING, FAILED, times=len(MODES))
    plan(sandbox, RUNNING, SUCCEEDED)
    run_id = airflow.trigger("starts", {})
    airflow.wait_for_run("starts", run_id, 180)
    tasks = {task["task_id"]: task for task in airflow.task_instances("starts", run_id)}
    assert {name: task["state"] for name, task in tasks.items()} == dict.fromkeys(TASKS, "success")
    assert {task["try_number"] for task in tasks.values()} == {2}
    assert started(sandbox) == dict.fromkeys(VENDORS, 2 * len(MODES))


def test_cleared_while_deferred(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """The job is cancelled once, and the new try starts another one."""
    plan(sandbox, RUNNING, times=1)
    plan(sandbox, RUNNING, SUCCEEDED, times=1)
    run_id = airflow.trigger("starts_cleared", {})

    def deferred() -> bool:
        tasks = airflow.task_instances("starts_cleared", run_id)
        return len(tasks) == len(CLEARED) and all(task["triggerer_job"] for task in tasks)

    airflow.wait_for(deferred, 90, what="all tasks to be deferred")
    for vendor in CLEARED:
        airflow.clear_task("starts_cleared", run_id, vendor)
    airflow.wait_for_run("starts_cleared", run_id, 180)
    states = {task["task_id"]: task["state"] for task in airflow.task_instances("starts_cleared", run_id)}
    assert states == dict.fromkeys(CLEARED, "success"), airflow.task_log(
        "starts_cleared", run_id, CLEARED[0], 2
    )
    for vendor in CLEARED:
        value = airflow.xcom("starts_cleared", run_id, vendor)
        (job,) = value if isinstance(value, list) else [value]
        first, second = sandbox.started_ids(vendor)
        assert job["id"] == second
        stops = [
            request
            for request in sandbox.requests(vendor)
            if request.method == "POST" and first in request.path
        ]
        assert len(stops) == 1, stops
