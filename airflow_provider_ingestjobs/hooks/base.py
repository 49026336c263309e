# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' hooks share: authorisation, errors, and reading many jobs with few requests."""

from __future__ import annotations

import json
import marshal
import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, quote_plus

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_ingestjobs.connections import CONNECTION_TYPES, ConnectionType
from airflow_provider_ingestjobs.exceptions import (
    AuthenticationFailed,
    CancelRefused,
    IngestJobsError,
    InvalidInput,
    JobNotFound,
    NotSupported,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.settings import AirflowConnection, Settings, read_connection
from airflow_provider_ingestjobs.job import LONGEST_JOB_ID, Job, JobState, check_job_id, normalise_word
from airflow_provider_ingestjobs.selection import merge_windows, pick_all

if TYPE_CHECKING:
    import pendulum
    import requests

    from airflow_provider_ingestjobs.hooks.answer import Answer
    from airflow_provider_ingestjobs.hooks.http import Params
    from airflow_provider_ingestjobs.selection import Selection

#: A token is replaced this many seconds before it expires, or at half its life if that is shorter.
TOKEN_MARGIN = 60.0
#: A token that is said to live longer than this is used until it is refused, in seconds.
LONGEST_LIFE = 1e9
#: By-id reads in one poll of many jobs; the rest has its turn at the next polls.
MOST_READS = 100
#: Of those, how many a vendor may fail over before it counts as being in trouble itself.
MOST_FAILURES = 3
#: The most characters kept of a vendor's failure text; a record's `raw` has all of it.
LONGEST_FAILURE = 2000
#: The most characters kept of a vendor's word for a state, which is one for each of an Amperity job's tables.
LONGEST_STATE = 200
#: Unknown words that are logged, each once.
MOST_UNKNOWN_WORDS = 100


@dataclass(frozen=True)
class TokenRequest:
    """How a vendor exchanges login and password for a token.

    :param url: where; absolute.
    :param form: the form fields.
    :param headers: more headers.
    :param token_field: the answer's field with the token.
    :param expires_field: the answer's field with its life in seconds.
    :param scheme: the word before the token in ``Authorization``.
    """

    url: str
    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_field: str = "access_token"  # noqa: S105 - a field's name
    expires_field: str = "expires_in"
    scheme: str = "Bearer"


@dataclass
class Memory:
    """What somebody who reads the same jobs again and again keeps between two reads.

    :param jobs: each job as last read.
    :param listed: each job as last made from a list's record, after a mark of that record.
    :param read_at: when each job was last asked for by its id, by the monotonic clock.
    :param changed_until: the newest change any list has shown.
    :param changed_at: when it was first shown, by the monotonic clock.
    :param settled: whether the lists have been read since all changes until then must be in them.
    :param swept_at: when the lists were last read in full, by the monotonic clock.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    listed: dict[str, tuple[int, Job]] = field(default_factory=dict)
    read_at: dict[str, float] = field(default_factory=dict)
    changed_until: datetime | None = None
    changed_at: float | None = None
    settled: bool = False
    swept_at: float | None = None

    def keep(self, read: JobsRead) -> None:
        """Take in what a whole read found."""
        self.jobs.update(read.jobs)
        for job_id in (*read.missing, *read.troubles):
            self.jobs.pop(job_id, None)
        if read.interrupted:
            # What was not looked at may have changed.
            return
        if read.changed_until not in (None, self.changed_until):
            self.changed_until, self.changed_at = read.changed_until, time.monotonic()
        self.settled = read.settled
        if read.swept:
            self.swept_at = time.monotonic()

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        kept: tuple[dict[str, Any], ...] = (self.jobs, self.listed, self.read_at)
        for by_id in kept:
            for gone in by_id.keys() - job_ids:
                del by_id[gone]


@dataclass
class JobsRead:
    """What one read of many jobs found. A job in none of the three was not looked at, or has not changed.

    :param jobs: the jobs found.
    :param missing: ids the vendor says it does not know.
    :param troubles: what was wrong with single jobs.
    :param interrupted: why the read stopped before everything was looked at.
    :param changed_until: the newest change that the lists have shown.
    :param settled: whether all changes until then must have been in them.
    :param swept: whether the lists were read without trusting the order of changes.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    troubles: dict[str, VendorError] = field(default_factory=dict)
    interrupted: VendorUnavailable | None = None
    changed_until: datetime | None = None
    settled: bool = False
    swept: bool = False


class IngestJobHook(BaseHook):
    """Base of the vendors' hooks; the only place that knows a vendor's API is its hook.

    A subclass names its connection type (``class XHook(IngestJobHook, conn_type="x")``), maps the vendor's
    state words in ``states`` and fills in the methods that end in ``...``.

    :param conn_id: the Airflow connection.
    """

    kind: ClassVar[ConnectionType]
    conn_type: ClassVar[str]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]
    #: The vendor's words, normalised by :func:`~airflow_provider_ingestjobs.job.normalise_word`.
    states: ClassVar[Mapping[str, JobState]]
    #: The nouns that jobs can be selected by, see :class:`~airflow_provider_ingestjobs.selection.Selection`.
    selects: ClassVar[tuple[str, ...]]
    #: What the vendor counts, see :mod:`airflow_provider_ingestjobs.checks`.
    counts: ClassVar[frozenset[str]] = frozenset()
    #: From this many jobs on, reading the vendor's list costs less than reading each job.
    list_from: ClassVar[int] = 5
    #: Whether the vendor may answer 404 to the id of a job that one of its lists still has.
    hides_jobs: ClassVar[bool] = False

    def __init_subclass__(cls, conn_type: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = CONNECTION_TYPES[conn_type]
        cls.conn_type = conn_type
        cls.conn_name_attr = f"{conn_type}_conn_id"
        cls.default_conn_name = cls.kind.default_conn_id
        cls.hook_name = cls.kind.vendor
        # Airflow before 3.2 only calls the form methods that the class itself defines.
        cls.get_connection_form_widgets = classmethod(_connection_form_widgets)  # type: ignore[assignment]
        cls.get_ui_field_behaviour = classmethod(_ui_field_behaviour)  # type: ignore[assignment]

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._session: requests.Session | None = None
        self._token: tuple[str, float] | None = None
        self._unknown_words: set[str] = set()
        self._masks_tokens = False

    # ------------------------------------------------------------------ for users

    def get_job(self, job_id: str) -> Job:
        """Read one job.

        An ended job has everything the vendor tells about it, even what takes another request.

        :raises JobNotFound: if the vendor does not know it.
        :raises VendorError: if the vendor refuses, or cannot be reached.
        """
        job_id = check_job_id(job_id)
        try:
            job = self._read_job(job_id)
        except JobNotFound:
            _, record = next(self._find_missing([job_id]), (None, None))
            if record is None:
                raise
            job = self.job_from(record, keep_raw=True)
        return self.add_details(job) if job.state.is_terminal else job

    def get_jobs(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """Read many jobs with as few requests as the vendor's API allows.

        :returns: the jobs by id, without those the vendor does not know.
        :raises VendorError: if the vendor refuses one of them, or cannot be reached.
        """
        if isinstance(job_ids, str):
            raise InvalidInput("job_ids", job_ids, f"give a list of ids, such as {[job_ids]}")
        read = self.read_jobs([check_job_id(job_id) for job_id in job_ids])
        for trouble in read.troubles.values():
            raise trouble
        return read.jobs

    @abstractmethod
    def list_jobs(self, *args: Any, **filters: Any) -> Iterator[Job]:
        """List jobs, page by page as they are consumed; each vendor has filters of its own."""

    def cancel_job(self, job_id: str) -> Job:
        """Ask the vendor to stop a job, and return the job as it is after that.

        A job that has ended already, or is stopping already, is returned as it is: cancelling is idempotent.

        :raises JobNotFound: if the vendor does not know it.
        :raises CancelRefused: if the vendor does not stop it (any more).
        :raises NotSupported: if the vendor documents no way to stop jobs.
        """
        if not self.kind.cancels:
            raise NotSupported(
                f"{self.kind.vendor} documents no way to cancel job {job_id}: stop it in its own UI"
            )
        job = self.get_job(job_id)
        if job.state.is_terminal:
            self.log.info("%s has already ended: %s. Nothing to cancel.", job, job.describe())
            return job
        if job.state is JobState.CANCELLING:
            # Asked for before, perhaps by a try of this task whose worker died before it was told so.
            self.log.info("%s is stopping already: %s. Nobody is asked again.", job, job.describe())
            return job
        try:
            self._send_cancel(job)
        except AuthenticationFailed:
            raise
        except VendorUnavailable as error:
            # Taken, with an answer that cannot be read: what a stop answers is not published by every vendor.
            if error.status != 200:
                raise
        except VendorError as error:
            # It may have ended in between.
            job = self.get_job(job_id)
            if job.state.is_terminal:
                return job
            raise CancelRefused(
                f"{job} was not cancelled, it is {job.describe()}. {self._why_refused(job)}{error}",
                status=error.status,
                request_id=error.request_id,
            ) from error
        return self.get_job(job_id)

    def test_connection(self) -> tuple[bool, str]:
        """Make the cheapest authenticated call and say what came of it."""
        try:
            return True, self._test()
        except IngestJobsError as error:
            return False, str(error)

    def get_conn(self) -> requests.Session:
        """Return the HTTP session; credentials go with each request and are not in it."""
        from airflow_provider_ingestjobs.hooks.http import open_session

        if self._session is None:
            self._session = open_session(self.settings, self._count)
        return self._session

    # ------------------------------------------------------------------ for triggers and sensors

    @cached_property
    def settings(self) -> Settings:
        """The checked connection. Set it to hand one over where no connection may be looked up."""
        try:
            connection = self.get_connection(self.conn_id)
        except AirflowNotFoundException:
            raise self.no_connection(self.conn_id) from None
        # A trigger's thread must not talk to Airflow's supervisor, so tokens are only masked where this runs.
        self._masks_tokens = True
        return self.read_settings(self.conn_id, connection, connection.extra_dejson)

    @classmethod
    def read_settings(cls, conn_id: str, connection: AirflowConnection, extra: Mapping[str, Any]) -> Settings:
        """Check a connection of this hook's type.

        :raises InvalidInput: naming the field and the fix.
        """
        settings = read_connection(cls.kind, conn_id, connection, extra)
        cls._check_settings(settings)
        return settings

    @classmethod
    def no_connection(cls, conn_id: str) -> InvalidInput:
        """Return the error for a connection that Airflow does not have."""
        return InvalidInput(
            cls.conn_name_attr, conn_id, f"create this connection in Airflow, with type {cls.conn_type!r}"
        )

    def read_jobs(self, job_ids: Collection[str], memory: Memory | None = None) -> JobsRead:
        """Read many jobs, from the vendor's lists where that takes fewer requests.

        :param job_ids: the jobs to look for.
        :param memory: makes it one of many reads: only what may have changed is read, and only
            :data:`MOST_READS` jobs one by one.
        :raises VendorError: if the vendor refuses, or cannot be reached.
        """
        wanted = set(job_ids)
        read = JobsRead()
        unchanged: set[str] = set()
        from_lists = len(wanted) >= self.list_from
        if from_lists:
            unchanged = self._find_in_lists(wanted, read, memory or Memory())
        rest = list(wanted - read.jobs.keys() - unchanged)
        if memory is not None:
            rest = sorted(rest, key=lambda job_id: memory.read_at.get(job_id, 0.0))[:MOST_READS]
        self._read_one_by_one(rest, read, memory, answers=from_lists)
        if read.missing and self.hides_jobs:
            self._look_for_missing(read)
        if read.interrupted and not read.jobs:
            raise read.interrupted
        if not (read.jobs or read.missing or unchanged):
            for trouble in read.troubles.values():
                if (trouble.status or 0) >= 500:
                    raise trouble
        if memory is not None:
            memory.keep(read)
        elif read.interrupted:
            raise read.interrupted
        return read

    def select_jobs(self, selections: Collection[Selection]) -> dict[Selection, list[Job]]:
        """Read the jobs that each of many selections picks; equal and overlapping windows are listed once.

        :raises VendorError: if the vendor refuses, or cannot be reached.
        """
        groups: dict[Any, list[Selection]] = defaultdict(list)
        for selection in selections:
            groups[self._list_key(selection)].append(selection)
        latest = datetime.now(UTC) + timedelta(minutes=1)
        picked: dict[Selection, list[Job]] = {}
        for group in groups.values():
            shared = dict(set.intersection(*(set(selection.filters) for selection in group)))
            windows = [(s.started_from, min(s.started_to, latest)) for s in group if s.started_from < latest]
            jobs = [job for window in merge_windows(windows) for job in self.jobs_between(*window, shared)]
            picked |= pick_all(group, list({job.id: job for job in jobs}.values()))
        return picked

    def jobs_between(self, start: datetime, end: datetime, shared: Mapping[str, Any]) -> list[Job]:
        """Read the jobs that started (or were created) in a window; perhaps a few more.

        :param shared: filters that only the vendor can judge, such as ``tags``.
        """
        return list({job.id: job for job in self._list_window(start, end, shared)}.values())

    def add_details(self, job: Job, needed: bool = False) -> Job:
        """Return an ended job with what takes a further request; as it is, if the vendor does not answer.

        :param needed: rather raise passing trouble.
        :raises VendorUnavailable: only if they are needed.
        """
        try:
            return self._clean(self._add_details(job))
        except IngestJobsError as error:
            if needed and isinstance(error, VendorUnavailable):
                raise
            self.log.warning("No further details of %s: %s", job, error)
            return job

    def job_url(self, job_id: str) -> str | None:
        """Return an address of the job for people, where the vendor documents one."""
        return None

    # ------------------------------------------------------------------ for subclasses

    @abstractmethod
    def _get_record(self, job_id: str) -> Any:
        """Return the vendor's record of one job."""

    @abstractmethod
    def _to_job(self, record: Mapping[str, Any]) -> Job:
        """Return a record as a job; ``raw`` is added by the caller."""

    @abstractmethod
    def _test(self) -> str:
        """Make the cheapest authenticated call and return what to tell about it."""

    @abstractmethod
    def _find_in_lists(self, wanted: set[str], read: JobsRead, memory: Memory) -> set[str]:
        """Add to ``read`` the wanted jobs that the vendor's lists have.

        :returns: the wanted ids that the lists show not to have changed since ``memory``.
        """

    def _find_missing(self, job_ids: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Return ids and records of those jobs that the vendor only hides, see ``hides_jobs``."""
        return iter(())

    @abstractmethod
    def _list_window(self, start: datetime, end: datetime, shared: Mapping[str, Any]) -> Iterable[Job]:
        """Return at least the jobs that started (or were created) in a window.

        :param shared: the filters that all selections to be served have in common: may be sent along.
        """

    def _list_key(self, selection: Selection) -> Any:
        """Return what must be equal for two selections to be served by the same lists."""
        return None

    def _send_cancel(self, job: Job) -> None:
        raise NotImplementedError

    def _why_refused(self, job: Job) -> str:
        return ""

    def _add_details(self, job: Job) -> Job:
        return job

    def _key_authorization(self) -> str:
        """Return the ``Authorization`` header of a connection with a password alone."""
        return f"Bearer {self.settings.password}"

    @abstractmethod
    def _token_request(self) -> TokenRequest:
        """Return how to exchange the connection's login and password for a token."""

    def _headers(self) -> dict[str, str]:
        return {}

    @classmethod
    def _check_settings(cls, settings: Settings) -> None:
        """Refuse a connection that this vendor cannot work with."""

    def state_of(self, word: object) -> JobState:
        """Return the state that a vendor's word stands for, by the connection's ``state_map`` first."""
        if not isinstance(word, str | int):
            raise TypeError(f"its state is a {type(word).__name__}")
        normal = normalise_word(str(word))
        state = self.settings.state_map.get(normal) or self.states.get(normal)
        if state is None:
            if normal not in self._unknown_words and len(self._unknown_words) < MOST_UNKNOWN_WORDS:
                self._unknown_words.add(normal)
                self.log.warning(
                    "%s reports a state that is not known here: %r. It counts as not ended. "
                    "Map it in connection %r, extra state_map.",
                    self.kind.vendor,
                    self._readable(str(word)),
                    self.conn_id,
                )
            return JobState.UNKNOWN
        return state

    def job_from(self, record: Any, keep_raw: bool = False) -> Job:
        """Return a vendor's record as a job.

        :raises VendorUnavailable: if it cannot be read as one.
        """
        if not isinstance(record, Mapping):
            raise VendorUnavailable(
                f"{self.kind.vendor} sent a job record that is no JSON object", status=200
            )
        try:
            job = self._clean(self._to_job(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VendorUnavailable(
                f"{self.kind.vendor} sent a job record that cannot be read: {type(error).__name__} {error}",
                status=200,
            ) from error
        return replace(job, raw=record) if keep_raw else job

    def _clean(self, job: Job) -> Job:
        """Return a job whose texts may stand in logs and errors.

        :raises ValueError: if its id may not.
        """
        if not job.id or not job.id.isprintable() or len(job.id) > LONGEST_JOB_ID:
            raise ValueError("its id is empty, too long, or has control characters")
        if job.failure:
            job = replace(job, failure=self._readable(job.failure, LONGEST_FAILURE))
        if len(job.vendor_state) > LONGEST_STATE:
            job = replace(job, vendor_state=job.vendor_state[:LONGEST_STATE])
        return job

    def jobs_from(self, records: Any, keep_raw: bool = False) -> Iterator[Job]:
        """Return a page of records as jobs; one that cannot be read is left out and logged.

        :raises VendorUnavailable: if it is no list.
        """
        if not isinstance(records, list | Iterator):
            raise VendorUnavailable(f"{self.kind.vendor} sent a job list that is no JSON array", status=200)
        for record in records:
            try:
                yield self.job_from(record, keep_raw)
            except VendorUnavailable as error:
                self.log.warning("Left out of the list: %s", error)

    def wanted_from(
        self, records: Any, id_field: str, wanted: Collection[str], memory: Memory
    ) -> dict[str, Job]:
        """Return those of a page of records that are wanted, by id.

        The others are not even converted, nor is a record that is as it was when ``memory`` last saw it.
        """
        if not isinstance(records, list | Iterator):
            raise VendorUnavailable(f"{self.kind.vendor} sent a job list that is no JSON array", status=200)
        found = {}
        for record in records:
            job_id = str(record.get(id_field)) if isinstance(record, Mapping) else None
            if job_id is None or job_id not in wanted:
                continue
            # Version 2 of the format writes equal records alike; later ones do not.
            mark = hash(marshal.dumps(record, 2))
            seen, job = memory.listed.get(job_id, (None, None))
            if job is None or seen != mark:
                job = next(self.jobs_from([record]), None)
            if job is not None:
                memory.listed[job_id] = (mark, job)
                found[job_id] = job
        return found

    @staticmethod
    def once(jobs: Iterable[Job]) -> Iterator[Job]:
        """Return jobs without those that a page before had already: jobs start while the pages are read."""
        seen = set()
        for job in jobs:
            if job.id not in seen:
                seen.add(job.id)
                yield job

    def request(self, method: str, path: str, *, params: Params = (), json_body: Any = None) -> Any:
        """Send a request with the connection's credentials and return the answer's JSON.

        :param path: from the host on; ids in it must be percent-encoded.
        :raises AuthenticationFailed: for 401 (after one new token, where tokens are exchanged) and 403.
        :raises VendorUnavailable: for passing trouble.
        :raises VendorError: for everything else but success.
        """
        return self._read_answer(method, path, self._ask(method, path, params, json_body))

    def request_list(
        self,
        path: str,
        key: str,
        *,
        params: Params = (),
        others: dict[str, Any] | None = None,
        or_bare: bool = False,
    ) -> Iterator[Any]:
        """Send a request for a list, and return its records one by one.

        Held whole, a long list has Python's garbage collector look through everything there is more often,
        which stops all threads.

        :param key: the answer's field that has the list.
        :param others: takes in the answer's other fields; has all of them once the records are taken.
        :param or_bare: whether the answer may also be the list itself.
        :raises VendorError: as :meth:`request` does, but only while the records are taken.
        """
        answer = self._ask("GET", path, params)
        self._check_answer("GET", path, answer)
        try:
            yield from answer.records(key, others, or_bare)
        except json.JSONDecodeError:
            raise self._no_json("GET", path, answer) from None
        except ValueError as error:
            raise VendorUnavailable(
                f"{self.kind.vendor} sent a job list that is no JSON array: {error}", status=200
            ) from None

    # ------------------------------------------------------------------ private

    def _read_job(self, job_id: str) -> Job:
        try:
            record = self._get_record(job_id)
        except VendorError as error:
            if error.status == 404:
                raise JobNotFound(f"{self.kind.vendor} does not know job {job_id!r}. {error}") from error
            raise
        job = self.job_from(record, keep_raw=True)
        if job.id.casefold() != job_id.casefold():
            raise VendorUnavailable(
                f"{self.kind.vendor} sent job {job.id[:80]!r} when asked for {job_id!r}", status=200
            )
        return job

    def _read_one_by_one(
        self, job_ids: Iterable[str], read: JobsRead, memory: Memory | None, answers: bool
    ) -> None:
        """Add jobs to ``read``, until the vendor is in trouble.

        :param answers: whether the vendor has answered just before.
        """
        failures = 0
        for job_id in job_ids:
            if memory is not None:
                # Noted before it may fail: else it would be first again, and who is behind it never read.
                memory.read_at[job_id] = time.monotonic()
            try:
                self._read_into(job_id, read)
            except VendorUnavailable as error:
                lives = answers or read.jobs or read.missing
                if wants_pause(error) or failures == MOST_FAILURES or not lives:
                    read.interrupted = error
                    return
                # A vendor that answers for others fails over this job alone.
                read.troubles[job_id] = error
                failures += 1

    def _read_into(self, job_id: str, read: JobsRead) -> None:
        try:
            read.jobs[job_id] = replace(self._read_job(job_id), raw=None)
        except JobNotFound:
            read.missing.add(job_id)
        except AuthenticationFailed as error:
            if error.status == 401:
                raise
            read.troubles[job_id] = error
        except VendorUnavailable as error:
            # An unreadable record, or a server that fails over it, is this job's trouble; anything else may
            # hit the next job, too.
            if error.status not in (200, 500) or wants_pause(error):
                raise
            read.troubles[job_id] = error
        except VendorError as error:
            read.troubles[job_id] = error

    def _look_for_missing(self, read: JobsRead) -> None:
        missing, read.missing = read.missing, set()
        if read.interrupted:
            # Who has not been looked for is not missing.
            return
        found = set()
        try:
            for job_id, record in self._find_missing(missing):
                found.add(job_id)
                try:
                    read.jobs[job_id] = self.job_from(record)
                except VendorUnavailable as error:
                    read.troubles[job_id] = error
        except VendorError as error:
            if error.status == 401:
                raise
            if isinstance(error, VendorUnavailable) and wants_pause(error):
                read.interrupted = error
            else:
                read.troubles |= dict.fromkeys(missing - found, error)
        else:
            read.missing = missing - found

    def _send(self, method: str, path: str, params: Params, json_body: Any) -> Answer:
        from airflow_provider_ingestjobs.hooks.http import send

        return send(
            self.get_conn(),
            self.settings,
            method,
            self.settings.base_url + path,
            headers={"Authorization": self._authorization(), **self._headers()},
            params=params,
            json_body=json_body,
        )

    def _count(self, name: str) -> None:
        from airflow.providers.common.compat.sdk import Stats

        Stats.incr(f"ingestjobs.{name}", tags={"vendor": self.conn_type, "connection": self.conn_id})

    def _authorization(self) -> str:
        if self.settings.login is None:
            return self._key_authorization()
        if self._token is None or self._token[1] <= time.monotonic():
            self._token = self._exchange()
        return self._token[0]

    def _exchange(self) -> tuple[str, float]:
        from airflow_provider_ingestjobs.hooks.http import send

        ask = self._token_request()
        answer = send(self.get_conn(), self.settings, "POST", ask.url, headers=ask.headers, form=ask.form)
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            # Also what says 404: that must not be taken for a job that is not there.
            said, request_id = self._error_words(answer)
            raise AuthenticationFailed(
                f"401: no token for connection {self.conn_id!r}, check login and password. "
                f"{ask.url} answered {answer.status}: {said}",
                status=401,
                request_id=request_id,
            )
        self._check_answer("POST", ask.url, answer)
        try:
            data = answer.json()
        except ValueError:
            # The body is kept out of the error: it may have the token.
            raise VendorUnavailable(
                f"{ask.url} answered with something that is not JSON", status=200
            ) from None
        token = data.get(ask.token_field) if isinstance(data, Mapping) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise VendorUnavailable(f"{ask.url} sent no {ask.token_field}", status=200)
        if self._masks_tokens:
            mask_secret(token)
        life = data.get(ask.expires_field)
        if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < LONGEST_LIFE:
            life = float("inf")
        return f"{ask.scheme} {token}", time.monotonic() + max(life - TOKEN_MARGIN, life / 2)

    def _ask(self, method: str, path: str, params: Params, json_body: Any = None) -> Answer:
        answer = self._send(method, path, params, json_body)
        if answer.status == 401 and self._token is not None:
            # Not forgotten: the vendor may say it again, and it is to be left out of what is told then.
            self._token = (self._token[0], float("-inf"))
            answer = self._send(method, path, params, json_body)
        return answer

    def _read_answer(self, method: str, path: str, answer: Answer) -> Any:
        self._check_answer(method, path, answer)
        try:
            return answer.json() if answer.body.strip() else None
        except ValueError:
            raise self._no_json(method, path, answer) from None

    def _no_json(self, method: str, path: str, answer: Answer) -> VendorUnavailable:
        return VendorUnavailable(
            f"{self.kind.vendor} answered {method} {path} with something that is not JSON: "
            f"{self._readable(answer.body)}",
            status=200,
        )

    def _check_answer(self, method: str, path: str, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            return
        from airflow_provider_ingestjobs.hooks.http import read_retry_after

        said, request_id = self._error_words(answer)
        message = f"{self.kind.vendor} answered {answer.status} to {method} {path}: {said}"
        message += f" (connection {self.conn_id!r}{f', request id {request_id}' if request_id else ''})"
        error: type[VendorError] = VendorError
        if answer.status == 401:
            error, message = AuthenticationFailed, f"401: token rejected, check login and password. {message}"
        elif answer.status == 403:
            error, message = AuthenticationFailed, f"403: not permitted with these credentials. {message}"
        elif 300 <= answer.status < 400:
            message += ". Redirects are not followed: check the connection's host"
        elif answer.status in (408, 425, 429) or answer.status >= 500:
            error = VendorUnavailable
        retry_after = read_retry_after(answer.headers.get("Retry-After"))
        raise error(message, status=answer.status, request_id=request_id, retry_after=retry_after)

    def _error_words(self, answer: Answer) -> tuple[str, str | None]:
        """Return the vendor's own words and its id of the request."""
        try:
            data = answer.json()
        except ValueError:
            data = None
        if not isinstance(data, Mapping):
            data = {}
        words = [
            str(data[key])
            for key in ("message", "detail", "error", "error_description", "errors")
            if data.get(key)
        ]
        header = answer.headers.get("X-Request-Id")
        request_id = data.get("request_id") or data.get("trace_id") or header
        text = self._readable(": ".join(words)) if words else self._readable(answer.body)
        return text, self._readable(str(request_id)) if request_id else None

    def _secrets(self) -> Iterator[str]:
        """Yield what this connection proves itself with, in every form in which it is sent."""
        sent = [self._token[0]] if self._token else []
        if self.settings.login is None:
            sent.append(self._key_authorization())
        else:
            sent.append(self._token_request().headers.get("Authorization", ""))
        yield from filter(None, (header.partition(" ")[2] for header in sent))
        password = self.settings.password
        yield from {password, quote_plus(password), quote(password, safe=""), json.dumps(password)[1:-1]}

    def _readable(self, text: str | bytes, most: int = 300) -> str:
        """Return a vendor's text on one line, without this connection's secrets in it."""
        secrets = sorted(self._secrets(), key=len, reverse=True)
        enough = 4 * most + len(secrets[0])
        is_cut = len(text) > enough
        text = text[:enough] if isinstance(text, str) else text[:enough].decode("utf-8", "replace")
        for secret in secrets:
            text = text.replace(secret, "***")
        if is_cut:
            # The first half of a secret would not have been found at the end.
            text = text[: -len(secrets[0])]
        # Neither line breaks, in all their forms, nor escape sequences, nor what turns the writing direction.
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return (text if len(text) <= most else f"{text[:most]}…") or "(nothing)"


def wants_pause(error: VendorError) -> bool:
    """Whether to ask for nothing else after an error: the vendor says so, or has no time to answer."""
    return error.status in (None, 429, 504) or error.retry_after is not None


def to_utc(field_name: str, value: object) -> pendulum.DateTime:
    """Return a moment that a user gave, in UTC.

    :param field_name: the argument, for the error.
    :param value: an aware datetime, or ISO 8601 text with an offset, as templates render it.
    :raises InvalidInput: if it is no moment, or has no zone.
    """
    import pendulum

    moment = value
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.strip())
        except ValueError:
            raise InvalidInput(field_name, value, "write it like 2026-01-31T00:00:00+00:00") from None
    if not isinstance(moment, datetime):
        raise InvalidInput(
            field_name, value, "give an aware datetime, such as pendulum.datetime(2026, 1, 31)"
        )
    if moment.tzinfo is None:
        raise InvalidInput(field_name, value, "it has no time zone: use pendulum.datetime(…) or add +00:00")
    return pendulum.instance(moment).in_timezone("UTC")


def check_window(started_from: object, started_to: object) -> tuple[pendulum.DateTime, pendulum.DateTime]:
    """Return a half-open window in UTC.

    :raises InvalidInput: if it is empty or inverted, or an end has no zone.
    """
    start, end = to_utc("started_from", started_from), to_utc("started_to", started_to)
    if start >= end:
        raise InvalidInput("started_to", str(end), f"it must be after started_from={start}")
    return start, end


def _connection_form_widgets(cls: type[IngestJobHook]) -> dict[str, Any]:
    """Return the form fields of the connection's extras, for Airflow before 3.2."""
    # Airflow 3 comes without both, and does not need them for this form.
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found,unused-ignore]
    from wtforms import StringField  # type: ignore[import-untyped,unused-ignore]

    return {
        key: StringField(extra.label, widget=BS3TextFieldWidget(), description=extra.description)
        for key, extra in cls.kind.all_extras.items()
    }


def _ui_field_behaviour(cls: type[IngestJobHook]) -> dict[str, Any]:
    """Return the form's labels, for Airflow before 3.2."""
    from airflow_provider_ingestjobs import get_provider_info

    rows = get_provider_info()["connection-types"]
    behaviour = next(row["ui-field-behaviour"] for row in rows if row["connection-type"] == cls.conn_type)
    return {key.replace("-", "_"): value for key, value in behaviour.items()}
