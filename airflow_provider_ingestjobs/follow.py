# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One job, or one selection of jobs, followed to its end: seen, missing, in trouble, too late.

Pure: its user reads the vendor and hands in what was found, and when. In poke and reschedule mode that user
is the task, in the triggerer the trigger, and after a cancel the operator; all say the same in log and error.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ingestjobs.errors import InvalidInput, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.failed_grace import FailedGrace
from airflow_provider_ingestjobs.job import Job, JobState, duration_in_words, normalise_word
from airflow_provider_ingestjobs.selection import Selection

#: After so long a wait, its log is told that it goes on; the next time, after twice as long, and so on.
FIRST_WORD = timedelta(minutes=10)
#: By how much of itself such a time is varied at most, so that thousands of waits do not all log at once.
WORD_JITTER = 0.5
#: The most jobs of a selection: all of them go to the task in one event, and into one XCom.
MAX_SELECTED = 1000


class Follow:
    """What one wait has seen so far.

    :param name: what is waited for, as people call it.
    :param conn_id: the Airflow connection.
    :param began: when the wait began, the same after a restart.
    :param grace: seconds in which the vendor may not know what is waited for (yet, or for a while).
    :param log: the task's own log.
    :param failed_grace: seconds for which a job that has failed may still be resumed at the vendor.
    :param is_kept: whether this object is kept between two looks, as it is not in reschedule mode.
    """

    def __init__(
        self,
        name: str,
        *,
        conn_id: str,
        began: datetime,
        grace: float,
        log: Any,
        failed_grace: float = 0.0,
        is_kept: bool = True,
    ) -> None:
        self.name = name
        #: When the next look is due though nothing has changed.
        self.next_look: datetime | None = None
        #: When its log is told next that the wait goes on.
        self.next_word = began + FIRST_WORD * _varied()
        self._conn_id = conn_id
        self._began = began
        self._grace = grace
        self._log = log
        self._is_kept = is_kept
        self._trouble: VendorError | None = None
        self._read_at: datetime | None = None
        self._failed_grace = FailedGrace(failed_grace, log=log, is_kept=is_kept) if failed_grace else None
        #: Until when a failure is borne.
        self._borne_until: datetime | None = None

    def begins_to_bear(self, job: Job, now: datetime) -> bool:
        """Whether to see a job begins to bear its failure: the log is then told why it failed, if known.

        :param job: the job.
        :param now: when it was read.
        """
        return self._failed_grace is not None and self._failed_grace.is_news(job, now)

    def note_trouble(self, error: VendorError) -> None:
        """Note that the vendor could not be read; logged once, until it can be read again.

        :param error: why.
        :raises VendorError: the error itself, if waiting will not mend it.
        """
        if not isinstance(error, VendorUnavailable):
            raise error.with_traceback(None)
        if self._trouble is None:
            self._log.warning("%s cannot be read now, the wait goes on: %s", self.name, error)
        self._trouble = error

    def say_that_it_waits(
        self, now: datetime, read_at: datetime | None = None, trouble: VendorError | None = None
    ) -> None:
        """Tell the log that the wait goes on, if that is due.

        :param now: the time.
        :param read_at: as :meth:`report` takes it.
        :param trouble: as :meth:`report` takes it.
        """
        if now < self.next_word:
            return
        waited = FIRST_WORD
        # Before the first look, as after a restart of the triggerer, there is nothing to tell.
        if self._read_at or read_at or trouble:
            self._log.info("Still waiting. %s", self.report(now, read_at, trouble))
            waited = max(now - self._began, FIRST_WORD)
        self.next_word = now + waited * _varied()

    def report(
        self, now: datetime, read_at: datetime | None = None, trouble: VendorError | None = None
    ) -> str:
        """Return what to say when the time is up: the last state, when it was read, and the last trouble.

        :param now: the time.
        :param read_at: when the vendor last told of it, where the caller may know of a later time.
        :param trouble: what is in the way now, where the caller may know of something newer.
        """
        waited = duration_in_words((now - self._began).total_seconds())
        last = max((moment for moment in (self._read_at, read_at) if moment), default=None)
        when = f", last read at {last.isoformat(timespec='seconds')}" if last else ""
        ended = "ended for good" if self._borne_until else "ended"
        text = f"{self.name} had not {ended} after {waited}. {self._describe_last()}{when}."
        trouble = trouble or self._trouble
        return f"{text} The last trouble: {trouble}" if trouble else text

    def _describe_last(self) -> str:
        raise NotImplementedError

    def _bear(self, job: Job, now: datetime, tell: bool = False) -> datetime | None:
        return self._failed_grace.see(job, now, tell) if self._failed_grace else None

    def _describe_borne(self, job_id: str) -> str | None:
        return self._failed_grace.describe(job_id) if self._failed_grace else None

    def _note_read(self, now: datetime) -> bool:
        """Note a read that worked, and return whether there was trouble before it."""
        was_in_trouble, self._trouble, self._read_at = self._trouble is not None, None, now
        return was_in_trouble


def _varied() -> float:
    return random.uniform(1, 1 + WORD_JITTER)  # noqa: S311 - no secret


class FollowJob(Follow):
    """One job followed to its end.

    :param vendor: the vendor's name.
    :param job_id: the vendor's id of the job.
    :param job: the job, if it has been seen before.
    :param logs_end: whether its end is logged here; not where the caller logs it.
    :param kwargs: see :class:`Follow`.
    """

    def __init__(
        self, vendor: str, job_id: str, *, job: Job | None = None, logs_end: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(f"{vendor} job {job_id}", **kwargs)
        self.job = job
        self._vendor = vendor
        self._job_id = job_id
        self._logs_end = logs_end
        self._missing_since: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended, and may not be resumed any more."""
        return self.job is not None and self.job.state.is_terminal and self._borne_until is None

    def see(self, job: Job, now: datetime) -> bool:
        """Note the job as the vendor tells of it, and return whether it has ended for good.

        :param job: the job.
        :param now: when it was read.
        """
        is_back = self._note_read(now) or self._missing_since is not None
        self.next_look = self._borne_until = self._bear(job, now, tell=is_back)
        is_news = is_back or self.job is None or self.job.state is not job.state
        if is_news and self._borne_until is None:
            self._log_state(job)
        self.job, self._missing_since = job, None
        return self.has_ended

    def miss(self, now: datetime) -> None:
        """Note that the vendor does not know the job.

        :param now: when it said so.
        :raises JobNotFound: if it has said so for longer than the grace.
        """
        self._note_read(now)
        if self._missing_since is None:
            # A job never seen is missing since the wait began.
            self._missing_since = now if self.job else min(self._began, now)
            in_words = duration_in_words(self._grace)
            self._log.warning(
                "%s does not know job %s%s: waiting up to %s for it",
                self._vendor,
                self._job_id,
                " any more" if self.job else "",
                in_words,
            )
        missing = (now - self._missing_since).total_seconds()
        if missing >= self._grace:
            unknown = _unknown_for(missing, f"job {self._job_id!r}")
            raise JobNotFound(
                f"{self._vendor} {unknown}. {self._describe_last()}. "
                f"Check job_id and connection {self._conn_id!r}."
            )

    def _log_state(self, job: Job) -> None:
        if job.state.is_terminal and not self._logs_end:
            return
        if job.state is JobState.UNKNOWN and normalise_word(job.vendor_state) == JobState.UNKNOWN:
            self._log.warning("%s is %s: the vendor itself cannot tell now", self.name, job.describe())
        elif job.state is JobState.UNKNOWN:
            self._log.warning(
                "%s is %s. It counts as not ended: map %r in the extra state_map of connection %r",
                self.name,
                job.describe(),
                job.vendor_state,
                self._conn_id,
            )
        else:
            self._log.info("%s is %s", self.name, job.describe())

    def _describe_last(self) -> str:
        if borne := self._describe_borne(self._job_id):
            return f"It had {borne}"
        return f"It was {self.job.describe()}" if self.job else "It was never seen"


class FollowSelection(Follow):
    """The jobs of a selection followed until enough have appeared and all have ended.

    :param vendor: the vendor's name.
    :param selection: what is waited for.
    :param kwargs: see :class:`Follow`.
    """

    def __init__(self, vendor: str, selection: Selection, **kwargs: Any) -> None:
        super().__init__(f"{vendor} {selection.describe()}", **kwargs)
        self._selection = selection
        #: The jobs as they were last seen.
        self.jobs: Sequence[Job] = ()
        #: When each job was first seen to have ended.
        self._ends_seen: dict[tuple[str, datetime | None], datetime] = {}
        self._missing_since: dict[str, datetime] = {}

    def see(
        self,
        jobs: Sequence[Job],
        now: datetime,
        missing: Collection[str] = (),
        unread: Collection[str] = (),
    ) -> bool:
        """Note the jobs that the selection picks, and return whether that is all.

        :param jobs: what the selection picks.
        :param now: when they were read.
        :param missing: ids of those of them that the vendor does not know any more.
        :param unread: ids of those that could not be looked at.
        :raises InvalidInput: if they are too many.
        :raises JobNotFound: if too few have appeared, and no more can; or if one has been missing for longer
            than the grace.
        """
        self._note_read(now)
        if len(jobs) > MAX_SELECTED:
            raise InvalidInput(
                "filters",
                dict(self._selection.filters),
                f"they select {len(jobs):,} jobs, and at most {MAX_SELECTED:,} can be waited for in one "
                "task: narrow the window (started_from, started_to), add a filter, or use latest_only",
            )
        gives_up_at = self._miss(missing, unread, now)
        borne = {job.id: until for job in jobs if (until := self._bear(job, now))}
        self._borne_until = max(borne.values(), default=None)
        states = {job.id: job.state for job in self.jobs}
        for job in jobs:
            if states.get(job.id) is not job.state and job.id not in borne:
                self._log.info("%s is %s", job, job.describe())
        self.jobs = tuple(jobs)
        jobs = [self._with_end(job, now) for job in jobs]
        if self._selection.is_done(jobs, now, self._borne_until):
            return True
        if self._selection.is_too_late(jobs, now, self._began, self._grace):
            raise JobNotFound(
                f"Only {len(jobs)} of at least {self._selection.min_jobs} {self._selection.describe()} are "
                f"listed on connection {self._conn_id!r}, and no more can start: that time is over. Vendors "
                "list old jobs only for a while."
            )
        next_look = self._selection.next_look(jobs, now, self._began, self._grace, self._borne_until)
        self.next_look = min((moment for moment in (next_look, gives_up_at) if moment), default=None)
        return False

    def _miss(self, missing: Collection[str], unread: Collection[str], now: datetime) -> datetime | None:
        """Note the jobs that are missing, and return when to give up."""
        news = [job_id for job_id in missing if job_id not in self._missing_since]
        for job_id in news:
            self._log.warning(
                "%s: job %s had not ended, and the vendor does not know it any more: waiting up to %s for it",
                self.name,
                job_id,
                duration_in_words(self._grace),
            )
        # Who is not looked at is not back.
        still = {job_id: since for job_id, since in self._missing_since.items() if job_id in unread}
        self._missing_since = still | {job_id: self._missing_since.get(job_id, now) for job_id in missing}
        if not self._missing_since:
            return None
        job_id, since = min(self._missing_since.items(), key=lambda item: (item[1], item[0]))
        seconds = (now - since).total_seconds()
        if seconds < self._grace:
            return since + timedelta(seconds=self._grace)
        unknown = _unknown_for(seconds, "it", " any more")
        raise JobNotFound(
            f"{self.name}: job {job_id!r} had not ended, and the vendor {unknown}. {self._describe_last()}. "
            f"Check whether it was deleted, and connection {self._conn_id!r}."
        )

    def _with_end(self, job: Job, now: datetime) -> Job:
        if not (self._is_kept and job.state.is_terminal):
            return job
        # By its end, too: it may have failed, been resumed and ended again.
        seen_at = self._ends_seen.setdefault((job.id, job.ended_at), now)
        # A vendor's clock may be ahead.
        return replace(job, ended_at=min(job.ended_at or seen_at, seen_at))

    def _describe_last(self) -> str:
        states = ", ".join(f"{job.id} {self._describe_borne(job.id) or job.state.value}" for job in self.jobs)
        return f"Of at least {self._selection.min_jobs} jobs, these were seen: {states or 'none'}"


def _unknown_for(seconds: float, what: str, any_more: str = "") -> str:
    """Return that a vendor does not know something and, unless it was only a moment, for how long."""
    if seconds < 1:
        return f"does not know {what}{any_more}"
    return f"has not known {what} for {duration_in_words(seconds)}"
