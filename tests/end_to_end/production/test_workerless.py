# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waits that need no worker lose their triggerers in each stage; every task ends right, and in time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.runs import Run
from support.vendor_jobs import SUCCEEDED, add_job

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance

pytestmark = pytest.mark.end_to_end

#: The tasks of the DAG ``workerless_crashes``, which are named after where they are at the second kill.
TASKS = {"deferred": "narrative", "waiting": "adverity", "ended": "amperity", "judging": "polaris"}


def test_triggerers_killed_at_every_stage(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    triggerers = airflow.of_kind("triggerer")
    for name in triggerers:
        airflow.kill(name)
    rows = {"judging": {"read": 5}}
    jobs = {name: add_job(sandbox, vendor, rows=rows.get(name)) for name, vendor in TASKS.items()}
    run_id = airflow.trigger("workerless_crashes", jobs)
    run = Run(airflow, sandbox, "workerless_crashes", run_id, TASKS, jobs)

    def states() -> set[str]:
        return {str(task["state"]) for task in run.tasks().values()}

    airflow.wait_for(lambda: states() == {"deferred"}, 60, what="the scheduler to defer the tasks")
    for name in triggerers:
        airflow.start(name)
    run.wait_until_deferred(run.jobs)

    def are_read() -> bool:
        return all("is running" in run.log(task_id) for task_id in run.jobs)

    airflow.wait_for(are_read, 60, what="all jobs to be read")

    # One job has ended, and nobody has been told; of another one, nobody has its rows.
    rows_of_judging = f"/{jobs['judging']}/metrics$"
    sandbox.add_fault(Fault("amperity", "GET", f"/{jobs['ended']}$", delay=12, times=None))
    sandbox.add_fault(Fault("polaris", "GET", rows_of_judging, drip=1, times=None))
    run.end_job("ended", SUCCEEDED)
    run.end_job("judging", SUCCEEDED)

    def is_judged() -> bool:
        return any(re.search(rows_of_judging, request.path) for request in sandbox.requests("polaris"))

    airflow.wait_for(is_judged, 60, what="the rows to be asked for")
    for name in triggerers:
        airflow.kill(name)
    sandbox.clear_faults()
    for name in triggerers:
        airflow.start(name)
    run.end_job("deferred", SUCCEEDED)
    run.end_job("waiting", SUCCEEDED)
    assert run.ends() == dict.fromkeys(TASKS, "success")

    for task_id in TASKS:
        assert airflow.xcom("workerless_crashes", run.run_id, task_id)["state"] == "succeeded"
        log = run.log(task_id)
        deadlines = re.findall(r"Waiting for .* until (\S+ \S+), started in the triggerer", log)
        # All triggerers that had the wait have told of the same deadline.
        assert len(deadlines) >= 2, log
        assert len(set(deadlines)) == 1, log
        assert "Pre Execute" not in log
    assert {task["try_number"] for task in run.tasks().values()} == {1}
