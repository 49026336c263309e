# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every way of waiting and cancelling, side by side; a task finds its job id in the param of its own name."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_ingestjobs.airflow_compat import DAG
from airflow_provider_ingestjobs.operators.adverity import AdverityCancelJobOperator
from airflow_provider_ingestjobs.operators.amperity import AmperityCancelJobOperator
from airflow_provider_ingestjobs.operators.polaris import PolarisCancelJobOperator
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

SENSORS = {
    "amperity": AmperityJobSensor,
    "adverity": AdverityJobSensor,
    "polaris": PolarisJobSensor,
    "narrative": NarrativeJobSensor,
}
CANCEL_OPERATORS = {
    "amperity": AmperityCancelJobOperator,
    "adverity": AdverityCancelJobOperator,
    "polaris": PolarisCancelJobOperator,
}


def job_of(task_id: str) -> str:
    """A job id that the run's conf names under the task's id."""
    return "{{ params." + task_id + " }}"


with DAG("waits", schedule=None, catchup=False, params={}) as waits:
    for vendor, sensor in SENSORS.items():
        for end in ("succeeds", "fails"):
            name = f"{vendor}_{end}"
            sensor(task_id=name, job_id=job_of(name), poke_interval=1, timeout=120, deferrable=True)
        for mode in ("poke", "reschedule"):
            name = f"{vendor}_{mode}"
            # Airflow mixes up a task's two runs if the second is queued before it saw the first one end.
            sensor(
                task_id=name,
                job_id=job_of(name),
                poke_interval=4,
                timeout=120,
                mode=mode,
                deferrable=False,
                # A sensor is no operator within another one.
                allow_nested_operators=False,
            )
    for vendor, operator in CANCEL_OPERATORS.items():
        for case in ("cancels", "already_ended", "refused"):
            name = f"{vendor}_{case}"
            operator(task_id=name, job_id=job_of(name), poll_interval=1, timeout=120, deferrable=True)
        name = f"{vendor}_unconfirmed"
        operator(
            task_id=name, job_id=job_of(name), poll_interval=1, timeout=timedelta(seconds=5), deferrable=True
        )
        name = f"{vendor}_cancels_blocking"
        operator(task_id=name, job_id=job_of(name), poll_interval=1, timeout=120, deferrable=False)
    NarrativeJobSensor(
        task_id="soft_fails",
        job_id=job_of("soft_fails"),
        poke_interval=1,
        timeout=120,
        soft_fail=True,
        deferrable=True,
    )
    NarrativeJobSensor(
        task_id="times_out", job_id=job_of("times_out"), poke_interval=1, timeout=5, deferrable=True
    )

    NarrativeJobSensor(
        task_id="missing",
        job_id="not-" + job_of("missing"),
        missing_grace=2,
        poke_interval=1,
        timeout=120,
        deferrable=True,
    )

with DAG("interrupted", schedule=None, catchup=False, params={}) as interrupted:
    for vendor, sensor in SENSORS.items():
        name = f"{vendor}_survives"
        sensor(
            task_id=name,
            job_id=job_of(name),
            poke_interval=1,
            timeout=300,
            cancel_on_kill=vendor in CANCEL_OPERATORS,
            deferrable=True,
        )
        for case, cancels in (("marked", True), ("marked_plain", False)):
            if vendor in CANCEL_OPERATORS:
                name = f"{vendor}_{case}"
                sensor(
                    task_id=name,
                    job_id=job_of(name),
                    poke_interval=1,
                    timeout=300,
                    cancel_on_kill=cancels,
                    deferrable=True,
                )
