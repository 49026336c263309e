# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What every task does that waits for jobs: follow them, read them in full, judge them, return them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import check_job_ids
from airflow_provider_ingestjobs.assets import add_to_outlet_events
from airflow_provider_ingestjobs.follow import Follow, FollowJob
from airflow_provider_ingestjobs.stopping import stop_all
from airflow_provider_ingestjobs.vendor_task import VendorTask

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.details import DetailReader
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job, JobState
    from airflow_provider_ingestjobs.verdict import Wanted
    from airflow_provider_ingestjobs.wait_target import WaitTarget

H = TypeVar("H", bound="IngestJobHook")
J = TypeVar("J", bound="list[Job] | None")


class WaitTask(VendorTask[H]):
    """A task that waits for jobs of one vendor; its class sets what is declared here."""

    job_id: Any
    deferrable: bool
    #: How long to wait at most, in seconds.
    timeout: Any
    expected_states: frozenset[JobState]
    checks: Mapping[str, float | str]
    check: Callable[[Job], bool | str] | None
    failed_grace: float
    cancel_on_kill: bool
    include_raw: bool
    end_from_trigger: bool
    outlets: Any
    do_xcom_push: bool
    defer: Callable[..., Any]
    wait_target: Any
    _wanted: Wanted
    _follows: dict[str, FollowJob]
    _details: DetailReader | None = None
    _ended: Sequence[Job] = ()
    _lineage_host = ""

    @property
    def look_interval(self) -> float:
        """The longest time between two looks, in seconds."""
        raise NotImplementedError

    @property
    def longest_interval(self) -> float | None:
        """What the seconds between two looks may grow to while nothing changes."""
        return None

    @property
    def is_kept(self) -> bool:
        """Whether what this object knows is kept between two looks, as it is not in reschedule mode."""
        return True

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Tell OpenLineage what the jobs read and wrote; its provider calls this where it is installed."""
        if not self._ended:
            return None
        from airflow_provider_ingestjobs.lineage import lineage_of

        vendor = self.hook_class.vendor
        return lineage_of(self._ended, vendor, f"{vendor.scheme}://{self._lineage_host}")

    def on_kill(self) -> None:
        """Cancel the jobs, where the task asks for that."""
        if self.cancel_on_kill:
            ended = {job_id for job_id, follow in self._follows.items() if follow.has_ended}
            ended.update(job.id for job in self._ended)
            stop_all(self, [job_id for job_id in check_job_ids(self.job_id) if job_id not in ended], self.log)

    # ------------------------------------------------------------------ following jobs by their ids

    def look_at_all(self, job_ids: Sequence[str], began: datetime) -> list[Job] | None:
        """Look once at the jobs that have not ended, and return all of them once they have.

        :param job_ids: the vendor's ids of them.
        :param began: when the wait for them began.
        :raises JobNotFound: if the vendor has not known one for too long.
        :raises VendorError: if the vendor refuses.
        """
        if not self._follows:
            arguments = self.follow_arguments(began)
            self._follows = {
                job_id: FollowJob(self.vendor, job_id, logs_end=len(job_ids) > 1, **arguments)
                for job_id in job_ids
            }
        self.look_at(self._follows)
        jobs = [follow.job for follow in self._follows.values() if follow.job and follow.has_ended]
        return jobs if len(jobs) == len(self._follows) else None

    def follow_arguments(self, began: datetime) -> dict[str, Any]:
        """Return what follows a job or a selection in this task.

        :param began: when its wait began.
        """
        return {
            "conn_id": self.conn_id,
            "began": began,
            "grace": self.missing_grace,
            "log": self.log,
            "failed_grace": self.failed_grace,
            "is_kept": self.is_kept,
        }

    def report_timeout(self, follows: Sequence[Follow]) -> str:
        """Return how it stood when the time was up.

        :param follows: what has not come to its end.
        """
        if self._details and (unread := self._details.report()):
            return unread
        return " ".join(follow.report(clock.now()) for follow in follows)

    # ------------------------------------------------------------------ the end

    def reader(self, deadline: datetime) -> DetailReader:
        """Return what reads the details of this task's jobs.

        :param deadline: when the wait for the jobs ends.
        """
        is_kept = self.deferrable or self.is_kept
        return self.detail_reader(deadline, self.look_interval, self.include_raw, is_kept)

    def in_full(self, read: Callable[[Sequence[Job], Set[str]], J], jobs: Sequence[Job]) -> J:
        """Return ended jobs with their details, which the wait has not read: they take a request each.

        :param read: of a :class:`~airflow_provider_ingestjobs.details.DetailReader`.
        :param jobs: the ended jobs.
        :raises WaitTimeout: if details that a check needs have not come in time.
        """
        return read(jobs, self._wanted.needs_details_of(jobs))

    def judge(self, jobs: Sequence[Job], context: Context, note: str = "") -> Any:
        """Return what the task returns of its jobs.

        :param jobs: the ended jobs, in full.
        :param context: the task's context.
        :param note: what else to say where they were cancelled.
        :raises JobEnded: if they are not what the task wants.
        """
        self._ended = jobs
        if find_spec("airflow.providers.openlineage"):
            # OpenLineage asks from a process of its own, which cannot look up a connection.
            self._lineage_host = self.hook.settings.base_url.partition("://")[2]
        for job in jobs:
            self.log.info("%s is %s", job, job.describe())
        self.keep_page(context, jobs)
        if error := self._wanted.what_is_wrong(jobs, note):
            raise error
        add_to_outlet_events(context, self.outlets, jobs)
        target: WaitTarget = self.wait_target
        found = [job.to_dict(include_raw=self.include_raw) for job in jobs]
        return found[0] if target.is_single else found
