# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Tasks that processes are killed under; a task finds its job id in the param of its own name.

A task whose file ``hold/<task id>`` exists stays in front of its ``execute`` or, resumed, in front of
``execute_complete``; ``hold/<task id>.held`` tells that it is there.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_ingestjobs.operators.adverity import AdverityCancelJobOperator
from airflow_provider_ingestjobs.operators.amperity import AmperityCancelJobOperator
from airflow_provider_ingestjobs.operators.polaris import PolarisCancelJobOperator
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

HOLD = Path(os.environ.get("AIRFLOW_HOME", ".")) / "hold"


def hold(context: Any) -> None:
    """Stay here while the task's file exists."""
    file = HOLD / context["ti"].task_id
    while file.exists():
        file.with_suffix(".held").touch()
        time.sleep(0.2)


WAITING: dict[str, Any] = {"deferrable": True, "timeout": 240, "pre_execute": hold}
RETRIED: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(0)}

with DAG("crashes", schedule=None, catchup=False, params={}, default_args={**WAITING, **RETRIED}) as crashes:
    for stage, sensor in {
        "before_execute": PolarisJobSensor,
        "deferred": AdverityJobSensor,
        "ended": AmperityJobSensor,
        "resuming": PolarisJobSensor,
    }.items():
        name = f"sensor_{stage}"
        sensor(task_id=name, job_id="{{ params." + name + " }}", poke_interval=1, cancel_on_kill=True)
    for stage, operator in {
        "before_execute": PolarisCancelJobOperator,
        "asked": AmperityCancelJobOperator,
        "deferred": AdverityCancelJobOperator,
        "ended": AmperityCancelJobOperator,
        "resuming": PolarisCancelJobOperator,
    }.items():
        name = f"cancel_{stage}"
        operator(task_id=name, job_id="{{ params." + name + " }}", poll_interval=1)

with DAG("user_actions", schedule=None, catchup=False, params={}, default_args=WAITING) as user_actions:
    for action in ("cleared", "marked_success", "left_alone"):
        for vendor, sensor in {"polaris": PolarisJobSensor, "amperity": AmperityJobSensor}.items():
            name = f"{vendor}_{action}"
            sensor(task_id=name, job_id="{{ params." + name + " }}", poke_interval=1, cancel_on_kill=True)

with DAG("several", schedule=None, catchup=False, params={}, default_args=WAITING) as several:
    PolarisJobSensor(
        task_id="wait",
        job_id=["{{ params.first_job }}", "{{ params.second_job }}"],
        poke_interval=1,
        cancel_on_kill=True,
    )

with DAG("several_in_a_worker", schedule=None, catchup=False, params={}) as several_in_a_worker:
    PolarisJobSensor(
        task_id="wait",
        job_id=["{{ params.first_job }}", "{{ params.second_job }}"],
        poke_interval=1,
        timeout=300,
        deferrable=False,
        cancel_on_kill=True,
    )

with DAG(
    "storm",
    schedule=None,
    catchup=False,
    params={},
    max_active_tasks=100,
    default_args={"timeout": 600, "retries": 8, "retry_delay": timedelta(0)},
) as storm:
    for number in range(3):
        for vendor, sensor in {
            "polaris": PolarisJobSensor,
            "amperity": AmperityJobSensor,
            "adverity": AdverityJobSensor,
            "narrative": NarrativeJobSensor,
        }.items():
            for mode in ("deferred", "poke"):
                name = f"{vendor}_{mode}_{number}"
                sensor(
                    task_id=name,
                    job_id="{{ params." + name + " }}",
                    poke_interval=1,
                    deferrable=mode == "deferred",
                )
        for vendor, operator in {
            "polaris": PolarisCancelJobOperator,
            "amperity": AmperityCancelJobOperator,
            "adverity": AdverityCancelJobOperator,
        }.items():
            name = f"{vendor}_cancel_{number}"
            operator(task_id=name, job_id="{{ params." + name + " }}", poll_interval=1, deferrable=number > 0)


@task
def job_ids(params: Any = None) -> list[str]:
    """Return the jobs that the run was started with."""
    return list(params["job_ids"])


with DAG("many_amperity", schedule=None, catchup=False, params={}, default_args=WAITING) as many_amperity:
    AmperityJobSensor.partial(task_id="wait", poke_interval=5, cancel_on_kill=True).expand(job_id=job_ids())

with DAG("many_polaris", schedule=None, catchup=False, params={}, default_args=WAITING) as many_polaris:
    PolarisJobSensor.partial(task_id="wait", poke_interval=5, cancel_on_kill=True).expand(job_id=job_ids())

with DAG("hanging", schedule=None, catchup=False, params={}) as hanging:
    NarrativeJobSensor(
        task_id="times_out", job_id="{{ params.times_out }}", poke_interval=1, timeout=15, deferrable=True
    )

with DAG("short", schedule=None, catchup=False, params={}, max_active_tasks=100) as short:
    for number in range(12):
        NarrativeJobSensor(
            task_id=f"short_{number}", job_id="{{ params.job_id }}", poke_interval=1, deferrable=True
        )
