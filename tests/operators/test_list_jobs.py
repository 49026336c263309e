# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators that list a vendor's jobs into XCom."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pendulum
import pytest

from airflow_provider_ingestjobs.errors import AuthenticationFailed, InvalidInput
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.task_runs import TaskInstance
from support.vendors import AMPERITY, BY_NAME, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _connections(connections: Connections) -> None:
    for case in VENDORS:
        connections.add(case.name, extra={"requests_per_second": 1000})


def run(vendor: str, context: dict[str, Any] | None = None, **arguments: Any) -> list[dict[str, Any]]:
    """Return what Airflow stores as the task's XCom."""
    task = BY_NAME[vendor].list_operator(task_id="list", **arguments)
    given = {"ti": TaskInstance(), **(context or {})}
    task.render_template_fields(given)
    found: list[dict[str, Any]] = json.loads(json.dumps(task.execute(given)))
    return found


def listed(vendor: str, **arguments: Any) -> set[str]:
    return {job["id"] for job in run(vendor, **arguments)}


def ran(sandbox: Sandbox, vendor: str, started: datetime, **fields: Any) -> str:
    begin = started.timestamp() - time.time()
    words = BY_NAME[vendor].words
    timeline = [(begin, words[JobState.RUNNING]), (begin + 5, words[JobState.SUCCEEDED])]
    return sandbox.add_job(vendor, timeline=timeline, fields=fields)


@pytest.mark.parametrize("case", VENDORS, ids=str)
class TestEveryVendor:
    def add(self, sandbox: Sandbox, case: VendorCase, count: int) -> set[str]:
        return {
            sandbox.add_job(case.name, timeline=[(0, case.words[JobState.RUNNING])]) for _ in range(count)
        }

    def test_it_returns_jobs_as_sensors_do(self, sandbox: Sandbox, case: VendorCase) -> None:
        job_ids = self.add(sandbox, case, 3)
        jobs = run(case.name)
        assert {job["id"] for job in jobs} == job_ids
        assert {(job["vendor"], job["state"]) for job in jobs} == {(case.vendor, "running")}
        assert all("raw" not in job for job in jobs)

    def test_the_vendor_s_records_on_request(self, sandbox: Sandbox, case: VendorCase) -> None:
        (job_id,) = self.add(sandbox, case, 1)
        (job,) = run(case.name, include_raw=True)
        assert job_id in map(str, job["raw"].values())

    def test_none_is_an_empty_list(self, case: VendorCase) -> None:
        assert run(case.name) == []

    def test_more_than_allowed_is_an_error_and_no_cut_off_list(
        self, sandbox: Sandbox, case: VendorCase
    ) -> None:
        self.add(sandbox, case, 3)
        assert len(run(case.name, max_jobs=3)) == 3
        with pytest.raises(
            InvalidInput, match=r"max_jobs=2 .*there are more jobs: narrow the filters, or raise max_jobs"
        ):
            run(case.name, max_jobs=2)

    @pytest.mark.parametrize("most", [0, -1, 1.5, True, "9"])
    def test_a_limit_that_is_none(self, case: VendorCase, most: Any) -> None:
        with pytest.raises(InvalidInput, match="max_jobs"):
            case.list_operator(task_id="list", max_jobs=most)

    def test_what_the_vendor_refuses_fails_the_task(self, connections: Connections, case: VendorCase) -> None:
        connections.add(case.name, password="wrong")
        with pytest.raises(AuthenticationFailed, match="401"):
            run(case.name)


class TestAmperity:
    def test_filters(self, sandbox: Sandbox) -> None:
        now = datetime.now(UTC)
        tables = [{"feed_id": "df-1", "table_name": "A"}, {"feed_id": "df-2", "table_name": "B"}]
        both = ran(sandbox, "amperity", now - HOUR, tables=tables, workflow_id="wf-1")
        first = ran(sandbox, "amperity", now - HOUR, tables=tables[:1], workflow_id="wf-2")
        assert listed("amperity", feed_id="df-1") == {both, first}
        assert listed("amperity", feed_id="{{ feed }}", context={"feed": "df-2"}) == {both}
        assert listed("amperity", table_name="B") == {both}
        assert listed("amperity", workflow_id="wf-2") == {first}
        assert listed("amperity", workflow_id="wf-2", table_name="B") == set()

    def test_windows(self, sandbox: Sandbox) -> None:
        start = datetime(2026, 2, 1, tzinfo=UTC)
        inside = {ran(sandbox, "amperity", start + days * 24 * HOUR + HOUR / 3600) for days in (0, 8, 20)}
        ran(sandbox, "amperity", start - HOUR)
        ran(sandbox, "amperity", start + 21 * 24 * HOUR)
        end = start + 21 * 24 * HOUR
        assert listed("amperity", started_from=start, started_to=end) == inside
        assert len(sandbox.requests("amperity")) == 3
        text = {"started_from": "{{ start }}", "started_to": "{{ start.add(days=21).isoformat() }}"}
        berlin = pendulum.instance(start).in_timezone("Europe/Berlin")
        assert listed("amperity", context={"start": berlin}, **text) == inside
        # Seven days up to now, where nothing else is said.
        recent = ran(sandbox, "amperity", datetime.now(UTC) - HOUR)
        assert listed("amperity") == {recent}

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2026-02-01T00:00", "2026-02-02T00:00Z"),
            ("2026-02-02T00:00Z", "2026-02-01T00:00Z"),
            ("", "2026-02-01T00:00Z"),
            (None, "2026-02-01T00:00Z"),
        ],
        ids=["naive", "inverted", "empty", "none"],
    )
    def test_windows_that_cannot_be(self, sandbox: Sandbox, start: str | None, end: str) -> None:
        with pytest.raises(InvalidInput, match="started_"):
            run("amperity", {"start": start}, started_from="{{ start }}", started_to=end)
        assert sandbox.requests("amperity") == []

    @pytest.mark.parametrize("rendered", [None, "", "None", [], [None], ["df-1", "None"]])
    def test_a_filter_of_which_nothing_is_left_does_not_list_everything(
        self, sandbox: Sandbox, rendered: Any
    ) -> None:
        operator = AMPERITY.list_operator(task_id="list", feed_id="{{ feed }}")
        operator.feed_id = rendered
        with pytest.raises(InvalidInput, match=r"feed_id=.*it is empty"):
            operator.execute({})
        assert sandbox.requests("amperity") == []

    @pytest.mark.parametrize("end", [datetime(2026, 1, 1), "yesterday", 1700000000], ids=str)
    def test_moments_that_cannot_be_are_refused_when_the_dag_is_read(self, end: Any) -> None:
        for name in ("started_from", "started_to"):
            with pytest.raises(InvalidInput, match=f"^{name}="):
                AMPERITY.list_operator(task_id="list", **{name: end})


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("amperity", "feed_id"),
        ("amperity", "table_name"),
        ("amperity", "workflow_id"),
        ("adverity", "datastream_id"),
        ("polaris", "table_name"),
        ("narrative", "dataset_id"),
        ("narrative", "data_plane_id"),
    ],
)
def test_several_where_one_is_listed_are_not_taken_for_one_that_has_no_jobs(
    sandbox: Sandbox, vendor: str, name: str
) -> None:
    several: dict[str, Any] = {name: ["1", "2"]}
    with pytest.raises(InvalidInput, match=rf"^{name}=\['1', '2'\] cannot be used: give one"):
        run(vendor, **several)
    assert sandbox.requests(vendor) == []


class TestAdverity:
    def test_without_a_window_the_current_jobs(self, sandbox: Sandbox) -> None:
        running = sandbox.add_job("adverity", fields={"datastream_id": 42}, timeline=[(0, "Running")])
        other = sandbox.add_job("adverity", fields={"datastream_id": 43}, timeline=[(0, "Scheduled")])
        ran(sandbox, "adverity", datetime.now(UTC) - HOUR)
        assert listed("adverity") == {running, other}
        assert listed("adverity", datastream_id=42) == listed("adverity", datastream_id="42") == {running}

    def test_with_one_the_past_jobs(self, sandbox: Sandbox) -> None:
        sandbox.add_job("adverity", timeline=[(0, "Running")])
        now = datetime.now(UTC)
        past = ran(sandbox, "adverity", now - 5 * HOUR)
        ran(sandbox, "adverity", now - 50 * HOUR)
        assert listed("adverity", started_from=now - 6 * HOUR, started_to=now) == {past}

    def test_half_a_window(self) -> None:
        with pytest.raises(InvalidInput, match=r"started_to.*both ends"):
            run("adverity", started_from=datetime.now(UTC))


class TestPolaris:
    def test_filters(self, sandbox: Sandbox) -> None:
        clicks = {"target": {"type": "table", "tableName": "Clicks"}}
        batch = sandbox.add_job("polaris", fields={"type": "batch", **clicks})
        stream = sandbox.add_job("polaris", fields={"type": "streaming", "health": {"status": "error"}})
        assert listed("polaris", table_name="Clicks") == {batch}
        assert listed("polaris", job_type=["streaming", "sql"]) == {stream}
        assert listed("polaris", health_status="error") == {stream}
        assert listed("polaris", job_type="batch", health_status="error") == set()

    def test_another_project_than_the_connection_s(self, sandbox: Sandbox) -> None:
        mine = sandbox.add_job("polaris", fields={"project_id": "p2"})
        sandbox.add_job("polaris")
        assert listed("polaris", project_id="{{ project }}", context={"project": "p2"}) == {mine}


class TestNarrative:
    def test_filters(self, sandbox: Sandbox) -> None:
        done = sandbox.add_job(
            "narrative",
            timeline=[(0, "completed")],
            fields={"dataset_id": 1, "type": "nql-forecast", "tags": ["eu"]},
        )
        runs = sandbox.add_job(
            "narrative", timeline=[(0, "running")], fields={"dataset_id": 2, "tags": ["us"]}
        )
        assert listed("narrative", state="completed") == {done}
        assert listed("narrative", state=["completed", "running"]) == {done, runs}
        assert listed("narrative", dataset_id="2") == {runs}
        assert listed("narrative", job_type=["nql-forecast"]) == {done}
        assert listed("narrative", tags=["us", "uk"]) == {runs}

    def test_order(self, sandbox: Sandbox) -> None:
        now = datetime.now(UTC)
        old, new = (ran(sandbox, "narrative", now - hours * HOUR) for hours in (2, 1))
        assert [job["id"] for job in run("narrative")] == [new, old]
        assert [job["id"] for job in run("narrative", order_by="created_at_asc")] == [old, new]
        with pytest.raises(InvalidInput, match=r"order_by.*created_at_desc"):
            run("narrative", order_by="newest")

    def test_it_does_not_read_on_when_there_are_too_many(self, sandbox: Sandbox) -> None:
        for _ in range(1100):
            sandbox.add_job("narrative", timeline=[(0, "running")])
        with pytest.raises(InvalidInput, match="there are more"):
            run("narrative", max_jobs=100)
        assert [parse_qs(request.query)["offset"] for request in sandbox.requests("narrative")] == [["0"]]
        assert len(run("narrative", max_jobs=2000)) == 1100
