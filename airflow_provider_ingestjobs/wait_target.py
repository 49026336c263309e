# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a task waits for: jobs by their ids, or those of a selection about the task's run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import (
    check_filters,
    check_job_ids,
    check_rendered,
    check_window,
    to_utc,
)
from airflow_provider_ingestjobs.selection import Selection, freeze_filters

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.vendors import Vendor

#: The key of a dict that stands for an upstream task's XCom in a trigger's arguments: the task and the key.
UPSTREAM = "ingestjobs.upstream"
#: How long after a run without a data interval jobs may start.
LOOK_AHEAD = timedelta(days=1)


@dataclass(frozen=True)
class WaitTarget:
    """What a task waits for, as its author gave it and Airflow has rendered it.

    :param job_id: the vendor's id of the job, or several; ``None`` where filters select the jobs.
    :param filters: the values of the filters that were given.
    :param moments: of ``started_from`` and ``started_to`` those that were given.
    :param look_back: seconds before a run without a data interval in which jobs may have started.
    :param min_jobs: how many selected jobs there must be at least.
    :param settle: seconds after the last end in which further jobs may still appear.
    :param latest_only: whether of the jobs with the same target only the one that started last counts.
    """

    job_id: Any = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    moments: Mapping[str, Any] = field(default_factory=dict)
    look_back: float = 0.0
    min_jobs: int = 1
    settle: float = 0.0
    latest_only: bool = False

    @property
    def is_single(self) -> bool:
        """Whether one job is waited for by its id: its task then returns a dict, not a list."""
        return isinstance(self.job_id, str | int)

    def resolve(self, context: Context, vendor: Vendor) -> list[str] | Selection:
        """Return the jobs' ids, or the selection.

        :param context: the task's context.
        :param vendor: whose jobs they are.
        :raises InvalidInput: if nothing is left of what was given, or it cannot be used.
        """
        if self.job_id is not None:
            return check_job_ids(self.job_id)
        # A filter that the author set must not have become empty, which would match any job.
        filters = {name: check_rendered(name, value) for name, value in self.filters.items()}
        if not check_filters(filters, vendor):
            check_rendered("job_id", None)
        window = dict(
            zip(("started_from", "started_to"), default_window(context, self.look_back), strict=True)
        )
        for name, value in self.moments.items():
            window[name] = to_utc(name, check_rendered(name, value))
        start, end = check_window(**window)
        return Selection(
            filters=freeze_filters(filters),
            started_from=start,
            started_to=end,
            min_jobs=self.min_jobs,
            settle=self.settle,
            latest_only=self.latest_only,
        )


def describe_target(target: Collection[str] | Selection, vendor: Vendor) -> str:
    """Return what is waited for, for logs and errors.

    :param target: the jobs' ids, or the selection.
    :param vendor: whose jobs they are.
    """
    if isinstance(target, Selection):
        return f"{vendor.name} {target.describe()}"
    return f"{vendor.name} job {', '.join(target)}"


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
