# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a task's run says about time: what jobs it is about, and when its wait began."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import first_reschedule
from airflow_provider_ingestjobs.resuming import resume_lag

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import BaseSensorOperator, Context


#: How long after a run without a data interval jobs may start.
LOOK_AHEAD = timedelta(days=1)


def default_window(context: Context, look_back: float) -> tuple[datetime, datetime]:
    """Return when the jobs that a run is about started, unless its author says so.

    It depends on the run alone: a run that is cleared looks for the same jobs again.

    :param context: the task's context.
    :param look_back: seconds before a run without a data interval in which jobs may have started.
    """
    run: Any = context["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if start is not None and end is not None and start < end:
        return start, end
    # Runs started by hand or by assets have no interval; those of a cron trigger have one of zero length.
    moment = end or run.logical_date or getattr(run, "run_after", None) or getattr(run, "queued_at", None)
    moment = moment or clock.now()
    return moment - timedelta(seconds=look_back), moment + LOOK_AHEAD


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
