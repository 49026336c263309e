# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A sensor's wait, handed over from its worker to the triggerer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.sensors.workerless import ending, wait_arguments
from airflow_provider_ingestjobs.vendor_task import TIMEOUT_SLACK
from airflow_provider_ingestjobs.wait_target import describe_target

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


def defer_wait(
    sensor: IngestJobSensor[Any], target: list[str] | Selection, began: datetime, context: Context
) -> None:
    """Defer a task until its jobs have ended.

    :param sensor: the task.
    :param target: what it waits for.
    :param began: when its wait began.
    :param context: its context.
    :raises TaskDeferred: always, which is how Airflow is told.
    :raises InvalidInput: for an unusable connection: it fails here, at once, and not in the triggerer.
    """
    from airflow_provider_ingestjobs.triggers.job import DEFERRAL_XCOM_KEY, IngestJobTrigger
    from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger

    sensor.hook.settings  # noqa: B018 - looks it up
    timeout = sensor.deferred_for(sensor.timeout)
    arguments = sensor.trigger_arguments(began, timeout, **wait_arguments(sensor))
    arguments["end"] = ending(sensor)
    if sensor.cancel_on_kill:
        context["ti"].xcom_push(key=DEFERRAL_XCOM_KEY, value=arguments["started_at"])
    name = describe_target(target, sensor.hook_class.vendor)
    sensor.log.info("Waiting for %s until %s, deferred", name, began + timeout)
    sensor.defer(
        trigger=JobSelectionTrigger(selection=target.to_dict(), **arguments)
        if isinstance(target, Selection)
        else IngestJobTrigger(job_ids=target, cancel_on_kill=sensor.cancel_on_kill, **arguments),
        method_name="execute_complete",
        timeout=max(began + timeout - clock.now(), timedelta(0)) + TIMEOUT_SLACK,
    )
