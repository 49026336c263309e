# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Imply Polaris' list of jobs: its filters, its pages, and pages that shift while they are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ingestjobs.errors import Unreadable
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.selection import Selection

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.connections import Connections
    from support.recorder import Recorder

HOUR = timedelta(hours=1)
LIST = "/v1/projects/p/jobs"
JOB_ID = "efb35e3e-406e-4127-ad2e-280fede4f431"
RECORD: dict[str, Any] = {
    "type": "batch",
    "id": JOB_ID,
    "target": {"type": "table", "tableName": "orders"},
    "desiredExecutionStatus": "running",
    "executionStatus": "running",
    "health": {"status": "ok"},
    "createdTimestamp": "2022-08-09T22:34:46.716017658Z",
}


@pytest.fixture
def hook(sandbox: Sandbox, connections: Connections) -> PolarisHook:
    return PolarisHook(connections.add("polaris"))


@pytest.fixture
def polaris(recorder: Recorder, connections: Connections) -> PolarisHook:
    """The hook on a server that answers what a test tells it."""
    connections.add("polaris", host=recorder.url, extra={"project_id": "p"})
    return PolarisHook()


class TestList:
    @pytest.mark.parametrize(
        ("filters", "query", "found"),
        [
            ({}, {}, "abc"),
            ({"health_status": "error"}, {"healthStatus": ["error"]}, "b"),
            ({"health_status": ["ok", "error"]}, {"healthStatus": ["ok", "error"]}, "abc"),
            ({"health_status": "warning"}, {"healthStatus": ["warn"]}, ""),
            ({"job_type": "batch"}, {"type": ["batch"]}, "ab"),
            ({"job_type": ("batch", "streaming")}, {"type": ["batch", "streaming"]}, "abc"),
            (
                {"health_status": "ok", "job_type": "batch"},
                {"healthStatus": ["ok"], "type": ["batch"]},
                "a",
            ),
            ({"table_name": "Orders"}, {"targetTableName": ["Orders"]}, "c"),
            ({"execution_status": "failed"}, {"executionStatus": ["failed"]}, "b"),
            ({"execution_status": ["failed", "running"]}, {"executionStatus": ["failed", "running"]}, "abc"),
        ],
    )
    def test_filters(
        self, hook: PolarisHook, sandbox: Sandbox, filters: dict[str, Any], query: dict[str, Any], found: str
    ) -> None:
        sandbox.add_job("polaris", "a")
        sandbox.add_job("polaris", "b", [(0, "failed")])
        target = {"type": "table", "tableName": "Orders"}
        sandbox.add_job("polaris", "c", fields={"type": "streaming", "target": target})
        assert "".join(sorted(job.id for job in hook.list_jobs(**filters))) == found
        assert parse_qs(sandbox.requests()[0].query) == {
            **query,
            "sortColumn": ["created_date_time"],
            "sortOrder": ["DESC"],
            "paginationLimit": ["1000"],
            "paginationOffset": ["0"],
        }

    def test_a_bare_list_is_one_where_imply_describes_none(
        self, recorder: Recorder, connections: Connections
    ) -> None:
        connections.add("polaris", host=recorder.url, extra={"project_id": None})
        recorder.answers["/v2/jobs"] = [RECORD]
        assert [job.id for job in PolarisHook().list_jobs()] == [JOB_ID]
        recorder.answers[LIST] = [RECORD]
        with pytest.raises(Unreadable, match="values"):
            list(PolarisHook(project_id="p").list_jobs())


class TestPages:
    """1,203 jobs, of which a page has 1,000 at most."""

    @pytest.fixture
    def hook(self, hook: PolarisHook, sandbox: Sandbox) -> PolarisHook:
        for number in range(1203):
            # Those added first are on the last page; all are of the same moment, or nearly so.
            of_orders = number in (0, 1201, 1202)
            target = {"type": "table", "tableName": "orders" if of_orders else "events"}
            word = "completed" if number else "running"
            sandbox.add_job("polaris", f"job-{number}", [(0, word)], fields={"target": target})
        return hook

    def test_all_are_listed(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        listed = [job.id for job in hook.list_jobs()]
        assert len(listed) == len(set(listed)) == 1203
        assert len(sandbox.requests()) == 2
        assert {job.id for job in hook.list_jobs(table_name="orders")} == {"job-0", "job-1201", "job-1202"}

    def test_the_connection_test_counts_all(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        for number in range(1, 1203):
            sandbox.set_state("polaris", f"job-{number}", "failed")
        assert hook.test_connection()[1].endswith(": 1202 jobs with an error")

    def test_a_selection_waits_for_the_one_on_the_last_page(
        self, hook: PolarisHook, sandbox: Sandbox
    ) -> None:
        now = datetime.now(UTC)
        selection = Selection((("table_name", "orders"),), now - HOUR, now + HOUR, min_jobs=3)
        other = Selection((("table_name", "events"),), now - HOUR, now + HOUR)
        for selections in ([selection], [selection, other]):
            picked = hook.select_jobs(selections)[selection].jobs
            assert {job.id for job in picked} == {"job-0", "job-1201", "job-1202"}
            assert not selection.is_done(picked, now)
        sandbox.set_state("polaris", "job-0", "failed")
        assert selection.is_done(hook.select_jobs([selection])[selection].jobs, now + HOUR)

    def test_many_waits_take_as_many_requests_as_unfinished_jobs_take_pages(
        self, hook: PolarisHook, sandbox: Sandbox
    ) -> None:
        waits = [sandbox.add_job("polaris", f"wait-{number}") for number in range(2500)]
        state = ReadState()
        before = len(sandbox.requests())
        assert hook.read_jobs(waits, state).jobs.keys() == set(waits)
        assert len(sandbox.requests()) == before + 3
        # A few that end are read by id, of many the list of ended jobs tells.
        for ended, requests in ((waits[:15], 3 + 15), (waits[15:100], 3 + 15 + 1)):
            for job_id in ended:
                sandbox.set_state("polaris", job_id, "completed")
            before = len(sandbox.requests())
            read = hook.read_jobs(waits, state)
            assert {read.jobs[job_id].state for job_id in ended} == {JobState.SUCCEEDED}
            assert len(sandbox.requests()) - before <= requests

    def test_a_window_is_read_as_far_as_it_goes_back(self, recorder: Recorder, polaris: PolarisHook) -> None:
        record = {**RECORD, "createdTimestamp": "2026-03-01T00:00:00Z"}
        more = {"moreResultsAvailable": True}
        recorder.answers[LIST] = {"values": [record, {**RECORD, "id": "older"}], **more}
        start = datetime(2026, 2, 1, tzinfo=UTC)
        filters = {"table_name": "orders", "job_type": ("batch", "sql"), "health_status": "warn"}
        found = polaris.jobs_between(start, datetime(2026, 4, 1, tzinfo=UTC), filters)
        assert JOB_ID in {job.id for job in found}
        (request,) = recorder.requests
        query = parse_qs(request.path.partition("?")[2])
        assert query["targetTableName"] == ["orders"]
        assert query["type"] == ["batch", "sql"]
        assert query["healthStatus"] == ["warn"]

    def test_a_list_that_ignores_the_offset_does_not_go_on_for_ever(
        self, recorder: Recorder, polaris: PolarisHook
    ) -> None:
        records = [{**RECORD, "id": str(number)} for number in range(1000)]
        recorder.answers[LIST] = {"values": records, "moreResultsAvailable": True}
        with pytest.raises(Unreadable, match="does not end"):
            list(polaris.list_jobs())
        with pytest.raises(Unreadable, match="does not end"):
            # So many that a few more pages cost less than reading each.
            polaris.find_in_lists({f"absent-{number}" for number in range(10)}, BulkRead(), ReadState())

    @pytest.mark.parametrize("more", [{}, {"moreResultsAvailable": "yes"}])
    def test_one_that_does_not_say_whether_it_goes_on_is_read_until_nothing_is_new(
        self, more: dict[str, Any], recorder: Recorder, polaris: PolarisHook
    ) -> None:
        recorder.answers[LIST] = {"values": [{**RECORD, "id": str(number)} for number in range(100)], **more}
        assert len(list(polaris.list_jobs())) == 100
        assert len(recorder.requests) == 2

    def test_an_id_that_is_none_is_left_out(self, recorder: Recorder, polaris: PolarisHook) -> None:
        odd = {**RECORD, "id": ["x"], "createdTimestamp": {}}
        recorder.answers[LIST] = {"values": [odd, RECORD], "moreResultsAvailable": False}
        assert JOB_ID in [job.id for job in polaris.list_jobs()]

    def test_many_that_end_at_once_are_found_behind_newer_ended_jobs(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = PolarisHook(connections.add("polaris"))
        waits = [sandbox.add_job("polaris") for _ in range(400)]
        state = ReadState()
        hook.read_jobs(waits, state)
        for _ in range(1100):
            sandbox.add_job("polaris", timeline=[(0, "completed")])
        for job_id in waits:
            sandbox.set_state("polaris", job_id, "completed")
        before = len(sandbox.requests())
        read = hook.read_jobs(waits, state)
        assert {job.state for job in read.jobs.values()} == {JobState.SUCCEEDED}
        assert len(read.jobs) == 400
        assert len(sandbox.requests()) - before == 3

    def test_distant_windows_are_read_in_one_go(self, hook: PolarisHook, sandbox: Sandbox) -> None:
        now = datetime.now(UTC)
        days = [timedelta(days=day) for day in range(20)]
        before = len(sandbox.requests())
        hook.select_jobs(
            [Selection((("table_name", "orders"),), now - day - HOUR, now - day) for day in days]
        )
        assert len(sandbox.requests()) - before <= 2

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12), st.integers(0, 30))
    def test_pages_that_shift_lose_and_double_nothing(
        self,
        sandbox: Sandbox,
        connections: Connections,
        changes: list[tuple[int, int]],
        size: int,
    ) -> None:
        sandbox.reset()
        hook = PolarisHook(connections.add("polaris"))
        unfinished = [sandbox.add_job("polaris") for _ in range(size)]
        stays = set(unfinished)
        listed = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("airflow_provider_ingestjobs.hooks.polaris.MAX_PER_PAGE", 5)
            for job in hook.list_jobs(execution_status=["running", "idle"]):
                listed.append(job.id)
                created, ended = changes.pop() if changes else (0, 0)
                for _ in range(created):
                    sandbox.add_job("polaris")
                for _ in range(min(ended, len(unfinished))):
                    stays.discard(unfinished[-1])
                    sandbox.set_state("polaris", unfinished.pop(), "completed")
        assert len(listed) == len(set(listed))
        assert stays <= set(listed)
