# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One vendor under test: its sandbox, a connection to it, and its sensor in each mode."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.case import ContractCase
from airflow_provider_ingestjobs.sandbox.sandbox import RecordedRequest, Sandbox
from airflow_provider_ingestjobs.sandbox.task_runs import (
    Outcome,
    reschedules_without_a_database,
    run_deferred,
    run_in_worker,
    run_rescheduled,
)

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.sandbox.vendor import Call, VendorApi

    C = TypeVar("C", bound=type[Any])

#: The ways to wait, each with what runs it and what makes a sensor wait so.
MODES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "poke": (run_in_worker, {"mode": "poke", "deferrable": False}),
    "reschedule": (run_rescheduled, {"mode": "reschedule", "deferrable": False}),
    "deferred": (run_deferred, {"deferrable": True}),
}
each_mode = pytest.mark.parametrize("mode", MODES)
#: The two that differ in how often, and in which process, the vendor is asked.
worker_and_triggerer = pytest.mark.parametrize("mode", ["poke", "deferred"])
#: Seconds between two steps of a job's timeline, and between two looks at it.
STEP = 0.06
INTERVAL = 0.03
#: The ends that are no success, unless the task expects them.
BAD_ENDS = (JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


class Lab:
    """A vendor under test, with a connection to its sandbox under the default connection id.

    :param case: the vendor.
    :param sandbox: plays it.
    :param heard: what :func:`listening` keeps.
    :param monkeypatch: undoes what is changed.
    """

    def __init__(
        self, case: ContractCase, sandbox: Sandbox, heard: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.case = case
        self.sandbox = sandbox
        self.heard = heard
        self.row = case.hook.vendor
        self.name = case.sandbox_vendor.name
        self._monkeypatch = monkeypatch
        self._numbers = count(1)

    # ------------------------------------------------------------------ the connection

    @property
    def auths(self) -> list[str]:
        """The ways in which a connection of the vendor's may prove itself."""
        from airflow_provider_ingestjobs.hooks.base import IngestJobHook

        takes_login = self.case.hook.token_request is not IngestJobHook.token_request
        return ["key", "login"] if takes_login else ["key"]

    def connect(self, auth: str = "key", extra: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Write the connection, and return its id.

        :param auth: ``key`` or ``login``.
        :param extra: further extras.
        :param changes: fields that are to be otherwise.
        """
        fields = {**self.sandbox.connection(self.name, auth), **changes}
        fields["extra"] = {**fields["extra"], **self.case.extra, **(extra or {})}
        conn_id = str(fields.pop("conn_id"))
        given = {key: value for key, value in fields.items() if value is not None}
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(given))
        return conn_id

    def hook(
        self, auth: str = "key", extra: Mapping[str, Any] | None = None, **changes: Any
    ) -> IngestJobHook:
        """Return a hook on a connection of its own making, see :meth:`connect`."""
        return self.case.hook(self.connect(auth, extra, **changes))

    # ------------------------------------------------------------------ jobs

    def add_job(self, *states: JobState, failure: str | None = None, **options: Any) -> str:
        """Add a job that goes through some states, and return its id.

        :param states: the states, an instant each.
        :param failure: what the vendor says of a failure.
        :param options: see ``Sandbox.add_job``.
        """
        words = [self.case.words[state] for state in states]
        options = {"timeline": [(STEP * number, word) for number, word in enumerate(words)], **options}
        if "job_id" not in options and self.case.job_ids is not None:
            options["job_id"] = self.case.job_ids(next(self._numbers))
        return self.sandbox.add_job(self.name, failure=failure, **options)

    def unknown_job(self) -> str:
        """Return the id of a job that the vendor does not know."""
        job_id = self.add_job(JobState.RUNNING)
        self.sandbox.remove_job(self.name, job_id)
        return job_id

    def set_state(self, job_id: str, state: JobState) -> None:
        """Put a job into a state at once.

        :param job_id: the job.
        :param state: the state.
        """
        self.sandbox.set_state(self.name, job_id, self.case.words[state])

    @property
    def ends(self) -> list[JobState]:
        """The ends that the vendor has a word for."""
        return [state for state in self.case.words if state.is_terminal]

    # ------------------------------------------------------------------ tasks

    def sensor(self, mode: str, **arguments: Any) -> Any:
        """Return a sensor.

        :param mode: a key of :data:`MODES`.
        :param arguments: its arguments, beyond those that make it quick.
        """
        sensor = arguments.pop("sensor", self.case.sensor)
        given = {"task_id": "wait", "poke_interval": INTERVAL, "timeout": 10, **MODES[mode][1]}
        return sensor(**{**given, **arguments})

    def wait(self, mode: str, context: Mapping[str, Any] | None = None, **arguments: Any) -> Outcome:
        """Run a sensor to its end.

        :param mode: a key of :data:`MODES`.
        :param context: what it finds in its context beside ``ti``.
        :param arguments: see :meth:`sensor`.
        """
        runs = MODES[mode][0]
        outcome: Outcome = runs(partial(self.sensor, mode, **arguments), context=context)
        return outcome

    def requests(self) -> list[RecordedRequest]:
        """Return what the vendor was asked so far."""
        return self.sandbox.requests(self.name)

    def importable(self, cls: C) -> C:
        """Return a class that was made in a test, after making it one that another process could import.

        :param cls: the class.
        """
        cls.__module__, cls.__qualname__ = __name__, cls.__name__
        self._monkeypatch.setattr(sys.modules[__name__], cls.__name__, cls, raising=False)
        return cls


class ContractTests:
    """The fixtures of all tests of the suite."""

    case: ClassVar[ContractCase]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each word that the vendor has, each way to end that is no success, and each start.

        :param metafunc: pytest's view of the test.
        """
        if "start" in metafunc.fixturenames:
            none = pytest.param(None, marks=pytest.mark.skip(f"{self.case} has no operator that starts jobs"))
            metafunc.parametrize("start", self.case.starts or [none], ids=str)
        of_vendor = {
            "word_for": list(self.case.words),
            "bad_end": [state for state in self.case.words if state in BAD_ENDS],
        }
        for name in of_vendor.keys() & set(metafunc.fixturenames):
            metafunc.parametrize(name, of_vendor[name], ids=lambda state: state.value)

    @pytest.fixture
    def cancels(self) -> None:
        """Skip a test where the vendor documents no way to stop a job."""
        if not self.case.hook.vendor.cancels:
            pytest.skip(f"{self.case} documents no way to cancel a job")

    @pytest.fixture(scope="class")
    @classmethod
    def _running(cls) -> Iterator[tuple[Sandbox, set[str]]]:
        heard: set[str] = set()
        with Sandbox(vendors=[listening(cls.case.sandbox_vendor, heard)]) as sandbox:
            yield sandbox, heard

    @pytest.fixture
    def lab(self, _running: tuple[Sandbox, set[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
        """The vendor under test, with nothing in it yet; triggers and polls are quicker than in earnest."""
        sandbox, heard = _running
        sandbox.reset()
        sandbox.cancel_delay = STEP
        heard.clear()
        for name in PROXIES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.02)
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.MIN_INTERVAL", 0.02)
        # Where a request is sent again at once, the waits would not even hear of most trouble.
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)
        lab = Lab(self.case, sandbox, heard, monkeypatch)
        lab.connect()
        with reschedules_without_a_database():
            yield lab
        # What a poll that nobody waits for any more still asks is not the next test's.
        for thread in threading.enumerate():
            if thread.name == "ingestjobs":
                thread.join(5)


def listening(vendor: type[VendorApi], heard: set[str]) -> type[VendorApi]:
    """Return a sandbox's vendor that also keeps the secrets in ``Authorization`` headers, and raw paths.

    :param vendor: the vendor.
    :param heard: takes in the header's part after the scheme, and the percent-encoded paths.
    """

    class Listening(vendor):  # type: ignore[misc, valid-type]
        def authenticate(self, call: Call) -> None:
            heard.add(call.scheme_and_secret()[1])
            heard.add(call.request.scope["raw_path"].decode())
            super().authenticate(call)

    return Listening
