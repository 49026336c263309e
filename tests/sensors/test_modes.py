# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every sensor ends alike, whatever it waits in: a worker, many short looks, or the triggerer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_ingestjobs.errors import AuthenticationFailed, IngestJobsError, VendorError
from airflow_provider_ingestjobs.exceptions import JobCancelled, JobFailed, JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.task_runs import PATIENCE, Outcome, run_deferred, run_in_worker, run_rescheduled
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.connections import Connections
    from support.logs import Logs

    RunSensor = Callable[..., Outcome]
    RunTask = Callable[[Callable[[], Any]], Outcome]

MODES: dict[str, tuple[RunTask, dict[str, Any]]] = {
    "poke": (run_in_worker, {"mode": "poke", "deferrable": False}),
    "reschedule": (run_rescheduled, {"mode": "reschedule", "deferrable": False}),
    "deferred": (run_deferred, {"deferrable": True}),
}
each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def run(sandbox: Sandbox, connections: Connections, quick_watch: None) -> RunSensor:
    """Run a vendor's sensor to its end in a mode."""

    def run_sensor(case: VendorCase, mode: str, **arguments: Any) -> Outcome:
        runner, of_mode = MODES[mode]
        given = {"poke_interval": 0.03, "timeout": 10, "job_id": case.job_id, **of_mode, **arguments}
        outcome = runner(lambda: case.sensor(task_id="wait", **given))
        if mode == "deferred" and "mode" not in arguments:
            assert outcome.deferred
        check_chain(outcome.error)
        return outcome

    return run_sensor


def check_chain(error: BaseException | None) -> None:
    """An error that is its own cause would be logged without end by structlog before 25.5."""
    seen: list[BaseException] = []
    while error is not None:
        assert not any(error is one for one in seen), f"{error!r} is in its own chain"
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def timeline(case: VendorCase, *states: JobState, failure: str | None = None) -> list[tuple[float, Any]]:
    """Return a timeline through these states, an instant each."""
    words = [{"state": case.words[state]} for state in states]
    return [(0.06 * number, step) for number, step in enumerate(words)]


@contextmanager
def moving_on(sandbox: Sandbox, job_id: str, logs: Logs, **words: str) -> Iterator[None]:
    """Let an Amperity job come into its next state when the log tells of the one before.

    :param words: the next state's word, by what the log says of the state before.
    """

    def work() -> None:
        give_up = time.monotonic() + PATIENCE
        for told, word in words.items():
            while f"Amperity job {job_id} is {told}" not in logs.text and time.monotonic() < give_up:
                time.sleep(0.01)
            sandbox.set_state("amperity", job_id, word)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


class TestEnds:
    @each_vendor
    @each_mode
    def test_success(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        steps = timeline(case, JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED)
        sandbox.add_job(case.name, case.job_id, steps, rows={"read": 10, "errors": 1})
        outcome = run(case, mode)
        assert outcome.error is None
        job = Job.from_dict(outcome.value)
        assert (job.vendor, job.id, job.state) == (case.vendor, case.job_id, JobState.SUCCEEDED)
        assert job.vendor_state == case.words[JobState.SUCCEEDED]
        assert job.ended_at is not None
        assert "raw" not in outcome.value
        if case.name in ("amperity", "polaris"):
            assert (job.rows.read, job.rows.errors) == (10, 1)

    @each_vendor
    @pytest.mark.parametrize(("state", "include_raw"), [(JobState.SUCCEEDED, True), (JobState.FAILED, False)])
    def test_the_same_xcom_in_every_mode(
        self,
        case: VendorCase,
        state: JobState,
        include_raw: bool,
        run: RunSensor,
        sandbox: Sandbox,
        connections: Connections,
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(
            case.name, case.job_id, [(0, case.words[state])], rows={"read": 7}, failure="Disk full"
        )
        poked, rescheduled, deferred = (
            run(case, mode, include_raw=include_raw, expected_states=["succeeded", "failed"])
            for mode in MODES
        )
        assert poked.value is not None
        assert poked.value == rescheduled.value == deferred.value
        assert poked.vendor_link == rescheduled.vendor_link == deferred.vendor_link
        if include_raw:
            raw = poked.value["raw"]
            assert case.job_id in (str(raw.get("id")), raw.get("job_id"))
        if state is JobState.FAILED and case.name != "polaris":
            assert poked.value["failure"] == "Disk full"

    @each_vendor
    @each_mode
    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize(("state", "error"), [("failed", JobFailed), ("cancelled", JobCancelled)])
    def test_failed_and_cancelled(
        self,
        case: VendorCase,
        mode: str,
        soft_fail: bool,
        state: str,
        error: type[Exception],
        run: RunSensor,
        sandbox: Sandbox,
        connections: Connections,
    ) -> None:
        connections.add(case.name)
        word = case.words[JobState(state)]
        page = "https://acme.datatap.adverity.com/ads/42/emea/"
        fields = {"datastream": {"id": 42, "absolute_url": page}} if case.name == "adverity" else {}
        sandbox.add_job(case.name, case.job_id, [(0, word)], failure="Disk full", fields=fields)
        outcome = run(case, mode, soft_fail=soft_fail)
        assert outcome.skipped == soft_fail
        if soft_fail:
            return
        assert type(outcome.error) is error
        # A retry would only see the same end.
        assert isinstance(outcome.error, AirflowFailException)
        said = str(outcome.error)
        assert said.startswith(f"{case.vendor} job {case.job_id} is {state} (vendor says {word!r})")
        if state == "failed" and case.name != "polaris":
            assert "The vendor says: Disk full" in said
        if case.name == "adverity":
            assert page in said

    @each_vendor
    @each_mode
    def test_expected_states_widen_success(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        # Only Amperity has a word for it; with the others the user gives one.
        connections.add(case.name, extra={"state_map": {"no data": "skipped"}})
        word = "skipped" if case is AMPERITY else "No data"
        sandbox.add_job(case.name, case.job_id, [(0, word)])
        outcome = run(case, mode, expected_states=("succeeded", JobState.SKIPPED))
        assert outcome.error is None
        assert (outcome.value["state"], outcome.value["vendor_state"]) == ("skipped", word)
        unwanted = run(case, mode)
        assert type(unwanted.error) is JobFailed
        assert "is skipped" in str(unwanted.error)

    @each_vendor
    @each_mode
    def test_expected_states_may_leave_out_success(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
        outcome = run(case, mode, expected_states=["failed"])
        assert type(outcome.error) is JobFailed

    @each_vendor
    @each_mode
    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_never_found(
        self, case: VendorCase, mode: str, soft_fail: bool, run: RunSensor, connections: Connections
    ) -> None:
        connections.add(case.name)
        outcome = run(case, mode, missing_grace=0.1, soft_fail=soft_fail)
        assert outcome.skipped == soft_fail
        if not soft_fail:
            assert type(outcome.error) is JobNotFound
            assert isinstance(outcome.error, AirflowException)
            assert case.job_id in str(outcome.error)

    @each_vendor
    @each_mode
    def test_found_late(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0.1, case.words[JobState.SUCCEEDED])])
        outcome = run(case, mode, missing_grace=5)
        assert outcome.error is None
        assert outcome.value["state"] == "succeeded"

    @each_vendor
    @each_mode
    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_time_is_up(
        self,
        case: VendorCase,
        mode: str,
        soft_fail: bool,
        run: RunSensor,
        sandbox: Sandbox,
        connections: Connections,
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)
        outcome = run(case, mode, timeout=0.12, soft_fail=soft_fail)
        assert outcome.skipped == soft_fail
        if not soft_fail:
            assert type(outcome.error) is WaitTimeout
            assert isinstance(outcome.error, AirflowSensorTimeout)
            said = str(outcome.error)
            assert f"{case.vendor} job {case.job_id} had not ended" in said
            assert "running (vendor says 'running')" in said.replace("'Running'", "'running'")
            assert "last read" in said

    @each_mode
    def test_never_fail(self, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "isj-failed", [(0, "failed")])
        for arguments in ({"job_id": "isj-failed"}, {"job_id": "isj-unknown", "missing_grace": 0}):
            assert run(AMPERITY, mode, never_fail=True, **arguments).skipped, arguments


class TestTrouble:
    @each_vendor
    @each_mode
    @pytest.mark.usefixtures("one_try")
    def test_passing_trouble_does_not_end_a_wait(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
        for fault in (
            {"status": 500},
            {"status": 503},
            {"drop": "before"},
            {"body": "<html>"},
            {"status": 429},
        ):
            sandbox.add_fault(Fault(path="jobs", **fault))
        outcome = run(case, mode)
        assert outcome.error is None
        assert outcome.value["state"] == "succeeded"

    @each_vendor
    @each_mode
    def test_refused_credentials_are_never_a_skip(
        self, case: VendorCase, mode: str, run: RunSensor, connections: Connections
    ) -> None:
        connections.add(case.name, password="wrong")
        outcome = run(case, mode, soft_fail=True)
        assert not outcome.skipped
        assert type(outcome.error) is AuthenticationFailed
        assert "401: token rejected" in str(outcome.error)

    @each_vendor
    @each_mode
    def test_a_refused_request_ends_it_with_the_vendors_words(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_fault(Fault(status=422, times=None))
        outcome = run(case, mode, soft_fail=True)
        assert type(outcome.error) is VendorError
        assert "Sandbox fault 422" in str(outcome.error)

    @each_vendor
    @each_mode
    def test_no_connection(
        self, case: VendorCase, mode: str, run: RunSensor, connections: Connections
    ) -> None:
        outcome = run(case, mode, **{f"{case.conn_type}_conn_id": "nowhere"}) if mode != "deferred" else None
        if outcome is None:
            given = {"deferrable": True, f"{case.conn_type}_conn_id": "nowhere", "job_id": case.job_id}
            outcome = run_deferred(lambda: case.sensor(task_id="wait", **given))
        assert isinstance(outcome.error, IngestJobsError)
        assert f"{case.conn_type}_conn_id='nowhere' cannot be used" in str(outcome.error)

    @each_mode
    @pytest.mark.usefixtures("one_try")
    def test_a_pause_that_the_vendor_asks_for_is_kept(
        self, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "completed")])
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "2"}))
        assert run(NARRATIVE, mode).value["state"] == "succeeded"
        refused, answered = sandbox.requests("narrative")[:2]
        assert answered.at - refused.at >= 1.9

    @each_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("include_raw", [False, True])
    @pytest.mark.parametrize("fault", [{"status": 404}, {"drop": "before"}], ids=str)
    def test_trouble_when_the_end_is_known_already(
        self,
        case: VendorCase,
        include_raw: bool,
        fault: dict[str, Any],
        sandbox: Sandbox,
        connections: Connections,
        quick_watch: None,
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
        outcome = run_deferred(
            lambda: case.sensor(
                task_id="wait", job_id=case.job_id, deferrable=True, include_raw=include_raw, timeout=5
            ),
            between=lambda: sandbox.add_fault(Fault(times=None, **fault)),
        )
        assert outcome.deferred
        assert outcome.error is None
        assert outcome.value["state"] == "succeeded"


class TestWhatTheUserSees:
    @each_mode
    def test_states_are_logged_as_they_change(
        self, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", AMPERITY.job_id, [(0, "scheduled")])
        with moving_on(sandbox, AMPERITY.job_id, logs, pending="running", running="succeeded"):
            assert run(AMPERITY, mode).error is None
        for state in ("pending", "running", "succeeded"):
            assert f"Amperity job {AMPERITY.job_id} is {state}" in logs.text

    @each_mode
    def test_an_unknown_word_waits_on(
        self, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", AMPERITY.job_id, [(0, "On hold")])
        with moving_on(sandbox, AMPERITY.job_id, logs, unknown="succeeded"):
            assert run(AMPERITY, mode).value["state"] == "succeeded"
        assert any("On hold" in text and "state_map" in text for text in logs.warnings)

    @each_vendor
    @each_mode
    def test_no_link_to_what_is_no_page(
        self, case: VendorCase, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
        assert run(case, mode).vendor_link == ""

    @each_mode
    def test_the_link_to_a_page_for_people(
        self, mode: str, run: RunSensor, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("adverity")
        page = "https://acme.datatap.adverity.com/ads/42/emea/"
        stream = {"id": 42, "absolute_url": page}
        sandbox.add_job("adverity", ADVERITY.job_id, [(0, "Success")], fields={"datastream": stream})
        ended = run(ADVERITY, mode)
        assert ended.value["url"] == page
        assert ended.vendor_link == page
