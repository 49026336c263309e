# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Beginning a sensor's wait in the triggerer, where the scheduler has put it without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.links import PAGE_XCOM_KEY, XCOM_KEY, page_address
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.triggers.base import LOG_LEAD, MAX_RESUME_HOLD, event_of_start
from airflow_provider_ingestjobs.triggers.ending import WorkerNeeded, check_xcom_backend, say_why
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.rendering import render
from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger
from airflow_provider_ingestjobs.triggers.shared_hook import shared_hook_for
from airflow_provider_ingestjobs.triggers.xcoms import drop_xcoms, keep_xcom, read_xcom
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY, WaitRecord, is_wait
from airflow_provider_ingestjobs.wait_target import WaitTarget, describe_target

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context

#: The pauses before the wait is begun again where Airflow could not answer, in seconds.
RETRY_PAUSES = (1.0, 5.0, 15.0, 30.0)
#: How long templates may take, in seconds: Airflow answers some questions of a trigger's template never.
MAX_RENDER_TIME = 30.0


class StartTrigger(BaseTrigger):
    """Begins a sensor's wait by what the DAG says of it, and waits as the trigger that a worker would make.

    Whatever is in the way of that is left to a worker: an event has it start the task as if there was no such
    trigger, so that a task fails by the same words wherever it starts. All arguments come from the DAG.

    :param target: the arguments of :class:`~airflow_provider_ingestjobs.wait_target.WaitTarget` (templated).
    :param conn_id: the Airflow connection (templated).
    :param hook_params: further arguments of the hook (templated).
    :param hook: class path of the vendor's hook.
    :param wait_time: how long the wait lasts at most, in seconds.
    :param deferral_time: how long Airflow lets the task be deferred, in seconds. When that is over is in
        Airflow's database, and so tells when the wait began, also after a restart of the triggerer.
    :param cancel_on_kill: whether the jobs are cancelled when a user marks or clears the task.
    :param end: see :class:`~airflow_provider_ingestjobs.triggers.base.VendorTrigger`.
    :param wait: what else the trigger of the wait takes.
    :param unknown: what another release has written.
    """

    def __init__(
        self,
        *,
        target: Mapping[str, Any],
        conn_id: Any,
        hook_params: Mapping[str, Any],
        hook: str,
        wait_time: float,
        deferral_time: float,
        cancel_on_kill: bool = False,
        end: Mapping[str, Any] | None = None,
        wait: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.target = target
        self.conn_id = conn_id
        self.hook_params = hook_params
        self.hook = hook
        self.wait_time = wait_time
        self.deferral_time = deferral_time
        self.cancel_on_kill = cancel_on_kill
        self.end = end
        self.wait = wait
        #: When Airflow ends the deferral; the triggerer sets it.
        self.timeout_after: datetime | None = None
        self._unknown = ", ".join(unknown)
        self._id = uuid4().hex
        self._context: Context | None = None
        self._trigger: IngestJobTrigger | JobSelectionTrigger | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        names = ("target", "conn_id", "hook_params", "hook", "wait_time", "deferral_time", "cancel_on_kill")
        arguments = {name: getattr(self, name) for name in (*names, "end", "wait")}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Take the context; what it renders is rendered in :meth:`run`, where a failure can be told.

        :param context: the task's context.
        :param jinja_env: not used.
        """
        self._context = context

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        try:
            self._trigger = await self._begin_in_time()
        except Exception as error:
            reason = say_why(self.log, "starts", error)
            began = self._started_at
            payload = event_of_start(reason, began.isoformat() if began and _is_long_ago(began) else None)
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
            return
        async for event in self._trigger.run():
            yield event

    async def on_kill(self) -> None:
        """Cancel the jobs as the wait's own trigger does, if it has begun."""
        if self._trigger is not None:
            await self._trigger.on_kill()

    async def cleanup(self) -> None:
        """End as the wait's own trigger does; without one, let the task's log have its last line."""
        if self._trigger is not None:
            await self._trigger.cleanup()
        else:
            await asyncio.sleep(LOG_LEAD)

    async def _begin_in_time(self) -> IngestJobTrigger | JobSelectionTrigger:
        """Begin the wait, which may take some tries while Airflow itself cannot answer."""
        from airflow.sdk.exceptions import AirflowRuntimeError

        for pause in RETRY_PAUSES:
            try:
                return await self._begin()
            except (AirflowRuntimeError, VendorUnavailable) as error:
                self.log.warning("The wait cannot begin now, in %d s it is tried again: %s", pause, error)
                await asyncio.sleep(pause)
        return await self._begin()

    async def _begin(self) -> IngestJobTrigger | JobSelectionTrigger:
        started_at = self._started_at
        if self._context is None or started_at is None:
            raise WorkerNeeded("Airflow has not told the trigger of its run")
        if self._unknown:
            raise WorkerNeeded(f"another release has written its {self._unknown}")
        check_xcom_backend()
        kept = await self._kept(started_at)
        ti: Any = self.task_instance
        if kept is None and ti.try_number > 1:
            # A worker clears what an earlier try has left, but not after a deferral.
            await drop_xcoms(ti, ("return_value", XCOM_KEY))
        # A wait that another triggerer began goes on, whatever its connection and templates come to by now.
        wait = replace(kept or await self._as_rendered(self._context, started_at), by=self._id)
        trigger = self._trigger_for(wait)
        if kept is None:
            await self._keep_links(wait)
        await keep_xcom(ti, WAIT_XCOM_KEY, wait.to_dict())
        name = describe_target(wait.target, hook_class_from(self.hook).vendor)
        self.log.info("Waiting for %s until %s, started in the triggerer", name, wait.deadline)
        return trigger

    @property
    def _started_at(self) -> datetime | None:
        """When the wait began, also if another triggerer began it; ``None`` if Airflow has not told that."""
        if self.timeout_after is None:
            return None
        return self.timeout_after - timedelta(seconds=self.deferral_time)

    async def _kept(self, started_at: datetime) -> WaitRecord | None:
        """Return the wait as another triggerer began it, if one did."""
        if not _is_long_ago(started_at):
            return None
        kept = await read_xcom(self.task_instance, WAIT_XCOM_KEY)
        if not is_wait(kept, started_at.isoformat()):
            return None
        try:
            return WaitRecord.from_dict(kept)
        except (KeyError, ValueError, TypeError, AttributeError):
            # Another release has written it.
            return None

    async def _as_rendered(self, context: Context, started_at: datetime) -> WaitRecord:
        given = {"target": self.target, "conn_id": self.conn_id, "hook_params": self.hook_params}
        async with asyncio.timeout(MAX_RENDER_TIME):
            rendered = render(given, self, context)
        vendor = hook_class_from(self.hook).vendor
        target = WaitTarget(**rendered["target"])
        return WaitRecord(
            hook=self.hook,
            conn_type=vendor.conn_type,
            conn_id=rendered["conn_id"],
            hook_params={name: value for name, value in rendered["hook_params"].items() if value},
            target=target.resolve(context, vendor),
            started_at=started_at,
            deadline=started_at + timedelta(seconds=self.wait_time),
            is_single=target.is_single,
        )

    def _trigger_for(self, wait: WaitRecord) -> IngestJobTrigger | JobSelectionTrigger:
        end = dict(self.end) if self.end else None
        if end and end.get("returns") == "jobs" and wait.is_single:
            end["returns"] = "job"
        arguments = {
            "hook": self.hook,
            "conn_id": wait.conn_id,
            "hook_params": wait.hook_params,
            "started_at": wait.started_at.isoformat(),
            "deadline": wait.deadline.isoformat(),
            "end": end,
            **(self.wait or {}),
        }
        trigger = (
            JobSelectionTrigger(selection=wait.target.to_dict(), **arguments)
            if isinstance(wait.target, Selection)
            else IngestJobTrigger(job_ids=wait.target, cancel_on_kill=self.cancel_on_kill, **arguments)
        )
        trigger.task_instance = self.task_instance
        trigger.trigger_id = self.trigger_id
        trigger.begun_by = self._id
        return trigger

    async def _keep_links(self, wait: WaitRecord) -> None:
        hook_class = hook_class_from(self.hook)
        async with shared_hook_for(hook_class, wait.conn_id, wait.hook_params) as shared:
            # An unusable connection fails the task at once, as in a worker.
            hook = await shared.get()
        await keep_xcom(self.task_instance, PAGE_XCOM_KEY, page_address(self.task_instance))
        if isinstance(wait.target, list) and len(wait.target) == 1 and (url := hook.job_url(wait.target[0])):
            await keep_xcom(self.task_instance, XCOM_KEY, url)


def _is_long_ago(started_at: datetime) -> bool:
    """Whether another triggerer may have begun a wait."""
    return (clock.now() - started_at).total_seconds() >= MAX_RESUME_HOLD
