# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What jobs do that are started through a vendor's API: as planned, or as the vendor's jobs usually do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox.job_store import as_timeline, check_job

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob, Timeline
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi


@dataclass(frozen=True)
class StartPlan:
    """What the next jobs do that are started; see ``Sandbox.add_job``, but for ``times``.

    :param times: how many jobs do so; None: all that are still to come.
    """

    timeline: Timeline
    rows: dict[str, int] | None = None
    failure: str | None = None
    fields: dict[str, Any] | None = None
    cancel_state: str | None = None
    known_after: float | None = None
    list_lag: float = 0.0
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or None, not {self.times!r}")


class Starts:
    """The plans for jobs still to be started, and what has been started."""

    def __init__(self) -> None:
        self._plans: list[StartPlan] = []
        #: The ids of what has been started, oldest first; they stay when a job is removed.
        self.ids: list[str] = []

    def add(self, plan: StartPlan) -> None:
        """Add a plan behind those there are.

        :param plan: the plan.
        """
        self._plans.append(plan)

    def next_plan(self, usual: Timeline) -> StartPlan:
        """Return the plan of the job that is started now.

        :param usual: its timeline if nothing is planned.
        """
        if not self._plans:
            return StartPlan(usual)
        plan = self._plans[0]
        if plan.times is not None:
            left = plan.times - 1
            self._plans[:1] = [replace(plan, times=left)] if left else []
        return plan


def check_plan(api: VendorApi, plan: StartPlan) -> None:
    """Check a plan before anything is started by it.

    :param api: the vendor.
    :param plan: the plan.
    :raises ValueError: if the vendor starts nothing, or could not have such a job.
    """
    if not api.start_timeline:
        raise ValueError(f"{api.name} starts no jobs in the sandbox; add them with add_job")
    as_timeline(plan.timeline)
    check_job(
        api.name,
        row_names=api.row_names,
        rows=plan.rows,
        starts="now",
        known_after=plan.known_after,
        list_lag=plan.list_lag,
    )


def start_job(
    api: VendorApi, fields: dict[str, Any], now: float, usual: Timeline | None = None
) -> SandboxJob:
    """Start a job as planned, and return it as the vendor's answer shows it.

    :param api: the vendor; its lock is held.
    :param fields: what the request makes of the job's fields; the plan's come before them.
    :param now: seconds since the epoch.
    :param usual: its timeline if nothing is planned; None: the one usual at this vendor.
    """
    plan = api.starts.next_plan(api.start_timeline if usual is None else usual)
    job = add_planned(api, plan, fields)
    api.starts.ids.append(job.id)
    return as_answered(api, job, now)


def add_planned(api: VendorApi, plan: StartPlan, fields: dict[str, Any]) -> SandboxJob:
    """Add a job as planned, and return it.

    :param api: the vendor; its lock is held.
    :param plan: what the job does.
    :param fields: further fields of the job, behind those of the plan.
    """
    job_id = api.add_job(
        None,
        plan.timeline,
        rows=plan.rows,
        failure=plan.failure,
        starts="now",
        fields=deepcopy({**fields, **(plan.fields or {})}),
        cancel_state=plan.cancel_state,
        known_after=plan.known_after,
        list_lag=plan.list_lag,
    )
    return api.store.all[job_id]


def as_answered(api: VendorApi, job: SandboxJob, now: float) -> SandboxJob:
    """Return a job as the answer to its start shows it, also one that reads do not know yet.

    :param api: the vendor; its lock is held.
    :param job: the job.
    :param now: seconds since the epoch.
    """
    if job.visible:
        return job
    shown = replace(job, parts=deepcopy(job.parts), in_lists=None)
    api.take_step(shown, now, job.timeline[0][1])
    return shown
