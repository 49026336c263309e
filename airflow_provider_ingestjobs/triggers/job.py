# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a deferred task waits on."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ingestjobs.exceptions import (
    AuthenticationFailed,
    IngestJobsError,
    InvalidInput,
    JobNotFound,
    NotSupported,
    VendorError,
    WaitTimeout,
)
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.job import Job, JobState, duration_in_words
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.triggers.watch import News, Wait, in_thread, open_hook, watch_for

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.triggers.watch import Watch

#: After this time a task's process is known to have ended, in seconds: a restarted trigger may fire at once.
LONGEST_HOLD = 60.0
#: How long a wait whose time is up looks a last time, in seconds.
LAST_LOOK = 20.0
#: The XCom in which a task that ``cancel_on_kill`` says when its present wait began.
DEFERRAL = "_ingestjobs_deferral"

_CANCELS: set[asyncio.Task[None]] = set()


class VendorTrigger(BaseTrigger):
    """Base of the triggers that wait for a vendor's jobs, and fire one event for :func:`jobs_from_event`.

    They hold no HTTP state and ask nobody themselves: all triggers on a connection share one
    :class:`~airflow_provider_ingestjobs.triggers.watch.Watch`. Their arguments are JSON without secrets, and
    their times are absolute, so that a restarted triggerer goes on where another one stopped.

    :param hook: class path of the vendor's hook.
    :param conn_id: the Airflow connection.
    :param poll_interval: the longest time between two looks, in seconds.
    :param started_at: when the wait began, ISO 8601 with an offset.
    :param deadline: when it ends, the jobs ended or not; ISO 8601 with an offset.
    :param longest_interval: what ``poll_interval`` may grow to while nothing changes; ``None``: it does not.
    :param missing_grace: seconds in which the vendor may not know a job (yet, or for a while).
    :param hook_params: further arguments of the hook, such as a Polaris project.
    """

    def __init__(
        self,
        *,
        hook: str,
        conn_id: str,
        poll_interval: float,
        started_at: str,
        deadline: str,
        longest_interval: float | None = None,
        missing_grace: float = 300.0,
        hook_params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.hook = hook
        self.conn_id = conn_id
        self.poll_interval = poll_interval
        self.started_at = started_at
        self.deadline = deadline
        self.longest_interval = longest_interval
        self.missing_grace = missing_grace
        self.hook_params = dict(hook_params or {})

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        return f"{__name__}.{type(self).__name__}", {
            "hook": self.hook,
            "conn_id": self.conn_id,
            "poll_interval": self.poll_interval,
            "started_at": self.started_at,
            "deadline": self.deadline,
            "longest_interval": self.longest_interval,
            "missing_grace": self.missing_grace,
            "hook_params": self.hook_params,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        began = time.monotonic()
        try:
            jobs = await self._wait()
            payload: dict[str, Any] = {"status": "ended", "jobs": [job.to_dict() for job in jobs]}
        except WaitTimeout as error:
            payload = {"status": "timeout", "message": str(error)}
        except IngestJobsError as error:
            payload = {"status": "error", "error": type(error).__name__, "message": str(error)}
        # A worker may report the end of a task's process this interval late, and the scheduler takes its time
        # to hear of it. A task that is resumed before that is taken for killed and failed: "finished with
        # state success, but … attribute is queued".
        lag = 2 * conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)
        if seconds_since(self.started_at) < LONGEST_HOLD:
            await asyncio.sleep(max(lag - (time.monotonic() - began), 0.0))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow leaves it untyped

    @abstractmethod
    async def _wait(self) -> Sequence[Job]:
        """Return the ended jobs."""

    @property
    def _hook_class(self) -> type[IngestJobHook]:
        return hook_class_from(self.hook)

    @property
    def _watch(self) -> Watch:
        return watch_for(self._hook_class, self.conn_id, self.hook_params)


class IngestJobTrigger(VendorTrigger):
    """Waits until jobs have ended.

    :param job_ids: the vendor's ids of the jobs.
    :param cancel_on_kill: whether the jobs are cancelled when a user marks or clears the deferred task
        (Airflow 3.3 and newer).
    :param kwargs: see :class:`VendorTrigger`.
    """

    def __init__(self, *, job_ids: Sequence[str], cancel_on_kill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_ids = list(job_ids)
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        path, arguments = super().serialize()
        return path, {"job_ids": self.job_ids, "cancel_on_kill": self.cancel_on_kill, **arguments}

    async def on_kill(self) -> None:
        """Cancel the vendor's jobs, where the task asks for that and a user has ended its wait."""
        if not self.cancel_on_kill:
            return
        # The triggerer cancels this again every second until it returns: what was begun must not be lost.
        cancels = asyncio.create_task(self._cancel_jobs())
        _CANCELS.add(cancels)
        cancels.add_done_callback(_CANCELS.discard)
        await asyncio.shield(cancels)

    async def _cancel_jobs(self) -> None:
        try:
            if await in_thread(self._is_still_awaited):
                self.log.info("Another triggerer has taken over this wait: nothing is cancelled.")
                return
            hook = await open_hook(self._hook_class, self.conn_id, self.hook_params)
            for job_id in self.job_ids:
                try:
                    job = await in_thread(partial(hook.cancel_job, job_id))
                except IngestJobsError as error:
                    self.log.warning("The task was killed, but job %s goes on: %s", job_id, error)
                else:
                    self.log.info("The task was killed, %s was asked to stop: %s", job, job.describe())
        except Exception:
            self.log.exception("The task was killed, but its jobs go on: %s", ", ".join(self.job_ids))

    def _is_still_awaited(self) -> bool:
        """Whether the task is deferred as it was, because Airflow has only moved its trigger.

        A triggerer that is silent for too long loses its triggers to another one; when it goes on, it ends
        them as if a user had acted on their tasks. A task that a user has cleared may be deferred by now as
        well, but its wait began later.
        """
        ti: Any = getattr(self, "task_instance", None)
        if ti is None:
            return False
        from airflow.providers.common.compat.sdk import XCom
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        if "deferred" not in states.get(ti.run_id, {}).values():
            return False
        began: Any = XCom.get_one(
            key=DEFERRAL, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )
        return bool(began == self.started_at)

    async def _wait(self) -> Sequence[Job]:
        if len(self.job_ids) == 1:
            # The most usual wait by far: a second task for it would take another kilobyte.
            return [await self._wait_for(self.job_ids[0])]
        waits = [asyncio.ensure_future(self._wait_for(job_id)) for job_id in self.job_ids]
        try:
            return await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wait_for(self, job_id: str) -> Job:
        follow = _FollowJob(self, job_id)
        async with self._watch.join(job_id, self.poll_interval, self.longest_interval) as wait:
            with suppress(TimeoutError):
                async with asyncio.timeout(-seconds_since(self.deadline)):
                    while True:
                        job = follow.take(await wait.news())
                        if job is not None and job.state.is_terminal:
                            return job
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK):
                    wait.look_now()
                    job = follow.take(await wait.news())
                    if job is not None and job.state.is_terminal:
                        return job
            raise WaitTimeout(follow.report(wait))


class JobSelectionTrigger(VendorTrigger):
    """Waits until all jobs of a selection have ended.

    :param selection: what :meth:`~airflow_provider_ingestjobs.selection.Selection.to_dict` returns.
    :param kwargs: see :class:`VendorTrigger`.
    """

    def __init__(self, *, selection: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.selection = dict(selection)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        path, arguments = super().serialize()
        return path, {"selection": self.selection, **arguments}

    async def _wait(self) -> Sequence[Job]:
        selection = Selection.from_dict(self.selection)
        follow = _FollowSelection(self, selection)
        deadline = datetime.fromisoformat(self.deadline)
        async with self._watch.join(selection, self.poll_interval, self.longest_interval) as wait:
            while (now := datetime.now(UTC)) < deadline:
                pause = min(follow.next_look or deadline, deadline) - now
                try:
                    async with asyncio.timeout(max(pause.total_seconds(), 0.0)):
                        news = await wait.news()
                except TimeoutError:
                    follow.next_look = None
                    wait.look_now()
                    continue
                if (jobs := follow.take(news)) is not None:
                    return jobs
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK):
                    wait.look_now()
                    if (jobs := follow.take(await wait.news())) is not None:
                        return jobs
            raise WaitTimeout(follow.report(wait))


class _Follow:
    """What one wait has seen so far, told to the task's own log as it changes."""

    def __init__(self, trigger: VendorTrigger, name: str) -> None:
        self._trigger = trigger
        self._log = trigger.log
        self._name = name
        self._trouble: VendorError | None = None

    def _note_trouble(self, news: News) -> None:
        if news.error is not None:
            # Shared by all waits of the watch: each raise would lengthen its traceback.
            raise news.error.with_traceback(None)
        if news.trouble is not None and self._trouble is None:
            self._log.warning("%s cannot be read now, the wait goes on: %s", self._name, news.trouble)
        self._trouble = news.trouble

    def _report(self, wait: Wait, seen: str) -> str:
        waited = duration_in_words(seconds_since(self._trigger.started_at))
        read_at = wait.read_at and datetime.fromtimestamp(wait.read_at, UTC).isoformat(timespec="seconds")
        text = f"{self._name} had not ended after {waited}. {seen}, last read at {read_at or 'no time'}."
        return f"{text} The last trouble: {self._trouble}" if self._trouble else text


class _FollowJob(_Follow):
    def __init__(self, trigger: IngestJobTrigger, job_id: str) -> None:
        super().__init__(trigger, f"{trigger._hook_class.kind.vendor} job {job_id}")
        self._is_only_one = len(trigger.job_ids) == 1
        self._job: Job | None = None
        self._missing_since: float | None = None

    def take(self, news: News) -> Job | None:
        """Return the job as the news has it, or ``None`` where it could not be seen."""
        had_trouble = self._trouble is not None
        self._note_trouble(news)
        if news.missing:
            self._miss()
        elif news.job is not None:
            if (
                had_trouble
                or self._missing_since
                or self._job is None
                or self._job.state is not news.job.state
            ):
                self._tell(news.job)
            self._job, self._missing_since = news.job, None
        return news.job

    def report(self, wait: Wait) -> str:
        """Return what to say when the time is up."""
        return self._report(wait, f"It was {self._job.describe()}" if self._job else "It was never seen")

    def _tell(self, job: Job) -> None:
        if job.state.is_terminal and self._is_only_one:
            # The worker tells it as it goes on, and Airflow as it takes the event. A third line of each of
            # many tasks that end together is more than the triggerer's log takes in without a stop.
            return
        if job.state is JobState.UNKNOWN:
            self._log.warning(
                "%s is %s. It counts as not ended: map %r in the connection's extra state_map",
                self._name,
                job.describe(),
                job.vendor_state,
            )
        else:
            self._log.info("%s is %s", self._name, job.describe())

    def _miss(self) -> None:
        now, grace = time.time(), self._trigger.missing_grace
        if self._missing_since is None:
            # A job never seen is missing since the wait began, also after a restart.
            began = datetime.fromisoformat(self._trigger.started_at).timestamp()
            self._missing_since = now if self._job else min(began, now)
            in_words = duration_in_words(grace)
            self._log.warning(
                "The vendor does not know %s (any more): waiting up to %s", self._name, in_words
            )
        if now - self._missing_since >= grace:
            seen = f"it was {self._job.describe()} before" if self._job else "it was never seen"
            raise JobNotFound(
                f"The vendor has not known {self._name} for {duration_in_words(now - self._missing_since)} "
                f"({seen}). Check job_id and connection {self._trigger.conn_id!r}."
            )


class _FollowSelection(_Follow):
    def __init__(self, trigger: JobSelectionTrigger, selection: Selection) -> None:
        super().__init__(trigger, f"{trigger._hook_class.kind.vendor} {selection.describe()}")
        self._selection = selection
        self._states: dict[str, JobState] = {}
        #: When the next look is due though nothing has changed.
        self.next_look: datetime | None = None

    def take(self, news: News) -> Sequence[Job] | None:
        """Return the jobs, once enough have appeared, all have ended, and no more are to be expected."""
        self._note_trouble(news)
        if news.jobs is None:
            return None
        for job in news.jobs:
            if self._states.get(job.id) is not job.state:
                self._log.info("%s is %s", job, job.describe())
        self._states = {job.id: job.state for job in news.jobs}
        now = datetime.now(UTC)
        if self._selection.is_done(news.jobs, now):
            return news.jobs
        began = datetime.fromisoformat(self._trigger.started_at)
        grace = self._trigger.missing_grace
        self._selection.check_hope(news.jobs, now, began, grace, self._trigger.conn_id)
        self.next_look = self._selection.next_look(news.jobs, began, grace)
        return None

    def report(self, wait: Wait) -> str:
        """Return what to say when the time is up."""
        states = ", ".join(f"{job_id} {state.value}" for job_id, state in self._states.items())
        return self._report(wait, f"Of at least {self._selection.min_jobs} there were: {states or 'none'}")


def jobs_from_event(event: Any) -> list[Job]:
    """Return the ended jobs of a trigger's event.

    :raises WaitTimeout: if the time was up first.
    :raises JobNotFound: if the vendor does not know a job.
    :raises IngestJobsError: for every other error, and for an event that is none of these: an end that nobody
        understands is never a success.
    """
    status = event.get("status") if isinstance(event, Mapping) else None
    if status == "timeout":
        raise WaitTimeout(event.get("message", event))
    if status == "error":
        raise _ERRORS.get(str(event.get("error")), IngestJobsError)(event.get("message", event))
    try:
        jobs = [Job.from_dict(job) for job in event["jobs"]] if status == "ended" else []
    except (KeyError, TypeError, ValueError):
        jobs = []
    if not jobs or not all(job.state.is_terminal for job in jobs):
        raise IngestJobsError(f"The trigger sent an event that does not say how the job ended: {event!r}")
    return jobs


_ERRORS: dict[Any, type[IngestJobsError]] = {
    cls.__name__: cls for cls in (AuthenticationFailed, JobNotFound, NotSupported, VendorError)
}


def hook_class_from(path: str) -> type[IngestJobHook]:
    """Return the hook class at a class path.

    :raises InvalidInput: if it is no hook of this package's kind.
    """
    from importlib import import_module

    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not (isinstance(found, type) and issubclass(found, IngestJobHook)):
        raise InvalidInput("hook", path, "name the class path of an IngestJobHook")
    return found


def seconds_since(moment: str) -> float:
    """Return the seconds from a moment to now, below zero if it is to come."""
    return time.time() - datetime.fromisoformat(moment).timestamp()
