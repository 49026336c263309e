# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The same waits with workers and without: each pair of tasks must come to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import DAG, BaseOperator
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

QUICK: dict[str, Any] = {"poke_interval": 1, "timeout": 120, "deferrable": True}
WORKERLESS: dict[str, Any] = {"start_from_trigger": True, "end_from_trigger": True}
TWINS: dict[str, dict[str, Any]] = {"": {}, "_workerless": WORKERLESS}


class Started(BaseOperator):
    """Returns the id of a job, as the task that has started it would."""

    template_fields = ("job_id",)

    def __init__(self, *, job_id: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id

    def execute(self, context: Any) -> Any:
        return self.job_id


class AnxiousSensor(NarrativeJobSensor):
    """A sensor of somebody's own."""

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        return {**super().execute_complete(context, event), "anxious": True}


def has_name(job: Job) -> bool:
    """A check that is a function."""
    return bool(job.id)


def say_so(context: Any) -> None:
    """Tell the log."""
    context["ti"].xcom_push(key="called_back", value=True)


def of(name: str) -> str:
    """What the run's conf has under a name."""
    return "{{ params." + name + " }}"


#: What ends in the triggerer.
ENDS_HERE: dict[str, tuple[Any, dict[str, Any]]] = {
    "amperity": (AmperityJobSensor, {"job_id": of("amperity")}),
    "adverity": (AdverityJobSensor, {"job_id": of("adverity")}),
    "polaris": (
        PolarisJobSensor,
        {"job_id": of("polaris"), "checks": {"min_rows": 1, "max_error_ratio": 0.1}},
    ),
    "narrative": (NarrativeJobSensor, {"job_id": of("narrative")}),
    "several": (PolarisJobSensor, {"job_id": [of("several"), of("polaris")]}),
    "selected": (AmperityJobSensor, {"feed_id": of("feed"), "settle": 3, "min_jobs": 2}),
    "windowed": (
        AmperityJobSensor,
        {
            "feed_id": [of("feed")],
            "started_from": "{{ (dag_run.start_date - macros.timedelta(hours=1)).isoformat() }}",
            "started_to": "{{ (dag_run.start_date + macros.timedelta(hours=1)).isoformat() }}",
        },
    ),
    "pulled": (NarrativeJobSensor, {"job_id": "{{ ti.xcom_pull(task_ids='started') }}"}),
    "whole": (NarrativeJobSensor, {"job_id": of("narrative"), "include_raw": True}),
    "silent": (NarrativeJobSensor, {"job_id": of("narrative"), "do_xcom_push": False}),
    "expected": (NarrativeJobSensor, {"job_id": of("fails"), "expected_states": ["failed"]}),
}
#: What a worker ends.
ENDS_IN_WORKER: dict[str, tuple[Any, dict[str, Any]]] = {
    "fails": (NarrativeJobSensor, {"job_id": of("fails")}),
    "soft_fails": (NarrativeJobSensor, {"job_id": of("fails"), "soft_fail": True}),
    "checked": (PolarisJobSensor, {"job_id": of("polaris"), "checks": {"min_rows": 999}}),
    "times_out": (NarrativeJobSensor, {"job_id": of("runs"), "timeout": 4}),
    "missing": (NarrativeJobSensor, {"job_id": "not-" + of("runs"), "missing_grace": 2}),
    "function": (NarrativeJobSensor, {"job_id": of("narrative"), "check": has_name}),
    "called_back": (NarrativeJobSensor, {"job_id": of("narrative"), "on_success_callback": say_so}),
    "mapped_over": (PolarisJobSensor, {"job_id": [of("several"), of("polaris")]}),
    "anxious": (AnxiousSensor, {"job_id": of("narrative")}),
}
#: What a worker starts.
STARTS_IN_WORKER: dict[str, tuple[Any, dict[str, Any]]] = {
    "bad_template": (NarrativeJobSensor, {"job_id": "{{ nobody.knows }}"}),
    "bad_input": (NarrativeJobSensor, {"job_id": "a/" + of("runs")}),
    "nothing": (NarrativeJobSensor, {"job_id": "{{ ti.xcom_pull(task_ids='nobody') }}"}),
    "no_connection": (NarrativeJobSensor, {"job_id": of("narrative"), "narrative_conn_id": "nobody"}),
    "own_params": (NarrativeJobSensor, {"job_id": of("narrative"), "params": {"x": 1}}),
    "executes": (NarrativeJobSensor, {"job_id": of("narrative"), "on_execute_callback": say_so}),
}

with DAG("workerless", schedule=None, catchup=False, params={}) as workerless:
    started = Started(task_id="started", job_id=of("narrative"))
    for name, (sensor, arguments) in {**ENDS_HERE, **ENDS_IN_WORKER, **STARTS_IN_WORKER}.items():
        for suffix, flags in TWINS.items():
            task = sensor(task_id=name + suffix, **{**QUICK, **arguments}, **flags)
            if name == "pulled":
                started >> task
            if name == "mapped_over":
                Started.partial(task_id=f"over{suffix}").expand(job_id=task.output)
    for suffix, flags in TWINS.items():
        NarrativeJobSensor(task_id=f"given{suffix}", job_id=started.output, **QUICK, **flags)
        NarrativeJobSensor.partial(task_id=f"mapped{suffix}", **QUICK, **flags).expand(
            job_id=[of("narrative"), of("whole")]
        )
