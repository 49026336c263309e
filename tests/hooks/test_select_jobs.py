# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Reading what selections pick: the right jobs, from as few requests as the vendor allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pendulum
import pytest

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.sandbox.adverity import Adverity
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from support.vendors import ADVERITY, AMPERITY, BY_NAME, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.connections import Connections

#: The sandbox's clock stands still here, so that jobs start at exact times; the hooks' is the real one.
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: How a job of each vendor is told to load what, and by which noun it is selected.
NOUNS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "amperity": ("feed_id", "df-1", {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}),
    "adverity": ("datastream_id", 42, {"datastream_id": 42}),
    "polaris": ("table_name", "Events", {"target": {"type": "table", "tableName": "Events"}}),
    "narrative": ("dataset_id", 10674, {"dataset_id": 10674}),
}


@pytest.fixture(scope="module")
def _history() -> Iterator[Sandbox]:
    with Sandbox(clock=NOW.timestamp) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_history: Sandbox) -> Sandbox:
    _history.reset()
    return _history


@pytest.fixture(params=VENDORS, ids=str)
def case(request: pytest.FixtureRequest, connections: Connections) -> VendorCase:
    case: VendorCase = request.param
    connections.add(case.name, extra={"requests_per_second": 1000})
    return case


def add(sandbox: Sandbox, vendor: str, started: datetime, job_id: str | None = None, **fields: Any) -> str:
    """Add a job that ran for a minute."""
    begin = (started - NOW).total_seconds()
    words = BY_NAME[vendor].words
    timeline = [(begin, words[JobState.RUNNING]), (begin + 60, words[JobState.SUCCEEDED])]
    return sandbox.add_job(vendor, job_id, timeline, fields=fields or NOUNS[vendor][2])


def select(
    start: datetime = NOW - DAY,
    end: datetime = NOW + HOUR,
    changes: dict[str, Any] | None = None,
    /,
    **filters: Any,
) -> Selection:
    return Selection(freeze_filters(filters), start, end, **changes or {})


def picked(hook: Any, *selections: Selection) -> list[list[str]]:
    found = hook.select_jobs(selections)
    return [[job.id for job in found[one].jobs] for one in selections]


def queries(sandbox: Sandbox, vendor: str) -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in sandbox.requests(vendor)]


class TestEveryVendor:
    def test_the_window_s_start_is_in_it_and_its_end_is_not(self, sandbox: Sandbox, case: VendorCase) -> None:
        noun, value, _ = NOUNS[case.name]
        start, end = NOW - 3 * HOUR, NOW - HOUR
        moments = [start - timedelta(seconds=1), start, end - timedelta(seconds=1), end]
        ids = [add(sandbox, case.name, moment) for moment in moments]
        assert picked(case.hook(), select(start, end, **{noun: value})) == [ids[1:3]]

    def test_only_jobs_of_the_noun_s_value(self, sandbox: Sandbox, case: VendorCase) -> None:
        noun, value, _ = NOUNS[case.name]
        mine = add(sandbox, case.name, NOW - HOUR)
        others: dict[str, dict[str, Any]] = {
            "amperity": {"tables": [{"feed_id": "df-10"}]},
            "adverity": {"datastream_id": 421},
            "polaris": {"target": {"type": "table", "tableName": "events"}},
            "narrative": {"dataset_id": 1067},
        }
        add(sandbox, case.name, NOW - HOUR, **others[case.name])
        assert picked(case.hook(), select(**{noun: value})) == [[mine]]
        assert picked(case.hook(), select(**{noun: str(value)})) == [[mine]]
        assert picked(case.hook(), select(**{noun: [value, "99999"]})) == [[mine]]

    def test_a_day_of_23_hours(self, sandbox: Sandbox, case: VendorCase) -> None:
        # In New York, 8 March 2026 begins at 05:00 UTC and ends at 04:00 UTC the day after.
        noun, value, _ = NOUNS[case.name]
        day = pendulum.datetime(2026, 3, 8, tz="America/New_York")
        first = add(sandbox, case.name, datetime(2026, 3, 8, 5, tzinfo=UTC))
        last = add(sandbox, case.name, datetime(2026, 3, 9, 3, 59, tzinfo=UTC))
        add(sandbox, case.name, datetime(2026, 3, 9, 4, tzinfo=UTC))
        assert picked(case.hook(), select(day, day.add(days=1), **{noun: value})) == [[first, last]]

    def test_overlapping_and_equal_windows_are_listed_once(self, sandbox: Sandbox, case: VendorCase) -> None:
        noun, value, _ = NOUNS[case.name]
        early, late = add(sandbox, case.name, NOW - 5 * HOUR), add(sandbox, case.name, NOW - HOUR)
        alone = select(NOW - 6 * HOUR, NOW, **{noun: value})
        assert picked(case.hook(), alone) == [[early, late]]
        cost = len(sandbox.requests(case.name))
        several = [
            select(NOW - 6 * HOUR, NOW - 3 * HOUR, **{noun: value}),
            select(NOW - 4 * HOUR, NOW, **{noun: value}),
            select(NOW - 6 * HOUR, NOW, {"latest_only": True}, **{noun: value}),
            select(NOW - 6 * HOUR, NOW, **{noun: "77"}),
        ]
        assert picked(case.hook(), *several) == [[early], [late], [late], []]
        assert len(sandbox.requests(case.name)) == 2 * cost

    def test_nothing_is_asked_about_a_window_that_is_to_come(
        self, sandbox: Sandbox, case: VendorCase
    ) -> None:
        noun, value, _ = NOUNS[case.name]
        tomorrow = datetime.now(UTC) + DAY
        assert picked(case.hook(), select(tomorrow, tomorrow + DAY, **{noun: value})) == [[]]
        assert sandbox.requests(case.name) == []


class TestAmperity:
    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})

    def test_a_backfill_of_a_month_takes_a_request_for_seven_days(self, sandbox: Sandbox) -> None:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        moments = [start, start + 7 * DAY, start + 21 * DAY - timedelta(seconds=1), start + 30 * DAY]
        ids = [add(sandbox, "amperity", moment) for moment in moments]
        assert picked(AmperityHook(), select(start, start + 30 * DAY, feed_id="df-1")) == [ids[:3]]
        windows = [
            (query["created_from"][0], query["created_to"][0]) for query in queries(sandbox, "amperity")
        ]
        assert len(windows) == 5
        assert datetime.fromisoformat(windows[0][0]) == start
        assert datetime.fromisoformat(windows[-1][1]) == start + 30 * DAY
        assert [end for _, end in windows[:-1]] == [begin for begin, _ in windows[1:]]

    def test_distant_windows_are_not_merged(self, sandbox: Sandbox) -> None:
        old, new = NOW - 70 * DAY, NOW - DAY
        ids = [add(sandbox, "amperity", old), add(sandbox, "amperity", new)]
        windows = [select(moment, moment + HOUR, feed_id="df-1") for moment in (old, new)]
        assert picked(AmperityHook(), *windows) == [[ids[0]], [ids[1]]]
        assert len(sandbox.requests("amperity")) == 2

    def test_other_nouns(self, sandbox: Sandbox) -> None:
        tables = [{"feed_id": "df-1", "table_name": "A"}, {"feed_id": "df-2", "table_name": "B"}]
        both = add(sandbox, "amperity", NOW - HOUR, tables=tables, workflow_id="wf-1")
        other = add(sandbox, "amperity", NOW - HOUR / 2, tables=tables[:1], workflow_id="wf-2")
        hook = AmperityHook()
        assert picked(hook, select(table_name="B"), select(workflow_id="wf-2")) == [[both], [other]]
        assert picked(hook, select(table_name="A", workflow_id=["wf-1", "wf-2"])) == [[both, other]]
        assert picked(hook, select(table_name="B", workflow_id="wf-2")) == [[]]

    def test_a_job_that_two_windows_list_counts_once(self, sandbox: Sandbox, monkeypatch: Any) -> None:
        job_id = add(sandbox, "amperity", NOW - HOUR)
        hook = AmperityHook()
        listed = list(hook.list_jobs(NOW - DAY, NOW))
        # Amperity gives a job again in another window, as its clock and its lists please.
        monkeypatch.setattr(hook, "list_window", lambda *window: [*listed, *listed])
        assert picked(hook, select(NOW - DAY, NOW + HOUR, {"min_jobs": 2}, feed_id="df-1")) == [[job_id]]


class TestAdverity:
    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(ADVERITY.name)

    def test_running_scheduled_and_past_jobs_together(self, sandbox: Sandbox) -> None:
        past = add(sandbox, "adverity", NOW - 3 * HOUR)
        running = sandbox.add_job("adverity", timeline=[(-60, "Running")])
        scheduled = sandbox.add_job("adverity", timeline=[(-30, "Scheduled")])
        add(sandbox, "adverity", NOW - 30 * DAY)
        assert picked(AdverityHook(), select(datastream_id=42)) == [[past, running, scheduled]]

    def test_all_pages_are_read(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(ADVERITY.name, extra={"page_size": 50})
        ids = [add(sandbox, "adverity", NOW - HOUR - number * timedelta(seconds=1)) for number in range(130)]
        assert picked(AdverityHook(), select(datastream_id=42)) == [ids[::-1]]
        assert len(sandbox.requests("adverity")) == 1 + 3


class TestAdverityWhateverThePastRangeIsAbout:
    """Which time of past jobs ``start`` and ``end`` are about is not published."""

    @pytest.fixture(params=["scheduled", "job_start", "job_end", "range_start"])
    def sandbox(self, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
        class Filtering(Adverity):
            past_range_field = request.param

        with Sandbox(clock=NOW.timestamp, vendors=[Filtering]) as sandbox:
            yield sandbox

    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(ADVERITY.name)

    def add(self, sandbox: Sandbox, *steps: tuple[datetime, str], **fields: Any) -> str:
        timeline = [((at - NOW).total_seconds(), word) for at, word in steps]
        return sandbox.add_job("adverity", timeline=timeline, fields=fields)

    def test_who_started_in_the_window_and_ended_behind_it(self, sandbox: Sandbox) -> None:
        start, end = NOW - 30 * DAY, NOW - 30 * DAY + HOUR
        within = self.add(sandbox, (start, "Running"), (start + HOUR / 2, "Success"))
        behind = self.add(sandbox, (end - HOUR / 4, "Running"), (end + HOUR, "Failed"))
        today = self.add(sandbox, (end - HOUR / 5, "Running"), (NOW - HOUR, "Success"))
        self.add(sandbox, (start - HOUR, "Running"), (start + HOUR / 2, "Failed"))
        self.add(sandbox, (end, "Running"), (end + HOUR, "Failed"))
        assert picked(AdverityHook(), select(start, end, datastream_id=42)) == [[within, behind, today]]
        found = [select(start, end, datastream_id=42), select(start, end, datastream_id=43)]
        assert picked(AdverityHook(), *found) == [[within, behind, today], []]

    def test_who_was_planned_before_the_window(self, sandbox: Sandbox) -> None:
        start, end = NOW - 5 * HOUR, NOW - HOUR
        waited = self.add(
            sandbox, (start - 2 * DAY, "Scheduled"), (start, "Running"), (start + HOUR, "Failed")
        )
        assert picked(AdverityHook(), select(start, end, datastream_id=42)) == [[waited]]

    def test_who_was_planned_in_the_window_and_never_started(self, sandbox: Sandbox) -> None:
        start, end = NOW - 4 * DAY, NOW - 3 * DAY
        steps = ((start, "Scheduled"), (start + 2 * DAY, "Discarded"))
        discarded = self.add(sandbox, *steps, job_start=None)
        assert picked(AdverityHook(), select(start, end, datastream_id=42)) == [[discarded]]

    def test_who_was_called_off_before_the_planned_start(self, sandbox: Sandbox) -> None:
        tomorrow = datetime.now(UTC).replace(microsecond=0) + DAY
        called_off = self.add(sandbox, (NOW, "Discarded"), scheduled=tomorrow.isoformat(), job_start=None)
        window = select(NOW, tomorrow + HOUR, datastream_id=42)
        assert picked(AdverityHook(), window) == [[called_off]]

    def test_a_fetch_of_the_last_month(self, sandbox: Sandbox) -> None:
        start = NOW - 5 * HOUR
        since = (start - 31 * DAY).isoformat()
        backfill = self.add(sandbox, (start, "Running"), (start + HOUR, "Failed"), range_start=since)
        assert picked(AdverityHook(), select(start, NOW, datastream_id=42)) == [[backfill]]

    def test_distant_windows_take_one_list(self, sandbox: Sandbox) -> None:
        days = [NOW - number * DAY for number in (50, 30, 10)]
        ids = [self.add(sandbox, (day, "Running"), (day + HOUR, "Success")) for day in days]
        windows = [select(day, day + HOUR, datastream_id=42) for day in days]
        assert picked(AdverityHook(), *windows) == [[job_id] for job_id in ids]
        assert len(sandbox.requests()) == 2


class TestAdverityDatastream:
    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(ADVERITY.name)

    def asked(self, sandbox: Sandbox) -> list[list[str] | None]:
        return [query.get("datastream_id") for query in queries(sandbox, "adverity")]

    @pytest.mark.parametrize("value", [42, "42", [42]])
    def test_one_that_all_share_is_sent(self, sandbox: Sandbox, value: Any) -> None:
        mine = add(sandbox, "adverity", NOW - 2 * HOUR)
        add(sandbox, "adverity", NOW - HOUR, datastream_id=43)
        windows = [select(datastream_id=value), select(NOW - HOUR, datastream_id=value)]
        assert picked(AdverityHook(), *windows) == [[mine], []]
        # For the current jobs and for the past ones.
        assert self.asked(sandbox) == [["42"], ["42"]]

    def test_several_are_not(self, sandbox: Sandbox) -> None:
        first = add(sandbox, "adverity", NOW - 2 * HOUR)
        second = add(sandbox, "adverity", NOW - HOUR, datastream_id=43)
        assert picked(AdverityHook(), select(datastream_id=[42, 43])) == [[first, second]]
        both = [select(datastream_id=42), select(datastream_id=43)]
        assert picked(AdverityHook(), *both) == [[first], [second]]
        # That the parameter may repeat is not documented.
        assert self.asked(sandbox) == [None] * 4


class TestNarrative:
    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(NARRATIVE.name)

    def test_distant_windows_take_one_list(self, sandbox: Sandbox) -> None:
        days = [NOW - number * DAY for number in (5, 3, 1)]
        ids = [add(sandbox, "narrative", day) for day in days]
        windows = [select(day, day + HOUR, dataset_id=10674) for day in days]
        assert picked(NarrativeHook(), *windows) == [[job_id] for job_id in ids]
        assert len(sandbox.requests()) == 1

    def test_tags_are_narrative_s_to_judge_and_are_kept_apart(self, sandbox: Sandbox) -> None:
        daily = add(sandbox, "narrative", NOW - 2 * HOUR, tags=["daily", "eu"])
        weekly = add(sandbox, "narrative", NOW - HOUR, tags=["weekly"])
        selections = [select(tags="daily"), select(tags="weekly"), select(tags=["daily", "weekly"])]
        assert picked(NarrativeHook(), *selections) == [[daily], [weekly], [daily, weekly]]
        asked = sorted(query["tag"] for query in queries(sandbox, "narrative"))
        assert asked == [["daily"], ["daily", "weekly"], ["weekly"]]

    def test_tags_do_not_narrow_who_did_not_ask_for_them(self, sandbox: Sandbox) -> None:
        tagged = add(sandbox, "narrative", NOW - 2 * HOUR, dataset_id=1, tags=["daily"])
        plain = add(sandbox, "narrative", NOW - HOUR, dataset_id=1)
        selections = [select(dataset_id=1), select(dataset_id=1, tags="daily")]
        assert picked(NarrativeHook(), *selections) == [[tagged, plain], [tagged]]

    def test_several_job_types(self, sandbox: Sandbox) -> None:
        kinds = ("materialize-view", "nql-forecast", "datasets_sample")
        ids = [
            add(sandbox, "narrative", NOW - HOUR + number * timedelta(minutes=1), type=kind)
            for number, kind in enumerate(kinds)
        ]
        assert picked(NarrativeHook(), select(job_type=list(kinds[:2]))) == [ids[:2]]
        assert queries(sandbox, "narrative")[0]["type"] == sorted(kinds[:2])

    def test_what_all_have_in_common_is_left_to_narrative(self, sandbox: Sandbox) -> None:
        mine = add(sandbox, "narrative", NOW - HOUR, dataset_id=7)
        add(sandbox, "narrative", NOW - HOUR, dataset_id=8)
        assert picked(NarrativeHook(), select(dataset_id=7), select(dataset_id=7, job_type="x")) == [
            [mine],
            [],
        ]
        (query,) = queries(sandbox, "narrative")
        assert query["dataset_id"] == ["7"]
        assert "type" not in query

    def test_pages_are_read_back_to_the_window_s_start_only(self, sandbox: Sandbox) -> None:
        for number in range(600):
            add(sandbox, "narrative", NOW - 10 * DAY - number * timedelta(minutes=1), dataset_id=1)
        mine = add(sandbox, "narrative", NOW - HOUR, dataset_id=7)
        assert picked(NarrativeHook(), select(job_type="materialize-view"))[0] == [mine]
        assert len(sandbox.requests("narrative")) == 1
        start = NOW - 11 * DAY
        assert len(picked(NarrativeHook(), select(start, NOW, job_type="materialize-view"))[0]) == 601
        assert len(sandbox.requests("narrative")) == 3


class TestPolaris:
    @pytest.fixture(autouse=True)
    def _connection(self, connections: Connections) -> None:
        connections.add(POLARIS.name)

    def test_types_and_health(self, sandbox: Sandbox) -> None:
        batch = add(sandbox, "polaris", NOW - 3 * HOUR, type="batch")
        stream = add(sandbox, "polaris", NOW - 2 * HOUR, type="streaming", health={"status": "error"})
        selections = [select(job_type="batch"), select(health_status="error"), select(table_name="Events")]
        assert picked(PolarisHook(), *selections) == [[batch], [stream], [batch, stream]]
        assert len(sandbox.requests("polaris")) == 1

    def test_only_jobs_of_the_project(self, sandbox: Sandbox) -> None:
        mine = add(sandbox, "polaris", NOW - HOUR, project_id="other")
        add(sandbox, "polaris", NOW - HOUR)
        assert picked(PolarisHook(project_id="other"), select(table_name="Events")) == [[mine]]


def test_what_the_lists_leave_out_of_an_ended_job_is_read_by_id(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add(ADVERITY.name)
    timeline = [(-120.0, "Running"), (-60.0, "Failed")]
    sandbox.add_job("adverity", timeline=timeline, failure="The source's quota is used up")
    (listed,) = AdverityHook().select_jobs([select(datastream_id=42)]).popitem()[1].jobs
    # None in the list is not zero.
    assert listed.details["issues"] is None
    whole = AdverityHook().add_details(listed)
    assert (whole.details["issues"], whole.failure) == (1, "The source's quota is used up")


def test_a_job_that_another_s_end_moves_to_a_page_that_was_read_is_found(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add(ADVERITY.name, extra={"page_size": 2})
    ended, other, mine = (
        sandbox.add_job("adverity", timeline=[(-60.0, "Running")], fields={"datastream_id": 42})
        for _ in range(3)
    )
    records = {job.id: job.raw for job in AdverityHook().list_jobs()}
    first_page = {
        "count": 3,
        "next": f"{sandbox.url}/api/jobs/?datastream_id=42&page=2&page_size=2",
        "results": [records[ended], records[other]],
    }
    sandbox.add_fault(Fault("adverity", "GET", "^/api/jobs/$", status=200, body=first_page))
    sandbox.remove_job("adverity", ended)
    (found,) = picked(AdverityHook(), select(datastream_id=42))
    assert {other, mine} <= set(found)
