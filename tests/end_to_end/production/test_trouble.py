# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The vendors, the secrets backend or very many killed tasks are trouble; every task still ends right."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.runs import Run, start
from support.vendor_jobs import SUCCEEDED, add_job
from support.vendors import BY_NAME

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance
    from support.troubled_secrets import Secrets

pytestmark = pytest.mark.end_to_end

#: The tasks of the DAG ``interrupted``.
WAITS = {f"{vendor}_survives": vendor for vendor in BY_NAME} | {
    f"{vendor}_{case}": vendor
    for vendor in ("amperity", "adverity", "polaris")
    for case in ("marked", "marked_plain")
}


def end_well(run: Run) -> None:
    """End all jobs, and see that no task was tried twice and no job cancelled."""
    for task_id in run.jobs:
        run.end_job(task_id, SUCCEEDED)
    assert run.ends() == dict.fromkeys(run.jobs, "success")
    assert {task["try_number"] for task in run.tasks().values()} == {1}
    assert run.asked_to_cancel() == {}


@pytest.mark.long
def test_vendors_in_trouble(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    """Waits go on while their vendor is down, refuses more requests, hangs, or breaks off its answers."""
    run = start(airflow, sandbox, "interrupted", WAITS)
    run.wait_until_deferred(run.jobs)
    sandbox.add_fault(Fault("amperity", status=503, times=None))
    sandbox.add_fault(Fault("adverity", status=429, headers={"Retry-After": "5"}, times=None))
    sandbox.add_fault(Fault("polaris", delay=25, times=None))
    sandbox.add_fault(Fault("narrative", drop="mid_body", times=None))
    time.sleep(10)
    for task_id in run.jobs:
        run.end_job(task_id, SUCCEEDED)
    time.sleep(5)
    assert {task["state"] for task in run.tasks().values()} == {"deferred"}
    sandbox.clear_faults()
    end_well(run)


@pytest.mark.long
def test_slow_secrets_backend(airflow: ProductionInstance, sandbox: Sandbox, secrets: Secrets) -> None:
    """Where each look-up takes two seconds, tasks only take longer."""
    secrets.trouble(delay=2)
    run = start(airflow, sandbox, "interrupted", WAITS)
    run.wait_until_deferred(run.jobs)
    end_well(run)


def test_failing_secrets_backend(airflow: ProductionInstance, sandbox: Sandbox, secrets: Secrets) -> None:
    """Triggerers that start while no connection can be looked up take the waits up once one can."""
    run = start(airflow, sandbox, "interrupted", WAITS)
    run.wait_until_deferred(run.jobs)
    before = airflow.triggerers()
    for component in airflow.of_kind("triggerer"):
        airflow.kill(component)
    secrets.trouble(fails=True)
    for component in airflow.of_kind("triggerer"):
        airflow.start(component)
    airflow.wait_for(
        lambda: not run.triggerers() & {0, *before}, 90, what="the new triggerers to take the waits up"
    )
    asked = len(sandbox.requests())
    time.sleep(10)
    assert {task["state"] for task in run.tasks().values()} == {"deferred"}
    assert len(sandbox.requests()) == asked
    secrets.trouble()
    end_well(run)


def mapped(airflow: ProductionInstance, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """The instances of the mapped task ``wait``."""
    return [task for task in airflow.task_instances(dag_id, run_id) if task["task_id"] == "wait"]


def stops(sandbox: Sandbox, vendor: str, job_ids: list[str]) -> Counter[str]:
    """How many requests to stop each job the vendor has taken."""
    taken: Counter[str] = Counter()
    for request in sandbox.requests(vendor):
        if request.method != "GET" and request.status is not None and request.status < 400:
            parts = {part.removeprefix("wf-") for part in request.path.split("/")}
            taken.update(parts.intersection(job_ids))
    return taken


@pytest.mark.long
@pytest.mark.parametrize(
    ("vendor", "count", "per_second"),
    [
        ("amperity", 50, 10),
        pytest.param("amperity", 200, 10, marks=pytest.mark.long),
        pytest.param("polaris", 500, None, marks=pytest.mark.long),
    ],
)
def test_mass_kill(
    vendor: str, count: int, per_second: float | None, airflow: ProductionInstance, sandbox: Sandbox
) -> None:
    """Each job of a run marked as failed is stopped once, whatever the vendor's limit; logs tell it."""
    dag_id, job_ids = f"many_{vendor}", [add_job(sandbox, vendor) for _ in range(count)]
    run_id = airflow.trigger(dag_id, {"job_ids": job_ids})
    airflow.wait_for(
        lambda: (
            len(tasks := mapped(airflow, dag_id, run_id)) == count
            and all(task["triggerer_job"] for task in tasks)
        ),
        120 + count,
        what="all to be deferred",
        interval=2,
    )
    began = time.monotonic()
    sandbox.rate_limit(vendor, per_second)
    try:
        airflow.set_run_state(dag_id, run_id, "failed")
        airflow.wait_for(
            lambda: len(stops(sandbox, vendor, job_ids)) == count,
            60 + count,
            what=lambda: f"all jobs to be stopped, not {len(stops(sandbox, vendor, job_ids))} of {count}",
        )
        took = time.monotonic() - began
        time.sleep(5)
    finally:
        sandbox.rate_limit(vendor, None)
    assert stops(sandbox, vendor, job_ids) == Counter(job_ids)
    triggerers = "".join(airflow.log_file(name).read_text() for name in airflow.of_kind("triggerer"))
    untold = []
    in_task_log = 0
    for task in mapped(airflow, dag_id, run_id):
        job_id = job_ids[task["map_index"]]
        log = airflow.task_log(dag_id, run_id, "wait", map_index=task["map_index"])
        outcome = f"job {job_id} was asked to stop"
        in_task_log += outcome in log
        if outcome not in log and not ("will be in the triggerer's log" in log and outcome in triggerers):
            untold.append(job_id)
    assert untold == []
    print(f"{count} jobs stopped after {took:.0f} s; told in the task's own log: {in_task_log}")
