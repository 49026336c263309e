# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which parts of a task's end need a worker, and what a trigger is told of those that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import ENDS_FROM_TRIGGER, conf
from airflow_provider_ingestjobs.arguments import check_flag
from airflow_provider_ingestjobs.errors import InvalidInput

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.wait_task import WaitTask

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


def wait_arguments(task: WaitTask[Any]) -> dict[str, Any]:
    """Return what a trigger is told of how often to look, and what to bear.

    :param task: the task.
    """
    return {
        "poll_interval": task.look_interval,
        "max_poll_interval": task.longest_interval,
        "missing_grace": task.missing_grace,
        "failed_grace": task.failed_grace,
    }


def ending(task: WaitTask[Any]) -> dict[str, Any] | None:
    """Return what a trigger needs to end a task, or why it must not; ``None`` if it is not asked to.

    :param task: the task, rendered.
    """
    if not task.end_from_trigger:
        return None
    if reason := why_worker_ends(task):
        return {"worker": reason}
    returns = "job" if task.wait_target.is_single else "jobs"
    return {
        "expected_states": sorted(state.value for state in task.expected_states),
        "checks": dict(task.checks),
        "returns": returns if task.do_xcom_push else "nothing",
        "include_raw": task.include_raw,
    }


def why_worker_ends(task: WaitTask[Any]) -> str:
    """Return why only a worker can end a task; empty if it is not needed.

    :param task: the task.
    """
    return next((reason for reason, holds in WORKER_ENDS.items() if holds(task)), "") or own_parts(task)


def own_parts(task: WaitTask[Any]) -> str:
    """Return what a task's class or author has added to it that runs in a worker; empty if nothing.

    :param task: the task.
    """
    from airflow_provider_ingestjobs.wait_task import WaitTask

    cls = type(task)
    ours = next(base for base in cls.__mro__ if WaitTask in base.__bases__)
    own = [name for name in OWN_METHODS if getattr(cls, name, None) is not getattr(ours, name, None)]
    given = [name for name in GIVEN_HOOKS if getattr(task, f"_{name}_hook", None) is not None]
    return f"{cls.__name__} has its own {', '.join([*own, *given])}" if own or given else ""


#: Why only a worker can end a task, and what tells.
WORKER_ENDS: Mapping[str, Callable[[Any], object]] = {
    "this version of Airflow cannot end a task from its trigger": lambda _: not ENDS_FROM_TRIGGER,
    "its check is a function": lambda task: task.check,
    "only a worker makes the events of its outlets": lambda task: task.outlets,
    "only a worker checks its inlets": lambda task: task.inlets,
    "only a worker calls its on_success_callback": lambda task: task.on_success_callback,
    "only a worker stores multiple_outputs": lambda task: getattr(task, "multiple_outputs", False),
    "only a worker renders its map_index_template": lambda task: task.map_index_template,
    "only a worker stores the DAG's result": lambda task: getattr(task, "returns_dag_result", False),
    "a task is mapped over its result": lambda task: (
        task.get_dag() is not None and any(task.iter_mapped_dependants())
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
