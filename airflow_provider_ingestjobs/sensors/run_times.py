# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""When a sensor's wait began, and when it looks again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import first_reschedule
from airflow_provider_ingestjobs.resuming import resume_lag

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import BaseSensorOperator, Context


def first_look(context: Context, sensor: BaseSensorOperator) -> datetime:
    """Return when a sensor's first look was, which in reschedule mode was in another process.

    :param context: the task's context.
    :param sensor: the sensor.
    """
    now = clock.now()
    return min(earlier_look(context, sensor) or now, now)


def earlier_look(context: Context, sensor: BaseSensorOperator) -> datetime | None:
    """Return when an earlier process of this sensor looked first; ``None`` if there was none.

    :param context: the task's context.
    :param sensor: the sensor.
    """
    return first_reschedule(context, sensor) if sensor.reschedule else None


def next_look(planned: datetime, rests_until: datetime | None, deadline: datetime) -> datetime:
    """Return when a rescheduled sensor looks again.

    :param planned: when its interval says so.
    :param rests_until: until when the vendor wants to be left alone; the next process would not know.
    :param deadline: when the wait's time is up, which no pause outlasts.
    """
    pause_ends = min(rests_until or planned, deadline)
    return max(planned, pause_ends, clock.now() + timedelta(seconds=resume_lag()))
