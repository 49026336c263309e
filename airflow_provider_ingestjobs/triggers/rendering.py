# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A sensor's templates, rendered in the triggerer to what its worker would make of them, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.triggers.ending import WorkerNeeded
from airflow_provider_ingestjobs.wait_target import UPSTREAM

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_ingestjobs.airflow_compat import Context


#: What a template's context has in the triggerer, but not as in a worker: empty, or a question that Airflow
#: never answers.
NOT_KNOWN = frozenset(
    {
        "inlet_events",
        "outlet_events",
        "prev_data_interval_end_success",
        "prev_data_interval_start_success",
        "prev_end_date_success",
        "prev_start_date_success",
        "task_reschedule_count",
        "task_state_store",
        "triggering_asset_events",
    }
)


def render(value: Any, trigger: BaseTrigger, context: Context) -> Any:
    """Return a trigger's arguments with all templates in them rendered.

    :param value: the arguments: JSON data.
    :param trigger: the trigger, which renders a text.
    :param context: the task's context.
    :raises WorkerNeeded: for a result that a trigger cannot read.
    :raises jinja2.TemplateError: for a template that fails, or that names what is not known here, such as a
        macro of the DAG's author.
    """
    from jinja2 import StrictUndefined

    # A part of a text that is left empty would make another job's id of it.
    env = trigger.get_template_env().overlay(undefined=StrictUndefined)
    ti = _ReadableTaskInstance(context["ti"])
    readable: Any = {name: value for name, value in context.items() if name not in NOT_KNOWN}
    readable |= {"ti": ti, "task_instance": ti, "dag_run": _Readable(context["dag_run"])}

    def rendered(value: Any) -> Any:
        if isinstance(value, str):
            return trigger.render_template(value, readable, env)
        if isinstance(value, list | tuple):
            return [rendered(one) for one in value]
        if isinstance(value, Mapping) and value.keys() == {UPSTREAM}:
            task_id, key = value[UPSTREAM]
            return ti.xcom_pull(task_ids=task_id, key=key)
        if isinstance(value, Mapping):
            return {name: rendered(one) for name, one in value.items()}
        return value

    return rendered(value)


class _Readable:
    """A run or a task instance, of which a template may read what Airflow has told the triggerer.

    What it has not told has a default there, which a worker would not see.
    """

    def __init__(self, told: Any) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        fields = getattr(type(self._told), "model_fields", {})
        if name == "consumed_asset_events" or (name in fields and name not in self._told.model_fields_set):
            raise WorkerNeeded(f"the triggerer does not know the run's {name}")
        return getattr(self._told, name)


class _ReadableTaskInstance(_Readable):
    """A task instance that pulls XComs as Airflow answers a trigger.

    Asked for the results of all maps of a task, as it is where no map is named, Airflow never answers.
    """

    def xcom_pull(self, task_ids: Any = None, **kwargs: Any) -> Any:
        """Return an XCom of a task that is not mapped.

        :param task_ids: the task.
        :param kwargs: see Airflow's ``xcom_pull``.
        :raises WorkerNeeded: if there is none: the task may be mapped.
        """
        value = self._told.xcom_pull(task_ids=task_ids, **{"map_indexes": None, **kwargs})
        if value is None or not (task_ids is None or isinstance(task_ids, str)):
            raise WorkerNeeded(f"the triggerer cannot read the result of {task_ids!r}, or there is none")
        return value
