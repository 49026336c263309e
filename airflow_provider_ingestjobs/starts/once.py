# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting a job once, however often its task begins and whatever happens to the vendor's answer.

No vendor takes a key that would make a second request harmless. So the intention is kept before the
request, and the ids after it. Wherever the ids are not known, the job is looked for at the vendor first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import (
    InvalidInput,
    Throttled,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import StartUnknown, TaskKilled
from airflow_provider_ingestjobs.starts.memory import Memory, StartRecord, ThisTry
from airflow_provider_ingestjobs.starts.request import Found, StartRequest, digest_of

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.verdict import Wanted

#: How far the vendor's clock may be from ours.
CLOCK_SKEW = timedelta(minutes=1)
#: How long a request may last at most of which nothing is known but when it began.
REQUEST_TIME = timedelta(minutes=2)
#: Seconds between two looks for a job.
PAUSE = 5.0
#: The longest pause before a refused request is sent again, in seconds.
MAX_PAUSE = 30.0
#: How often a request is sent at most, each time after it is known that no job has come of it.
MAX_SENDS = 3
#: How much longer than the listing delay a vendor that cannot be asked is asked again.
MORE_TIME = timedelta(minutes=5)
NOT_LISTED = "the vendor has taken the request, but none of its lists has a job of it"
#: The most jobs that an error names.
MAX_NAMES = 5


class StartOnce:
    """Starts a task's job once.

    :param request: what to start.
    :param hook: the vendor's hook.
    :param memory: what the task instance keeps between its tries.
    :param this_try: the present one.
    :param wanted: what tells whether an ended job is what the task wants.
    :param listing_delay: seconds after a request in which the vendor's lists may lack its job.
    :param log: the task's log.
    :param is_killed: whether the task has been killed meanwhile, after which nothing is started.
    :param sleep: how to pass seconds.
    """

    def __init__(
        self,
        request: StartRequest,
        hook: IngestJobHook,
        memory: Memory,
        this_try: ThisTry,
        *,
        wanted: Wanted,
        listing_delay: float,
        log: Any,
        is_killed: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._request = request
        self._hook = hook
        self._vendor = hook.vendor.name
        self._memory = memory
        self._try = this_try
        self._wanted = wanted
        self._listing_delay = timedelta(seconds=listing_delay)
        self._log = log
        self._is_killed = is_killed
        self._sleep = sleep

    def begin(self) -> StartRecord:
        """Return what to wait for: what an earlier try has started, if that goes on or is wanted; else new.

        :raises StartUnknown: if it cannot be told whether a job was started.
        :raises VendorError: if the vendor refuses, or cannot be reached; then none was started.
        """
        record = self._memory.read() or self._from_lists()
        if record is None:
            return self.start()
        is_new_wish = record.is_told and self._try.was_cleared_since(record)
        if record.job_ids:
            return record if self._is_still_it(record, is_new_wish) else self.start(record)
        if is_new_wish:
            self._log.info("This task was cleared after it could not tell of its last start: it starts anew")
            return self.start(record)
        if record.request != digest_of(self._request):
            raise self._unknown(record, "the request has changed since, so it cannot be looked for")
        self._log.info("Try %d of this task may have started %s", record.try_number, self._request)
        # The vendor may have dealt with it as late as a request may last.
        more = min(REQUEST_TIME, self._listing_delay)
        if job_ids := self._look_for(record, "its try ended before it had the answer", more):
            return self._keep(record, job_ids)
        if record.is_taken:
            raise self._unknown(record, NOT_LISTED)
        # What is sent now is this try's: if it is cancelled while it waits, people have cancelled it.
        record = replace(record, try_number=self._try.number, max_tries=self._try.max_tries, is_told=False)
        return self._send(record, None)

    def start(self, before: StartRecord | None = None) -> StartRecord:
        """Start anew, and return what was started.

        :param before: what is known of an earlier start of this task, whose jobs have ended.
        :raises StartUnknown: if it cannot be told whether a job was started.
        :raises VendorError: if the vendor refuses, or cannot be reached; then none was started.
        """
        known = (*before.earlier, *before.job_ids) if before else ()
        now = clock.now()
        record = StartRecord(
            request=digest_of(self._request),
            attempted_at=now.isoformat(),
            sent_at=now.isoformat(),
            try_number=self._try.number,
            max_tries=self._try.max_tries,
            earlier=tuple(dict.fromkeys([*known, *self._already_there(now)])),
        )
        return self._send(record, before)

    def start_again(self) -> StartRecord:
        """Start anew though this try has found an earlier job, which has ended since; see :meth:`start`."""
        return self.start(self._memory.read())

    # ------------------------------------------------------------------ sending

    def _send(self, record: StartRecord, before: StartRecord | None) -> StartRecord:
        trouble: VendorError | None = None
        for sends_left in reversed(range(MAX_SENDS)):
            self._log.info("Asking %s to start %s", self._vendor, self._request)
            if self._is_killed():
                raise TaskKilled(f"The task was killed before it had {self._vendor} start {self._request}")
            record = replace(record, sent_at=clock.now().isoformat())
            self._memory.write(record)
            try:
                job_ids = self._request.send()
            except Throttled as error:
                self._log.warning("It is not started yet: %s", error)
                trouble = error
                if sends_left:
                    self._sleep(min(PAUSE if error.retry_after is None else error.retry_after, MAX_PAUSE))
                continue
            except VendorUnavailable as error:
                trouble = error
                is_taken = 200 <= (error.status or error.answered or 0) < 300
                record = self._keep_loss(record, is_taken)
                job_ids = self._look_for(record, str(error))
            except (VendorError, InvalidInput):
                self._memory.forget(before)
                raise
            else:
                if not job_ids:
                    record = self._keep_loss(record, is_taken=True)
                    job_ids = self._look_for(record, "the answer does not name its job")
            if job_ids:
                return self._keep(record, job_ids)
            if record.is_taken:
                raise self._unknown(record, NOT_LISTED)
            self._log.info("%s has no job of it: it was not started", self._vendor)
        self._memory.forget(before)
        raise trouble or AssertionError

    def _keep_loss(self, record: StartRecord, is_taken: bool) -> StartRecord:
        """Keep that an answer is lost: from now on, its job may be in the lists."""
        lost = replace(record, is_taken=is_taken, sent_at=clock.now().isoformat())
        self._memory.try_to_write(lost)
        return lost

    def _keep(self, record: StartRecord, job_ids: Sequence[str]) -> StartRecord:
        # What an earlier try has told was of a start that it could not tell of.
        started = replace(record, job_ids=tuple(job_ids), is_told=False, max_tries=self._try.max_tries)
        self._log.info("%s has started job %s", self._vendor, ", ".join(job_ids))
        self._memory.try_to_write(started)
        return started

    # ------------------------------------------------------------------ finding out

    def _already_there(self, now: datetime) -> list[str]:
        """Return the ids of the jobs that, after a lost answer, would look as if this start had made them."""
        try:
            found = self._request.find(now - CLOCK_SKEW)
        except VendorError as error:
            self._log.info("What else was started in the last minute cannot be looked up: %s", error)
            return []
        return [job.id for job in (*found.certain, *found.possible)]

    def _look_for(self, record: StartRecord, reason: str, more: timedelta = timedelta(0)) -> list[str]:
        """Return the ids of what came of a request without a known answer; empty if surely nothing did.

        :raises StartUnknown: if that cannot be told.
        """
        since = datetime.fromisoformat(record.attempted_at) - CLOCK_SKEW
        until = datetime.fromisoformat(record.sent_at) + self._listing_delay + more
        self._log.warning(
            "Whether %s has started %s is not known: %s. Looking for it, until %s",
            self._vendor,
            self._request,
            reason,
            until,
        )
        try:
            found = self._find_until(until, since, record.earlier)
        except VendorError as error:
            raise self._unknown(record, f"{reason}; and it cannot be looked for: {error}") from error
        if len(found.certain) == 1:
            return [found.certain[0].id]
        if found:
            raise self._unknown(record, reason, found.certain or found.possible)
        return []

    def _find_until(self, until: datetime, since: datetime, known: Sequence[str] = ()) -> Found:
        """Return the jobs that may be it as soon as there are any; none if a look after then finds none.

        :raises VendorError: if the vendor refuses to tell, or cannot be reached for long.
        """
        give_up_at = max(until, clock.now()) + MORE_TIME
        while True:
            looked_at = clock.now()
            try:
                found = self._request.find(since).without(known)
            except VendorUnavailable as error:
                if looked_at >= give_up_at:
                    raise
                self._log.warning("It cannot be looked for now: %s", error)
            else:
                # What may be another's is no answer while its own may still come.
                if found.certain or looked_at >= until:
                    return found
            left = (until - clock.now()).total_seconds()
            self._sleep(min(PAUSE, left) if left > 0 else PAUSE)

    def _is_still_it(self, record: StartRecord, is_new_wish: bool) -> bool:
        """Whether to wait for what an earlier try has started, rather than to start another one."""
        name = f"{self._vendor} job {', '.join(record.job_ids)}, which try {record.try_number} has started,"
        try:
            read = self._hook.read_jobs(record.job_ids)
        except VendorUnavailable as error:
            self._log.warning("%s cannot be read now: waiting for it. %s", name, error)
            return True
        jobs = list(read.jobs.values())
        is_listed = clock.now() >= datetime.fromisoformat(record.sent_at) + self._listing_delay
        is_over = is_listed and not read.errors and all(job.state.is_terminal for job in jobs)
        if is_new_wish and read.missing and is_over:
            self._log.info("%s is no longer known, and this task was cleared: starting another one", name)
            return False
        if len(jobs) < len(record.job_ids) or not all(job.state.is_terminal for job in jobs):
            self._log.info("%s goes on: waiting for it, nothing is started", name)
            return True
        how = ", ".join(sorted({job.state.value for job in jobs}))
        if not self._wanted.expects(jobs):
            self._log.info("%s has %s: starting another one", name, how)
            return False
        if is_new_wish:
            self._log.info("%s has %s, and this task was cleared after that: starting another one", name, how)
            return False
        self._log.info("%s has %s: nothing is started", name, how)
        return True

    def _from_lists(self) -> StartRecord | None:
        """Return what the vendor's lists say of an earlier try, where Airflow keeps nothing of one."""
        if self._memory.is_kept or self._try.number < 2:
            return None
        was_cleared = self._try.max_tries > self._try.retries
        began, now = self._try.run_started_at, clock.now()
        record = StartRecord(
            request=digest_of(self._request),
            attempted_at=began.isoformat(),
            # An earlier try may have ended just now.
            sent_at=now.isoformat(),
            try_number=self._try.number - 1,
            max_tries=self._try.retries,
            is_told=True,
        )
        self._log.info("Looking for what an earlier try may have started since %s", began)
        found = self._find_until(now + self._listing_delay, began - CLOCK_SKEW)
        if found.certain:
            by_age = sorted(found.certain, key=lambda job: (job.created_at or began, job.id))
            *earlier, last = (job.id for job in by_age)
            return replace(record, job_ids=(last,), earlier=tuple(earlier))
        jobs = found.possible
        if was_cleared or all(job.state.is_terminal and not self._wanted.expects([job]) for job in jobs):
            return None
        raise self._unknown(record, "this version of Airflow keeps nothing of a task's earlier tries", jobs)

    def _unknown(self, record: StartRecord, reason: str, found: Sequence[Job] = ()) -> StartUnknown:
        self._memory.note_told(record)
        names = ", ".join(
            f"{job.id} ({job.state.value}, created {job.created_at})" for job in found[:MAX_NAMES]
        )
        candidates = (
            f" These may be it: job {names}{' and more' if len(found) > MAX_NAMES else ''}." if found else ""
        )
        return StartUnknown(
            f"It cannot be told whether {self._vendor} has started {self._request}, asked for at "
            f"{record.attempted_at}: {reason}.{candidates} Look at {self._vendor}. If it runs there, wait "
            "for it with a sensor, and mark this task as success; if not, clear this task: it then starts it"
        )
