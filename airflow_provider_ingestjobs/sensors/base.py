# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' sensors share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_ingestjobs.exceptions import (
    IngestJobsError,
    InvalidInput,
    JobCancelled,
    JobEnded,
    JobFailed,
    JobNotFound,
    VendorUnavailable,
    WaitTimeout,
)
from airflow_provider_ingestjobs.job import Job, JobState, check_job_id, to_states
from airflow_provider_ingestjobs.links import XCOM_KEY, VendorJobLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger

#: What Airflow's own timeout of a deferral has over the trigger's, so that the trigger can say how it stood.
TIMEOUT_SLACK = timedelta(minutes=2)


class VendorJobTask:
    """What sensors and operators have in common: one job of one vendor, on one connection.

    A subclass sets ``hook_class``, and an attribute named as the hook's ``conn_name_attr``.
    """

    hook_class: ClassVar[type[IngestJobHook]]
    job_id: str
    poll_seconds: float
    longest_poll_seconds: float | None = None
    cancel_on_kill = False

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
    def hook(self) -> IngestJobHook:
        """The vendor's hook; nothing is looked up before its first request."""
        return self.hook_class(self.conn_id, **self.hook_params)

    @property
    def job_name(self) -> str:
        return f"{self.hook_class.kind.vendor} job {self.job_id}"

    def job_trigger(self, started_at: datetime, timeout: timedelta, missing_grace: float) -> IngestJobTrigger:
        """Return the trigger that waits until the job has ended."""
        from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger

        return IngestJobTrigger(
            hook=self.hook_class.kind.hook,
            conn_id=self.conn_id,
            job_id=self.job_id,
            poll_interval=self.poll_seconds,
            started_at=started_at.isoformat(),
            deadline=(started_at + timeout).isoformat(),
            longest_interval=self.longest_poll_seconds,
            missing_grace=missing_grace,
            cancel_on_kill=self.cancel_on_kill,
            hook_params=self.hook_params,
        )

    def keep_link(self, context: Context) -> None:
        """Store the job's address, so that the task's extra link works while it waits."""
        if url := self.hook.job_url(self.job_id):
            context["ti"].xcom_push(key=XCOM_KEY, value=url)


class IngestJobSensor(VendorJobTask, BaseSensorOperator):
    """Waits until a vendor's job has ended, and returns the job as a dict.

    ``soft_fail`` skips the task where the job ended otherwise than expected, was never found, or had not
    ended when the timeout was up. It does not where the wait itself is at fault, such as refused credentials:
    that fails the task, in every mode.

    :param job_id: the vendor's id of the job (templated).
    :param deferrable: wait in the triggerer, where all waits on a connection share one poll, rather than
        in ``mode`` ``poke`` or ``reschedule``.
    :param poke_interval: the longest time between two looks at the job. ``exponential_backoff`` lets it grow
        up to ``max_wait`` while nothing changes, in every mode.
    :param timeout: how long to wait at most.
    :param expected_states: the states that count as success, such as ``("succeeded", "skipped")``.
    :param missing_grace: how long the vendor may not know the job (yet). In ``reschedule`` mode it counts
        from the first look, as nothing is kept between two of them.
    :param cancel_on_kill: cancel the vendor's job when the task is killed; when it is deferred, Airflow 3.3
        or newer is needed for that.
    :param include_raw: keep the vendor's whole record in the returned dict.
    """

    template_fields: Sequence[str] = ("job_id",)
    operator_extra_links = (VendorJobLink(),)
    ui_color = "#d7ecea"

    def __init__(
        self,
        *,
        job_id: str,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        expected_states: Iterable[JobState | str] = (JobState.SUCCEEDED,),
        missing_grace: timedelta | float = timedelta(minutes=5),
        cancel_on_kill: bool = False,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = check_argument_id(job_id)
        self.deferrable = deferrable
        self.expected_states = to_states("expected_states", expected_states)
        if not all(state.is_terminal for state in self.expected_states):
            raise InvalidInput("expected_states", expected_states, "name states that a job ends in")
        self.missing_grace = to_seconds("missing_grace", missing_grace)
        self.cancel_on_kill = cancel_on_kill
        self.include_raw = include_raw
        if cancel_on_kill and not self.hook_class.kind.cancels:
            vendor = self.hook_class.kind.vendor
            raise InvalidInput(
                "cancel_on_kill", True, f"leave it out: {vendor} documents no way to cancel a job"
            )
        self._last: Job | None = None
        self._last_read_at: datetime | None = None
        self._missing_since: float | None = None

    @property
    def poll_seconds(self) -> float:  # type: ignore[override]
        return self.poke_interval

    @property
    def longest_poll_seconds(self) -> float | None:  # type: ignore[override]
        if not self.exponential_backoff:
            return None
        return self.max_wait.total_seconds() if self.max_wait else self.timeout

    def execute(self, context: Context) -> Any:
        """Wait for the job."""
        self.job_id = check_job_id(self.job_id)
        self.keep_link(context)
        if self.deferrable:
            started_at, timeout = datetime.now(UTC), timedelta(seconds=self.timeout)
            self.log.info("Waiting for %s until %s, deferred", self.job_name, started_at + timeout)
            self.defer(
                trigger=self.job_trigger(started_at, timeout, self.missing_grace),
                method_name="execute_complete",
                timeout=timeout + TIMEOUT_SLACK,
            )
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            raise WaitTimeout(f"{self.job_name} had not ended. {error} {self._last_seen()}") from error

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look at the job once."""
        try:
            job = self.hook.get_job(self.job_id)
        except JobNotFound as error:
            self._miss(error)
            return False
        except VendorUnavailable as error:
            self.log.warning("%s cannot be read now, the wait goes on: %s", self.job_name, error)
            return False
        if self._last is None or self._last.state is not job.state:
            self.log.info("%s is %s", self.job_name, job.describe())
        self._last, self._last_read_at, self._missing_since = job, datetime.now(UTC), None
        if not job.state.is_terminal:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._judge(job))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired."""
        from airflow_provider_ingestjobs.triggers.job import job_from_event

        try:
            job = job_from_event(event)
        except (JobNotFound, WaitTimeout) as error:
            raise self._ending(error) from error
        except IngestJobsError as error:
            if getattr(self, "never_fail", False):
                raise AirflowSkipException(str(error)) from error
            raise
        # The shared poll reads the states of all jobs; what takes a request for one job is asked for here.
        job = self.hook.get_job(job.id) if self.include_raw else self.hook.add_details(job)
        self.log.info("%s is %s", self.job_name, job.describe())
        return self._judge(job)

    def on_kill(self) -> None:
        """Cancel the job, where the task asks for that."""
        if self.cancel_on_kill:
            self.log.info("The task was killed, asking %s to stop", self.job_name)
            self.hook.cancel_job(self.job_id)

    def _judge(self, job: Job) -> dict[str, Any]:
        if job.state in self.expected_states:
            return job.to_dict(include_raw=self.include_raw)
        said = [
            f"{self.job_name} is {job.describe()}",
            job.failure and f"The vendor says: {job.failure}",
            job.url,
        ]
        error = JobCancelled if job.state is JobState.CANCELLED else JobFailed
        raise self._ending(error(". ".join(part for part in said if part), job))

    def _ending(self, error: JobEnded | JobNotFound | WaitTimeout) -> Exception:
        return AirflowSkipException(str(error)) if self.soft_fail else error

    def _miss(self, error: JobNotFound) -> None:
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
            self.log.warning("%s Waiting up to %.0f s for it.", error, self.missing_grace)
        if now - self._missing_since >= self.missing_grace:
            raise self._ending(error)

    def _last_seen(self) -> str:
        if self._last is None:
            return "It was never seen."
        return f"It was {self._last.describe()} when last read, at {self._last_read_at}."


def check_argument_id(job_id: Any) -> Any:
    """Check a job id as early as possible: templates and upstream results are only known when the task runs.

    :raises InvalidInput: for an id that cannot be one.
    """
    if isinstance(job_id, str) and "{{" not in job_id and "{%" not in job_id:
        return check_job_id(job_id)
    if job_id is None or isinstance(job_id, int | float | bytes | list | tuple | dict):
        raise InvalidInput("job_id", job_id, f'write the id as text, such as job_id="{job_id!s}"')
    return job_id


def to_seconds(field_name: str, value: timedelta | float) -> float:
    """Return a duration in seconds.

    :raises InvalidInput: if it is negative or no duration.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise InvalidInput(field_name, value, "give seconds, or a timedelta, of zero or more")
    return float(seconds)
