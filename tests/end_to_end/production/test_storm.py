# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Components are killed in any order, at any time; nothing is lost, nothing done twice."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from support.airflow_client import FINISHED_RUN_STATES
from support.runs import start
from support.vendor_jobs import CANCELLED, SUCCEEDED

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]

KILLS = 10
CANCEL_OPERATORS = {
    f"{vendor}_cancel_{number}": vendor
    for vendor in ("polaris", "amperity", "adverity")
    for number in range(3)
}
#: The tasks of the DAG ``storm``.
TASKS = CANCEL_OPERATORS | {
    f"{vendor}_{mode}_{number}": vendor
    for vendor in ("polaris", "amperity", "adverity", "narrative")
    for mode in ("deferred", "poke")
    for number in range(3)
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_kills(seed: int, airflow: ProductionInstance, sandbox: Sandbox) -> None:
    chance = random.Random(seed)
    run = start(airflow, sandbox, "storm", TASKS, CANCEL_OPERATORS)
    waits = [task_id for task_id in TASKS if task_id not in CANCEL_OPERATORS]
    chance.shuffle(waits)
    victims = [name for name in airflow.components if name != "dag-processor"]
    with airflow.supervised():
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 6))
            victim = chance.choice(victims)
            airflow.kill(victim)
            time.sleep(chance.uniform(0, 3))
            airflow.start(victim)
            for task_id in waits[:2]:
                run.end_job(task_id, SUCCEEDED)
            del waits[:2]
        airflow.wait_for(airflow.answers, 60, what="the API server to answer")
        for task_id in waits:
            run.end_job(task_id, SUCCEEDED)
        cancelled: set[str] = set()

        def has_finished() -> bool:
            for task_id in run.asked_to_cancel().keys() - cancelled:
                run.end_job(task_id, CANCELLED)
                cancelled.add(task_id)
            return airflow.run_state(run.dag_id, run.run_id) in FINISHED_RUN_STATES

        airflow.wait_for(
            has_finished, 300, what=lambda: f"its end: { {n: t['state'] for n, t in run.tasks().items()} }"
        )
    assert {name: task["state"] for name, task in run.tasks().items()} == dict.fromkeys(TASKS, "success")
    for task_id in TASKS:
        state = "cancelled" if task_id in CANCEL_OPERATORS else "succeeded"
        assert airflow.xcom(run.dag_id, run.run_id, task_id)["state"] == state
    assert run.asked_to_cancel() == dict.fromkeys(CANCEL_OPERATORS, 1)
