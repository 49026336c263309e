# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' operators share that start a job: they start it once, wait for it, and judge it."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Unpack

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import BaseOperator, conf
from airflow_provider_ingestjobs.arguments import (
    check_cancel_on_kill,
    check_flag,
    one_interval,
    to_end_states,
    to_seconds,
)
from airflow_provider_ingestjobs.checks import check_checks, check_function
from airflow_provider_ingestjobs.deferral import check_deferral_timeout, defer_wait
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.exceptions import (
    JobCancelled,
    JobEnded,
    JobFailed,
    JobNotFound,
    StartedJobFailed,
    TaskKilled,
    WaitTimeout,
)
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.links import JOB_LINKS
from airflow_provider_ingestjobs.operators.base import MIN_INTERVAL
from airflow_provider_ingestjobs.starts.memory import Memory, StartRecord, ThisTry
from airflow_provider_ingestjobs.starts.once import StartOnce
from airflow_provider_ingestjobs.stopping import stop_all
from airflow_provider_ingestjobs.vendor_task import MISSING_GRACE
from airflow_provider_ingestjobs.verdict import Wanted
from airflow_provider_ingestjobs.wait_target import WaitTarget
from airflow_provider_ingestjobs.wait_task import WaitTask
from airflow_provider_ingestjobs.workerless import flag_or_setting

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.starts.request import StartRequest
    from airflow_provider_ingestjobs.task_arguments import TaskArguments

H = TypeVar("H", bound="IngestJobHook")

#: How long the vendor's lists may lack a job that was just started, unless the task says otherwise.
LISTING_DELAY = timedelta(minutes=2)


class StartJobOperator(WaitTask[H], BaseOperator):
    """Starts a vendor's job, once, waits until it has ended, and returns it.

    A retry or a cleared task goes on with the job that the task has started, as long as that runs; after its
    failure it starts another one; after its success it returns it. Where it is not known whether a job was
    started, it is looked for at the vendor first: see docs/guides/starting-jobs.md.

    :param wait_for_termination: wait until the job has ended, rather than return once it is started.
    :param deferrable: wait in the triggerer.
    :param poll_interval: the longest time between two looks at the job, in seconds.
    :param timeout: how long to wait for its end at most. The job is then cancelled, with ``cancel_on_kill``.
    :param expected_states: the states that count as success, such as ``("succeeded", "skipped")``.
    :param checks: limits for the job's counts, such as ``{"max_error_ratio": 0.01, "min_rows": 1}``; see
        :mod:`airflow_provider_ingestjobs.checks`.
    :param check: called with the ended :class:`~airflow_provider_ingestjobs.job.Job`; returns ``True`` if it
        is fine, else ``False`` or what is wrong with it.
    :param missing_grace: how long the vendor may not know the job by its id (yet).
    :param listing_delay: how long the vendor's lists may lack a job that was just started. A lost answer is
        taken for "not started" only after that.
    :param cancel_on_kill: cancel the job when the task is killed, or its time is up; when it is deferred,
        Airflow 3.3 or newer is needed for the first. Default: wherever the vendor can.
    :param include_raw: keep the vendor's whole record in what is returned.
    :param end_from_trigger: let the triggerer end the task, without a worker, where the job ends well.
        Default: the setting ``[ingestjobs] workerless``.
    :param poke_interval: what sensors call ``poll_interval``; give one of them.
    :param kwargs: see Airflow's ``BaseOperator``.
    :raises InvalidInput: for an argument that cannot be used.
    """

    operator_extra_links: Any = JOB_LINKS
    ui_color = "#dcebd3"
    #: Whether one start may be several jobs, so that a list is returned.
    starts_several: ClassVar[bool] = False
    failed_grace = 0.0

    def __init__(
        self,
        *,
        wait_for_termination: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: timedelta | float = 30.0,
        timeout: timedelta | float = timedelta(days=1),
        expected_states: Iterable[JobState | str] = (JobState.SUCCEEDED,),
        checks: Mapping[str, float | str] | None = None,
        check: Callable[[Job], bool | str] | None = None,
        missing_grace: timedelta | float = MISSING_GRACE,
        listing_delay: timedelta | float = LISTING_DELAY,
        cancel_on_kill: bool | None = None,
        include_raw: bool = False,
        end_from_trigger: bool | None = None,
        poke_interval: timedelta | float | None = None,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        vendor = self.hook_class.vendor
        self.wait_for_termination = check_flag("wait_for_termination", wait_for_termination)
        self.deferrable = check_flag("deferrable", deferrable)
        interval = one_interval("poll_interval", poll_interval, 30.0, "poke_interval", poke_interval)
        self.poll_interval = to_seconds("poll_interval", interval)
        self.timeout = to_seconds("timeout", timeout)
        self.expected_states = to_end_states("expected_states", expected_states)
        self.checks = check_checks(checks or {}, vendor)
        self.check = check_function(check)
        self._wanted = Wanted(vendor, self.expected_states, self.checks, self.check)
        self.missing_grace = to_seconds("missing_grace", missing_grace)
        self.listing_delay = to_seconds("listing_delay", listing_delay)
        may_cancel = vendor.cancels if cancel_on_kill is None else cancel_on_kill
        self.cancel_on_kill = check_cancel_on_kill(may_cancel, vendor, has_ids=True, has_process=True)
        self.include_raw = check_flag("include_raw", include_raw)
        self.end_from_trigger = flag_or_setting(
            "end_from_trigger", end_from_trigger, deferrable, kwargs.get("default_args")
        )
        #: The vendor's ids of what is waited for; none before it is started.
        self.job_id: list[str] = []
        self._is_starting = False
        #: Airflow 3 lets a killed task's process run on for seconds.
        self._is_killed = False
        self._follows = {}

    @abstractmethod
    def start_request(self, context: Context) -> StartRequest:
        """Return what to start.

        :param context: the task's context.
        :raises InvalidInput: for an argument that, rendered, cannot be used.
        """

    def execute(self, context: Context) -> Any:
        """Start the job, or find what an earlier try has started; and wait for its end."""
        return self._wait_for(self._start_once(context, StartOnce.begin), context)

    def execute_complete(
        self, context: Context, event: dict[str, Any], job_ids: Sequence[str], try_number: int, **newer: Any
    ) -> Any:
        """Go on when the trigger has fired, with what :meth:`execute` has handed on, in whichever release."""
        from airflow_provider_ingestjobs.triggers import base as events

        self.job_id = list(job_ids)
        try:
            jobs = events.jobs_from_event(event)
            deadline = events.deadline_from_event(event) or clock.now()
            jobs = self.in_full(self.reader(deadline).wait, jobs)
        except (JobNotFound, WaitTimeout) as error:
            self._give_up(error, context)
            raise
        return self._conclude(jobs, context, try_number)

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on with the deferred task."""
        try:
            check_deferral_timeout(self.vendor, next_method, next_kwargs)
        except WaitTimeout as error:
            record = self._memory(context).read()
            self.job_id = list(record.job_ids) if record else []
            self._give_up(error, context)
            raise
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Cancel the job, where the task asks for that."""
        self._is_killed = True
        if self._is_starting and not self.job_id:
            self.log.warning(
                "The task was killed while it started a job: whether that runs is not known. The next try "
                "looks for it before it starts another one"
            )
        elif self.job_id:
            super().on_kill()

    @property
    def look_interval(self) -> float:
        """The longest time between two looks, in seconds."""
        return self.poll_interval

    @property
    def wait_target(self) -> WaitTarget:
        """What is waited for."""
        job_id = self.job_id if self.starts_several else next(iter(self.job_id), "")
        return WaitTarget(
            job_id=job_id, filters={}, moments={}, look_back=0.0, min_jobs=1, settle=0.0, latest_only=False
        )

    # ------------------------------------------------------------------ starting

    def _start_once(self, context: Context, how: Callable[[StartOnce], StartRecord]) -> StartRecord:
        starter = StartOnce(
            self.start_request(context),
            self.hook,
            self._memory(context),
            self._this_try(context),
            wanted=self._wanted,
            listing_delay=self.listing_delay,
            log=self.log,
            is_killed=lambda: self._is_killed,
        )
        self._is_starting, self.job_id = True, []
        record = how(starter)
        self.job_id = list(record.job_ids)
        self._is_starting = False
        return record

    def _memory(self, context: Context) -> Memory:
        return Memory(context, self.log)

    def _this_try(self, context: Context) -> ThisTry:
        return ThisTry.of(context, self.retries or 0)

    # ------------------------------------------------------------------ waiting

    def _wait_for(self, record: StartRecord, context: Context) -> Any:
        began = clock.now()
        if self._is_killed:
            # It was killed while the request was under way, when there was nothing to stop.
            super().on_kill()
            raise TaskKilled(
                f"The task was killed while it started {self.vendor} job {', '.join(self.job_id)}"
            )
        self.job_link = ""
        if len(self.job_id) == 1:
            self.keep_link(context, self.job_id[0])
        if not self.wait_for_termination:
            started_jobs = self._as_started(context)
            # There is no more to tell: whoever clears the task once they have ended, asks for others.
            self._memory(context).note_told(record)
            return started_jobs
        if self.deferrable:
            if self.end_from_trigger:
                # The trigger cannot say that it has told of the job's success.
                self._memory(context).note_told(record)
            started = {"job_ids": self.job_id, "try_number": record.try_number}
            defer_wait(self, self.job_id, began, context, started)
        self.keep_wait(context, self.job_id, began, timedelta(seconds=self.timeout))
        try:
            jobs = self._wait(began)
        except (JobNotFound, WaitTimeout) as error:
            self._give_up(error, context)
            raise
        return self._conclude(jobs, context, record.try_number)

    def _wait(self, began: datetime) -> list[Job]:
        deadline = began + timedelta(seconds=self.timeout)
        self._follows, self._details = {}, self.reader(deadline)
        while (jobs := self.look_at_all(self.job_id, began)) is None:
            follows = [follow for follow in self._follows.values() if not follow.has_ended]
            left = (deadline - clock.now()).total_seconds()
            if left <= 0:
                raise WaitTimeout(self.report_timeout(follows))
            for follow in follows:
                follow.say_that_it_waits(clock.now())
            time.sleep(min(max(self.poll_interval, MIN_INTERVAL), left))
        return self.in_full(self._details.wait, jobs)

    def _as_started(self, context: Context) -> Any:
        known: dict[str, Job] = {}
        try:
            known = self.hook.read_jobs(self.job_id).jobs
        except VendorUnavailable as error:
            self.log.warning("It is started, but cannot be read now: %s", error)
        # Some vendors do not know a job by its id at once.
        jobs = [
            known.get(job_id) or Job(self.vendor, job_id, JobState.UNKNOWN, vendor_state="")
            for job_id in self.job_id
        ]
        self.keep_page(context, jobs)
        for job in jobs:
            self.log.info("%s is %s: not waiting for its end", job, job.describe())
        found = [job.to_dict(include_raw=self.include_raw) for job in jobs]
        return found if self.starts_several else found[0]

    # ------------------------------------------------------------------ the end

    def _conclude(self, jobs: Sequence[Job], context: Context, started_in: int) -> Any:
        memory = self._memory(context)
        try:
            result = self.judge(jobs, context, ". Clear this task to start another one")
        except JobCancelled as error:
            if self._is_killed:
                raise TaskKilled(f"The task was killed: {error}") from error
            # A clear, or a try whose time was up, has stopped it, maybe after this try looked.
            if self.cancel_on_kill and started_in != self._this_try(context).number:
                self.log.warning(
                    "It was cancelled with try %d, which had started it: starting anew", started_in
                )
                return self._wait_for(self._start_once(context, StartOnce.start_again), context)
            memory.note_told()
            raise
        except JobFailed as error:
            memory.note_told()
            raise StartedJobFailed(f"{error}. A retry of this task starts another one", error.job) from error
        except JobEnded:
            memory.note_told()
            raise
        memory.note_told()
        return result

    def _give_up(self, error: JobNotFound | WaitTimeout, context: Context) -> None:
        """Cancel what was started once the time for it is up."""
        if isinstance(error, JobNotFound):
            self._memory(context).note_told()
            return
        if not self.job_id:
            return
        if self.cancel_on_kill:
            ended = {job_id for job_id, follow in self._follows.items() if follow.has_ended}
            stop_all(
                self, [job_id for job_id in self.job_id if job_id not in ended], self.log, "Its time is up"
            )
        else:
            self.log.warning("%s job %s goes on", self.vendor, ", ".join(self.job_id))
