# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which sensors' tasks need a worker to begin, and what the scheduler makes a trigger of where none does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_ingestjobs.airflow_compat import STARTS_FROM_TRIGGER, conf
from airflow_provider_ingestjobs.arguments import to_utc
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.for_triggers import class_path
from airflow_provider_ingestjobs.vendor_task import TIMEOUT_SLACK
from airflow_provider_ingestjobs.wait_target import UPSTREAM
from airflow_provider_ingestjobs.workerless import ending, own_parts, wait_arguments

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

T = TypeVar("T")

#: The class path of what begins a wait in the triggerer. It is not imported where DAG files are read.
START_TRIGGER = "airflow_provider_ingestjobs.triggers.start.StartTrigger"
#: How much earlier than Airflow, which ends a task's deferral by its ``execution_timeout``, the wait ends.
LAST_WORD = timedelta(seconds=60)
#: The shortest ``execution_timeout`` of a task that the triggerer starts.
SHORTEST_TIMEOUT = 2 * LAST_WORD


class PerTask(Generic[T]):
    """An attribute that each task works out, and its class does not have; a mapped task has its class's.

    :param of_class: its value of the class.
    :param of_task: returns that of a task.
    """

    def __init__(self, of_class: T, of_task: Callable[[Any], T]) -> None:
        self._of_class = of_class
        self._of_task = of_task

    def __get__(self, task: Any, owner: type) -> T:
        return self._of_class if task is None else self._of_task(task)


def is_start(event: Any) -> bool:
    """Whether an event asks a worker to begin the wait.

    :param event: the event's payload.
    """
    return isinstance(event, Mapping) and event.get("status") == "start"


def warn_of_older_airflow(start_from_trigger: bool | None) -> None:
    """Warn an author whose Airflow cannot do what a task asks for.

    :param start_from_trigger: what was asked for.
    """
    if start_from_trigger and not STARTS_FROM_TRIGGER:
        text = "start_from_trigger needs Airflow 3.3 or newer, as only that tells a trigger of its run"
        warnings.warn(f"{text}: a worker starts the task", UserWarning, stacklevel=2)


def starts_from_trigger(sensor: IngestJobSensor[Any]) -> bool:
    """Whether the scheduler defers a task without a worker.

    :param sensor: the task.
    """
    return start_trigger_args(sensor) is not None


def start_trigger_args(sensor: IngestJobSensor[Any]) -> StartTriggerArgs | None:
    """Return what the scheduler makes a task's trigger of; ``None`` if a worker starts the task.

    :param sensor: the task, not rendered.
    """
    if not (sensor.deferrable and sensor.wants_start_from_trigger) or why_worker_starts(sensor):
        return None
    from airflow.triggers.base import StartTriggerArgs

    limit = sensor.deferred_for(sensor.timeout)
    timeout = limit + TIMEOUT_SLACK
    deferral = min(timeout, sensor.execution_timeout or timeout)
    return StartTriggerArgs(
        trigger_cls=START_TRIGGER,
        trigger_kwargs={
            **_what_to_wait_for(sensor),
            # Airflow's own end of the deferral could not tell how the jobs stood.
            "wait_time": min(limit, deferral - LAST_WORD).total_seconds(),
            "deferral_time": deferral.total_seconds(),
            **_given({"cancel_on_kill": sensor.cancel_on_kill, "end": _given(ending(sensor) or {})}),
            "wait": _given(wait_arguments(sensor)),
        },
        next_method="execute_complete",
        timeout=timeout,
    )


def why_worker_starts(sensor: IngestJobSensor[Any]) -> str:
    """Return why only a worker can start a task; empty if it is not needed.

    :param sensor: the task, not rendered.
    """
    if reason := next((reason for reason, holds in WORKER_STARTS.items() if holds(sensor)), ""):
        return reason
    try:
        _what_to_wait_for(sensor)
    except InvalidInput as error:
        return str(error)
    return own_parts(sensor)


def _what_to_wait_for(sensor: IngestJobSensor[Any]) -> dict[str, Any]:
    """Return what a DAG's trigger is told of a wait.

    :raises InvalidInput: if it cannot be told that.
    """
    target = sensor.wait_target
    selecting = {
        **vars(target),
        "filters": {name: _portable(name, value) for name, value in target.filters.items()},
        "moments": {name: _portable(name, value) for name, value in target.moments.items()},
    }
    by_id = {"job_id": _portable("job_id", target.job_id)}
    return {
        "target": _given(selecting) if target.job_id is None else by_id,
        "conn_id": _portable("conn_id", sensor.conn_id),
        "hook_params": {name: _portable(name, value) for name, value in sensor.hook_params.items()},
        "hook": class_path(sensor.hook_class),
    }


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not used: for each task that it starts, a triggerer reads the arguments of all."""
    return {
        name: value for name, value in arguments.items() if value not in (None, {}) and value is not False
    }


def _portable(name: str, value: Any) -> Any:
    """Return an argument in the form in which a DAG's trigger has it."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, date):
        return to_utc(name, value).isoformat()
    if isinstance(value, list | tuple):
        return [_portable(name, one) for one in value]
    if type(value).__name__ == "PlainXComArg":
        return {UPSTREAM: [value.operator.task_id, value.key]}
    raise InvalidInput(name, value, "in the triggerer, use a text, a template or a task's whole result")


def _has_checked_params(sensor: IngestJobSensor[Any]) -> bool:
    # A worker checks what a run's conf makes of them. A triggerer does not, and ends over one without value.
    own: Any = sensor.params
    dag = sensor.get_dag()
    if dag is None:
        return bool(own)
    params: Any = dag.params
    return own != params or any(
        param.schema or not param.has_value for param in (params.get_param(name) for name in params)
    )


def _has_templates_of_its_own(sensor: IngestJobSensor[Any]) -> bool:
    # The serialised DAG, which is all that a triggerer has, lacks them.
    names = ("jinja_environment_kwargs", "user_defined_filters", "user_defined_macros")
    return any(getattr(sensor.get_dag(), name, None) for name in names)


def _renders_native(sensor: IngestJobSensor[Any]) -> bool:
    own = getattr(sensor, "render_template_as_native_obj", None)
    dag = sensor.get_dag()
    return bool(own if own is not None else dag is not None and dag.render_template_as_native_obj)


#: Why only a worker can start a task, and what tells.
WORKER_STARTS: Mapping[str, Callable[[Any], object]] = {
    "Airflow 3.3 or newer is needed": lambda _: not STARTS_FROM_TRIGGER,
    "only a worker calls its on_execute_callback": lambda sensor: sensor.on_execute_callback,
    "only a worker checks its params": _has_checked_params,
    "only a worker has its DAG's macros, filters and template settings": _has_templates_of_its_own,
    "Airflow would not tell the triggerers' queues apart": lambda _: conf.getboolean(
        "triggerer", "queues_enabled", fallback=False
    ),
    "only a worker renders templates as native objects": _renders_native,
    "only a worker reads template files": lambda sensor: sensor.template_ext,
    f"its execution_timeout is shorter than {SHORTEST_TIMEOUT.seconds} seconds": lambda sensor: (
        (sensor.execution_timeout or SHORTEST_TIMEOUT) < SHORTEST_TIMEOUT
    ),
}
