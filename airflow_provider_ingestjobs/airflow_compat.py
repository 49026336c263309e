# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where Airflow keeps the names that this package uses, which is not the same place in every version.

No other module here knows. A name is looked up when it is imported from here, so that a process imports of
Airflow what it uses, and no more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from airflow import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.sdk import (
        DAG,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        Context,
        PokeReturnValue,
        TaskGroup,
        XComArg,
    )
    from airflow.sdk._shared.observability.metrics.stats import Stats
    from airflow.sdk.configuration import conf
    from airflow.sdk.definitions.retry_policy import RetryPolicy
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
    )
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.log import mask_secret
    from airflow.sdk.types import TaskInstanceKey

__all__ = [
    "AIRFLOW_3",
    "DAG",
    "ENDS_FROM_TRIGGER",
    "HAS_PLUGIN_PAGES",
    "STARTS_FROM_TRIGGER",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Connection",
    "Context",
    "PokeReturnValue",
    "RetryPolicy",
    "Stats",
    "TaskDeferred",
    "TaskGroup",
    "TaskInstanceKey",
    "XCom",
    "XComArg",
    "conf",
    "first_reschedule",
    "mask_secret",
    "task_state_store",
    "without_envelope",
]

AIRFLOW_3 = not __version__.startswith("2.")
#: Whether a trigger can end its task as a worker would: in Airflow 3.0, it cannot store the task's result.
ENDS_FROM_TRIGGER = not __version__.startswith("3.0.")
#: Whether a trigger that the scheduler has made is told of its run.
STARTS_FROM_TRIGGER = AIRFLOW_3 and not __version__.startswith(("3.0.", "3.1.", "3.2."))
#: Whether a plugin's page in the UI has what ours needs: 3.1.0 lets no plugin see who has logged in.
HAS_PLUGIN_PAGES = AIRFLOW_3 and not __version__.startswith("3.0.") and __version__ != "3.1.0"

EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
#: The newest home first: an older one may have another object of that name, or warn. The names that are not
#: here are for annotations alone.
HOMES = {
    "AirflowException": EXCEPTIONS,
    "AirflowFailException": EXCEPTIONS,
    "AirflowNotFoundException": EXCEPTIONS,
    "AirflowRescheduleException": EXCEPTIONS,
    "AirflowSensorTimeout": EXCEPTIONS,
    "AirflowSkipException": EXCEPTIONS,
    "AirflowTaskTimeout": EXCEPTIONS,
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Connection": ("airflow.sdk", "airflow.models.connection"),
    "DAG": ("airflow.sdk", "airflow.models.dag"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "Stats": ("airflow.sdk.observability.stats", "airflow.observability.stats", "airflow.stats"),
    "TaskDeferred": EXCEPTIONS,
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "mask_secret": (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ),
}

if not TYPE_CHECKING:  # which would take any name for one that is here

    def __getattr__(name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        reasons = []
        for home in HOMES[name]:
            try:
                return getattr(import_module(home), name)
            except (ImportError, AttributeError) as error:
                reasons.append(str(error))
        raise ImportError(f"Airflow {__version__} has no {name}: {'; '.join(reasons)}")


def first_reschedule(context: Context, sensor: BaseSensorOperator) -> datetime | None:
    """Return when an earlier process of a rescheduled sensor looked first; ``None`` if there was none.

    :param context: the task's context.
    :param sensor: the sensor.
    """
    ti: Any = context["ti"]
    if AIRFLOW_3:
        return cast("datetime | None", ti.get_first_reschedule_date(context))
    # There, a task's start is that of its present look. Airflow's own timeout of sensors asks this way, too.
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found]  # not in Airflow 3

    run = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    first_try = ti.max_tries - sensor.retries + 1
    return cast("datetime | None", _orig_start_date(**run, try_number=first_try))


def task_state_store(context: Context) -> Any | None:
    """Return what keeps a task instance's state from one try to the next; ``None`` before Airflow 3.3.

    :param context: the task's context.
    """
    return cast("Mapping[str, Any]", context).get("task_state_store")


def wait_in_worker(sensor: BaseSensorOperator, context: Context) -> Any:
    """Wait as Airflow's own sensors do in a worker, by ``poke``: what an overridden ``execute`` calls.

    :param sensor: the sensor.
    :param context: the task's context.
    """
    from airflow_provider_ingestjobs.airflow_compat import BaseSensorOperator

    execute: Any = BaseSensorOperator.execute
    # Airflow 2 takes the second `execute` for that of an operator within another one.
    return execute(sensor, context) if AIRFLOW_3 else execute.__wrapped__(sensor, context)


def without_envelope(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trigger's dict without what Airflow 3.2 leaves around it where an asset's watcher has it.

    It stores the names of an enumeration's members as keys, and does not know them again.

    :param stored: the dict, as the trigger's constructor gets it.
    """
    return dict(stored["Encoding.VAR"] if stored.keys() == {"Encoding.TYPE", "Encoding.VAR"} else stored)
