# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which parts of a sensor's task need a worker, and what a trigger is told of those that do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_ingestjobs.airflow_compat import ENDS_FROM_TRIGGER, STARTS_FROM_TRIGGER, conf
from airflow_provider_ingestjobs.arguments import check_flag, to_utc
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.for_triggers import class_path
from airflow_provider_ingestjobs.vendor_task import TIMEOUT_SLACK
from airflow_provider_ingestjobs.wait_target import UPSTREAM

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

T = TypeVar("T")

#: What a subclass may have made its own, and a triggerer would leave out.
OWN_METHODS = (
    "execute",
    "execute_complete",
    "poke",
    "resume_execution",
    "pre_execute",
    "post_execute",
    "get_template_env",
    "prepare_template",
    "render_template",
    "render_template_fields",
)
#: What an author may have given a task instead.
GIVEN_HOOKS = ("pre_execute", "post_execute")
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
            "cancel_on_kill": sensor.cancel_on_kill,
            "end": ending(sensor),
            "wait": wait_arguments(sensor),
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


def wait_arguments(sensor: IngestJobSensor[Any]) -> dict[str, Any]:
    """Return what a trigger is told of how often to look, and what to bear.

    :param sensor: the task.
    """
    longest = sensor.max_wait.total_seconds() if sensor.max_wait else sensor.timeout
    return {
        "poll_interval": sensor.poke_interval,
        "max_poll_interval": longest if sensor.exponential_backoff else None,
        "missing_grace": sensor.missing_grace,
        "failed_grace": sensor.failed_grace,
    }


def ending(sensor: IngestJobSensor[Any]) -> dict[str, Any] | None:
    """Return what a trigger needs to end a task, or why it must not; ``None`` if it is not asked to.

    :param sensor: the task, rendered.
    """
    if not sensor.end_from_trigger:
        return None
    if reason := why_worker_ends(sensor):
        return {"worker": reason}
    returns = "job" if sensor.wait_target.is_single else "jobs"
    return {
        "expected_states": sorted(state.value for state in sensor.expected_states),
        "checks": dict(sensor.checks),
        "returns": returns if sensor.do_xcom_push else "nothing",
        "include_raw": sensor.include_raw,
    }


def why_worker_ends(sensor: IngestJobSensor[Any]) -> str:
    """Return why only a worker can end a task; empty if it is not needed.

    :param sensor: the task.
    """
    return next((reason for reason, holds in WORKER_ENDS.items() if holds(sensor)), "") or own_parts(sensor)


def _what_to_wait_for(sensor: IngestJobSensor[Any]) -> dict[str, Any]:
    """Return what a DAG's trigger is told of a wait.

    :raises InvalidInput: if it cannot be told that.
    """
    target = sensor.wait_target
    return {
        "target": {
            **vars(target),
            "job_id": _portable("job_id", target.job_id),
            "filters": {name: _portable(name, value) for name, value in target.filters.items()},
            "moments": {name: _portable(name, value) for name, value in target.moments.items()},
        },
        "conn_id": _portable("conn_id", sensor.conn_id),
        "hook_params": {name: _portable(name, value) for name, value in sensor.hook_params.items()},
        "hook": class_path(sensor.hook_class),
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


def own_parts(sensor: IngestJobSensor[Any]) -> str:
    """Return what a sensor's class or author has added to it that runs in a worker; empty if nothing.

    :param sensor: the task.
    """
    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

    cls = type(sensor)
    own = [name for name in OWN_METHODS if getattr(cls, name) is not getattr(IngestJobSensor, name)]
    given = [name for name in GIVEN_HOOKS if getattr(sensor, f"_{name}_hook", None) is not None]
    return f"{cls.__name__} has its own {', '.join([*own, *given])}" if own or given else ""


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
#: Why only a worker can end a task, and what tells.
WORKER_ENDS: Mapping[str, Callable[[Any], object]] = {
    "this version of Airflow cannot end a task from its trigger": lambda _: not ENDS_FROM_TRIGGER,
    "its check is a function": lambda sensor: sensor.check,
    "only a worker makes the events of its outlets": lambda sensor: sensor.outlets,
    "only a worker checks its inlets": lambda sensor: sensor.inlets,
    "only a worker calls its on_success_callback": lambda sensor: sensor.on_success_callback,
    "only a worker stores multiple_outputs": lambda sensor: getattr(sensor, "multiple_outputs", False),
    "only a worker renders its map_index_template": lambda sensor: sensor.map_index_template,
    "only a worker stores the DAG's result": lambda sensor: getattr(sensor, "returns_dag_result", False),
    "a task is mapped over its result": lambda sensor: (
        sensor.get_dag() is not None and any(sensor.iter_mapped_dependants())
    ),
}


def flag_or_setting(
    name: str, value: bool | None, deferrable: bool, default_args: Mapping[str, Any] | None
) -> bool:
    """Return a flag; where it was not given, the setting ``[ingestjobs] workerless``.

    :param name: the argument, for the error.
    :param value: what was given.
    :param deferrable: whether the task waits in the triggerer: in a worker, the flag would do nothing.
    :param default_args: what the DAG gives all its tasks, and so also those that it does not concern.
    :raises InvalidInput: for what is no flag, and for one that would do nothing.
    """
    if value is None:
        return bool(conf.getboolean("ingestjobs", "workerless", fallback=False))
    if check_flag(name, value) and not deferrable and not (default_args or {}).get(name):
        raise InvalidInput(name, value, "give deferrable=True, too: this task waits in a worker")
    return value
