# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' sensors share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_ingestjobs.assets import tell_outlets
from airflow_provider_ingestjobs.checks import check_checks, failed_checks
from airflow_provider_ingestjobs.exceptions import (
    IngestJobsError,
    InvalidInput,
    JobCancelled,
    JobCheckFailed,
    JobEnded,
    JobFailed,
    JobNotFound,
    VendorUnavailable,
    WaitTimeout,
)
from airflow_provider_ingestjobs.job import Job, JobState, check_job_id, to_states
from airflow_provider_ingestjobs.links import VendorJobLink
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from airflow_provider_ingestjobs.vendor_task import (
    TIMEOUT_SLACK,
    VendorTask,
    check_argument_id,
    is_template,
    to_seconds,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage


class IngestJobSensor(VendorTask, BaseSensorOperator):
    """Waits until a vendor's jobs have ended, and returns them.

    The jobs are given either by ``job_id`` or by a selection: what they load (each vendor's sensor names its
    own nouns) and when they started. It returns a dict for one ``job_id``, else a list of dicts.

    ``soft_fail`` skips the task where a job ended otherwise than expected, failed a check, was never found,
    or had not ended when the timeout was up. It does not where the wait itself is at fault, such as refused
    credentials: that fails the task, in every mode.

    :param job_id: the vendor's id of the job, or several (templated).
    :param filters: the selection's nouns and values, from the vendor's sensor (templated).
    :param started_from: of a selection, when the earliest job started: an aware datetime, or ISO 8601 text
        with an offset (templated). Default: the start of the run's data interval; of a run that has none,
        ``look_back`` before the run's logical date.
    :param started_to: the end of that window, exclusive (templated). Default: the end of the data interval;
        of a run that has none, when the sensor's timeout is up.
    :param look_back: see ``started_from``.
    :param min_jobs: how many selected jobs there must be at least.
    :param settle: how long after the last end further jobs may still appear.
    :param latest_only: of the selected jobs with the same target, only the one that started last counts.
    :param deferrable: wait in the triggerer, where all waits on a connection share one poll, rather than
        in ``mode`` ``poke`` or ``reschedule``.
    :param poke_interval: the longest time between two looks at the job. ``exponential_backoff`` lets it grow
        up to ``max_wait`` while nothing changes, in every mode.
    :param timeout: how long to wait at most.
    :param expected_states: the states that count as success, such as ``("succeeded", "skipped")``.
    :param checks: limits for the jobs' counts, such as ``{"max_error_ratio": 0.01, "min_rows": 1}``; see
        :mod:`airflow_provider_ingestjobs.checks`.
    :param check: called with each ended :class:`~airflow_provider_ingestjobs.job.Job`; returns ``True`` if
        the job is fine, else ``False`` or what is wrong with it.
    :param missing_grace: how long the vendor may not know the job (yet). In ``reschedule`` mode it counts
        from the first look, as what was seen is not kept between two of them.
    :param cancel_on_kill: cancel the vendor's job when the task is killed; when it is deferred, Airflow 3.3
        or newer is needed for that.
    :param include_raw: keep the vendor's whole record in what is returned.
    """

    template_fields: Sequence[str] = ("job_id", "started_from", "started_to")
    operator_extra_links = (VendorJobLink(),)
    ui_color = "#d7ecea"

    def __init__(
        self,
        *,
        job_id: str | Sequence[str] | None = None,
        filters: Mapping[str, Any] | None = None,
        started_from: datetime | str | None = None,
        started_to: datetime | str | None = None,
        look_back: timedelta | float = timedelta(days=1),
        min_jobs: int = 1,
        settle: timedelta | float = 0.0,
        latest_only: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        expected_states: Iterable[JobState | str] = (JobState.SUCCEEDED,),
        checks: Mapping[str, float] | None = None,
        check: Callable[[Job], bool | str] | None = None,
        missing_grace: timedelta | float = timedelta(minutes=5),
        cancel_on_kill: bool = False,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = dict(filters or {})
        for name, value in self.filters.items():
            setattr(self, name, value)
        self.job_id = self._check_target(job_id)
        self.started_from = self._check_moment("started_from", started_from)
        self.started_to = self._check_moment("started_to", started_to)
        self.look_back = to_seconds("look_back", look_back)
        if isinstance(min_jobs, bool) or not isinstance(min_jobs, int) or min_jobs < 1:
            raise InvalidInput("min_jobs", min_jobs, "give a number of one or more")
        self.min_jobs = min_jobs
        self.settle = to_seconds("settle", settle)
        self.latest_only = latest_only
        self.deferrable = deferrable
        self.expected_states = to_states("expected_states", expected_states)
        if not all(state.is_terminal for state in self.expected_states):
            raise InvalidInput("expected_states", expected_states, "name states that a job ends in")
        self.checks = check_checks(checks or {}, self.vendor, self.hook_class.counts)
        self.check = check
        self.missing_grace = to_seconds("missing_grace", missing_grace)
        self.cancel_on_kill = cancel_on_kill
        self.include_raw = include_raw
        if cancel_on_kill and not self.hook_class.kind.cancels:
            raise InvalidInput(
                "cancel_on_kill", True, f"leave it out: {self.vendor} documents no way to cancel a job"
            )
        if cancel_on_kill and job_id is None:
            raise InvalidInput(
                "cancel_on_kill", True, "give job_id: jobs that are only selected are not ours"
            )
        self._seen: dict[str, Job] = {}
        self._seen_at: datetime | None = None
        self._missing_since: dict[str, float] = {}
        self._began: datetime | None = None
        self._ended: Sequence[Job] = ()
        self._lineage_host = ""

    def execute(self, context: Context) -> Any:
        """Wait for the jobs."""
        target = self._target(context)
        self._began = datetime.now(UTC)
        if isinstance(target, list) and len(target) == 1:
            self.keep_link(context, target[0])
        if self.deferrable:
            self._defer(target, context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            raise WaitTimeout(f"{self._name(target)} had not ended. {error} {self._last_seen()}") from error

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look at the jobs once."""
        target = self._target(context)
        try:
            jobs = (
                self._look_for(target, context)
                if isinstance(target, Selection)
                else self._look_at(target, context)
            )
            if jobs is None:
                return False
            return PokeReturnValue(is_done=True, xcom_value=self._judge(jobs, context))
        except VendorUnavailable as error:
            self.log.warning("%s cannot be read now, the wait goes on: %s", self._name(target), error)
            return False

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers.job import jobs_from_event

        try:
            jobs = jobs_from_event(event)
        except (JobNotFound, WaitTimeout) as error:
            raise self._ending(error) from error
        except IngestJobsError as error:
            if getattr(self, "never_fail", False):
                raise AirflowSkipException(str(error)) from error
            raise
        return self._judge(jobs, context)

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on with the deferred task; a skip says why, as it does in the other modes."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as skip:
            # Airflow's own in its place only says that soft_fail is set.
            if isinstance(skip.__cause__, AirflowSkipException):
                raise skip.__cause__ from None
            raise

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Tell OpenLineage what the jobs read and wrote; its provider calls this where it is installed."""
        if not self._ended:
            return None
        from airflow_provider_ingestjobs.lineage import lineage_of

        scheme = self.hook_class.conn_type.replace("_", "-")
        return lineage_of(self._ended, f"{scheme}://{self._lineage_host}")

    def on_kill(self) -> None:
        """Cancel the jobs, where the task asks for that."""
        if self.cancel_on_kill:
            for job_id in self._job_ids():
                self.log.info("The task was killed, asking %s job %s to stop", self.vendor, job_id)
                self.hook.cancel_job(job_id)

    # ------------------------------------------------------------------ what to wait for

    def _check_target(self, job_id: Any) -> Any:
        selects = ", ".join(self.hook_class.selects)
        chosen = {name: value for name, value in self.filters.items() if value is not None}
        if job_id is None:
            if not chosen:
                raise InvalidInput("job_id", None, f"give job_id, or select jobs by {selects}")
            for name, value in chosen.items():
                if isinstance(value, str | list | tuple | set) and not value:
                    raise InvalidInput(name, value, "it is empty: leave it out, or give a value")
            return None
        if chosen:
            raise InvalidInput("job_id", job_id, f"give either job_id or {', '.join(chosen)}, not both")
        if isinstance(job_id, list | tuple):
            if not job_id:
                raise InvalidInput("job_id", job_id, "it is empty: give at least one id")
            return [check_argument_id(one) for one in job_id]
        return check_argument_id(job_id)

    @staticmethod
    def _check_moment(name: str, value: Any) -> Any:
        from airflow_provider_ingestjobs.hooks.base import to_utc

        if isinstance(value, datetime) or (isinstance(value, str) and not is_template(value)):
            to_utc(name, value)
        return value

    def _target(self, context: Context) -> list[str] | Selection:
        if self.job_id is not None:
            return self._job_ids()
        from airflow_provider_ingestjobs.hooks.base import check_window, to_utc

        # As rendered: what was given when the DAG was parsed must not have turned into "any".
        filters = {name: getattr(self, name) for name, given in self.filters.items() if given is not None}
        for name, value in (filters or {"job_id": None}).items():
            if value is None or (isinstance(value, str | list | tuple | set) and not value):
                raise InvalidInput(name, value, "it is empty: was the template or the upstream task's XCom?")
        start, end = self._default_window(context)
        if self.started_from is not None:
            start = to_utc("started_from", self.started_from)
        if self.started_to is not None:
            end = to_utc("started_to", self.started_to)
        start, end = check_window(start, end)
        return Selection(
            filters=freeze_filters(filters),
            started_from=start,
            started_to=end,
            min_jobs=self.min_jobs,
            settle=self.settle,
            latest_only=self.latest_only,
        )

    def _default_window(self, context: Context) -> tuple[datetime, datetime]:
        run: Any = context["dag_run"]
        start, end = run.data_interval_start, run.data_interval_end
        if start is not None and end is not None and start < end:
            return start, end
        # Runs triggered by hand or by assets have no interval, and those of a cron trigger one of no length.
        now = datetime.now(UTC)
        moment = end or run.logical_date or getattr(run, "run_after", None) or getattr(run, "queued_at", None)
        return (moment or now) - timedelta(seconds=self.look_back), now + timedelta(seconds=self.timeout)

    def _job_ids(self) -> list[str]:
        given: Any = self.job_id
        if isinstance(given, list | tuple | set):
            if not given:
                raise InvalidInput("job_id", given, "it is empty: was the upstream task's result empty?")
            return [check_job_id(job_id) for job_id in given]
        return [check_job_id(given)]

    def _name(self, target: list[str] | Selection) -> str:
        if isinstance(target, Selection):
            return f"{self.vendor} {target.describe()}"
        return f"{self.vendor} job {', '.join(target)}"

    # ------------------------------------------------------------------ waiting

    def _defer(self, target: list[str] | Selection, context: Context) -> None:
        from airflow_provider_ingestjobs.triggers.job import DEFERRAL, IngestJobTrigger, JobSelectionTrigger

        started_at, timeout = datetime.now(UTC), timedelta(seconds=self.timeout)
        arguments = self.trigger_arguments(started_at, timeout, self.poke_interval, self.missing_grace)
        if self.exponential_backoff:
            arguments["longest_interval"] = self.max_wait.total_seconds() if self.max_wait else self.timeout
        if self.cancel_on_kill:
            context["ti"].xcom_push(key=DEFERRAL, value=arguments["started_at"])
        self.log.info("Waiting for %s until %s, deferred", self._name(target), started_at + timeout)
        self.defer(
            trigger=JobSelectionTrigger(selection=target.to_dict(), **arguments)
            if isinstance(target, Selection)
            else IngestJobTrigger(job_ids=target, cancel_on_kill=self.cancel_on_kill, **arguments),
            method_name="execute_complete",
            timeout=timeout + TIMEOUT_SLACK,
        )

    def _look_at(self, job_ids: list[str], context: Context) -> list[Job] | None:
        read = self.hook.read_jobs([i for i in job_ids if i not in self._seen or not self._has_ended(i)])
        for trouble in read.troubles.values():
            raise trouble
        for job_id, job in read.jobs.items():
            self._see(job, job_id)
            self._missing_since.pop(job_id, None)
        for job_id in read.missing:
            self._miss(job_id, context)
        if not all(job_id in self._seen and self._has_ended(job_id) for job_id in job_ids):
            return None
        return [self._seen[job_id] for job_id in job_ids]

    def _look_for(self, selection: Selection, context: Context) -> list[Job] | None:
        jobs = self.hook.select_jobs([selection])[selection]
        for job in jobs:
            self._see(job, job.id)
        now = datetime.now(UTC)
        if selection.is_done(jobs, now):
            return jobs
        # Nothing is kept between two looks in reschedule mode; the run's start is the next best beginning.
        run: Any = context["dag_run"]
        began = (run.start_date if self.reschedule else self._began) or now
        try:
            selection.check_hope(jobs, now, began, self.missing_grace, self.conn_id)
        except JobNotFound as error:
            raise self._ending(error) from error
        return None

    def _has_ended(self, job_id: str) -> bool:
        return self._seen[job_id].state.is_terminal

    def _see(self, job: Job, job_id: str) -> None:
        # Under the id that was asked for: the vendor's may have another case.
        before = self._seen.get(job_id)
        if before is None or before.state is not job.state:
            self.log.info("%s is %s", job, job.describe())
        self._seen[job_id], self._seen_at = job, datetime.now(UTC)

    def _miss(self, job_id: str, context: Context) -> None:
        now = time.monotonic()
        error = JobNotFound(
            f"{self.vendor} does not know job {job_id!r}. Check job_id and connection {self.conn_id!r}."
        )
        if job_id not in self._missing_since:
            self._missing_since[job_id] = now - self._looked_before(context)
            self.log.warning("%s Waiting up to %.0f s for it.", error, self.missing_grace)
        if now - self._missing_since[job_id] >= self.missing_grace:
            raise self._ending(error)

    def _looked_before(self, context: Context) -> float:
        """Return for how many seconds other objects have looked before this one, in reschedule mode."""
        ti: Any = context["ti"]
        if not self.reschedule:
            return 0.0
        # Airflow 3 has to be asked; Airflow 2 keeps the first start of a task that it reschedules.
        ask = getattr(ti, "get_first_reschedule_date", None)
        first = ask(context) if ask else ti.start_date
        return max((datetime.now(UTC) - first).total_seconds(), 0.0) if first else 0.0

    def _last_seen(self) -> str:
        if not self._seen:
            return "It was never seen."
        states = "; ".join(f"{job.id} {job.describe()}" for job in self._seen.values())
        return f"When last read, at {self._seen_at}: {states}."

    # ------------------------------------------------------------------ the end

    def _judge(self, jobs: Sequence[Job], context: Context) -> Any:
        # The shared poll reads the states of all jobs; what takes a request for one job is asked for here.
        self._ended = jobs = [self._in_full(job) for job in jobs]
        if find_spec("airflow.providers.openlineage"):
            # OpenLineage asks from a process of its own, which cannot look up a connection.
            self._lineage_host = self.hook.settings.base_url.partition("://")[2]
        for job in jobs:
            self.log.info("%s is %s", job, job.describe())
        if bad := [job for job in jobs if job.state not in self.expected_states]:
            error = JobCancelled if all(job.state is JobState.CANCELLED for job in bad) else JobFailed
            raise self._ending(error("; ".join(map(_obituary, bad)), bad[0]))
        if wrong := [f"{job}: {failure}" for job in jobs for failure in self._failed_checks(job)]:
            raise self._ending(JobCheckFailed("; ".join(wrong), jobs[0]))
        tell_outlets(context, self.outlets, jobs)
        found = [job.to_dict(include_raw=self.include_raw) for job in jobs]
        return found[0] if isinstance(self.job_id, str | int) else found

    def _in_full(self, job: Job) -> Job:
        # A check must not fail for good over what a passing trouble keeps from it.
        needed = bool(self.checks or self.check) and job.state in self.expected_states
        if not self.include_raw:
            return self.hook.add_details(job, needed)
        try:
            whole = self.hook.get_job(job.id)
        except (VendorUnavailable, JobNotFound) as error:
            # How it ended is known, whoever does not answer now.
            self.log.warning("The whole record of %s cannot be read: %s", job, error)
            return self.hook.add_details(job, needed)
        return whole if whole.state is job.state else replace(job, raw=whole.raw)

    def _failed_checks(self, job: Job) -> list[str]:
        failures = failed_checks(job, self.checks)
        if self.check is None:
            return failures
        verdict: Any = self.check(job)
        if verdict is not None and not isinstance(verdict, str) and bool(verdict):
            return failures
        name = getattr(self.check, "__name__", "check")
        return [
            *failures,
            verdict if isinstance(verdict, str) and verdict else f"{name}() returned {verdict!r}",
        ]

    def _ending(self, error: JobEnded | JobNotFound | WaitTimeout) -> Exception:
        # Airflow before 3.2 does not know never_fail where a deferred sensor goes on.
        skips = self.soft_fail or getattr(self, "never_fail", False)
        return AirflowSkipException(str(error)) if skips else error


def _obituary(job: Job) -> str:
    said = [f"{job} is {job.describe()}", job.failure and f"The vendor says: {job.failure}", job.url]
    return ". ".join(part for part in said if part)
