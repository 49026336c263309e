# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Amperity's endpoints, windows, workflows, and the job that is folded from its tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pendulum
import pytest

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    InvalidInput,
    Throttled,
    VendorError,
)
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection

if TYPE_CHECKING:
    from support.connections import Connections
    from support.recorder import Recorder

#: The 200 of https://docs.amperity.com/api/endpoint_get_ingest_jobs.html, one job of it.
SAMPLE: dict[str, Any] = {
    "id": "isj-1f73r9u2",
    "tables": [
        {
            "errors": 200,
            "feed_id": "df-5L6d1veh",
            "read": 1000,
            "rejected": 200,
            "updated": 200,
            "started_at": "2024-06-01T04:02:54.433Z",
            "state": "succeeded",
            "ended_at": "2024-06-01T04:02:57.433Z",
            "files": [{"file_id": "cb-2/part0.avro", "name": "part0.avro", "read": 1000, "errors": 200}],
            "inserted": 400,
            "table_name": "My table",
            "job_id": "isj-1f73r9u2",
        }
    ],
    "workflow_id": "wf-20240618-3423-b45",
}


@pytest.fixture
def hook(sandbox: Sandbox, connections: Connections) -> AmperityHook:
    return AmperityHook(connections.add("amperity"))


class TestAuthorisation:
    @pytest.mark.parametrize("auth", ["key", "login"])
    def test_accepted(self, auth: str, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("amperity", "isj-1")
        assert AmperityHook(connections.add("amperity", auth=auth)).get_job("isj-1").state is JobState.RUNNING

    def test_what_is_sent_with_a_token(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("amperity", host=recorder.url, extra={"tenant": "acme", "api_version": "2025-07-31"})
        recorder.answers["/api/ingest/jobs/isj-1f73r9u2"] = SAMPLE
        AmperityHook().get_job("isj-1f73r9u2")
        (kept,) = recorder.requests
        assert kept.headers["authorization"] == f"Bearer {CREDENTIALS['amperity'].key}"
        assert kept.headers["amperity-tenant"] == "acme"
        assert kept.headers["api-version"] == "2025-07-31"

    def test_what_is_sent_for_a_token(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("amperity", auth="login", host=recorder.url, extra={"tenant": "acme"})
        recorder.answers["/api/v0/oauth2/token"] = {"access_token": "fresh", "expires_in": 3600}
        recorder.answers["/api/ingest/jobs/isj-1f73r9u2"] = SAMPLE
        AmperityHook().get_job("isj-1f73r9u2")
        asked, used = recorder.requests
        known = CREDENTIALS["amperity"]
        assert (asked.method, asked.path) == ("POST", "/api/v0/oauth2/token")
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert asked.headers["x-amperity-tenant"] == "acme"
        assert parse_qs(asked.body.decode()) == {
            "grant_type": ["client_credentials"],
            "client_id": [known.login],
            "client_secret": [known.password],
        }
        assert used.headers["authorization"] == "Bearer fresh"

    def test_a_token_from_elsewhere(self, recorder: Recorder, connections: Connections) -> None:
        token_url = f"{recorder.url}/elsewhere/oauth2/token"
        extra = {"tenant": "acme", "token_url": token_url}
        connections.add("amperity", auth="login", host=recorder.url, extra=extra)
        recorder.answers["/elsewhere/oauth2/token"] = {"access_token": "fresh", "expires_in": 3600}
        recorder.answers["/api/ingest/jobs/isj-1f73r9u2"] = SAMPLE
        AmperityHook().get_job("isj-1f73r9u2")
        asked, used = recorder.requests
        assert (asked.path, asked.headers["x-amperity-tenant"]) == ("/elsewhere/oauth2/token", "acme")
        assert used.headers["authorization"] == "Bearer fresh"

    @pytest.mark.parametrize("url", ["http://acme.amperity.com/token", "acme.amperity.com", "ftp://x/y"])
    def test_a_token_address_that_secrets_may_not_go_to(self, connections: Connections, url: str) -> None:
        extra = {"tenant": "acme", "token_url": url}
        hook = AmperityHook(connections.add("amperity", auth="login", extra=extra))
        with pytest.raises(InvalidInput, match="connection 'amperity_default': extra token_url"):
            hook.get_job("isj-1")

    def test_wrong_tenant(self, connections: Connections) -> None:
        hook = AmperityHook(connections.add("amperity", extra={"tenant": "other"}))
        worked, message = hook.test_connection()
        assert not worked
        assert message.startswith("403: not permitted")
        assert "Not authorized for this tenant" in message

    @pytest.mark.undocumented("header api-version: '1999-01-01'")
    def test_unknown_version(self, connections: Connections) -> None:
        hook = AmperityHook(connections.add("amperity", extra={"api_version": "1999-01-01"}))
        with pytest.raises(VendorError, match="api-version must be 2024-04-01"):
            hook.get_job("isj-1")


class TestJob:
    def test_the_documented_sample(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=SAMPLE))
        job = hook.get_job("isj-1f73r9u2")
        assert job.state is JobState.SUCCEEDED
        assert job.vendor_state == "succeeded"
        assert job.target == "My table"
        assert job.name == "df-5L6d1veh"
        assert job.rows == RowCounts(read=1000, inserted=400, updated=200, rejected=200, errors=200)
        assert job.started_at == datetime(2024, 6, 1, 4, 2, 54, 433_000, UTC)
        assert job.duration == 3.0
        assert job.details == {
            "workflow_id": "wf-20240618-3423-b45",
            "feed_ids": ["df-5L6d1veh"],
            "table_names": ["My table"],
        }
        assert job.raw == SAMPLE
        assert job.url is None

    @pytest.mark.parametrize(
        ("words", "state"),
        [
            ("", "pending"),
            ("scheduled", "pending"),
            ("scheduled|scheduled", "pending"),
            ("scheduled|Started", "running"),
            ("scheduled|succeeded", "running"),
            ("In progress|failed", "running"),
            ("Finalizing|skipped", "running"),
            ("Stopping|running", "cancelling"),
            ("Stopping|succeeded", "cancelling"),
            ("succeeded|Failed|canceled", "failed"),
            ("succeeded|Stopped", "cancelled"),
            ("canceled|skipped", "cancelled"),
            ("succeeded|skipped", "succeeded"),
            ("Skipped|skipped", "skipped"),
            ("scheduled|Paused", "running"),
            ("succeeded|Up for retry", "running"),
            ("up_for_retry|stopping", "cancelling"),
            ("succeeded|Archived", "unknown"),
        ],
    )
    def test_folded_from_its_tables(
        self, hook: AmperityHook, sandbox: Sandbox, words: str, state: str
    ) -> None:
        tables = [{**SAMPLE["tables"][0], "state": word} for word in words.split("|") if word]
        sandbox.add_fault(Fault(path="ingest", body={**SAMPLE, "tables": tables}))
        job = hook.get_job("isj-1f73r9u2")
        assert job.state is JobState(state)
        assert set(job.vendor_state.split(", ")) == (set(filter(None, words.split("|"))) or {"no tables yet"})
        assert (job.ended_at is not None) == job.state.is_terminal

    def test_rows_and_times_over_all_tables(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        early = {**SAMPLE["tables"][0], "started_at": "2024-06-01T04:00:00Z", "table_name": "A"}
        late = {**SAMPLE["tables"][0], "ended_at": "2024-06-01T05:00:00Z", "table_name": "B", "errors": None}
        sandbox.add_fault(Fault(body={**SAMPLE, "tables": [late, early]}))
        job = hook.get_job("isj-1f73r9u2")
        assert job.duration == 3600
        # A sum of which a part is not known would look like all of it.
        assert job.rows == RowCounts(read=2000, inserted=800, updated=400, rejected=400, errors=None)
        assert job.target == "A, B"

    def test_only_failures_take_another_request(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-1", [(0, "succeeded")])
        hook.get_job("isj-1")
        assert len(sandbox.requests()) == 1


class TestFailure:
    """Why it failed is the workflow's to say."""

    VERBOSE = "view=verbose"

    def failed(self, hook: AmperityHook, sandbox: Sandbox, **workflow: Any) -> Job:
        sandbox.add_job("amperity", "isj-1", [(0, "failed")], fields={"workflow_id": "wf-1"})
        if workflow:
            sandbox.add_fault(Fault(path="workflow", body={"id": "wf-1", **workflow}))
        return hook.get_job("isj-1")

    @pytest.mark.parametrize(
        ("attribution", "text"),
        [
            ("customer", "Bad column. It attributes that to the customer's configuration"),
            ("platform", "Bad column. It attributes that to its own platform: rerunning may resolve it"),
            ("weather", "Bad column"),
        ],
    )
    def test_of_the_workflow(self, hook: AmperityHook, sandbox: Sandbox, attribution: str, text: str) -> None:
        fields = {"workflow_id": "wf-1", "attribution": attribution}
        sandbox.add_job("amperity", "isj-1", [(0, "failed")], failure="Bad column.", fields=fields)
        job = hook.get_job("isj-1")
        assert (job.failure, job.details["failure_attribution"]) == ("Bad column.", attribution)
        assert job.describe_end().endswith(f"The vendor says: {text}")
        assert [(request.path, request.query) for request in sandbox.requests()] == [
            ("/api/ingest/jobs/isj-1", ""),
            ("/api/workflow/runs/wf-1", self.VERBOSE),
        ]

    def test_of_a_task_while_the_workflow_goes_on(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job(
            "amperity",
            "isj-1",
            [(0, "failed")],
            failure="No executor was left",
            fields={
                "workflow_id": "wf-1",
                "attribution": "platform",
                "tables": [{"table_name": "Stores"}],
            },
        )
        sandbox.add_job("amperity", "isj-2", fields={"workflow_id": "wf-1"})
        assert "error" not in hook.get_workflow("wf-1", verbose=True)
        job = hook.get_job("isj-1")
        assert job.failure == "Ingesting Stores: No executor was left"
        assert job.details["failure_attribution"] == "platform"

    def test_of_several_tasks(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        def task(state: str, message: str | None, attribution: str | None, **more: Any) -> dict[str, Any]:
            return {"state": state, "error": {"message": message, "attribution": attribution}, **more}

        tasks = [
            task("Failed", "Lost", "platform", label="Load A"),
            task("failed", "Lost", "platform", label="Load A"),
            task("failed", "Bad column", "customer"),
            task("failed", None, "customer"),
            task("canceled", "Workflow manually stopped", "customer"),
            {"state": "failed"},
            None,
        ]
        job = self.failed(hook, sandbox, task_instances=tasks)
        # What only a change of configuration resolves, a rerun alone does not.
        assert (job.failure, job.details["failure_attribution"]) == ("Load A: Lost; Bad column", None)

    def test_a_long_text_leaves_room_for_whose_fault_it_is(
        self, hook: AmperityHook, sandbox: Sandbox
    ) -> None:
        job = self.failed(hook, sandbox, error={"message": "x" * 10_000, "attribution": "platform"})
        assert job.describe_end().endswith(
            "x…. It attributes that to its own platform: rerunning may resolve it"
        )

    @pytest.mark.parametrize(
        "workflow",
        [
            {"error": None},
            {"error": "x", "task_instances": "x"},
            {"error": {"message": None, "attribution": 5}},
            {"task_instances": [{"state": 5, "error": {"message": "x"}}]},
        ],
    )
    def test_odd_or_none(self, hook: AmperityHook, sandbox: Sandbox, workflow: dict[str, Any]) -> None:
        job = self.failed(hook, sandbox, **workflow)
        assert (job.state, job.failure) == (JobState.FAILED, None)


class TestJobWithoutTables:
    """It has no state; once its workflow has ended, no tables will come."""

    def add(self, sandbox: Sandbox, name: str, word: str, **more: Any) -> None:
        fields = {"workflow_id": f"wf-{name}", "tables": []}
        sandbox.add_job("amperity", f"isj-{name}", [(0, word)], fields=fields, **more)

    def looked_at(self, sandbox: Sandbox) -> list[str]:
        paths = [request.path for request in sandbox.requests()]
        return [path.rpartition("/")[2] for path in paths if "/workflow/" in path]

    @pytest.mark.parametrize(
        ("word", "state"),
        [("succeeded", "succeeded"), ("failed", "failed"), ("canceled", "cancelled")],
    )
    def test_ends_with_its_workflow(
        self, hook: AmperityHook, sandbox: Sandbox, word: str, state: str
    ) -> None:
        self.add(sandbox, "1", word, failure="No such bucket")
        job = hook.get_job("isj-1")
        workflow = hook.get_workflow("wf-1")
        assert (job.state, job.vendor_state) == (JobState(state), f"no tables, workflow {word}")
        assert job.ended_at == datetime.fromisoformat(workflow["ended_at"])
        assert job.rows == RowCounts()
        assert job.raw
        assert job.raw["workflow"] == workflow
        assert (job.failure or "").endswith("No such bucket" if word == "failed" else "")

    @pytest.mark.parametrize("word", ["scheduled", "running", "stopping"])
    def test_goes_on_with_its_workflow(self, hook: AmperityHook, sandbox: Sandbox, word: str) -> None:
        self.add(sandbox, "1", word)
        job = hook.get_job("isj-1")
        assert (job.state, job.vendor_state) == (JobState.PENDING, "no tables yet")
        assert (job.started_at, job.ended_at) == (None, None)
        assert self.looked_at(sandbox) == ["wf-1"]

    def test_only_such_a_job_takes_another_request(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-1", [(0, "scheduled")])
        assert hook.get_job("isj-1").state is JobState.PENDING
        assert len(sandbox.requests()) == 1

    @pytest.mark.parametrize("workflow", [{}, [], {"state": None}, {"state": {}}, {"state": "Archived"}])
    def test_an_odd_workflow(self, hook: AmperityHook, sandbox: Sandbox, workflow: Any) -> None:
        self.add(sandbox, "1", "succeeded")
        sandbox.add_fault(Fault(path="workflow", body=workflow))
        assert hook.get_job("isj-1").state is JobState.PENDING

    @pytest.mark.parametrize("workflow_id", [None, "", "..", 5])
    def test_an_odd_workflow_id(self, hook: AmperityHook, sandbox: Sandbox, workflow_id: Any) -> None:
        body = {"id": "isj-1", "tables": [], "workflow_id": workflow_id}
        sandbox.add_fault(Fault(path="ingest", body=body))
        assert hook.get_job("isj-1").state is JobState.PENDING

    @pytest.mark.parametrize("status", [400, 403, 404])
    def test_a_workflow_that_may_not_be_read_ends_no_wait(
        self, hook: AmperityHook, sandbox: Sandbox, status: int
    ) -> None:
        self.add(sandbox, "1", "succeeded")
        sandbox.add_fault(Fault(path="workflow", status=status, times=None))
        assert hook.get_job("isj-1").state is JobState.PENDING
        read = hook.read_jobs(["isj-1"])
        assert (read.jobs["isj-1"].state, read.errors, read.missing) == (JobState.PENDING, {}, set())

    @pytest.mark.parametrize(("status", "error"), [(401, AuthenticationFailed), (429, Throttled)])
    def test_what_stops_every_request_stops_here_too(
        self,
        hook: AmperityHook,
        sandbox: Sandbox,
        one_try: None,
        status: int,
        error: type[VendorError],
    ) -> None:
        self.add(sandbox, "1", "succeeded")
        sandbox.add_fault(Fault(path="workflow", status=status, times=None))
        with pytest.raises(error):
            hook.get_job("isj-1")

    def test_few_and_many_are_read_by_id(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        """As the list has no time of theirs to show them by."""
        for number in range(8):
            self.add(sandbox, str(number), "succeeded")
        for numbers in (range(2), range(8)):
            job_ids = [f"isj-{number}" for number in numbers]
            jobs = hook.read_jobs(job_ids).jobs
            assert {job.state for job in jobs.values()} == {JobState.SUCCEEDED}
            assert jobs.keys() == set(job_ids)

    def test_of_many_that_are_listed_some_are_looked_at_in_turn(
        self, hook: AmperityHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.amperity.MAX_READS_WITHOUT_TABLES", 4)
        names = [str(number) for number in range(20)]
        for name in names:
            self.add(sandbox, name, "running")
        listed = [{"id": f"isj-{name}", "tables": [], "workflow_id": f"wf-{name}"} for name in names]
        sandbox.add_fault(Fault(path="ingest/jobs$", body={"data": listed}, times=None))
        job_ids, memory = [f"isj-{name}" for name in names], ReadState()
        looked_at: list[str] = []
        for _ in range(5):
            before = len(sandbox.requests())
            read = hook.read_jobs(job_ids, memory)
            assert read.jobs.keys() == set(job_ids)
            # The list, and of four jobs the record and the workflow.
            assert len(sandbox.requests()) - before == 9
        looked_at = self.looked_at(sandbox)
        assert sorted(looked_at) == sorted(f"wf-{name}" for name in names)

        sandbox.set_state("amperity", "isj-7", "failed")
        found: set[JobState] = set()
        for _ in range(5):
            found |= {hook.read_jobs(job_ids, memory).jobs["isj-7"].state}
        assert JobState.FAILED in found

    def test_a_selection_neither_waits_for_it_nor_counts_it(
        self, hook: AmperityHook, sandbox: Sandbox
    ) -> None:
        """It has no start, so it is in no window."""
        now = datetime.now(UTC)
        with_tables = {**SAMPLE["tables"][0], "started_at": now.isoformat(), "ended_at": now.isoformat()}
        listed = [
            {**SAMPLE, "id": "isj-none", "tables": []},
            {**SAMPLE, "id": "isj-one", "tables": [with_tables]},
        ]
        sandbox.add_fault(Fault(path="ingest/jobs$", body={"data": listed}, times=None))
        selection = Selection(
            filters=(("workflow_id", SAMPLE["workflow_id"]),),
            started_from=now - timedelta(hours=1),
            started_to=now + timedelta(hours=1),
        )
        picked = hook.select_jobs([selection])[selection].jobs
        assert [job.id for job in picked] == ["isj-one"]
        assert selection.is_done(picked, now + timedelta(minutes=1))
        assert self.looked_at(sandbox) == []

    def test_cancelling_it_stops_its_workflow(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.cancel_delay = 0
        self.add(sandbox, "1", "running")
        job = hook.cancel_job("isj-1")
        assert (job.state, job.vendor_state) == (JobState.CANCELLED, "no tables, workflow canceled")


class TestWindows:
    def windows(self, sandbox: Sandbox) -> list[tuple[datetime, datetime]]:
        queries = [parse_qs(request.query) for request in sandbox.requests()]
        return [
            (datetime.fromisoformat(q["created_from"][0]), datetime.fromisoformat(q["created_to"][0]))
            for q in queries
        ]

    @pytest.mark.parametrize(("days", "requests"), [(0.5, 1), (6.9, 1), (7, 1), (7.1, 2), (14, 2), (30, 5)])
    def test_split_into_weeks_without_gap_or_overlap(
        self, hook: AmperityHook, sandbox: Sandbox, days: float, requests: int
    ) -> None:
        start = datetime(2026, 1, 31, 12, tzinfo=UTC)
        end = start + timedelta(days=days)
        list(hook.list_jobs(start, end))
        windows = self.windows(sandbox)
        assert len(windows) == requests
        assert (windows[0][0], windows[-1][1]) == (start, end)
        for (_, stop), (begin, _) in pairwise(windows):
            assert stop == begin
        assert max(stop - begin for begin, stop in windows) <= timedelta(days=7)
        assert {request.status for request in sandbox.requests()} == {200}

    def test_jobs_of_the_window_only(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        now = pendulum.now("UTC")
        sandbox.add_job("amperity", "isj-now")
        assert [job.id for job in hook.list_jobs(now.subtract(hours=1), now.add(minutes=1))] == ["isj-now"]
        assert list(hook.list_jobs(now.subtract(hours=2), now.subtract(hours=1))) == []

    def test_the_last_seven_days_by_default(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-now")
        assert [job.id for job in hook.list_jobs()] == ["isj-now"]
        ((start, end),) = self.windows(sandbox)
        assert end - start == timedelta(days=7)
        assert abs(end - datetime.now(UTC)) < timedelta(seconds=10)

    def test_lazy(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        jobs = hook.list_jobs("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z")
        assert sandbox.requests() == []
        sandbox.add_fault(Fault(body={"data": [SAMPLE]}, times=1))
        next(jobs)
        assert len(sandbox.requests()) == 1

    @pytest.mark.parametrize(
        ("given", "utc"),
        [
            (pendulum.datetime(2026, 1, 31, 12, tz="Europe/Vienna"), "2026-01-31T11:00:00+00:00"),
            ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00+00:00"),
            (" 2026-01-31T11:00:00Z ", "2026-01-31T11:00:00+00:00"),
            # What people write as {{ ds }}: the start of that day.
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
            (date(2026, 1, 31), "2026-01-31T00:00:00+00:00"),
        ],
    )
    def test_any_zone(self, hook: AmperityHook, sandbox: Sandbox, given: Any, utc: str) -> None:
        list(hook.list_jobs(given, "2026-02-01T00:00:00+00:00"))
        assert self.windows(sandbox)[0][0].isoformat() == utc

    @pytest.mark.parametrize(
        ("start", "end", "field", "fix"),
        [
            (datetime(2026, 1, 1), "2026-01-02T00:00:00Z", "started_from", "it has no time zone"),
            ("2026-01-01T00:00:00Z", datetime(2026, 1, 2), "started_to", "it has no time zone"),
            ("2026-01-01T00:00", "2026-01-02T00:00:00Z", "started_from", "it has no time zone"),
            ("yesterday", "2026-01-02T00:00:00Z", "started_from", "write it like"),
            ("", "2026-01-02T00:00:00Z", "started_from", "write it like"),
            ("2026-01-01T00:00:00Z", "", "started_to", "write it like"),
            (5, "2026-01-02T00:00:00Z", "started_from", "give an aware datetime"),
            ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "started_to", "after started_from"),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "started_to", "after started_from"),
        ],
    )
    def test_bad_ones(
        self, hook: AmperityHook, sandbox: Sandbox, start: Any, end: Any, field: str, fix: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            hook.list_jobs(start, end)
        assert caught.value.field == field
        assert fix in caught.value.fix
        assert sandbox.requests() == []

    def test_filters(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1", "tables": [{"feed_id": "df-1"}]})
        sandbox.add_job(
            "amperity",
            "isj-2",
            fields={"workflow_id": "wf-2", "tables": [{"feed_id": "df-2"}, {"table_name": "Orders"}]},
        )
        assert [job.id for job in hook.list_jobs(workflow_id="wf-1")] == ["isj-1"]
        assert [job.id for job in hook.list_jobs(feed_id="df-2")] == ["isj-2"]
        assert [job.id for job in hook.list_jobs(table_name="Orders")] == ["isj-2"]
        assert list(hook.list_jobs(workflow_id="wf-1", feed_id="df-2")) == []
        assert {job.raw["id"] for job in hook.list_jobs() if job.raw} == {"isj-1", "isj-2"}


class TestWorkflows:
    def test_get(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-1", [(0, "failed")], failure="No", fields={"workflow_id": "wf-1"})
        overview = hook.get_workflow("wf-1")
        assert (overview["id"], overview["state"]) == ("wf-1", "failed")
        assert "error" not in overview
        assert hook.get_workflow("wf-1", verbose=True)["error"]["message"] == "No"

    def test_stop(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.cancel_delay = 0
        sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
        assert hook.stop_workflow("wf-1")["id"] == "wf-1"
        assert hook.get_job("isj-1").state is JobState.CANCELLED

    def test_unknown(self, hook: AmperityHook) -> None:
        for call in (hook.get_workflow, hook.stop_workflow):
            with pytest.raises(VendorError) as caught:
                call("wf-404")
            assert caught.value.status == 404

    @pytest.mark.parametrize("workflow_id", ["", "..", "."])
    def test_an_id_that_would_lead_elsewhere(
        self, hook: AmperityHook, sandbox: Sandbox, workflow_id: str
    ) -> None:
        for call in (hook.get_workflow, hook.stop_workflow):
            with pytest.raises(InvalidInput, match="workflow_id"):
                call(workflow_id)
        assert sandbox.requests() == []

    def test_a_finished_workflow_is_no_longer_stopped(self, hook: AmperityHook, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", "isj-1", fields={"workflow_id": "wf-1"})
        sandbox.add_fault(Fault(method="POST", status=409, body={"message": "The workflow is not running"}))
        with pytest.raises(CancelRefused, match="The workflow is not running"):
            hook.cancel_job("isj-1")


def test_the_connection_test_counts_the_last_hour(hook: AmperityHook, sandbox: Sandbox) -> None:
    sandbox.add_job("amperity", "isj-1")
    assert hook.test_connection() == (
        True,
        "Amperity answers for tenant 'sandbox-tenant': 1 ingest jobs in the last hour",
    )
