# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A wait that a command makes: it follows, tells and judges as a sensor in ``poke`` mode does."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.cli.output import ProgressLog
from airflow_provider_ingestjobs.details import MIN_INTERVAL
from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.follow import Follow, FollowSelection
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.job import TERMINAL_STATES, Job, JobState
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.verdict import Wanted
from airflow_provider_ingestjobs.wait_task import WaitTask


class Wait(WaitTask[IngestJobHook]):
    """Waits in this process until jobs have ended.

    :param hook: the vendor's hook.
    :param timeout: how long to wait at most, in seconds.
    :param poll_interval: the longest time between two looks, in seconds.
    :param missing_grace: seconds in which the vendor may not know a job.
    :param failed_grace: seconds for which a job that has failed may still be resumed.
    :param expected_states: the states that count as success; by default all that a job ends in.
    :param checks: limits for the jobs' numbers.
    """

    deferrable = False
    execution_timeout = None
    cancel_on_kill = False

    def __init__(
        self,
        hook: IngestJobHook,
        *,
        timeout: float,
        poll_interval: float,
        missing_grace: float,
        failed_grace: float = 0.0,
        expected_states: Collection[JobState] = TERMINAL_STATES,
        checks: Mapping[str, float | str] | None = None,
    ) -> None:
        self.hook_class = type(hook)
        self.hook = hook
        self.log = ProgressLog()
        self.timeout = timeout
        self.missing_grace = missing_grace
        # A failure that is expected is a true end.
        self.failed_grace = 0.0 if JobState.FAILED in expected_states else failed_grace
        self.include_raw = False
        self._interval = poll_interval
        self._wanted = Wanted(hook.vendor, expected_states, checks or {})
        self._follows = {}
        self._follow_selection: FollowSelection | None = None
        self._told: dict[str, tuple[JobState, str]] = {}

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""
        return self.hook.conn_id

    @property
    def look_interval(self) -> float:
        """The longest time between two looks, in seconds."""
        return self._interval

    @property
    def seen(self) -> list[Job]:
        """The jobs as they were last read."""
        jobs = [follow.job for follow in self._follows.values() if follow.job]
        return [*jobs, *(self._follow_selection.jobs if self._follow_selection else ())]

    def until_ended(self, target: Sequence[str] | Selection) -> list[Job]:
        """Return the jobs with their details, once all have ended.

        :param target: the jobs' ids, or the selection.
        :raises JobNotFound: if the vendor does not know one, or too few can still appear.
        :raises WaitTimeout: if the time is up.
        :raises VendorError: if the vendor refuses.
        """
        began = clock.now()
        deadline = began + timedelta(seconds=self.timeout)
        while (jobs := self._look(target, began)) is None:
            now = clock.now()
            self._tell_progress()
            for follow in self._open:
                follow.say_that_it_waits(now)
            if now >= deadline:
                raise WaitTimeout(self.report_timeout(self._open))
            time.sleep(self._pause(now, deadline))
        # What follows several jobs has told of their ends.
        told = set() if len(self._follows) == 1 else {job.describe() for job in jobs}
        jobs = self.in_full(self.reader(deadline).wait, jobs)
        for job in jobs:
            if job.describe() not in told:
                self.log.info("%s is %s", job, job.describe())
        return jobs

    def what_is_wrong(self, jobs: Sequence[Job]) -> Exception | None:
        """Return the error of jobs that are not what is wanted; ``None`` if all are.

        :param jobs: what :meth:`until_ended` returned.
        """
        return self._wanted.what_is_wrong(jobs)

    @property
    def _open(self) -> list[Follow]:
        jobs = [follow for follow in self._follows.values() if not follow.has_ended]
        return [*jobs, *([self._follow_selection] if self._follow_selection else [])]

    def _look(self, target: Sequence[str] | Selection, began: datetime) -> list[Job] | None:
        if not isinstance(target, Selection):
            return self.look_at_all(target, began)
        if self._follow_selection is None:
            arguments = self.follow_arguments(began)
            self._follow_selection = FollowSelection(self.vendor, target, **arguments)
        return self.look_for(target, self._follow_selection)

    def _tell_progress(self) -> None:
        """Tell of a job that goes on in the same state: a change of state is told by what follows it."""
        for job in self.seen:
            state, told = self._told.get(job.id, (None, ""))
            text = job.describe()
            if state is job.state and text != told and not job.state.is_terminal:
                self.log.info("%s is %s", job, text)
            self._told[job.id] = (job.state, text)

    def _pause(self, now: datetime, deadline: datetime) -> float:
        looks = [(follow.next_look - now).total_seconds() for follow in self._open if follow.next_look]
        # The last look is at the deadline.
        return min(max(min([self._interval, *looks]), MIN_INTERVAL), (deadline - now).total_seconds())
