# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What users call on every vendor's hook, and below it what a vendor's hook defines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ingestjobs.airflow_compat import AirflowNotFoundException, BaseHook
from airflow_provider_ingestjobs.arguments import check_job_id
from airflow_provider_ingestjobs.errors import (
    IngestJobsError,
    InvalidInput,
    NotSupported,
)
from airflow_provider_ingestjobs.hooks import cancelling, reading, selecting
from airflow_provider_ingestjobs.hooks.class_check import check_is_complete
from airflow_provider_ingestjobs.hooks.client import Client, Credentials, TokenRequest
from airflow_provider_ingestjobs.hooks.connection import (
    AirflowConnection,
    Settings,
    no_connection,
    read_connection,
)
from airflow_provider_ingestjobs.hooks.forms import connection_form_widgets, ui_field_behaviour
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.hooks.records import Records, StateWords
from airflow_provider_ingestjobs.hooks.token_mask import TokenMask
from airflow_provider_ingestjobs.job import Job, JobState

if TYPE_CHECKING:
    import requests

    from airflow_provider_ingestjobs.selection import Picked, Selection
    from airflow_provider_ingestjobs.vendors import Vendor


class IngestJobHook(BaseHook):
    """Base of the vendors' hooks; the only place that knows a vendor's API is its hook.

    A vendor's hook names its row (``class XHook(IngestJobHook, vendor=X)``), says what the vendor's state
    words stand for, and defines the methods that have no body here, which is checked when the class is made.
    They send requests by ``self.client``, and turn records into jobs by ``self.records`` and ``self.words``.
    A subclass of a vendor's hook needs none of this.

    :param conn_id: the Airflow connection.
    """

    vendor: ClassVar[Vendor]
    conn_type: ClassVar[str]
    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]
    #: The vendor's words, normalised by :func:`~airflow_provider_ingestjobs.job.normalise_word`.
    states: ClassVar[Mapping[str, JobState]] = {}
    #: From this many jobs on, reading the vendor's list costs less than reading each job.
    list_threshold: ClassVar[int] = 5
    #: Whether the vendor may answer 404 to the id of a job that one of its lists still has.
    may_hide_jobs: ClassVar[bool] = False
    #: Whether people can resume a job that has failed: its end is then none.
    may_resume_jobs: ClassVar[bool] = False
    #: Whether ``send_cancel`` needs nothing of a job but its id. A killed task, which has seconds, then asks
    #: without reading the job first.
    stops_by_id: ClassVar[bool] = False

    def __init_subclass__(cls, vendor: Vendor | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if vendor is None:
            return
        cls.vendor = vendor
        cls.conn_type = vendor.conn_type
        cls.conn_name_attr = vendor.conn_name_attr
        cls.default_conn_name = vendor.default_conn_id
        cls.hook_name = vendor.name
        # Airflow before 3.2 only calls the form methods that the class itself defines.
        cls.get_connection_form_widgets = staticmethod(partial(connection_form_widgets, vendor))  # type: ignore[method-assign]
        cls.get_ui_field_behaviour = staticmethod(partial(ui_field_behaviour, vendor))  # type: ignore[method-assign]
        check_is_complete(cls, IngestJobHook)

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._settings: Settings | None = None
        self._client: Client | None = None
        # Masking a token talks to Airflow's supervisor, which threads of the triggerer must not do.
        self.token_mask: TokenMask | None = TokenMask()

    # ------------------------------------------------------------------ for users

    def get_job(self, job_id: str) -> Job:
        """Read one job, with everything the vendor tells about it, even what takes another request.

        :param job_id: the vendor's id of it.
        :raises InvalidInput: for an id that cannot be one.
        :raises JobNotFound: if the vendor does not know it.
        :raises VendorError: if the vendor refuses, or cannot be reached.
        """
        return self.add_details(reading.find_job(self, check_job_id(job_id)))

    def get_jobs(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """Read many jobs with as few requests as the vendor's API allows.

        :param job_ids: the vendor's ids of them.
        :returns: the jobs by id, without those the vendor does not know.
        :raises InvalidInput: for an id that cannot be one.
        :raises VendorError: if the vendor refuses one of them, or cannot be reached.
        """
        if isinstance(job_ids, str):
            raise InvalidInput("job_ids", job_ids, f"give a list of ids, such as {[job_ids]}")
        read = self.read_jobs([check_job_id(job_id) for job_id in job_ids])
        for error in read.errors.values():
            raise error
        return read.jobs

    def list_jobs(self, *args: Any, **filters: Any) -> Iterator[Job]:
        """List jobs, page by page as they are consumed; each vendor has filters of its own.

        :param args: see the vendor's hook.
        :param filters: see the vendor's hook.
        :raises NotSupported: if the vendor documents no list.
        """
        raise NotSupported(f"{self.vendor.name} documents no list of jobs")

    def cancel_job(self, job_id: str) -> Job:
        """Ask the vendor to stop a job, and return the job as it is after that.

        A job that has ended already, or is stopping already, is returned as it is: cancelling is idempotent.
        Where the vendor has taken the request and cannot tell of the job after it, it is returned as it was.

        :param job_id: the vendor's id of it.
        :raises JobNotFound: if the vendor does not know it.
        :raises CancelRefused: if the vendor does not stop it (any more).
        :raises NotSupported: if the vendor documents no way to stop jobs.
        :raises VendorError: if the vendor refuses to tell of it, or cannot be reached.
        """
        if not self.vendor.cancels:
            raise NotSupported(
                f"{self.vendor.name} documents no way to cancel job {job_id}: stop it in the vendor's own UI"
            )
        return cancelling.cancel_job(self, check_job_id(job_id))

    def ask_to_stop(self, job_id: str, looks_first: bool = False) -> Job | None:
        """Ask the vendor to stop a job with as few requests as that takes: for tasks that are being killed.

        :param job_id: the vendor's id of it.
        :param looks_first: whether it may have been asked before: the answer to that may have been lost.
        :returns: ``None`` if the vendor took the request; the job, if it has ended or is stopping anyway.
        :raises JobNotFound: if the vendor does not know it.
        :raises CancelRefused: if the vendor does not stop it (any more).
        :raises VendorError: if the vendor cannot be reached.
        """
        return cancelling.ask_to_stop(self, check_job_id(job_id), looks_first)

    def add_details(self, job: Job, needed: bool = False) -> Job:
        """Return a job with what takes a further request; without it, if that fails.

        :param job: the job.
        :param needed: raise what keeps the details away instead of leaving them out.
        :raises IngestJobsError: only if the details are needed.
        """
        try:
            return self.records.clean(self.fetch_details(job))
        except IngestJobsError as error:
            if needed:
                raise
            self.log.warning("The details of %s cannot be read: %s", job, error)
            return job

    def test_connection(self) -> tuple[bool, str]:
        """Make the cheapest authenticated call and say what came of it."""
        try:
            return True, self.ping()
        except IngestJobsError as error:
            return False, str(error)

    def get_conn(self) -> requests.Session:
        """Return the HTTP session; credentials go with each request and are not in it."""
        return self.client.session

    # ------------------------------------------------------------------ for triggers and sensors

    def read_jobs(self, job_ids: Collection[str], state: ReadState | None = None) -> BulkRead:
        """Read many jobs, see :func:`~airflow_provider_ingestjobs.hooks.reading.read_jobs`."""
        return reading.read_jobs(self, job_ids, state)

    def select_jobs(
        self, selections: Collection[Selection], seen: Mapping[Selection, Collection[Job]] | None = None
    ) -> dict[Selection, Picked]:
        """Read what selections pick, see :func:`~airflow_provider_ingestjobs.hooks.selecting.select_jobs`."""
        return selecting.select_jobs(self, selections, seen)

    def jobs_between(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> list[Job]:
        """Read a window, see :func:`~airflow_provider_ingestjobs.hooks.selecting.jobs_between`."""
        return selecting.jobs_between(self, start, end, common_filters)

    def connect(self, settings: Settings) -> None:
        """Use these settings, where no connection may be looked up: in a trigger's threads.

        :param settings: what :meth:`read_settings` returns.
        """
        self._settings = settings
        self.token_mask = None
        # Made here, once: the threads that share this hook share its token, too.
        self._client = self._make_client(settings)

    @property
    def settings(self) -> Settings:
        """The checked connection; looked up when first needed.

        :raises InvalidInput: naming the field and the fix.
        """
        if self._settings is None:
            try:
                connection = self.get_connection(self.conn_id)
            except AirflowNotFoundException:
                raise no_connection(self.vendor, self.conn_id) from None
            self._settings = self.read_settings(self.conn_id, connection, connection.extra_dejson)
        return self._settings

    @classmethod
    def read_settings(cls, conn_id: str, connection: AirflowConnection, extra: Mapping[str, Any]) -> Settings:
        """Check a connection of this hook's type.

        :param conn_id: its id.
        :param connection: Airflow's connection.
        :param extra: its extras, already read from JSON.
        :raises InvalidInput: naming the field and the fix.
        """
        settings = read_connection(cls.vendor, conn_id, connection, extra)
        cls.check_settings(settings)
        return settings

    # ------------------------------------------------------------------ what a vendor's hook works with

    @property
    def client(self) -> Client:
        """Sends requests with the connection's credentials."""
        if self._client is None:
            self._client = self._make_client(self.settings)
        return self._client

    def _make_client(self, settings: Settings) -> Client:
        has_login = settings.login is not None
        credentials = Credentials(
            authorization=None if has_login else self.key_authorization(),
            token_request=self.token_request() if has_login else None,
            headers=self.headers(),
        )
        return Client(self.vendor, settings, credentials, self.token_mask)

    @cached_property
    def records(self) -> Records:
        """Turns the vendor's records into jobs."""
        return Records(vendor=self.vendor.name, to_job=self.to_job, redact=self.client.redact, log=self.log)

    @cached_property
    def words(self) -> StateWords:
        """Knows what the vendor's words for states stand for."""
        return StateWords(
            vendor=self.vendor.name,
            conn_id=self.conn_id,
            states=self.states,
            state_map=self.settings.state_map,
            redact=self.client.redact,
            log=self.log,
        )

    # ------------------------------------------------------------------ what a vendor's hook defines

    def get_record(self, job_id: str) -> Any:
        """Return the vendor's record of one job. Required.

        :param job_id: the vendor's id of it, checked, not yet percent-encoded.
        :raises VendorError: with status 404 if the vendor does not know it.
        """
        raise NotImplementedError

    def to_job(self, record: Mapping[str, Any]) -> Job:
        """Return a record as a job. Required. ``raw`` is added by the caller, the state comes from ``words``.

        :param record: the vendor's record.
        :raises KeyError, TypeError, ValueError, AttributeError: if it is not a job's record.
        """
        raise NotImplementedError

    def ping(self) -> str:
        """Make the cheapest authenticated call and return what to tell about it. Required."""
        raise NotImplementedError

    def list_window(self, start: datetime, end: datetime, common_filters: Mapping[str, Any]) -> Iterable[Job]:
        """Return at least the jobs that started (or were created) in a window. Required for ``filters``.

        :param start: the window's start, inclusive; widened by :meth:`list_range`.
        :param end: its end, exclusive; widened, too.
        :param common_filters: what all selections to be served have in common: may be sent to the vendor, and
            must be where only the vendor can judge.
        """
        raise NotSupported(f"{self.vendor.name} documents no list of jobs")

    def list_range(
        self, start: datetime, end: datetime, common_filters: Mapping[str, Any]
    ) -> tuple[datetime, datetime]:
        """Return the range to list so that it has all jobs of a window, which are then picked from it.

        :param start: the window's start, inclusive.
        :param end: its end, exclusive, and at most a minute from now.
        :param common_filters: as :meth:`list_window` gets them.
        """
        return start, end

    def find_in_lists(self, wanted: set[str], read: BulkRead, state: ReadState) -> None:
        """Add to ``read.jobs`` the wanted jobs that the vendor's lists have; the others are read by id.

        To ``read.unchanged`` go the wanted ids that the lists show not to have changed since ``state``.

        :param wanted: the vendor's ids, at least ``list_threshold`` of them.
        :param read: takes in what is found.
        :param state: what was read before.
        """

    def find_hidden(self, job_ids: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Return ids and records of those jobs that the vendor only hides, see ``may_hide_jobs``.

        :param job_ids: ids of jobs that are not at their own addresses.
        """
        return iter(())

    def send_cancel(self, job: Job) -> None:
        """Ask the vendor to stop a job. Required where the vendor's row says that it ``cancels``.

        :param job: the job, as it was read just before; with ``stops_by_id`` nothing but its id may be known.
        :raises Unreadable: if the request was taken but its answer cannot be read; never for another request.
        """
        raise NotImplementedError

    def why_refused(self, job: Job) -> str:
        """Return a sentence, with a space at its end, on why the vendor may refuse to stop a job.

        :param job: the job, as it was read after the refusal.
        """
        return ""

    def fetch_details(self, job: Job) -> Job:
        """Return a job with what takes a further request. Waits ask for it once, when the job has ended.

        :param job: the job as its record has it; one that goes on only where it is read for its own sake.
        """
        return job

    def job_url(self, job_id: str) -> str | None:
        """Return an address of the job for people, where the vendor documents one.

        :param job_id: the vendor's id of it.
        """
        return None

    def headers(self) -> dict[str, str]:
        """Return further headers of every request."""
        return {}

    def key_authorization(self) -> str:
        """Return the ``Authorization`` header of a connection with a password alone."""
        return f"Bearer {self.settings.password}"

    def token_request(self) -> TokenRequest:
        """Return how to exchange the connection's login and password for a token.

        :raises InvalidInput: if this vendor takes a key alone.
        """
        name = f"connection {self.conn_id!r}: login"
        raise InvalidInput(name, self.settings.login, f"leave it empty: {self.vendor.name} takes a key alone")

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        """Refuse a connection that this vendor cannot work with.

        :param settings: the connection, its fields checked one by one.
        :raises InvalidInput: naming the field and the fix.
        """
