# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What sensors and operators share: a vendor's hook, a look at its jobs, and what their triggers take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.details import DetailReader
from airflow_provider_ingestjobs.errors import InvalidInput, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.hooks.for_triggers import class_path, name_of
from airflow_provider_ingestjobs.links import PAGE_LINKS, PAGE_XCOM_KEY, XCOM_KEY, page_address
from airflow_provider_ingestjobs.triggers.backoff import MAX_RETRY_AFTER
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY, WaitRecord

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.follow import Follow, FollowJob, FollowSelection
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.selection import Selection

H = TypeVar("H", bound="IngestJobHook")

#: How much later Airflow ends a deferral than the trigger does, so that the trigger can say how it stood.
TIMEOUT_SLACK = timedelta(minutes=2)
#: How long a vendor may not know a job (yet), unless the task says otherwise.
MISSING_GRACE = timedelta(minutes=5)


class VendorTask(Generic[H]):
    """A task on one vendor's connection.

    A subclass sets ``hook_class``, and an attribute named as the vendor's ``conn_name_attr``.
    """

    hook_class: type[H]
    missing_grace: float
    execution_timeout: timedelta | None
    log: Any
    #: The address of the task's job, empty if it has none; ``None`` while this process does not know.
    job_link: str | None = None
    #: Until when the vendor has asked to be left alone.
    _rests_until: datetime | None = None
    #: Whether an earlier process of this task has looked already.
    _is_resumed = False

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """Further arguments of the hook."""
        return {}

    @cached_property
    def hook(self) -> H:
        """The vendor's hook; nothing is looked up before its first request."""
        return self.hook_class(self.conn_id, **self.hook_params)

    @property
    def vendor(self) -> str:
        """The vendor's name."""
        return self.hook_class.vendor.name

    def deferred_for(self, timeout: float) -> timedelta:
        """Return how long a deferred wait lasts at most: Airflow 3 forgets ``execution_timeout`` meanwhile.

        :param timeout: how long the wait itself may last, in seconds.
        """
        return min(timedelta(seconds=timeout), self.execution_timeout or timedelta.max)

    def trigger_arguments(
        self,
        started_at: datetime,
        timeout: timedelta,
        *,
        poll_interval: float,
        missing_grace: float,
        failed_grace: float = 0.0,
        max_poll_interval: float | None = None,
    ) -> dict[str, Any]:
        """Return what every trigger of this package takes.

        :param started_at: when the wait begins.
        :param timeout: how long it lasts at most.
        :param poll_interval: seconds between two looks.
        :param missing_grace: seconds in which the vendor may not know a job.
        :param failed_grace: seconds for which a job that has failed may still be resumed.
        :param max_poll_interval: what the seconds between two looks may grow to while nothing changes.
        :raises InvalidInput: if the triggerer could not import the task's hook.
        """
        return {
            "hook": class_path(self.hook_class),
            "conn_id": self.conn_id,
            "poll_interval": poll_interval,
            "max_poll_interval": max_poll_interval,
            "started_at": started_at.isoformat(),
            "deadline": (started_at + timeout).isoformat(),
            "missing_grace": missing_grace,
            "hook_params": self.hook_params,
            "failed_grace": failed_grace,
        }

    def look_at(self, follows: Mapping[str, FollowJob]) -> None:
        """Read once the jobs that are followed and have not ended.

        :param follows: what follows each job, by the job's id.
        :raises JobNotFound: if the vendor has not known one for too long.
        :raises VendorError: if the vendor refuses.
        """
        left = [job_id for job_id, follow in follows.items() if not follow.has_ended]
        if not self._may_look(follows.values()):
            return
        try:
            read = self.hook.read_jobs(left)
        except VendorUnavailable as error:
            self._note_trouble([follows[job_id] for job_id in left], error)
            return
        now = clock.now()
        for job_id, trouble in read.errors.items():
            self._note_trouble([follows[job_id]], trouble)
        for job_id, job in read.jobs.items():
            follows[job_id].see(self.with_reason(job, follows[job_id], now), now)
        for job_id in read.missing:
            follows[job_id].miss(now)

    def look_for(self, selection: Selection, follow: FollowSelection) -> list[Job] | None:
        """Look once for the jobs of a selection, and return them if they are all there and have ended.

        :param selection: the selection.
        :param follow: what follows it.
        :raises JobNotFound: if too few have appeared, and no more can; or if one has been missing too long.
        :raises VendorError: if the vendor refuses.
        """
        if not self._may_look([follow]):
            return None
        try:
            found = self.hook.select_jobs([selection], {selection: follow.jobs})[selection]
        except VendorUnavailable as error:
            self._note_trouble([follow], error)
            return None
        now = clock.now()
        jobs = [self.with_reason(job, follow, now) for job in found.jobs]
        if follow.see(jobs, now, found.missing, found.unread):
            return jobs
        if found.trouble is not None:
            self._note_trouble([follow], found.trouble)
        return None

    def detail_reader(
        self, deadline: datetime, interval: float, include_raw: bool = False, is_kept: bool = True
    ) -> DetailReader:
        """Return what reads the details of this task's ended jobs.

        :param deadline: when the wait for the jobs ends.
        :param interval: seconds between two looks.
        :param include_raw: whether the jobs' whole records are wanted, too.
        :param is_kept: whether it is kept between two looks, as it is not in reschedule mode.
        """
        return DetailReader(
            self.hook,
            deadline=deadline,
            interval=interval,
            grace=self.missing_grace,
            log=self.log,
            include_raw=include_raw,
            is_kept=is_kept,
        )

    def with_reason(self, job: Job, follow: Follow, now: datetime) -> Job:
        """Return a job that has failed with the reason, where it is about to be told and takes a request.

        :param job: the job.
        :param follow: what follows it.
        :param now: when it was read.
        """
        return self.hook.add_details(job) if follow.begins_to_bear(job, now) else job

    def _may_look(self, follows: Collection[Follow]) -> bool:
        """Whether the vendor may be asked again by now, and the connection can be read."""
        if self._rests_until is not None and clock.now() < self._rests_until:
            return False
        try:
            _ = self.hook.settings
        except InvalidInput as error:
            if not self._is_resumed:
                raise
            # An earlier look could read it: a secrets backend may have stumbled since, or somebody has saved
            # a typo.
            self._note_trouble(follows, VendorUnavailable(str(error)))
            return False
        return True

    def _note_trouble(self, follows: Iterable[Follow], error: VendorError) -> None:
        for follow in follows:
            follow.note_trouble(error)
        if error.retry_after is not None:
            pause = timedelta(seconds=min(error.retry_after, MAX_RETRY_AFTER))
            self._rests_until = clock.now() + pause

    def keep_wait(
        self, context: Context, target: list[str] | Selection, started_at: datetime, wait_time: timedelta
    ) -> None:
        """Store what the task waits for, as its wait begins.

        :param context: the task's context.
        :param target: the vendor's ids of the jobs, or the selection.
        :param started_at: when the wait began.
        :param wait_time: how long it lasts at most.
        """
        wait = WaitRecord(
            hook=name_of(self.hook_class),
            conn_type=self.hook_class.vendor.conn_type,
            conn_id=self.conn_id,
            hook_params={name: value for name, value in self.hook_params.items() if value},
            target=target,
            started_at=started_at,
            deadline=started_at + wait_time,
        )
        ti = context["ti"]
        try:
            ti.xcom_push(key=WAIT_XCOM_KEY, value=wait.to_dict())
            if PAGE_LINKS:
                ti.xcom_push(key=PAGE_XCOM_KEY, value=page_address(ti))
        except Exception as error:
            if getattr(self, "cancel_on_kill", False):
                # By it, a triggerer tells that its task was only moved to another one.
                raise
            self.log.warning("What this task waits for could not be stored for the page: %s", error)

    def keep_link(self, context: Context, job_id: str) -> None:
        """Store the job's address, so that the task's extra link works while it waits.

        :param context: the task's context.
        :param job_id: the vendor's id of the job.
        """
        try:
            url = self.hook.job_url(job_id)
        except InvalidInput:
            # The first request will say so, if it still cannot be read then.
            return
        self.job_link = url or ""
        if url:
            context["ti"].xcom_push(key=XCOM_KEY, value=url)

    def keep_page(self, context: Context, jobs: Sequence[Job]) -> None:
        """Store the address that the record of a single job has, where it is better than the job's own.

        :param context: the task's context.
        :param jobs: the jobs, as they were read.
        """
        if len(jobs) != 1:
            return
        own = self.hook.job_url(jobs[0].id)
        self.job_link = jobs[0].url or own or ""
        if jobs[0].url not in (None, own):
            context["ti"].xcom_push(key=XCOM_KEY, value=jobs[0].url)
