# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Narrative's endpoints, its filters and its pages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput, VendorError, VendorUnavailable
from airflow_provider_ingestjobs.hooks import narrative, reading
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.job import JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs
    from support.recorder import Recorder

PLANE = "11111111-2222-4333-8444-555555555555"
#: From the sample of https://docs.narrative.io/ (GET /jobs)
SAMPLE: dict[str, Any] = {
    "job_id": "2a5b9ad7-dc8f-47bb-8e62-843a38f8054c",
    "data_plane_id": "f79cbdae-4848-47ca-95e8-69588364d185",
    "state": "completed",
    "type": "materialize-view",
    "input": {"nql": "CREATE MATERIALIZED VIEW …", "dataset_id": 10736, "stats_enabled": True},
    "result": {"dataset_id": 10736, "snapshot_id": 1724919539450264600},
    "created_at": "2023-10-31T11:19:13.400498",
    "updated_at": "2023-10-31T11:25:08.327209",
    "ended_at": "2023-10-31T11:25:08.327194",
}


@pytest.fixture
def hook(sandbox: Sandbox, connections: Connections) -> NarrativeHook:
    return NarrativeHook(connections.add("narrative"))


def queries(sandbox: Sandbox) -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in sandbox.requests()]


class TestAuthorisation:
    @pytest.mark.parametrize("auth", ["key", "login"])
    def test_accepted(self, auth: str, sandbox: Sandbox, connections: Connections) -> None:
        sandbox.add_job("narrative", "1")
        assert NarrativeHook(connections.add("narrative", auth=auth)).get_job("1").state is JobState.RUNNING

    def test_what_is_sent_for_a_token(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("narrative", auth="login", host=recorder.url)
        recorder.answers["/oauth/token"] = {"access_token": "fresh", "access_token_expires_in": 3600}
        recorder.answers[f"/jobs/{SAMPLE['job_id']}"] = {**SAMPLE, "state": "running"}
        NarrativeHook().get_job(SAMPLE["job_id"])
        asked, used = recorder.requests
        known = CREDENTIALS["narrative"]
        pair = base64.b64encode(f"{known.login}:{known.password}".encode()).decode()
        assert (asked.method, asked.path) == ("POST", "/oauth/token")
        assert asked.headers["authorization"] == f"Basic {pair}"
        assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"]}
        assert used.headers["authorization"] == "Bearer fresh"


class TestJob:
    def test_the_documented_sample(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body=SAMPLE))
        job = hook.get_job(SAMPLE["job_id"])
        assert (job.state, job.vendor_state) == (JobState.SUCCEEDED, "completed")
        # Without a zone in the record: UTC.
        assert job.created_at == datetime(2023, 10, 31, 11, 19, 13, 400_498, UTC)
        assert job.ended_at == datetime(2023, 10, 31, 11, 25, 8, 327_194, UTC)
        assert job.duration == pytest.approx(354.93, abs=0.01)
        assert (job.name, job.target, job.failure) == ("materialize-view", "10736", None)
        assert job.details == {
            "dataset_id": 10736,
            "data_plane_id": "f79cbdae-4848-47ca-95e8-69588364d185",
            "job_type": "materialize-view",
            "snapshot_id": "1724919539450264600",
        }
        assert (job.started_at, job.url) == (None, None)

    @pytest.mark.parametrize(
        ("word", "state"),
        [
            ("queued", JobState.PENDING),
            ("pending", JobState.PENDING),
            ("processing", JobState.RUNNING),
            ("running", JobState.RUNNING),
            ("pending_cancellation", JobState.CANCELLING),
            ("completed", JobState.SUCCEEDED),
            ("failed", JobState.FAILED),
            ("cancelled", JobState.CANCELLED),
            ("archived", JobState.UNKNOWN),
        ],
    )
    def test_words(self, hook: NarrativeHook, sandbox: Sandbox, word: str, state: JobState) -> None:
        sandbox.add_job("narrative", "1", [(0, word)])
        job = hook.get_job("1")
        assert (job.state, job.vendor_state) == (state, word)

    def test_it_starts_when_it_leaves_the_queue(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body={**SAMPLE, "dequeued_at": "2023-10-31T11:20:08.327194"}))
        job = hook.get_job(SAMPLE["job_id"])
        assert job.started_at == datetime(2023, 10, 31, 11, 20, 8, 327_194, UTC)
        assert job.duration == 300
        for odd in (None, 5, "soon"):
            sandbox.add_fault(Fault(body={**SAMPLE, "state": "running", "dequeued_at": odd}))
            assert hook.get_job(SAMPLE["job_id"]).started_at is None

    def test_failures(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        failures = [{"message": "Out of memory", "value": {}}, {"message": None}, None, {"message": "Lost"}]
        sandbox.add_fault(Fault(body={**SAMPLE, "state": "failed", "failures": failures}))
        assert hook.get_job(SAMPLE["job_id"]).failure == "Out of memory; Lost"

    @pytest.mark.parametrize("field", ["input", "result", "failures", "type", "data_plane_id", "updated_at"])
    @pytest.mark.parametrize("value", [None, [], {}, "x", 5])
    def test_odd_decorations_do_not_cost_the_job(
        self, hook: NarrativeHook, sandbox: Sandbox, field: str, value: Any
    ) -> None:
        sandbox.add_fault(Fault(body={**SAMPLE, field: value}))
        assert hook.get_job(SAMPLE["job_id"]).state is JobState.SUCCEEDED


class TestLink:
    def link(self, connections: Connections, host: str, **changes: Any) -> str | None:
        hook = NarrativeHook(connections.add("narrative", host=host))
        return hook.records.job({**SAMPLE, **changes}).url

    @pytest.mark.parametrize("host", ["", "api.narrative.io", "https://api.narrative.io/"])
    def test_the_page_of_the_data_set(self, connections: Connections, host: str) -> None:
        page = "https://app.narrative.io/platform/my-data/dataset/10736#overview"
        assert self.link(connections, host) == page
        assert self.link(connections, host, input={}) == page

    def test_none_where_the_page_is_not_documented(self, connections: Connections) -> None:
        assert self.link(connections, "api-dev.narrative.io") is None
        assert self.link(connections, "api.narrative.io.example.com") is None

    @pytest.mark.parametrize("dataset_id", [None, "", "x", "1/../2", "\u0661", -1, {}])
    def test_none_without_an_id_of_one(self, connections: Connections, dataset_id: Any) -> None:
        ids = {"dataset_id": dataset_id}
        assert self.link(connections, "api.narrative.io", input=ids, result=ids) is None


class TestRows:
    """Of a materialised view, in the statistics of its data set."""

    DATASET = "/datasets/10736/stats"

    def add(self, sandbox: Sandbox, number: int, **changes: Any) -> None:
        job = {"timeline": [(0, "completed")], "rows": {"inserted": number}, "fields": {"dataset_id": 10736}}
        sandbox.add_job("narrative", str(number), **(job | changes))

    def asked(self, sandbox: Sandbox) -> list[str]:
        return [request.query for request in sandbox.requests() if request.path == self.DATASET]

    def test_of_the_latest_snapshot(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        self.add(sandbox, 7)
        self.add(sandbox, 8)
        assert hook.get_job("8").rows == RowCounts(inserted=8)
        assert self.asked(sandbox) == [""]

    def test_of_an_older_one(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        """The numbers of neighbouring snapshots differ only beyond what a float can hold."""
        for number in range(1, 5):
            self.add(sandbox, number)
        assert hook.get_job("2").rows == RowCounts(inserted=2)
        assert self.asked(sandbox) == ["", "per_page=100&offset=0"]

    def test_pages_shorter_than_asked_for(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(narrative, "SNAPSHOTS_PER_PAGE", 2)
        for number in range(1, 6):
            self.add(sandbox, number)
        assert hook.get_job("1").rows == RowCounts(inserted=1)
        assert [query.rpartition("=")[2] for query in self.asked(sandbox)] == ["", "0", "2", "4"]

    @pytest.mark.parametrize("pages", [1, 3])
    def test_not_looked_for_without_end(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, pages: int
    ) -> None:
        monkeypatch.setattr(narrative, "SNAPSHOTS_PER_PAGE", 1)
        monkeypatch.setattr(narrative, "MAX_SNAPSHOT_PAGES", pages)
        for number in range(1, 10):
            self.add(sandbox, number)
        job = hook.get_job("1")
        assert (job.state, job.rows) == (JobState.SUCCEEDED, RowCounts())
        assert len(self.asked(sandbox)) == 1 + pages

    def test_a_vendor_that_does_not_page(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        self.add(sandbox, 1)
        same = {"records": [{"snapshot_id": 5}, {"snapshot_id": 6}]}
        sandbox.add_fault(Fault(path="stats", body=same, times=None))
        assert hook.get_job("1").rows == RowCounts()
        assert len(self.asked(sandbox)) == 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"timeline": [(0, "running")]},
            {"timeline": [(0, "failed")]},
            {"timeline": [(0, "cancelled")]},
            {"fields": {"type": "nql-forecast"}},
            {"fields": {"type": "datasets_sample", "dataset_id": 10736}},
            {"fields": {"dataset_id": 10736, "result": {"dataset_id": 10736}}},
            {"fields": {"dataset_id": 10736, "result": None}},
        ],
    )
    def test_asked_for_only_where_there_is_a_snapshot(
        self, hook: NarrativeHook, sandbox: Sandbox, changes: dict[str, Any]
    ) -> None:
        self.add(sandbox, 1, **changes)
        assert hook.get_job("1").rows == RowCounts()
        assert len(sandbox.requests()) == 1

    @pytest.mark.parametrize("body", [{}, [], {"records": None}, {"records": [None, 5, {}]}, {"records": []}])
    def test_odd_answers(self, hook: NarrativeHook, sandbox: Sandbox, body: Any) -> None:
        self.add(sandbox, 1)
        sandbox.add_fault(Fault(path="stats", body=body, times=None))
        job = hook.get_job("1")
        assert (job.state, job.rows) == (JobState.SUCCEEDED, RowCounts())

    def test_a_key_that_may_not_read_data_sets(
        self, hook: NarrativeHook, sandbox: Sandbox, logs: Logs
    ) -> None:
        self.add(sandbox, 1)
        sandbox.add_fault(Fault(path="stats", status=403))
        job = hook.get_job("1")
        assert (job.state, job.rows) == (JobState.SUCCEEDED, RowCounts())
        assert "The details of Narrative job 1 cannot be read: 403" in logs.text

    def test_lists_take_no_further_request(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        self.add(sandbox, 1)
        assert [job.rows for job in hook.list_jobs()] == [RowCounts()]
        assert len(sandbox.requests()) == 1


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "query", "found"),
        [
            ({}, {}, "abc"),
            ({"data_plane_id": PLANE}, {"data_plane_id": [PLANE]}, "b"),
            ({"dataset_id": 7}, {"dataset_id": ["7"]}, "c"),
            ({"state": "running"}, {"state": ["running"]}, "a"),
            ({"state": ["running", "failed"]}, {"state": ["running", "failed"]}, "ab"),
            ({"job_type": "nql-forecast"}, {"type": ["nql-forecast"]}, "c"),
            (
                {"job_type": ["nql-forecast", "materialize-view"]},
                {"type": ["nql-forecast", "materialize-view"]},
                "abc",
            ),
            ({"tags": "nightly"}, {"tag": ["nightly"]}, "a"),
            ({"tags": ["nightly", "run=1"]}, {"tag": ["nightly", "run=1"]}, "ab"),
            ({"order_by": "created_at_asc"}, {"order_by": ["created_at_asc"]}, "abc"),
            ({"order_by": "updated_at_desc"}, {"order_by": ["updated_at_desc"]}, "abc"),
        ],
    )
    def test_each(
        self,
        hook: NarrativeHook,
        sandbox: Sandbox,
        filters: dict[str, Any],
        query: dict[str, Any],
        found: str,
    ) -> None:
        sandbox.add_job("narrative", "a", fields={"tags": ["nightly"]})
        fields_of_b = {"data_plane_id": PLANE, "tags": ["run=1"]}
        sandbox.add_job("narrative", "b", [(0, "failed")], fields=fields_of_b)
        fields_of_c = {"type": "nql-forecast", "input": {"dataset_id": 7}}
        sandbox.add_job("narrative", "c", [(0, "completed")], fields=fields_of_c)
        assert "".join(sorted(job.id for job in hook.list_jobs(**filters))) == found
        asked = queries(sandbox)[0]
        assert query.items() <= asked.items()
        assert asked.keys() == {"order_by", "per_page", "offset"} | query.keys()

    def test_order(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        for job_id in "abc":
            sandbox.add_job("narrative", job_id)
        sandbox.set_state("narrative", "a", "completed")
        ids = {order: [job.id for job in hook.list_jobs(order_by=order)] for order in narrative.ORDERS}
        assert ids["created_at_asc"] == ids["created_at_desc"][::-1] == ["a", "b", "c"]
        assert ids["updated_at_asc"] == ids["updated_at_desc"][::-1] == ["b", "c", "a"]

    @pytest.mark.parametrize("per_page", [0, -1, 501, 10_000])
    def test_bad_page_sizes(self, hook: NarrativeHook, sandbox: Sandbox, per_page: int) -> None:
        with pytest.raises(InvalidInput, match=f"per_page={per_page} cannot be used: use 1 to 500"):
            hook.list_jobs(per_page=per_page)
        assert sandbox.requests() == []

    def test_bad_order(self, hook: NarrativeHook) -> None:
        with pytest.raises(InvalidInput, match="order_by='newest' cannot be used: use one of created_at_asc"):
            hook.list_jobs(order_by="newest")

    @pytest.mark.undocumented("parameter state: 'done'")
    def test_words_the_vendor_refuses(self, hook: NarrativeHook) -> None:
        with pytest.raises(VendorError, match=r"400.*state must be one of"):
            list(hook.list_jobs(state="done"))


class TestPages:
    def test_by_offset(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        for number in range(25):
            sandbox.add_job("narrative", str(number))
        jobs = hook.list_jobs(per_page=10)
        next(jobs)
        assert len(sandbox.requests()) == 1
        assert len(list(jobs)) == 24
        assert [query["offset"] for query in queries(sandbox)] == [["0"], ["10"], ["20"]]

    def test_an_exact_last_page_takes_no_further_request(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        for number in range(20):
            sandbox.add_job("narrative", str(number))
        assert len(list(hook.list_jobs(per_page=10))) == 20
        assert len(sandbox.requests()) == 2

    def test_from_an_offset_on(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        for number in range(25):
            sandbox.add_job("narrative", str(number))
        jobs = list(hook.list_jobs(per_page=10, offset=12, order_by="created_at_asc"))
        assert [job.id for job in jobs] == [str(number) for number in range(12, 25)]

    def test_five_hundred_by_default(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        for number in range(501):
            sandbox.add_job("narrative", str(number))
        assert len(list(hook.list_jobs())) == 501
        assert [query["per_page"] for query in queries(sandbox)] == [["500"], ["500"]]

    def test_a_vendor_that_does_not_count(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        # The older answer has nothing but records.
        first = {"records": [{**SAMPLE, "job_id": str(number)} for number in range(2)]}
        sandbox.add_fault(Fault(body=first))
        sandbox.add_fault(Fault(body={"records": [{**SAMPLE, "job_id": "9"}]}))
        assert [job.id for job in hook.list_jobs(per_page=2)] == ["0", "1", "9"]

    def test_pages_that_never_end(self, hook: NarrativeHook, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(body={"records": [SAMPLE], "total_records": 10**9}, times=None))
        with pytest.raises(VendorUnavailable, match="does not end"):
            list(hook.list_jobs(per_page=1))

    def test_jobs_that_start_meanwhile_are_neither_twice_nor_in_the_way(
        self, hook: NarrativeHook, sandbox: Sandbox
    ) -> None:
        for number in range(20):
            sandbox.add_job("narrative", f"old-{number}")
        jobs = hook.list_jobs(per_page=10)
        found = [next(jobs).id]
        for number in range(5):
            sandbox.add_job("narrative", f"new-{number}")
        found += [job.id for job in jobs]
        assert len(found) == len(set(found))
        assert {f"old-{number}" for number in range(20)} <= set(found)


class TestChanges:
    def test_only_changed_pages_are_read_again(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(narrative, "OVERLAP", timedelta(0))
        job_ids = [str(number) for number in range(1600)]
        for job_id in job_ids:
            sandbox.add_job("narrative", job_id)
        memory = ReadState()
        hook.read_jobs(job_ids, memory)
        assert len(sandbox.requests()) == 4
        sandbox.set_state("narrative", "0", "completed")
        read = hook.read_jobs(job_ids, memory)
        assert read.jobs["0"].state is JobState.SUCCEEDED
        assert len(sandbox.requests()) == 5
        # Now and then everything is read, whatever the order of changes says.
        monkeypatch.setattr(narrative, "FULL_SCAN_EVERY", 0.0)
        assert hook.read_jobs(job_ids, memory).jobs.keys() == set(job_ids)
        assert len(sandbox.requests()) == 9

    def test_a_vendors_clock_that_is_ahead_hides_nothing(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(narrative, "OVERLAP", timedelta(0))
        job_ids = [str(number) for number in range(600)]
        for job_id in job_ids:
            sandbox.add_job("narrative", job_id)
        records = [{**SAMPLE, "job_id": job_ids[0], "state": "running", "updated_at": "2099-01-01T00:00:00"}]
        sandbox.add_fault(Fault(body={"records": records, "total_records": 1}))
        memory = ReadState()
        hook.read_jobs(job_ids, memory)
        sandbox.set_state("narrative", "599", "completed")
        assert hook.read_jobs(job_ids, memory).jobs["599"].state is JobState.SUCCEEDED

    def test_a_full_scan_that_stops_early_hides_no_change_that_it_did_not_come_to(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(narrative, "OVERLAP", timedelta(0))
        for module in (narrative, reading):
            monkeypatch.setattr(module, "MAX_READS", 2)
        monkeypatch.setattr(hook, "page_size", 1)
        mine, others = [f"mine-{number}" for number in range(6)], [f"other-{n}" for n in range(20)]
        for job_id in (*mine, *others):
            sandbox.add_job("narrative", job_id)
        memory = ReadState()
        for _ in range(3):
            hook.read_jobs(mine, memory)
        assert memory.jobs.keys() == set(mine)
        for job_id in (*mine, *others):
            sandbox.set_state("narrative", job_id, "completed")
        # There are more pages than jobs to find: some of these are read one by one, the others later.
        with monkeypatch.context() as due:
            due.setattr(narrative, "FULL_SCAN_EVERY", 0.0)
            found = dict(hook.read_jobs(mine, memory).jobs)
        assert len(found) == 2
        for _ in range(2):
            found |= hook.read_jobs(mine, memory).jobs
        assert {job_id: job.state for job_id, job in found.items()} == dict.fromkeys(mine, JobState.SUCCEEDED)

    def test_changes_of_a_list_that_breaks_off_are_found_by_the_next_read(
        self, hook: NarrativeHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, one_try: None
    ) -> None:
        monkeypatch.setattr(narrative, "OVERLAP", timedelta(0))
        for module in (narrative, reading):
            monkeypatch.setattr(module, "MAX_READS", 2)
        monkeypatch.setattr(hook, "page_size", 2)
        mine = [f"mine-{number}" for number in range(9)]
        for job_id in mine:
            sandbox.add_job("narrative", job_id)
        memory = ReadState()
        hook.read_jobs(mine, memory)
        for full_scan_every in (0.0, 3600.0):
            monkeypatch.setattr(narrative, "FULL_SCAN_EVERY", full_scan_every)
            word = "completed" if full_scan_every else "processing"
            for job_id in mine:
                sandbox.set_state("narrative", job_id, word)
            sandbox.add_fault(Fault(path="/jobs$", status=500, skip=1))
            found = dict(hook.read_jobs(mine, memory).jobs)
            assert 2 <= len(found) < len(mine)
            monkeypatch.setattr(narrative, "FULL_SCAN_EVERY", 3600.0)
            for _ in range(3):
                found |= hook.read_jobs(mine, memory).jobs
            assert {job_id: job.vendor_state for job_id, job in found.items()} == dict.fromkeys(mine, word)


def test_the_connection_test(hook: NarrativeHook, sandbox: Sandbox) -> None:
    sandbox.add_job("narrative", "1")
    assert hook.test_connection() == (True, "Narrative answers: 1 jobs can be read with this key")
    assert queries(sandbox) == [{"per_page": ["1"]}]
