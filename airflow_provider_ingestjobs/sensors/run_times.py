# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a task's run says about time: what jobs it is about, and when its wait began."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


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


def first_look(context: Context, is_rescheduled: bool) -> datetime:
    """Return when a task's first look was, which in reschedule mode was in another process.

    :param context: the task's context.
    :param is_rescheduled: whether the task waits in that mode.
    """
    now, ti = clock.now(), context["ti"]
    if not is_rescheduled:
        return now
    # Airflow 3 has to be asked; Airflow 2 keeps the first start of a task that it reschedules.
    ask = getattr(ti, "get_first_reschedule_date", None)
    first: datetime | None = ask(context) if ask else ti.start_date
    return min(first or now, now)
