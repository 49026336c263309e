# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Adverity's endpoints, its paged lists, and jobs that its list of current jobs has dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pendulum
import pytest

from airflow_provider_ingestjobs.errors import AuthenticationFailed, InvalidInput, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.job import JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox

if TYPE_CHECKING:
    from support.connections import Connections
    from support.recorder import Recorder

RECORD: dict[str, Any] = {
    "id": 4711,
    "url": "https://STACK.datatap.adverity.com/api/jobs/4711/",
    "job_start": "2026-01-31T01:00:00Z",
    "job_end": None,
    "range_start": "2026-01-30T00:00:00Z",
    "range_end": "2026-01-31T00:00:00Z",
    "scheduled": "2026-01-31T00:59:00Z",
    "progress": 0.006672468813460981,
    "duration": "0s",
    "state": 1,
    "state_label": "Running",
    "state_color": "orange",
    "datastream": {"id": 42, "stack_id": 1, "name": "Ads"},
}


@pytest.fixture
def hook(sandbox: Sandbox, connections: Connections) -> AdverityHook:
    return AdverityHook(connections.add("adverity"))


@pytest.fixture
def hook_with_pages_of_100(sandbox: Sandbox, connections: Connections) -> AdverityHook:
    return AdverityHook(connections.add("adverity", extra={"page_size": "100"}))


def queries(sandbox: Sandbox) -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in sandbox.requests()]


class TestAuthorisation:
    @pytest.mark.parametrize("auth", ["key", "login"])
    def test_accepted(self, auth: str, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("adverity", "1")
        assert AdverityHook(connections.add("adverity", auth=auth)).get_job("1").state is JobState.RUNNING

    @pytest.mark.parametrize(("scheme", "word"), [(None, "Bearer"), ("Bearer", "Bearer"), ("Token", "Token")])
    def test_schemes(
        self, scheme: str | None, word: str, recorder: Recorder, connections: Connections
    ) -> None:
        connections.add("adverity", host=recorder.url, extra={"auth_scheme": scheme})
        recorder.answers["/api/jobs/4711/"] = RECORD
        AdverityHook().get_job("4711")
        assert recorder.requests[0].headers["authorization"] == f"{word} {CREDENTIALS['adverity'].key}"

    def test_a_ui_key_is_no_token(self, connections: Connections) -> None:
        hook = AdverityHook(connections.add("adverity", extra={"auth_scheme": "Token"}))
        with pytest.raises(AuthenticationFailed, match="Invalid token"):
            hook.get_job("1")

    def test_user_and_password(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("adverity", auth="login", host=recorder.url, password="p&ss=w ör")
        recorder.answers["/api/auth/token/"] = {"username": "u", "token": "123", "expires_in": None}
        recorder.answers["/api/jobs/4711/"] = RECORD
        AdverityHook().get_job("4711")
        asked, used = recorder.requests
        assert (asked.method, asked.path) == ("POST", "/api/auth/token/")
        assert parse_qs(asked.body.decode()) == {
            "username": [CREDENTIALS["adverity"].login],
            "password": ["p&ss=w ör"],
        }
        assert "authorization" not in asked.headers
        assert used.headers["authorization"] == "Token 123"


class TestJob:
    def test_the_documented_fields(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=RECORD))
        job = hook.get_job("4711")
        assert (job.id, job.state, job.vendor_state) == ("4711", JobState.RUNNING, "Running")
        assert (job.name, job.target) == ("Ads", "42")
        assert job.created_at == datetime(2026, 1, 31, 0, 59, tzinfo=UTC)
        assert job.started_at == datetime(2026, 1, 31, 1, tzinfo=UTC)
        assert job.progress == pytest.approx(0.00667, abs=1e-4)
        assert job.rows == RowCounts()
        assert job.url is None
        assert job.details == {
            "datastream_id": 42,
            "range_start": "2026-01-30T00:00:00Z",
            "range_end": "2026-01-31T00:00:00Z",
            # Not in a list's record: none there is not zero.
            "issues": None,
        }

    @pytest.mark.parametrize(
        ("given", "link"),
        [
            (
                "https://acme.datatap.adverity.com/ads/42/emea/",
                "https://acme.datatap.adverity.com/ads/42/emea/",
            ),
            ("http://acme.example/ads/42/", "http://acme.example/ads/42/"),
            ("/ads/42/emea/", "{host}/ads/42/emea/"),
        ],
    )
    def test_the_link_is_the_datastream_s_page(
        self, hook: AdverityHook, sandbox: Sandbox, given: str, link: str
    ) -> None:
        fields = {"datastream": {"id": 42, "absolute_url": given}}
        job_id = sandbox.add_job("adverity", fields=fields)
        assert hook.get_job(job_id).url == link.replace("{host}", sandbox.url)

    @pytest.mark.parametrize(
        "given",
        [
            None,
            7,
            "",
            "ads/42/",
            "//evil.example/ads/",
            "/\\evil.example/ads/",
            "javascript:alert(1)",
            "JavaScript://acme.example/%0aalert(1)",
            "data:text/html,x",
            "ftp://acme.example/",
            "https://",
            "https://[acme/",
            "https://user:word@acme.example/",
            'https://acme.example/"><script>',
            "https://acme.example/\n",
            "https://acme.example/" + "x" * 3000,
        ],
    )
    def test_what_is_no_page_is_no_link(self, hook: AdverityHook, sandbox: Sandbox, given: Any) -> None:
        job_id = sandbox.add_job("adverity", fields={"datastream": {"id": 42, "absolute_url": given}})
        assert hook.get_job(job_id).url is None

    def test_issues_are_the_failure(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        issues = [{"message": "No quota"}, {"message": ""}, "?", {"message": "Timeout"}]
        sandbox.add_fault(Fault(body={**RECORD, "state_label": "Failed", "issues": issues}))
        job = hook.get_job("4711")
        assert job.failure == "No quota; Timeout"
        assert job.state is JobState.FAILED

    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize(
        "answer", [{"body": "{}"}, {"body": "[]"}, {"status": 404}, {"status": 503}], ids=str
    )
    def test_details_that_cannot_be_read_do_not_cost_the_job(
        self, hook: AdverityHook, sandbox: Sandbox, answer: dict[str, Any]
    ) -> None:
        # As a list has it: without the issues, which take another request.
        sandbox.add_fault(Fault(body={**RECORD, "state_label": "Failed"}))
        sandbox.add_fault(Fault(times=None, **answer))
        job = hook.get_job("4711")
        assert (job.state, job.failure) == (JobState.FAILED, None)

    @pytest.mark.parametrize("progress", [None, "0.5", -1, 2, {}])
    def test_odd_progress_is_none(self, hook: AdverityHook, sandbox: Sandbox, progress: Any) -> None:
        sandbox.add_fault(Fault(body={**RECORD, "progress": progress}))
        assert hook.get_job("4711").progress is None

    @pytest.mark.parametrize("datastream", [None, 42, "42", {}, {"id": None}])
    def test_odd_datastreams(self, hook: AdverityHook, sandbox: Sandbox, datastream: Any) -> None:
        sandbox.add_fault(Fault(body={**RECORD, "datastream": datastream}))
        assert hook.get_job("4711").target == (str(datastream) if datastream in (42, "42") else None)


class TestLists:
    def test_current_jobs(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        for job_id, word in (("1", "Running"), ("2", "Scheduled"), ("3", "Success")):
            sandbox.add_job("adverity", job_id, [(0, word)])
        assert {job.id for job in hook.list_jobs()} == {"1", "2"}

    def test_of_a_datastream(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "1", fields={"datastream_id": 7})
        sandbox.add_job("adverity", "2", fields={"datastream_id": 8})
        assert [job.id for job in hook.list_jobs(datastream_id=7)] == ["1"]
        assert [job.id for job in hook.list_jobs(datastream_id="8")] == ["2"]
        assert queries(sandbox)[0]["datastream_id"] == ["7"]

    def test_past_ones_by_time(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "1", [(0, "Success")])
        sandbox.add_job("adverity", "2", [(0, "Running")])
        now = pendulum.now("UTC")
        past = hook.list_jobs(started_from=now.subtract(hours=1), started_to=now.add(hours=1))
        assert [job.id for job in past] == ["1"]
        vienna = pendulum.datetime(2022, 10, 31, 1, tz="Europe/Vienna")
        list(hook.list_jobs(started_from=vienna, started_to="2022-10-31T23:59:59Z", datastream_id=42))
        last = queries(sandbox)[-1]
        assert (last["start"], last["end"]) == (["2022-10-31T00:00:00Z"], ["2022-10-31T23:59:59Z"])
        assert last["datastream_id"] == ["42"]

    def test_past_ones_by_date(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "1", [(0, "Success")])
        today = datetime.now(UTC).date()
        assert [job.id for job in hook.list_jobs(started_from=today, started_to=today)] == ["1"]
        assert queries(sandbox)[0]["start"] == [today.isoformat()]

    @pytest.mark.parametrize(
        ("start", "end", "field"),
        [
            (None, "2026-01-01T00:00:00Z", "started_from"),
            ("2026-01-01T00:00:00Z", None, "started_to"),
            (datetime(2026, 1, 1), datetime(2026, 1, 2), "started_from"),
            ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "started_to"),
            (date(2026, 1, 2), date(2026, 1, 1), "started_to"),
            ("2026-01-01T00:00:00Z", "tomorrow", "started_to"),
        ],
    )
    def test_bad_windows(
        self, hook: AdverityHook, sandbox: Sandbox, start: Any, end: Any, field: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            hook.list_jobs(started_from=start, started_to=end)
        assert caught.value.field == field
        assert sandbox.requests() == []

    def test_pages(self, hook_with_pages_of_100: AdverityHook, sandbox: Sandbox) -> None:
        for number in range(1, 251):
            sandbox.add_job("adverity", str(number))
        jobs = hook_with_pages_of_100.list_jobs()
        next(jobs)
        assert len(sandbox.requests()) == 1
        assert len({job.id for job in jobs}) == 249
        assert [query.get("page") for query in queries(sandbox)] == [None, ["2"], ["3"]]

    @pytest.mark.parametrize("page_size", [0.5, "100.5"])
    def test_a_page_size_is_whole(self, page_size: object, connections: Connections) -> None:
        conn_id = connections.add("adverity", extra={"page_size": page_size})
        with pytest.raises(InvalidInput, match=r"extra page_size.*whole number"):
            next(AdverityHook(conn_id).list_jobs())

    def test_filters_stay_on_every_page(self, hook_with_pages_of_100: AdverityHook, sandbox: Sandbox) -> None:
        for number in range(1, 151):
            sandbox.add_job("adverity", str(number), fields={"datastream_id": 7})
        assert len(list(hook_with_pages_of_100.list_jobs(datastream_id=7))) == 150
        assert [query["datastream_id"] for query in queries(sandbox)] == [["7"], ["7"]]

    def test_pages_that_go_in_circles(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        page = {"count": 9, "next": f"{sandbox.url}/api/jobs/?page=1", "results": [RECORD]}
        sandbox.add_fault(Fault(body=page, times=None))
        with pytest.raises(VendorUnavailable, match="does not end"):
            list(hook.list_jobs())
        assert len(sandbox.requests()) <= 3

    def test_a_last_page_that_is_gone(self, hook_with_pages_of_100: AdverityHook, sandbox: Sandbox) -> None:
        for number in range(1, 102):
            sandbox.add_job("adverity", str(number))
        jobs = hook_with_pages_of_100.list_jobs()
        first = next(jobs)
        for number in range(1, 20):
            sandbox.set_state("adverity", str(number), "Success")
        assert len({first.id, *(job.id for job in jobs)}) == 100


class TestAbsentJobs:
    """design.md: an absent job is looked up by id and then in the past-jobs range."""

    def test_by_id(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        for number in range(1, 6):
            sandbox.add_job("adverity", str(number), [(0, "Running")])
        sandbox.set_state("adverity", "5", "Success")
        jobs = hook.get_jobs([str(number) for number in range(1, 6)])
        assert jobs["5"].state is JobState.SUCCEEDED
        assert [request.path for request in sandbox.requests()] == ["/api/jobs/", "/api/jobs/5/"]

    def test_many_are_looked_for_among_the_past_ones(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        job_ids = [str(number) for number in range(1, 31)]
        for job_id in job_ids:
            sandbox.add_job("adverity", job_id, [(0, "Running")])
        memory = ReadState()
        began = hook.read_jobs(job_ids, memory).jobs["1"].created_at
        assert began is not None
        # Of those that have ended, the first one was planned for two hours ago.
        memory.jobs["1"] = replace(memory.jobs["1"], created_at=began - timedelta(hours=2))
        for job_id in job_ids[:20]:
            sandbox.set_state("adverity", job_id, "Success")
        before = len(sandbox.requests())
        jobs = hook.read_jobs(job_ids, memory).jobs
        states = [jobs[job_id].state for job_id in job_ids]
        assert states == [JobState.SUCCEEDED] * 20 + [JobState.RUNNING] * 10
        current, past = queries(sandbox)[before:]
        assert "start" not in current
        # Not three days of past jobs.
        assert datetime.fromisoformat(past["start"][0]) == began - timedelta(hours=2)

    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("fault", [{"status": 400}, {"status": 403}, {"status": 500}, {"drop": "before"}])
    def test_a_list_of_past_jobs_that_fails_costs_nobody_his_end(
        self, fault: dict[str, Any], hook: AdverityHook, sandbox: Sandbox
    ) -> None:
        job_ids = [str(number) for number in range(1, 8)]
        for job_id in job_ids:
            sandbox.add_job("adverity", job_id, [(0, "Running" if job_id == "1" else "Success")])
        # The current ones are listed; it hits the next list.
        sandbox.add_fault(Fault(path="/api/jobs/$", headers={"X-Fault": "none"}))
        sandbox.add_fault(Fault(path="/api/jobs/$", **fault))
        read = hook.read_jobs(job_ids, ReadState())
        assert {job_id for job_id, job in read.jobs.items() if job.state is JobState.SUCCEEDED} == set(
            job_ids[1:]
        )
        assert read.jobs["1"].state is JobState.RUNNING
        assert not read.stopped_by

    @pytest.mark.usefixtures("one_try")
    def test_a_vendor_that_asks_for_a_pause_gets_it(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "1")
        sandbox.add_fault(Fault(path="/api/jobs/[23]/$", status=404))
        sandbox.add_fault(Fault(path="/api/jobs/[23]/$", status=429, headers={"Retry-After": "600"}))
        memory = ReadState(asked_at={"1": 0, "2": 1, "3": 2})
        read = hook.read_jobs(["1", "2", "3"], memory)
        assert read.stopped_by is not None
        assert read.stopped_by.retry_after == 600
        # Nor is the second one looked for elsewhere now, or missing.
        assert len(sandbox.requests()) == 3
        assert read.missing == set()

    @pytest.mark.usefixtures("one_try")
    def test_a_planned_start_that_is_to_come_makes_no_inverted_range(
        self, hook: AdverityHook, sandbox: Sandbox
    ) -> None:
        job_ids = [str(number) for number in range(1, 8)]
        for job_id in job_ids:
            sandbox.add_job("adverity", job_id, [(0, "Running")])
        memory = ReadState()
        hook.read_jobs(job_ids, memory)
        for job_id in job_ids:
            later = datetime.now(UTC) + timedelta(days=1)
            memory.jobs[job_id] = replace(memory.jobs[job_id], created_at=later, started_at=None)
            sandbox.set_state("adverity", job_id, "Success")
        hook.read_jobs(job_ids, memory)
        past = queries(sandbox)[-1]
        assert past["start"] < past["end"]

    def test_a_past_record_that_cannot_be_read_is_no_missing_job(
        self, hook: AdverityHook, sandbox: Sandbox
    ) -> None:
        page = {"count": 1, "next": None, "previous": None, "results": [{"id": 5}]}
        sandbox.add_fault(Fault(path="/5/$", status=404, times=None))
        sandbox.add_fault(Fault(path="/api/jobs/$", body=page, times=None))
        read = hook.read_jobs(["5"], ReadState())
        assert read.missing == set()
        assert isinstance(read.errors["5"], VendorUnavailable)
        with pytest.raises(VendorUnavailable):
            hook.get_job("5")

    def test_who_is_nowhere_costs_no_more_lists(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        for job_id in ("1", "2", "3"):
            sandbox.add_job("adverity", job_id, [(0, "Discarded")])
        sandbox.add_fault(Fault(path="/api/jobs/[0-9]+/$", status=404, times=None))
        nowhere = {str(number) for number in range(101, 108)}
        read = hook.read_jobs(["1", "2", *nowhere], ReadState())
        assert read.jobs.keys() == {"1", "2"}
        assert read.missing == nowhere
        lists = [request for request in sandbox.requests() if request.path == "/api/jobs/"]
        # Of the current jobs, of the past ones, and once more of these when nobody knew the seven by id.
        assert len(lists) == 3

    @pytest.mark.usefixtures("one_try", "one_by_one")
    def test_nobody_is_missing_who_was_not_looked_for(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "1")
        sandbox.add_job("adverity", "2", [(0, "Discarded")])
        sandbox.add_fault(Fault(path="/api/jobs/2/$", status=404, times=None))
        sandbox.add_fault(Fault(path="/api/jobs/$", status=503))
        read = hook.read_jobs(["1", "2"], ReadState())
        assert read.jobs.keys() == {"1"}
        assert read.missing == set()
        assert isinstance(read.errors["2"], VendorUnavailable)
        assert hook.read_jobs(["1", "2"], ReadState()).jobs["2"].state is JobState.CANCELLED

    @pytest.mark.parametrize("status", [400, 403])
    def test_a_list_that_is_refused_ends_no_wait_for_a_job_that_nobody_knows_yet(
        self, status: int, hook: AdverityHook, sandbox: Sandbox
    ) -> None:
        sandbox.add_job("adverity", "1")
        sandbox.add_fault(Fault(path="/api/jobs/$", status=status, times=None))
        read = hook.read_jobs(["1", "2"], ReadState())
        assert read.jobs.keys() == {"1"}
        # A wait bears that for its missing_grace; an error would end it.
        assert read.missing == {"2"}
        assert not read.errors

    def test_among_the_past_ones(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "5", [(0, "Discarded")])
        sandbox.add_fault(Fault(path="/api/jobs/5/$", status=404, times=None))
        assert hook.get_job("5").state is JobState.CANCELLED
        assert [request.path for request in sandbox.requests()][:2] == ["/api/jobs/5/", "/api/jobs/"]
        past = queries(sandbox)[1]
        start, end = (datetime.fromisoformat(past[name][0]) for name in ("start", "end"))
        assert (end - start).days >= 2
        assert end >= datetime.now(UTC)

    def test_nowhere(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        with pytest.raises(JobNotFound, match=r"Adverity does not know job '5'.*404"):
            hook.get_job("5")


class TestInProgressAndStop:
    def test_imported(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "5", fields={"imported": {"rows": 12}})
        assert hook.get_imported("5") == {"rows": 12}
        assert sandbox.requests()[0].path == "/api/jobs/5/imported/"

    def test_stop(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.cancel_delay = 0
        sandbox.add_job("adverity", "5")
        job = hook.cancel_job("5")
        assert (job.state, job.vendor_state) == (JobState.CANCELLED, "Discarded")
        assert ("POST", "/api/jobs/5/stop/") in [(r.method, r.path) for r in sandbox.requests()]

    @pytest.mark.parametrize("body", ["", "<html>stopped</html>", "[]", '{"status": "ok"}'])
    def test_what_a_stop_answers_is_not_published(
        self, hook: AdverityHook, sandbox: Sandbox, body: str
    ) -> None:
        sandbox.add_job("adverity", "5")
        sandbox.add_fault(Fault(method="POST", body=body))
        assert hook.cancel_job("5").state is JobState.RUNNING

    def test_the_connection_test(self, hook: AdverityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", "5")
        assert hook.test_connection() == (
            True,
            f"Adverity at {sandbox.url} answers: 1 jobs running or scheduled",
        )
        assert queries(sandbox) == [{"page_size": ["1"]}]
