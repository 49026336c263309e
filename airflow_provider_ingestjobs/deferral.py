# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A task's wait, handed over from its worker to the triggerer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.vendor_task import TIMEOUT_SLACK
from airflow_provider_ingestjobs.wait_target import describe_target
from airflow_provider_ingestjobs.workerless import ending, wait_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.wait_task import WaitTask

#: What Airflow resumes a task by whose trigger has failed.
FAIL_METHOD = "__fail__"
#: What it says if the time of the deferral is up: since Airflow 3, and before that.
DEFERRAL_TIMEOUTS = ("Trigger timeout", "Trigger/execution timeout")


def defer_wait(
    task: WaitTask[Any],
    target: list[str] | Selection,
    began: datetime,
    context: Context,
    kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Defer a task until its jobs have ended.

    :param task: the task.
    :param target: what it waits for.
    :param began: when its wait began.
    :param context: its context.
    :param kwargs: what its ``execute_complete`` gets beside the event, as JSON data.
    :raises TaskDeferred: always, which is how Airflow is told.
    :raises InvalidInput: for an unusable connection: it fails here, at once, and not in the triggerer.
    """
    from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
    from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger

    task.hook.settings  # noqa: B018 - looks it up
    timeout = task.deferred_for(task.timeout)
    arguments = task.trigger_arguments(began, timeout, **wait_arguments(task))
    arguments["end"] = ending(task)
    task.keep_wait(context, target, began, timeout)
    name = describe_target(target, task.hook_class.vendor)
    task.log.info("Waiting for %s until %s, deferred", name, began + timeout)
    task.defer(
        trigger=JobSelectionTrigger(selection=target.to_dict(), **arguments)
        if isinstance(target, Selection)
        else IngestJobTrigger(job_ids=target, cancel_on_kill=task.cancel_on_kill, **arguments),
        method_name="execute_complete",
        kwargs=dict(kwargs) if kwargs else None,
        timeout=max(began + timeout - clock.now(), timedelta(0)) + TIMEOUT_SLACK,
    )


def check_deferral_timeout(vendor: str, next_method: str, next_kwargs: Mapping[str, Any] | None) -> None:
    """Tell a deferral whose time is up from a trigger that is broken; Airflow resumes both tasks alike.

    :param vendor: the vendor's name.
    :param next_method: what the task is resumed by.
    :param next_kwargs: what that is called with.
    :raises WaitTimeout: if the time is up.
    """
    reason = (next_kwargs or {}).get("error")
    if next_method == FAIL_METHOD and reason in DEFERRAL_TIMEOUTS:
        raise WaitTimeout(f"The jobs of {vendor} had not ended when Airflow ended the deferral: {reason}")
