# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all vendors' hooks have in common: tokens, states, few requests, cancelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    InvalidInput,
    NotSupported,
    Throttled,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks import reading
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.vendors import (
    ADVERITY,
    AMPERITY,
    CANCELLING_VENDORS,
    NARRATIVE,
    POLARIS,
    VENDORS,
    VendorCase,
)

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs
    from support.recorder import Recorder

each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
each_cancelling_vendor = pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)


def lines(sandbox: Sandbox) -> list[str]:
    """Return the requests the sandbox got, as method and path."""
    return [f"{request.method} {request.path}" for request in sandbox.requests()]


def ids(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


class TestTokens:
    def exchanges(self, sandbox: Sandbox) -> int:
        return sum("token" in request.path for request in sandbox.requests())

    @each_vendor
    def test_one_token_serves_many_requests(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        sandbox.add_job(case.name, case.job_id)
        for _ in range(3):
            assert hook.get_job(case.job_id).state is JobState.RUNNING
        assert self.exchanges(sandbox) == 1

    @each_vendor
    def test_a_revoked_token_is_replaced_once(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        sandbox.add_job(case.name, case.job_id)
        hook.get_jobs([case.job_id])
        sandbox.expire_tokens()
        assert hook.get_jobs([case.job_id])[case.job_id].state is JobState.RUNNING
        assert self.exchanges(sandbox) == 2
        assert [request.status for request in sandbox.requests()] == [200, 200, 401, 200, 200]

    @each_vendor
    def test_a_second_401_is_the_end(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        sandbox.add_fault(Fault(path="jobs", status=401, times=None))
        with pytest.raises(AuthenticationFailed):
            hook.get_job(case.job_id)
        assert [request.status for request in sandbox.requests()] == [200, 401, 200, 401]

    @each_vendor
    def test_a_key_is_not_tried_twice(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, password="wrong"))
        with pytest.raises(AuthenticationFailed, match="401: token rejected"):
            hook.get_job(case.job_id)
        assert len(sandbox.requests()) == 1

    @each_vendor
    def test_a_403_is_not_cured_by_another_token(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        sandbox.add_fault(Fault(path="jobs", status=403, times=None))
        with pytest.raises(AuthenticationFailed, match="403: not permitted"):
            hook.get_job(case.job_id)
        assert self.exchanges(sandbox) == 1

    @pytest.mark.parametrize(
        ("case", "answer", "life"),
        [
            (AMPERITY, {"access_token": "x", "expires_in": 3600}, 3600),
            (POLARIS, {"access_token": "x", "expires_in": 300}, 300),
            (NARRATIVE, {"access_token": "x", "access_token_expires_in": 3600}, 3600),
            (AMPERITY, {"access_token": "x", "expires_in": 40}, 40),
            # "token expires_in": null
            (ADVERITY, {"token": "x", "expires_in": None}, None),
            (AMPERITY, {"access_token": "x"}, None),
            (AMPERITY, {"access_token": "x", "expires_in": "soon"}, None),
        ],
    )
    def test_replaced_shortly_before_it_expires(
        self,
        case: VendorCase,
        answer: dict[str, Any],
        life: float | None,
        connections: Connections,
        recorder: Recorder,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        extra = {"token_url": f"{recorder.url}/token"} if case is POLARIS else {}
        hook = case.hook(connections.add(case.name, auth="login", host=recorder.url, extra=extra))
        for path in ("/api/v0/oauth2/token", "/api/auth/token/", "/token", "/oauth/token"):
            recorder.answers[path] = answer
        began = clock.monotonic()

        def exchanges_after(seconds: float) -> int:
            monkeypatch.setattr(clock, "monotonic", lambda: began + seconds)
            with pytest.raises(VendorUnavailable):  # the recorder answers {}
                hook.get_job("1")
            return sum("token" in request.path for request in recorder.requests)

        assert exchanges_after(0) == 1
        if life is None:
            assert exchanges_after(10**7) == 1
        else:
            # Neither used when it may expire on the way, nor thrown away when it has just been made.
            assert exchanges_after(life / 2 - 1) == 1
            assert exchanges_after(life - 1) == 2

    @each_vendor
    @pytest.mark.parametrize(
        "answer", [{}, [], {"access_token": None, "token": None}, {"access_token": 5}, "x"]
    )
    @pytest.mark.usefixtures("one_try")
    def test_an_exchange_without_a_token(
        self, case: VendorCase, answer: Any, connections: Connections, sandbox: Sandbox
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        body = answer if isinstance(answer, dict) else str(answer)
        sandbox.add_fault(Fault(path="token", body=body, times=None))
        with pytest.raises(VendorUnavailable):
            hook.get_job(case.job_id)

    @each_vendor
    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_refused_credentials(
        self, case: VendorCase, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name, auth="login"))
        sandbox.add_fault(Fault(path="token", status=status, times=None))
        with pytest.raises(AuthenticationFailed, match="check login and password"):
            hook.get_job(case.job_id)
        assert len(sandbox.requests()) == 1


class TestStateWords:
    @each_vendor
    def test_every_word_of_the_vendor(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        for number, (state, word) in enumerate(case.words.items(), 1):
            sandbox.add_job(case.name, str(number), [(0, word)])
            job = hook.get_job(str(number))
            assert (job.state, job.vendor_state) == (state, word)

    @pytest.mark.parametrize(
        ("case", "word", "state"),
        [
            # design.md's table, and the words of ../vendor-apis that are spelt otherwise elsewhere
            (AMPERITY, "Scheduled", "pending"),
            (AMPERITY, "Started", "running"),
            (AMPERITY, "In progress", "running"),
            (AMPERITY, "in_progress", "running"),
            (AMPERITY, "IN-PROGRESS", "running"),
            (AMPERITY, "Running", "running"),
            (AMPERITY, "Finalizing", "running"),
            (AMPERITY, "Succeeded", "succeeded"),
            (AMPERITY, "Stopping", "cancelling"),
            (AMPERITY, "Stopped", "cancelled"),
            (AMPERITY, "Canceled", "cancelled"),
            (AMPERITY, "Failed", "failed"),
            (AMPERITY, "Skipped", "skipped"),
            (ADVERITY, "SCHEDULED", "pending"),
            (ADVERITY, "running", "running"),
            (ADVERITY, "success", "succeeded"),
            (ADVERITY, "Failed", "failed"),
            (ADVERITY, "Stale", "failed"),
            (ADVERITY, "Cancelled", "cancelled"),
            (ADVERITY, "Discarded", "cancelled"),
            (POLARIS, "Pending", "pending"),
            (POLARIS, "RUNNING", "running"),
            (POLARIS, "idle", "running"),
            (POLARIS, "suspended", "running"),
            (POLARIS, "unknown", "unknown"),
            (POLARIS, "completed", "succeeded"),
            (POLARIS, "failed", "failed"),
            (POLARIS, "Canceled", "cancelled"),
            (NARRATIVE, "pending", "pending"),
            (NARRATIVE, "running", "running"),
            (NARRATIVE, "pending_cancellation", "cancelling"),
            (NARRATIVE, "Pending-Cancellation", "cancelling"),
            (NARRATIVE, "pending cancellation", "cancelling"),
            (NARRATIVE, "completed", "succeeded"),
            (NARRATIVE, "failed", "failed"),
            (NARRATIVE, "cancelled", "cancelled"),
        ],
    )
    def test_table(self, case: VendorCase, word: str, state: str, connections: Connections) -> None:
        assert case.hook(connections.add(case.name)).words.state_of(word) is JobState(state)

    @each_vendor
    def test_an_unknown_word_is_told_once_and_does_not_end(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id, [(0, "On hold")])
        jobs = [hook.get_job(case.job_id) for _ in range(3)]
        assert {job.state for job in jobs} == {JobState.UNKNOWN}
        assert not jobs[0].state.is_terminal
        assert jobs[0].vendor_state == "On hold"
        (warning,) = [text for text in logs.warnings if "On hold" in text]
        assert "extra state_map" in warning

    @each_vendor
    def test_state_map(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        words = {"UP FOR-RETRY": "running", "succeeded": "failed", "success": "failed", "completed": "failed"}
        hook = case.hook(connections.add(case.name, extra={"state_map": words}))
        sandbox.add_job(case.name, "1", [(0, "up_for_retry")])
        sandbox.add_job(case.name, "2", [(0, case.words[JobState.SUCCEEDED])])
        assert hook.get_job("1").state is JobState.RUNNING
        # The user's map holds even against a word that is known.
        assert hook.get_job("2").state is JobState.FAILED


class TestManyJobs:
    @each_vendor
    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_few_are_read_one_by_one(
        self, case: VendorCase, count: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        for job_id in ids(10):
            sandbox.add_job(case.name, job_id)
        assert hook.get_jobs(ids(count)).keys() == set(ids(count))
        assert len(sandbox.requests()) == count

    @pytest.mark.parametrize(
        ("case", "count", "requests"),
        [
            (AMPERITY, 5, 1),
            (AMPERITY, 1000, 1),
            (ADVERITY, 5, 1),
            (ADVERITY, 2000, 2),
            (POLARIS, 5, 1),
            (POLARIS, 1000, 1),
            (NARRATIVE, 5, 1),
            (NARRATIVE, 1000, 2),
        ],
    )
    def test_many_are_read_from_the_list(
        self, case: VendorCase, count: int, requests: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        for job_id in ids(count):
            sandbox.add_job(case.name, job_id)
        jobs = hook.get_jobs(ids(count))
        assert jobs.keys() == set(ids(count))
        assert {job.state for job in jobs.values()} == {JobState.RUNNING}
        assert {job.id == job_id and job.raw is None for job_id, job in jobs.items()} == {True}
        assert len(sandbox.requests()) == requests

    @each_vendor
    def test_what_the_list_lacks_is_read_by_id(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        # Not started, so not in Amperity's list; ended, so not in Adverity's.
        words = [JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
        for job_id, state in zip(ids(5), words, strict=True):
            sandbox.add_job(case.name, job_id, [(0, case.words[state])])
        jobs = hook.get_jobs([*ids(5), "404"])
        assert [jobs[job_id].state for job_id in ids(5)] == words
        assert "404" not in jobs
        assert lines(sandbox)[0].endswith(("/jobs", "/jobs/"))
        assert len(sandbox.requests()) <= 6

    @each_vendor
    def test_double_and_mixed_ids(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, "1")
        assert hook.get_jobs(["1", "1", 1]).keys() == {"1"}
        assert len(sandbox.requests()) == 1

    @each_vendor
    @pytest.mark.parametrize("bad", ["", "a/b", None, True])
    def test_a_bad_id_among_them(self, case: VendorCase, bad: Any, connections: Connections) -> None:
        with pytest.raises(InvalidInput, match="job_id="):
            case.hook(connections.add(case.name)).get_jobs(["1", bad])

    @each_vendor
    def test_one_id_instead_of_many(
        self, case: VendorCase, connections: Connections, sandbox: Sandbox
    ) -> None:
        # A string is an iterable of letters, none of which is a job.
        with pytest.raises(InvalidInput, match=r"job_ids='4711'.*\['4711'\]"):
            case.hook(connections.add(case.name)).get_jobs("4711")
        assert sandbox.requests() == []

    @each_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("count", [3, 8])
    def test_trouble_is_raised_rather_than_left_out(
        self, case: VendorCase, count: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        for job_id in ids(count):
            sandbox.add_job(case.name, job_id, [(0, case.words[JobState.PENDING])])
        sandbox.add_job(case.name, "99", [(0, case.words[JobState.RUNNING])])
        sandbox.add_fault(Fault(path="/99/?$", status=503, times=None))
        sandbox.add_fault(Fault(path="jobs/?$", status=503, times=None))
        with pytest.raises(VendorUnavailable):
            hook.get_jobs([*ids(count), "99"])

    @each_vendor
    def test_a_refused_job_is_raised(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        for job_id in ids(2):
            sandbox.add_job(case.name, job_id)
        sandbox.add_fault(Fault(path="/2/?$", status=422, times=None))
        with pytest.raises(VendorError, match="422"):
            hook.get_jobs(ids(2))

    @each_vendor
    def test_reading_again_and_again(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Here, all jobs have just been made.
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.narrative.OVERLAP", timedelta(0))
        hook = case.hook(connections.add(case.name))
        for job_id in ids(600):
            sandbox.add_job(case.name, job_id)
        memory = ReadState()
        assert hook.read_jobs(ids(600), memory).jobs.keys() == set(ids(600))
        at_first = len(sandbox.requests())
        sandbox.set_state(case.name, "300", case.words[JobState.SUCCEEDED])
        again = hook.read_jobs(ids(600), memory)
        assert again.jobs["300"].state is JobState.SUCCEEDED
        requests = len(sandbox.requests()) - at_first
        # Narrative lists changes: what has not changed takes no further page.
        assert requests <= (1 if case is NARRATIVE else at_first + 1)

    @each_vendor
    def test_a_hundred_jobs_out_of_the_lists_have_their_turns(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reading, "MAX_READS", 3)
        hook = case.hook(connections.add(case.name))
        empty = {"data": [], "results": [], "values": [], "records": [], "total_records": 0}
        sandbox.add_fault(Fault(path="jobs/?$", body=empty, times=None))
        for job_id in ids(7):
            sandbox.add_job(case.name, job_id)
        memory = ReadState()
        seen = [set(hook.read_jobs(ids(7), memory).jobs) for _ in range(3)]
        assert max(len(jobs) for jobs in seen) == 3
        assert set.union(*seen) == set(ids(7))


class TestOneJob:
    @each_vendor
    @pytest.mark.parametrize("bad", ["", " ", "a/b", "a?b", "..", None, 1.5, "a b"])
    def test_bad_ids_never_reach_the_vendor(
        self, case: VendorCase, bad: Any, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        calls = [hook.get_job, hook.cancel_job] if case.cancel_operator else [hook.get_job]
        for name in ("get_imported", "get_metrics"):
            calls += [getattr(hook, name)] if hasattr(hook, name) else []
        for call in calls:
            with pytest.raises(InvalidInput) as caught:
                call(bad)
            assert str(caught.value).startswith(f"job_id={bad!r} cannot be used: ")
        assert sandbox.requests() == []

    @each_vendor
    def test_raw_is_the_whole_record(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        raw = hook.get_job(case.job_id).raw
        assert case.job_id in (str(raw.get("id")), raw.get("job_id"))

    @each_vendor
    def test_timestamps_are_utc(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        before = datetime.now(UTC)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
        job = hook.get_job(case.job_id)
        assert job.ended_at is not None
        assert job.ended_at.utcoffset().total_seconds() == 0
        assert abs((job.ended_at - before).total_seconds()) < 5
        assert job.duration is not None
        assert job.duration >= 0

    @each_vendor
    def test_no_end_while_it_runs(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        assert hook.get_job(case.job_id).ended_at is None

    @pytest.mark.parametrize("case", [AMPERITY, POLARIS], ids=str)
    @pytest.mark.parametrize(
        "body", ["[]", "5", '"x"', "null", '{"error": "x", "totals": "x"}', '{"error": [], "totals": []}']
    )
    @pytest.mark.parametrize("status", [200, 404, 503])
    @pytest.mark.usefixtures("one_try")
    def test_details_that_cannot_be_read_do_not_cost_the_job(
        self, case: VendorCase, body: str, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.FAILED])])
        sandbox.add_fault(Fault(path="workflow|metrics", status=status, body=body, times=None))
        assert hook.get_job(case.job_id).state is JobState.FAILED


class TestCancelling:
    @each_cancelling_vendor
    def test_it_stops(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.cancel_delay = 0
        sandbox.add_job(case.name, case.job_id)
        assert hook.cancel_job(case.job_id).state is JobState.CANCELLED

    @each_cancelling_vendor
    def test_it_is_idempotent(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.cancel_delay = 60
        sandbox.add_job(case.name, case.job_id)
        first, second = hook.cancel_job(case.job_id), hook.cancel_job(case.job_id)
        assert first.state is second.state
        assert not second.state.is_terminal
        assert second.state is (JobState.RUNNING if case is ADVERITY else JobState.CANCELLING)

    @each_cancelling_vendor
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_an_ended_job_is_left_alone_and_said_to_have_ended(
        self, case: VendorCase, state: JobState, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id, [(0, case.words[state])])
        assert hook.cancel_job(case.job_id).state is state
        assert f"{case.vendor} job {case.job_id} has already ended: {state}" in logs.text
        assert {request.method for request in sandbox.requests()} == {"GET"}

    @each_cancelling_vendor
    def test_a_job_that_ends_just_before_is_no_refusal(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.RUNNING])])
        running = hook.get_job(case.job_id).raw
        sandbox.set_state(case.name, case.job_id, case.words[JobState.SUCCEEDED])
        # What was read before the vendor was asked is a moment old.
        sandbox.add_fault(Fault(method="GET", body=dict(running), times=1))
        assert hook.cancel_job(case.job_id).state is JobState.SUCCEEDED
        assert "POST" in {request.method for request in sandbox.requests()}

    @each_cancelling_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [400, 409, 500, 503])
    def test_whatever_the_answer_a_job_that_has_ended_just_before_has_its_true_end(
        self, case: VendorCase, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.RUNNING])])
        running = hook.get_job(case.job_id).raw
        sandbox.set_state(case.name, case.job_id, case.words[JobState.SUCCEEDED])
        sandbox.add_fault(Fault(method="GET", body=dict(running), times=1))
        sandbox.add_fault(Fault(method="POST", status=status, times=None))
        assert hook.cancel_job(case.job_id).state is JobState.SUCCEEDED

    @pytest.mark.parametrize("status", [409, 503])
    @pytest.mark.usefixtures("one_try")
    def test_one_that_is_stopping_all_the_same_is_stopped(
        self, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = POLARIS.hook(connections.add("polaris"))
        sandbox.cancel_delay = 60
        sandbox.add_job("polaris", POLARIS.job_id)
        running = hook.get_job(POLARIS.job_id).raw
        hook.cancel_job(POLARIS.job_id)
        sandbox.add_fault(Fault(method="GET", body=dict(running), times=1))
        sandbox.add_fault(Fault(method="POST", status=status, times=None))
        assert hook.cancel_job(POLARIS.job_id).state is JobState.CANCELLING

    @each_cancelling_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [500, 503])
    def test_passing_trouble_with_a_job_that_goes_on_is_passing_trouble(
        self, case: VendorCase, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=status, times=None))
        with pytest.raises(VendorUnavailable, match=f"answered {status} to POST"):
            hook.cancel_job(case.job_id)

    @each_cancelling_vendor
    def test_a_vendor_that_asks_for_a_pause_gets_it(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        one_try: None,
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=429, times=None))
        with pytest.raises(Throttled):
            hook.cancel_job(case.job_id)
        assert sandbox.requests()[-1].method == "POST"

    @each_cancelling_vendor
    @pytest.mark.usefixtures("one_try")
    def test_a_refusal_is_told_though_the_job_cannot_be_read_after_it(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=409, times=None))
        sandbox.add_fault(Fault(method="GET", status=503, skip=1, times=None))
        with pytest.raises(CancelRefused, match=r"it cannot be read now.*Sandbox fault 409"):
            hook.cancel_job(case.job_id)

    @each_cancelling_vendor
    def test_refused(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=409, times=None))
        with pytest.raises(CancelRefused) as caught:
            hook.cancel_job(case.job_id)
        said = str(caught.value)
        assert said.startswith(f"{case.vendor} job {case.job_id} was not cancelled, it is running")
        assert "Sandbox fault 409" in said
        assert caught.value.status == 409

    @each_cancelling_vendor
    def test_not_permitted(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=403))
        with pytest.raises(AuthenticationFailed, match="403: not permitted"):
            hook.cancel_job(case.job_id)

    @each_cancelling_vendor
    def test_unknown(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        with pytest.raises(JobNotFound, match="does not know job '404'"):
            case.hook(connections.add(case.name)).cancel_job("404")

    def test_narrative_documents_no_way(self, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("narrative", NARRATIVE.job_id)
        with pytest.raises(NotSupported, match="Narrative documents no way to cancel job"):
            NARRATIVE.hook(connections.add("narrative")).cancel_job(NARRATIVE.job_id)
        assert sandbox.requests() == []


class TestTestConnection:
    @each_vendor
    @pytest.mark.parametrize("auth", ["key", "login"])
    def test_one_cheap_call(
        self, case: VendorCase, auth: str, sandbox: Sandbox, connections: Connections
    ) -> None:
        worked, message = case.hook(connections.add(case.name, auth=auth)).test_connection()
        assert worked
        assert case.vendor in message
        assert len(sandbox.requests()) == (1 if auth == "key" else 2)

    @each_vendor
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    def test_what_is_wrong(
        self, case: VendorCase, status: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        sandbox.add_fault(Fault(status=status, times=None))
        worked, message = case.hook(connections.add(case.name)).test_connection()
        assert not worked
        assert str(status) in message
        assert f"Sandbox fault {status}" in message

    @each_vendor
    def test_a_strange_answer(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        for body in ("[]", "5", "<html>"):
            sandbox.add_fault(Fault(body=body))
            worked, message = case.hook(connections.add(case.name)).test_connection()
            assert isinstance(worked, bool)
            assert case.vendor in message

    @each_vendor
    @pytest.mark.parametrize("page", ["<!doctype html><title>Sign in</title>", "Sign in"])
    def test_a_web_page_is_called_what_it_is(
        self, case: VendorCase, page: str, sandbox: Sandbox, connections: Connections
    ) -> None:
        sandbox.add_fault(Fault(body=page))
        worked, message = case.hook(connections.add(case.name)).test_connection()
        assert not worked
        assert f"with something that is not JSON: {page}" in message
