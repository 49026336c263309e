# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' sensors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
    wait_in_worker,
)
from airflow_provider_ingestjobs.arguments import (
    check_cancel_on_kill,
    check_count,
    check_flag,
    check_given_window,
    check_selection_arguments,
    check_target,
    one_interval,
    to_end_states,
    to_seconds,
)
from airflow_provider_ingestjobs.checks import check_checks, check_function
from airflow_provider_ingestjobs.deferral import check_deferral_timeout, defer_wait
from airflow_provider_ingestjobs.exceptions import JobEnded, JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.follow import Follow, FollowJob, FollowSelection
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.links import JOB_LINKS
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.sensors.run_times import earlier_look, first_look, next_look
from airflow_provider_ingestjobs.sensors.soft_fail import hidden_error
from airflow_provider_ingestjobs.sensors.start_from_trigger import (
    PerTask,
    is_start,
    start_trigger_args,
    starts_from_trigger,
    warn_of_older_airflow,
    why_worker_starts,
)
from airflow_provider_ingestjobs.stopping import note_on_earlier_try
from airflow_provider_ingestjobs.vendor_task import MISSING_GRACE
from airflow_provider_ingestjobs.verdict import Wanted
from airflow_provider_ingestjobs.wait_target import WaitTarget, describe_target
from airflow_provider_ingestjobs.wait_task import WaitTask
from airflow_provider_ingestjobs.workerless import flag_or_setting

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.details import DetailReader
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.task_arguments import SensorArguments, TemplatedMoment, TemplatedNumbers

H = TypeVar("H", bound="IngestJobHook")
J = TypeVar("J", bound="list[Job] | None")


class IngestJobSensor(WaitTask[H], BaseSensorOperator):
    """Waits until a vendor's jobs have ended, and returns them.

    The jobs are given either by ``job_id`` or by a selection: what they load (each vendor's sensor has its
    own filters) and when they started. It returns a dict for one ``job_id``, else a list of dicts.

    ``soft_fail`` skips the task where a job ended otherwise than expected, failed a check, was never found,
    or had not ended when the timeout was up. It does not where the wait itself is at fault, such as refused
    credentials or a bug: that fails the task, in every mode.

    :param job_id: the vendor's id of the job, or several (templated).
    :param filters: the selection's filters and their values, from the vendor's sensor (templated).
    :param started_from: of a selection, when the earliest job started: an aware datetime, or ISO 8601 text
        with an offset (templated). Default: the start of the run's data interval; of a run that has none,
        ``look_back`` before its logical date.
    :param started_to: the end of that window, exclusive (templated). Default: the end of the data interval;
        of a run that has none, a day after the run's logical date.
    :param look_back: how long before a run without a data interval jobs may have started.
    :param min_jobs: how many selected jobs there must be at least.
    :param settle: how long after the last end the sensor still looks for further jobs.
    :param latest_only: of the selected jobs with the same target, only the one that started last counts.
    :param deferrable: wait in the triggerer, where all waits on a connection share one poll, rather than
        in ``mode`` ``poke`` or ``reschedule``.
    :param poke_interval: the longest time between two looks at the job. ``exponential_backoff`` lets it grow
        up to ``max_wait`` while nothing changes, in every mode.
    :param poll_interval: what operators call ``poke_interval``; give one of them.
    :param timeout: how long to wait at most.
    :param expected_states: the states that count as success, such as ``("succeeded", "skipped")``.
    :param checks: limits for the jobs' counts, such as ``{"max_error_ratio": 0.01, "min_rows": 1}``; see
        :mod:`airflow_provider_ingestjobs.checks`.
    :param check: called with each ended :class:`~airflow_provider_ingestjobs.job.Job`; returns ``True`` if
        the job is fine, else ``False`` or what is wrong with it.
    :param missing_grace: how long the vendor may not know the job (yet). In ``reschedule`` mode it counts
        from the first look, as what was seen is not kept between two looks.
    :param failed_grace: how long after its end a job that has failed may still be resumed at the vendor; from
        the sensors of vendors that document such a thing.
    :param cancel_on_kill: cancel the vendor's job when the task is killed; when it is deferred, Airflow 3.3
        or newer is needed for that. Not in ``reschedule`` mode, where there is mostly no process to kill.
    :param include_raw: keep the vendor's whole record in what is returned.
    :param start_from_trigger: let the scheduler hand a deferrable sensor to the triggerer, without a worker
        (Airflow 3.3 or newer). Default: the setting ``[ingestjobs] workerless``.
    :param end_from_trigger: let the triggerer end the task, without a worker, where the jobs end well. What
        only a worker can do, it still does: the task's log says what. Default: the same setting.
    :param kwargs: see Airflow's ``BaseSensorOperator``.
    :raises InvalidInput: for an argument that cannot be used.
    """

    template_fields: Sequence[str] = ("job_id", "started_from", "started_to")
    operator_extra_links: Any = JOB_LINKS
    ui_color = "#d7ecea"
    start_from_trigger = PerTask(False, starts_from_trigger)
    start_trigger_args = PerTask(None, start_trigger_args)

    def __init__(
        self,
        *,
        job_id: TemplatedNumbers | None = None,
        filters: Mapping[str, Any] | None = None,
        started_from: TemplatedMoment | None = None,
        started_to: TemplatedMoment | None = None,
        look_back: timedelta | float = timedelta(days=1),
        min_jobs: int = 1,
        settle: timedelta | float = 0.0,
        latest_only: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        expected_states: Iterable[JobState | str] = (JobState.SUCCEEDED,),
        checks: Mapping[str, float | str] | None = None,
        check: Callable[[Job], bool | str] | None = None,
        missing_grace: timedelta | float = MISSING_GRACE,
        failed_grace: timedelta | float = 0.0,
        cancel_on_kill: bool = False,
        include_raw: bool = False,
        start_from_trigger: bool | None = None,
        end_from_trigger: bool | None = None,
        poll_interval: timedelta | float | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        if poll_interval is not None:
            given = kwargs.get("poke_interval")
            kwargs["poke_interval"] = one_interval(
                "poke_interval", given, None, "poll_interval", poll_interval
            )
        super().__init__(**kwargs)
        self.filters = dict(filters or {})
        self.job_id = check_target(job_id, self.filters, self.hook_class.vendor)
        moments = {"started_from": started_from, "started_to": started_to}
        counts = {"look_back": look_back, "min_jobs": min_jobs, "settle": settle, "latest_only": latest_only}
        check_selection_arguments(job_id, {**moments, **counts}, IngestJobSensor, kwargs.get("default_args"))
        check_given_window(started_from, started_to)
        self.started_from = started_from
        self.started_to = started_to
        self._given_moments = [name for name, value in moments.items() if value is not None]
        self.look_back = to_seconds("look_back", look_back)
        self.min_jobs = check_count("min_jobs", min_jobs)
        self.settle = to_seconds("settle", settle)
        self.latest_only = check_flag("latest_only", latest_only)
        self.deferrable = check_flag("deferrable", deferrable)
        self.expected_states = to_end_states("expected_states", expected_states)
        self.checks = check_checks(checks or {}, self.hook_class.vendor)
        self.check = check_function(check)
        self._wanted = Wanted(self.hook_class.vendor, self.expected_states, self.checks, self.check)
        self.missing_grace = to_seconds("missing_grace", missing_grace)
        failed_grace = to_seconds("failed_grace", failed_grace)
        # A failure that is expected is a true end.
        self.failed_grace = 0.0 if JobState.FAILED in self.expected_states else failed_grace
        has_process = deferrable or not self.reschedule
        self.cancel_on_kill = check_cancel_on_kill(
            cancel_on_kill, self.hook_class.vendor, has_ids=job_id is not None, has_process=has_process
        )
        self.include_raw = check_flag("include_raw", include_raw)
        of_task = (deferrable, kwargs.get("default_args"))
        self.wants_start_from_trigger = flag_or_setting("start_from_trigger", start_from_trigger, *of_task)
        self.end_from_trigger = flag_or_setting("end_from_trigger", end_from_trigger, *of_task)
        warn_of_older_airflow(start_from_trigger)
        self._follows: dict[str, FollowJob] = {}
        self._follow_selection: FollowSelection | None = None
        self._began: datetime | None = None
        self._details: DetailReader | None = None
        self._ended: Sequence[Job] = ()
        self._lineage_host = ""

    def execute(self, context: Context) -> Any:
        """Wait for the jobs."""
        if self.deferrable and self.wants_start_from_trigger and (reason := why_worker_starts(self)):
            self.log.info("A worker starts this task: %s", reason)
        return self._start(context, clock.now())

    def _start(self, context: Context, began: datetime) -> Any:
        target = self._target(context)
        self.job_link = ""
        if isinstance(target, list) and len(target) == 1:
            self.keep_link(context, target[0])
        if self.deferrable:
            defer_wait(self, target, began, context)
        self.keep_wait(context, target, first_look(context, self), timedelta(seconds=self.timeout))
        try:
            return wait_in_worker(self, context)
        except AirflowSensorTimeout as error:
            raise WaitTimeout(self._report_timeout() or f"{self._name(target)}: {error}") from error
        except AirflowRescheduleException as again:
            again.reschedule_date = next_look(again.reschedule_date, self._rests_until, self._deadline)
            raise
        except AirflowSkipException as skip:
            outcome = hidden_error(skip, self._report_timeout) if self.soft_fail else skip
            # Without its own cause, it would be its own context's cause.
            raise outcome from outcome.__cause__

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look at the jobs once."""
        self._began = self._began or first_look(context, self)
        self._is_resumed = earlier_look(context, self) is not None
        target = self._target(context)
        with self._skips():
            if isinstance(target, Selection):
                jobs = self._look_for(target, context)
            else:
                jobs = self.look_at_all(target, first_look(context, self))
            if jobs is None:
                for follow in self._all_follows():
                    follow.say_that_it_waits(clock.now())
                return False
            if self._details is None:
                self._details = self.reader(self._deadline)
            jobs = self.in_full(self._details.look, jobs)
            return (
                PokeReturnValue(True, self.judge(jobs, context, self._note(context)))
                if jobs is not None
                else False
            )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers import base as events

        if is_start(event):
            return self._start(context, events.start_from_event(event) or clock.now())
        with self._skips():
            jobs = events.jobs_from_event(event)
            # An event of another release may lack its deadline; Airflow keeps the start of a deferred task.
            deadline = events.deadline_from_event(event) or context["ti"].start_date + timedelta(
                seconds=self.timeout
            )
            jobs = self.in_full(self.reader(deadline).wait, jobs)
            return self.judge(jobs, context, self._note(context))

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on with the deferred task; it is skipped over what it would be in the other modes."""
        try:
            with self._skips():
                check_deferral_timeout(self.vendor, next_method, next_kwargs)
                # Not that of Airflow's sensors, which skips over every AirflowException.
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except Exception as error:
            # A wait that only begins here fails as in `execute`.
            if getattr(self, "never_fail", False) and not is_start((next_kwargs or {}).get("event")):
                raise AirflowSkipException(str(error)) from error
            raise

    def _validate_start_from_trigger_kwargs(self) -> None:
        """Leave out Airflow's check for functions, which comes before a subclass has set its attributes."""

    # ------------------------------------------------------------------ what to wait for

    @property
    def wait_target(self) -> WaitTarget:
        """What is waited for: as given, and in a task's process as rendered."""
        return WaitTarget(
            job_id=self.job_id,
            filters={name: getattr(self, name) for name, value in self.filters.items() if value is not None},
            moments={name: getattr(self, name) for name in self._given_moments},
            look_back=self.look_back,
            min_jobs=self.min_jobs,
            settle=self.settle,
            latest_only=self.latest_only,
        )

    def _target(self, context: Context) -> list[str] | Selection:
        return self.wait_target.resolve(context, self.hook_class.vendor)

    def _name(self, target: list[str] | Selection) -> str:
        return describe_target(target, self.hook_class.vendor)

    # ------------------------------------------------------------------ waiting

    @property
    def look_interval(self) -> float:
        """The longest time between two looks, in seconds."""
        return self.poke_interval

    @property
    def longest_interval(self) -> float | None:
        """What the seconds between two looks may grow to while nothing changes."""
        if not self.exponential_backoff:
            return None
        return self.max_wait.total_seconds() if self.max_wait else self.timeout

    @property
    def is_kept(self) -> bool:
        """Whether what this object knows is kept between two looks."""
        return not self.reschedule

    def _look_for(self, selection: Selection, context: Context) -> list[Job] | None:
        if self._follow_selection is None:
            # Nothing is kept between two looks in reschedule mode: the run's start is the next best.
            run: Any = context["dag_run"]
            began = (run.start_date if self.reschedule else None) or clock.now()
            arguments = self.follow_arguments(began)
            self._follow_selection = FollowSelection(self.vendor, selection, **arguments)
        return self.look_for(selection, self._follow_selection)

    @property
    def _deadline(self) -> datetime:
        return (self._began or clock.now()) + timedelta(seconds=self.timeout)

    def _report_timeout(self) -> str:
        return self.report_timeout(self._all_follows())

    def _all_follows(self) -> list[Follow]:
        jobs = [follow for follow in self._follows.values() if not follow.has_ended]
        return [*jobs, *([self._follow_selection] if self._follow_selection else [])]

    def _note(self, context: Context) -> str:
        return note_on_earlier_try(context) if self.cancel_on_kill else ""

    @contextmanager
    def _skips(self) -> Iterator[None]:
        """Skip the task over how its jobs ended, or that they did not in time, where it asks for that."""
        try:
            yield
        except (JobEnded, JobNotFound, WaitTimeout, AirflowTaskTimeout) as error:
            # Airflow before 3.2 does not know never_fail where a deferred sensor goes on.
            if self.soft_fail or getattr(self, "never_fail", False):
                raise AirflowSkipException(str(error)) from error
            raise
