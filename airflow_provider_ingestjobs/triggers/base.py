# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all triggers share, and the one event that they fire: written and, in the worker, read here."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_ingestjobs import clock, exceptions
from airflow_provider_ingestjobs.errors import IngestJobsError, InvalidInput, UnexpectedError, VendorError
from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.follow import Follow
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.job import Job, as_plain
from airflow_provider_ingestjobs.resuming import resume_lag
from airflow_provider_ingestjobs.triggers.detail_reads import detail_reads_for
from airflow_provider_ingestjobs.triggers.ending import Ending, WorkerNeeded, check_installation, say_why
from airflow_provider_ingestjobs.triggers.poll import Target, Update
from airflow_provider_ingestjobs.triggers.subscription import Subscription
from airflow_provider_ingestjobs.triggers.watch import watch_for
from airflow_provider_ingestjobs.triggers.xcoms import keep_xcom

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.triggers.watch import Watch

#: So many seconds after a wait began, its task's process has ended: a restarted trigger may fire at once.
MAX_RESUME_HOLD = 60.0
#: How long a trigger outlives its last line that only the task's log has, in seconds. Airflow reads lines and
#: ends from two pipes: a line that comes after its trigger's end is in the triggerer's log alone.
LOG_LEAD = 1.0
#: How long the last look may take when the time of a wait is up, in seconds.
LAST_LOOK_TIMEOUT = 20.0

F = TypeVar("F", bound=Follow)
T = TypeVar("T")
Take: TypeAlias = Callable[[F, Update, Subscription], Awaitable[T | None]]
#: The errors that arrive in the worker as what they are; a subclass of one arrives as that one.
ERRORS: dict[str, type[IngestJobsError]] = {name: getattr(exceptions, name) for name in exceptions.__all__}


class WaitEvent(TriggerEvent):
    """The event of a wait.

    Airflow writes each event's text into the task's log, which the triggerer's other process takes a few
    kilobytes of at a time, with some queries to the database in between: where thousands of jobs end at once,
    whole jobs would hold up all tasks.
    """

    def __repr__(self) -> str:
        """Return what Airflow writes into the task's log; the jobs themselves are in the task's result."""
        jobs = self.payload.get("jobs")
        if jobs is None:
            return super().__repr__()
        return f"TriggerEvent<{self.payload['status']}, {len(jobs)} job{'s' if len(jobs) != 1 else ''}>"


class JobEvent(TriggerEvent):
    """The event of an asset watcher: one ended job."""

    def __repr__(self) -> str:
        """Return what Airflow writes into the log; the whole job is in the asset's event."""
        return f"TriggerEvent<{self.payload['vendor']} job {self.payload['id']} is {self.payload['state']}>"


class VendorTrigger(BaseTrigger):
    """Base of the triggers that wait for a vendor's jobs, and fire one event for :func:`jobs_from_event`.

    They hold no HTTP state and send no requests themselves: all triggers on a connection share one
    :class:`~airflow_provider_ingestjobs.triggers.watch.Watch`. Class path and arguments are kept in Airflow's
    database, and may be read by another release: arguments are JSON without secrets, times are absolute, and
    an argument that this release does not know is left out.

    :param hook: class path of the vendor's hook, or of a subclass of it.
    :param conn_id: the Airflow connection.
    :param poll_interval: the longest time between two looks, in seconds.
    :param started_at: when the wait began, ISO 8601 with an offset.
    :param deadline: when it ends, whether or not the jobs have ended; ISO 8601 with an offset.
    :param max_poll_interval: what ``poll_interval`` may grow to while nothing changes; ``None``: it does not.
    :param missing_grace: seconds in which the vendor may not know a job (yet, or for a while).
    :param hook_params: further arguments of the hook, such as a Polaris project.
    :param failed_grace: seconds for which a job that has failed may still be resumed at the vendor.
    :param end: what the task makes of its jobs, if no worker is to end it: the arguments of an
        :class:`~airflow_provider_ingestjobs.triggers.ending.Ending`, or as ``worker`` why one must.
    :param unknown: what another release has written.
    """

    def __init__(
        self,
        *,
        hook: str,
        conn_id: str,
        poll_interval: float,
        started_at: str,
        deadline: str,
        max_poll_interval: float | None = None,
        missing_grace: float = 300.0,
        hook_params: Mapping[str, Any] | None = None,
        failed_grace: float = 0.0,
        end: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.hook = hook
        self.conn_id = conn_id
        self.poll_interval = poll_interval
        self.started_at = started_at
        self.deadline = deadline
        self.max_poll_interval = max_poll_interval
        self.missing_grace = missing_grace
        self.hook_params = dict(hook_params or {})
        self.failed_grace = failed_grace
        self.end = dict(end) if end else None
        #: What began this wait in the triggerer; ``None`` if a worker did, whose end may not be known yet.
        self.begun_by: str | None = None
        self._has_last_word = False
        self._unknown = ", ".join(unknown)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "hook": self.hook,
            "conn_id": self.conn_id,
            "poll_interval": self.poll_interval,
            "started_at": self.started_at,
            "deadline": self.deadline,
            "max_poll_interval": self.max_poll_interval,
            "missing_grace": self.missing_grace,
            "hook_params": self.hook_params,
            # Only where it is used: releases that do not know it log that they leave it out.
            **({"failed_grace": self.failed_grace} if self.failed_grace else {}),
            **({"end": self.end} if self.end else {}),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        began = clock.monotonic()
        if self._unknown:
            self.log.warning("Arguments that another release wrote are ignored: %s", self._unknown)
        try:
            jobs = await self._wait()
            if await self._ends_here(jobs):
                yield TaskSuccessEvent()
                return
            payload = event_of_jobs(jobs, self.deadline)
        except Exception as error:
            ours = own_error(error)
            if isinstance(ours, UnexpectedError):
                self.log.exception("The wait ends because of a bug, not because of its job: %s", ours)
            payload = event_of_error(ours)
        if self._in_triggerer and self.begun_by is None and self.seconds_waited() < MAX_RESUME_HOLD:
            await asyncio.sleep(max(resume_lag() - (clock.monotonic() - began), 0.0))
        yield WaitEvent(payload=payload)

    async def cleanup(self) -> None:
        """Let the task's log have its last lines, which no worker tells again."""
        if self._has_last_word:
            await asyncio.sleep(LOG_LEAD)

    @abstractmethod
    async def _wait(self) -> Sequence[Job]:
        """Return the ended jobs."""

    def seconds_waited(self) -> float:
        """Return how long the wait has lasted, in seconds; also of one that another triggerer began."""
        return clock.time() - datetime.fromisoformat(self.started_at).timestamp()

    @property
    def _in_triggerer(self) -> bool:
        # Without an id it runs in the task's own process, as in dag.test().
        return self.trigger_id is not None

    async def _ends_here(self, jobs: Sequence[Job]) -> bool:
        """Whether the task is done without a worker: its result is stored, and nothing is left to do."""
        if self.end is None or not self._in_triggerer:
            return False
        self._has_last_word = True
        try:
            await self._leave_result(jobs, **self.end)
        except Exception as error:
            say_why(self.log, "goes on", error)
            return False
        return True

    async def _leave_result(self, jobs: Sequence[Job], worker: str = "", **end: Any) -> None:
        if worker:
            raise WorkerNeeded(worker)
        check_installation()
        ending = Ending(self._hook_class.vendor, **end)
        reads = detail_reads_for(self._hook_class, self.conn_id, self.hook_params)
        jobs = await reads.read(
            jobs,
            ending.needs_details_of(jobs),
            deadline=datetime.fromisoformat(self.deadline),
            interval=self.poll_interval,
            grace=self.missing_grace,
            log=self.log,
            include_raw=ending.include_raw,
        )
        for key, value in ending.xcoms(jobs).items():
            await keep_xcom(self.task_instance, key, value)
        for job in jobs:
            self.log.info("%s is %s", job, job.describe())

    @property
    def _hook_class(self) -> type[IngestJobHook]:
        return hook_class_from(self.hook)

    @property
    def _watch(self) -> Watch:
        return watch_for(self._hook_class, self.conn_id, self.hook_params)

    def _follow_arguments(self) -> dict[str, Any]:
        return {
            "conn_id": self.conn_id,
            "began": datetime.fromisoformat(self.started_at),
            "grace": self.missing_grace,
            "log": self.log,
            "failed_grace": self.failed_grace,
        }

    async def _follow(self, follow: F, target: Target, take: Take[F, T]) -> T:
        """Return what a target has come to, once it has.

        :param follow: what follows it.
        :param target: the job or the selection.
        :param take: gives an update to ``follow``, and returns the outcome once there is one.
        :raises WaitTimeout: if there is none at the deadline, nor at a last look.
        """
        deadline = datetime.fromisoformat(self.deadline)
        task = getattr(self, "task_instance", None) if self._in_triggerer else None
        async with self._watch.join(target, self.poll_interval, self.max_poll_interval, task) as wait:
            while (now := clock.now()) < deadline:
                follow.say_that_it_waits(now, wait.read_at, wait.trouble)
                pause = min(follow.next_look or deadline, follow.next_word, deadline) - now
                try:
                    async with asyncio.timeout(max(pause.total_seconds(), 0.0)):
                        update = await wait.next_update()
                except TimeoutError:
                    if follow.next_look is not None and follow.next_look <= clock.now():
                        follow.next_look = None
                        wait.look_now()
                    continue
                if (outcome := await take(follow, update, wait)) is not None:
                    return outcome
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK_TIMEOUT):
                    wait.look_now()
                    if (outcome := await take(follow, await wait.next_update(), wait)) is not None:
                        return outcome
            raise WaitTimeout(follow.report(clock.now(), wait.read_at, wait.trouble))


def event_of_jobs(jobs: Sequence[Job], deadline: str | None = None) -> dict[str, Any]:
    """Return the event of a wait that saw its jobs end.

    :param jobs: the ended jobs.
    :param deadline: until when the task may ask about them; ISO 8601 with an offset.
    """
    event = {"status": "ended", "jobs": [job.to_dict() for job in jobs]}
    return event if deadline is None else {**event, "deadline": deadline}


def event_of_start(reason: str, began: str | None = None) -> dict[str, Any]:
    """Return the event of a wait that a worker must begin.

    :param reason: why, for people.
    :param began: when the wait began, if it may have; ISO 8601 with an offset.
    """
    event = {"status": "start", "message": reason}
    return event if began is None else {**event, "began": began}


def start_from_event(event: Mapping[str, Any]) -> datetime | None:
    """Return when a wait began that a worker must begin anew; ``None`` if it had not.

    :param event: the event's payload.
    """
    return _moment(event, "began")


def event_of_error(error: IngestJobsError) -> dict[str, Any]:
    """Return the event of a wait that ended otherwise.

    :param error: why.
    """
    name = next(cls.__name__ for cls in type(error).__mro__ if ERRORS.get(cls.__name__) is cls)
    event: dict[str, Any] = {
        "status": "timeout" if isinstance(error, WaitTimeout) else "error",
        "error": name,
        "message": str(error),
    }
    if isinstance(error, VendorError):
        event |= {
            "http_status": error.status,
            "request_id": error.request_id,
            "retry_after": error.retry_after,
        }
    if isinstance(error, InvalidInput):
        value = error.value
        is_json = value is None or isinstance(value, str | int | float | bool)
        event |= {"field": error.field, "value": value if is_json else str(value), "fix": error.fix}
    plain: dict[str, Any] = as_plain(event)
    return plain


def jobs_from_event(event: Any) -> list[Job]:
    """Return the ended jobs of a trigger's event, which another release may have written.

    :param event: the event's payload.
    :raises IngestJobsError: the error that ended the wait, as its own class; and for an event that cannot be
        understood, which is never a success.
    """
    status = event.get("status") if isinstance(event, Mapping) else None
    if status in ("timeout", "error"):
        raise _error_from(event)
    try:
        jobs = [Job.from_dict(job) for job in event["jobs"]] if status == "ended" else []
    except (KeyError, TypeError, ValueError):
        jobs = []
    if not jobs or not all(job.state.is_terminal for job in jobs):
        raise IngestJobsError(f"The trigger sent an event that does not say how the job ended: {event!r}")
    return jobs


def deadline_from_event(event: Any) -> datetime | None:
    """Return when the wait that has fired an event ends; ``None`` if another release has not written that.

    :param event: the event's payload.
    """
    return _moment(event, "deadline")


def own_error(error: Exception) -> IngestJobsError:
    """Return an error, of a watch or any other, as the error of one of the waits that it ends.

    :param error: the error, which all waits of a watch share.
    """
    if isinstance(error, IngestJobsError):
        # Each raise of a shared error would lengthen its traceback.
        return error.with_traceback(None)
    try:
        text = f": {error}"
    except Exception:
        # An error that cannot be shown must not take the place of the one to be told.
        text = ", which has no text"
    wrapped = UnexpectedError(f"{type(error).__name__}{text}")
    wrapped.__cause__ = error
    return wrapped


def _moment(event: Any, name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(event[name])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def _error_from(event: Mapping[str, Any]) -> IngestJobsError:
    fallback = WaitTimeout if event.get("status") == "timeout" else IngestJobsError
    cls = ERRORS.get(str(event.get("error")), fallback)
    message = str(event.get("message", event))
    if issubclass(cls, VendorError):
        return cls(
            message,
            status=event.get("http_status"),
            request_id=event.get("request_id"),
            retry_after=event.get("retry_after"),
        )
    if issubclass(cls, InvalidInput):
        try:
            return cls(event["field"], event["value"], event["fix"])
        except KeyError:
            return IngestJobsError(message)
    return cls(message)
