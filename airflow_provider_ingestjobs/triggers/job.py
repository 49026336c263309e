# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a deferred task waits on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

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
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.triggers.watch import News, Wait, in_thread, open_hook, watch_for

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.triggers.watch import Watch

#: How long a wait whose time is up looks a last time, in seconds.
LAST_LOOK = 15.0


class IngestJobTrigger(BaseTrigger):
    """Waits until a job has ended, and fires one event that :func:`job_from_event` reads.

    It holds no HTTP state and asks nobody itself: all triggers on a connection share one
    :class:`~airflow_provider_ingestjobs.triggers.watch.Watch`. Its arguments are JSON without secrets, and
    its times are absolute, so that a restarted triggerer goes on where another one stopped.

    :param hook: class path of the vendor's hook.
    :param conn_id: the Airflow connection.
    :param job_id: the vendor's id of the job.
    :param poll_interval: the longest time between two looks at the job, in seconds.
    :param started_at: when the wait began, ISO 8601 with an offset.
    :param deadline: when it ends, the job ended or not; ISO 8601 with an offset.
    :param longest_interval: what that time may grow to while nothing changes; ``None``: it does not grow.
    :param missing_grace: seconds in which the vendor may not know the job (yet, or for a while).
    :param cancel_on_kill: whether the job is cancelled when a user marks or clears the deferred task
        (Airflow 3.3 and newer).
    :param hook_params: further arguments of the hook, such as a Polaris project.
    """

    def __init__(
        self,
        *,
        hook: str,
        conn_id: str,
        job_id: str,
        poll_interval: float,
        started_at: str,
        deadline: str,
        longest_interval: float | None = None,
        missing_grace: float = 300.0,
        cancel_on_kill: bool = False,
        hook_params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.hook = hook
        self.conn_id = conn_id
        self.job_id = job_id
        self.poll_interval = poll_interval
        self.started_at = started_at
        self.deadline = deadline
        self.longest_interval = longest_interval
        self.missing_grace = missing_grace
        self.cancel_on_kill = cancel_on_kill
        self.hook_params = dict(hook_params or {})

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        return f"{__name__}.{type(self).__name__}", {
            "hook": self.hook,
            "conn_id": self.conn_id,
            "job_id": self.job_id,
            "poll_interval": self.poll_interval,
            "started_at": self.started_at,
            "deadline": self.deadline,
            "longest_interval": self.longest_interval,
            "missing_grace": self.missing_grace,
            "cancel_on_kill": self.cancel_on_kill,
            "hook_params": self.hook_params,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        try:
            payload = {"status": "ended", "job": (await self._wait()).to_dict()}
        except WaitTimeout as error:
            payload = {"status": "timeout", "message": str(error)}
        except IngestJobsError as error:
            payload = {"status": "error", "error": type(error).__name__, "message": str(error)}
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow leaves it untyped

    async def on_kill(self) -> None:
        """Cancel the vendor's job, where the task asks for that. Airflow calls it on a user's action only."""
        if not self.cancel_on_kill:
            return
        hook = await open_hook(self._hook_class, self.conn_id, self.hook_params)
        job = await in_thread(partial(hook.cancel_job, self.job_id))
        self.log.info("The task was killed, %s was asked to stop: %s", job, job.describe())

    @property
    def _hook_class(self) -> type[IngestJobHook]:
        return hook_class_from(self.hook)

    @property
    def _watch(self) -> Watch:
        return watch_for(self._hook_class, self.conn_id, self.hook_params)

    async def _wait(self) -> Job:
        follow = _Follow(self)
        async with self._watch.join(self.job_id, self.poll_interval, self.longest_interval) as wait:
            with suppress(TimeoutError):
                async with asyncio.timeout(_seconds_until(self.deadline)):
                    return await follow.to_the_end(wait)
            wait.look_now()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK):
                    job = await follow.next_sight(wait)
                    if job is not None and job.state.is_terminal:
                        return job
            raise WaitTimeout(follow.report(wait))


class _Follow:
    """What one wait has seen so far, told to the task's own log as it changes."""

    def __init__(self, trigger: IngestJobTrigger) -> None:
        self._trigger = trigger
        self._log = trigger.log
        self._name = f"{trigger._hook_class.kind.vendor} job {trigger.job_id}"
        self._job: Job | None = None
        self._missing_since: float | None = None
        self._trouble: VendorError | None = None

    async def to_the_end(self, wait: Wait) -> Job:
        while True:
            job = await self.next_sight(wait)
            if job is not None and job.state.is_terminal:
                return job

    async def next_sight(self, wait: Wait) -> Job | None:
        """Return the job as the next news has it, or ``None`` where it could not be seen."""
        news = await wait.news()
        if news.error is not None:
            # Shared by all waits of the watch: each raise would lengthen its traceback.
            raise news.error.with_traceback(None)
        if news.job is not None:
            self._see(news.job)
        elif news.missing:
            self._miss()
        else:
            self._suffer(news)
        return news.job

    def report(self, wait: Wait) -> str:
        """Return what to say when the time is up."""
        waited = _words(-_seconds_until(self._trigger.started_at))
        text = f"{self._name} had not ended after {waited}."
        if self._job is not None:
            read_at = wait.read_at and datetime.fromtimestamp(wait.read_at, UTC).isoformat(timespec="seconds")
            text += (
                f" It was {self._job.describe()} when last read, {f'at {read_at}' if read_at else 'before'}."
            )
        elif self._missing_since is not None:
            text += f" {self._trigger.conn_id!r} never listed it."
        if self._trouble is not None:
            text += f" The last trouble: {self._trouble}"
        return text

    def _see(self, job: Job) -> None:
        if self._job is None or self._job.state is not job.state or self._trouble or self._missing_since:
            level = self._log.warning if job.state is JobState.UNKNOWN else self._log.info
            hint = ""
            if job.state is JobState.UNKNOWN:
                hint = (
                    f". It counts as not ended: map {job.vendor_state!r} in the connection's extra state_map"
                )
            level("%s is %s%s", self._name, job.describe(), hint)
        self._job, self._missing_since, self._trouble = job, None, None

    def _miss(self) -> None:
        now = time.time()
        grace = self._trigger.missing_grace
        if self._missing_since is None:
            # A job never seen is missing since the wait began, also after a restart.
            began = datetime.fromisoformat(self._trigger.started_at).timestamp()
            self._missing_since = now if self._job else min(began, now)
            self._log.warning(
                "%s is not known to the vendor (any more): waiting up to %s", self._name, _words(grace)
            )
        if now - self._missing_since >= grace:
            seen = f"it was {self._job.describe()} before" if self._job else "it was never seen"
            raise JobNotFound(
                f"{self._name} is not known to the vendor for {_words(now - self._missing_since)} ({seen}). "
                f"Check job_id and connection {self._trigger.conn_id!r}."
            )

    def _suffer(self, news: News) -> None:
        if self._trouble is None:
            self._log.warning("%s cannot be read now, the wait goes on: %s", self._name, news.trouble)
        self._trouble = news.trouble


def job_from_event(event: Any) -> Job:
    """Return the ended job of an :class:`IngestJobTrigger`'s event.

    :raises WaitTimeout: if the time was up first.
    :raises JobNotFound: if the vendor does not know the job.
    :raises IngestJobsError: for every other error, and for an event that is none of these: an end that nobody
        understands is never a success.
    """
    status = event.get("status") if isinstance(event, Mapping) else None
    if status == "timeout":
        raise WaitTimeout(event.get("message", event))
    if status == "error":
        raise _ERRORS.get(event.get("error"), IngestJobsError)(event.get("message", event))
    try:
        job = Job.from_dict(event["job"]) if status == "ended" else None
    except (KeyError, TypeError, ValueError):
        job = None
    if job is None or not job.state.is_terminal:
        raise IngestJobsError(f"The trigger sent an event that does not say how the job ended: {event!r}")
    return job


_ERRORS: dict[str, type[IngestJobsError]] = {
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


def _seconds_until(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - time.time()


def _words(seconds: float) -> str:
    import pendulum

    return pendulum.duration(seconds=max(int(seconds), 0)).in_words() or "no time"
