# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Stopping the jobs of killed tasks: thousands at once share one hook, one token and one queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import NoConnection, VendorUnavailable
from airflow_provider_ingestjobs.metrics import tags_of
from airflow_provider_ingestjobs.stopping import Answer, tell
from airflow_provider_ingestjobs.triggers.backoff import backoff
from airflow_provider_ingestjobs.triggers.registry import PerConnection
from airflow_provider_ingestjobs.triggers.shared_hook import SharedHook
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook

#: Requests that a connection's cancels have under way at once. They keep to the connection's rate, and a poll
#: waits for no more of them than these.
MAX_CANCEL_THREADS = 2
#: The pause before a vendor in trouble is asked again, in seconds; and how often it doubles, as jobs that
#: nobody wants any more run on meanwhile.
CANCEL_PAUSE = 5.0
MAX_DOUBLINGS = 4
#: How long a vendor in trouble is asked again, in seconds.
MAX_CANCEL_TIME = 900.0
#: How long a cleared task may take to be waited for anew, where no worker is between the two, in seconds.
RESTART_PATIENCE = 240.0
#: The pause before Airflow is asked again whether a cleared task has begun to wait anew, in seconds.
LOOK_AGAIN = 2.0
#: How often Airflow is asked whether a user has ended the task.
MAX_LOOK_UPS = 5

#: The states of a task whose trigger has fired; and of one that a user has cleared, or marked as succeeded.
GOES_ON = frozenset({"scheduled", "queued", "running", "success", "skipped", "up_for_retry"})


class Cancels:
    """Cancels jobs on one connection, a few at a time.

    :param hook_class: the vendor's hook.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._hook_class = hook_class
        self._tags = tags_of(hook_class.vendor, conn_id, **hook_params)
        self._places = asyncio.Semaphore(MAX_CANCEL_THREADS)
        self._look_ups = asyncio.Semaphore(MAX_CANCEL_THREADS)
        self._shared_hook = SharedHook(hook_class, conn_id, hook_params)
        self._failures = 0
        self._trouble: NoConnection | VendorUnavailable | None = None
        self._goes_on_at = 0.0

    async def cancel_all(self, job_ids: Sequence[str], log: Any, looks_first: bool = False) -> None:
        """Ask the vendor to stop a killed task's jobs, and say in the log what came of it.

        :param job_ids: the vendor's ids of them.
        :param log: the task's log.
        :param looks_first: whether they may have ended by themselves.
        """
        try:
            async with self._shared_hook:
                await asyncio.gather(*(self._cancel(job_id, log, looks_first) for job_id in job_ids))
        finally:
            if self._shared_hook.is_idle:
                self._failures, self._trouble = 0, None

    async def is_still_awaited(self, ti: Any, judge: Callable[[Any], bool | None], log: Any) -> bool | None:
        """Whether a task is deferred as it was, because Airflow has only moved its trigger.

        ``None`` where it has gone on meanwhile: a user has seen to that, or its job's end, which its next
        trigger has told.

        A triggerer that is silent for too long loses its triggers to another one; when it goes on, it ends
        them as if a user had acted on their tasks. A task that a user has cleared may be deferred by now as
        well, but its wait began later.

        :param ti: the trigger's task instance; ``None`` where Airflow gives none.
        :param judge: returns whether that is this trigger's wait, which another one has now; ``None`` if only
            the next trigger's start will tell.
        :param log: the task's log.
        """
        if ti is None:
            return False
        until = clock.monotonic() + RESTART_PATIENCE
        failures = 0
        was_deferred = False
        while True:
            look_up = partial(_look_up_wait, ti, was_deferred)
            try:
                states, wait = await in_thread(look_up, self._look_ups)
            except Exception as error:
                failures += 1
                if failures == MAX_LOOK_UPS:
                    raise
                log.warning("Whether a user has ended this task cannot be looked up now: %s", error)
                pause = backoff(failures, CANCEL_PAUSE, error)
            else:
                is_deferred = "deferred" in states
                verdict = judge(wait) if is_deferred or was_deferred else False
                if not verdict and not is_deferred and states & GOES_ON:
                    return None
                if verdict is not None or not is_deferred:
                    return bool(verdict)
                if clock.monotonic() >= until:
                    return True
                was_deferred, pause = True, LOOK_AGAIN
            await asyncio.sleep(pause)

    async def _cancel(self, job_id: str, log: Any, looks_first: bool) -> None:
        name = f"{self._hook_class.vendor.name} job {job_id}"
        deadline = clock.monotonic() + MAX_CANCEL_TIME
        is_told = False
        while True:
            try:
                answer = await self._ask(job_id, deadline, looks_first=looks_first or is_told)
            except asyncio.CancelledError:
                log.warning("The task was killed, but %s may go on: this triggerer ends", name)
                raise
            if not isinstance(answer, NoConnection | VendorUnavailable) or clock.monotonic() >= deadline:
                break
            if not is_told:
                log.warning("%s cannot be asked to stop now, it will be asked again: %s", name, answer)
                is_told = True
        tell(log, name, answer, self._tags)

    async def _ask(self, job_id: str, deadline: float, looks_first: bool) -> Answer:
        """Ask once, after the pause that the vendor's trouble with whichever job has brought about.

        Of many that are in line, most are never asked for themselves where the trouble outlasts the deadline.
        """
        async with self._places:
            while (pause := self._goes_on_at - clock.monotonic()) > 0:
                await asyncio.sleep(pause)
            if self._trouble is not None and clock.monotonic() >= deadline:
                return self._trouble
            try:
                hook = await self._shared_hook.get()
                answer = await in_thread(partial(hook.ask_to_stop, job_id, looks_first))
            except (NoConnection, VendorUnavailable) as error:
                self._pause_for(error)
                return error
            except Exception as error:
                return error
            self._failures, self._trouble = 0, None
            return answer

    def _pause_for(self, error: NoConnection | VendorUnavailable) -> None:
        now = clock.monotonic()
        if now >= self._goes_on_at:
            # Those that were under way together have failed together.
            self._failures += 1
        self._trouble = error
        pause = backoff(min(self._failures, MAX_DOUBLINGS), CANCEL_PAUSE, error)
        self._goes_on_at = max(self._goes_on_at, now + pause)


#: Returns what cancels jobs on a connection, the same one for all callers on the running event loop.
cancels_for = PerConnection(Cancels)


def _look_up_wait(ti: Any, was_deferred: bool) -> tuple[set[str | None], Any]:
    """Return a task's state, and what it says of its wait, if it is or was deferred at the look before."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from airflow_provider_ingestjobs.airflow_compat import XCom

    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    now = set(states.get(ti.run_id, {}).values())
    if not ("deferred" in now or was_deferred):
        return now, None
    wait: Any = XCom.get_one(
        key=WAIT_XCOM_KEY, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
    )
    return now, wait
