# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What of a window's jobs a page shows, in which order, and who waits for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.ui.jobs import (
    PAGE_SIZE,
    SORTS,
    Query,
    page_of,
    plots_of,
    row_of,
    waits_by_job,
)
from airflow_provider_ingestjobs.ui.waits import TaskKey, TaskWait
from airflow_provider_ingestjobs.vendors import AMPERITY, NARRATIVE
from airflow_provider_ingestjobs.wait_record import WaitRecord

START = datetime(2026, 3, 1, tzinfo=UTC)


def job(number: int, state: JobState = JobState.SUCCEEDED, **more: Any) -> Job:
    began = START + timedelta(hours=number)
    given = {
        "vendor": "Amperity",
        "id": f"j-{number}",
        "state": state,
        "vendor_state": state.value,
        "target": "Stores" if number % 2 else "Customers",
        "started_at": began,
        "ended_at": began + timedelta(minutes=number) if state.is_terminal else None,
        "rows": RowCounts(read=number * 100, errors=number % 3),
        "details": {"feed_ids": [f"df-{number}"], "workflow_id": f"w-{number}"},
    }
    return Job(**{**given, **more})


JOBS = [job(number) for number in range(4)] + [
    job(4, JobState.FAILED, failure="Column ZIP is missing"),
    job(5, JobState.RUNNING),
]


def ids(query: Query, jobs: list[Job] = JOBS) -> list[str]:
    return [one.id for one in page_of(jobs, query).jobs]


def query(**given: Any) -> Query:
    return Query.of(**{"states": (), "target": "", "text": "", "sort": "-started_at", "page": 1, **given})


def test_the_newest_come_first() -> None:
    assert ids(query()) == ["j-5", "j-4", "j-3", "j-2", "j-1", "j-0"]


def test_filters() -> None:
    assert ids(query(states=("failed", "running"))) == ["j-5", "j-4"]
    assert ids(query(target="Stores")) == ["j-5", "j-3", "j-1"]
    assert ids(query(text="zip IS")) == ["j-4"]
    assert ids(query(text="w-3")) == ["j-3"]
    assert ids(query(text=" DF-2 ")) == ["j-2"]
    assert ids(query(text="nothing of the kind")) == []


def test_the_counts_of_states_ignore_the_wanted_states_alone() -> None:
    page = page_of(JOBS, query(states=("failed",), target="Customers"))
    assert (page.total, page.states) == (1, {"succeeded": 2, "failed": 1})
    assert page.targets == ["Customers", "Stores"]


@pytest.mark.parametrize("sort", SORTS)
def test_every_column_sorts_both_ways_and_lacks_nothing(sort: str) -> None:
    bare = Job("Amperity", "bare", JobState.UNKNOWN, "?")
    rising, falling = ids(query(sort=sort), [*JOBS, bare]), ids(query(sort=f"-{sort}"), [*JOBS, bare])
    assert sorted(rising) == sorted(falling) == sorted([*ids(query()), "bare"])
    if sort not in ("state", "id", "started_at"):
        assert rising[-1] == falling[-1] == "bare" or sort == "bad"


def test_sorted_by_rows() -> None:
    assert ids(query(sort="read")) == ["j-0", "j-1", "j-2", "j-3", "j-4", "j-5"]
    assert ids(query(sort="-duration"))[:2] == ["j-4", "j-3"]


def test_pages() -> None:
    many = [job(number) for number in range(PAGE_SIZE + 3)]
    assert len(page_of(many, query()).jobs) == PAGE_SIZE
    last = page_of(many, query(page=2))
    assert ([one.id for one in last.jobs], last.pages, last.total) == (
        ["j-2", "j-1", "j-0"],
        2,
        PAGE_SIZE + 3,
    )
    # A page that is gone, because jobs were filtered out, is the last one.
    assert page_of(many, query(page=99)).number == 2
    assert page_of([], query(page=0)).pages == 1


@pytest.mark.parametrize(("given", "field"), [({"states": ("done",)}, "state"), ({"sort": "-size"}, "sort")])
def test_an_address_that_nobody_made(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match="use one of") as error:
        query(**given)
    assert error.value.field == field


def wait(task_id: str, target: list[str] | Selection) -> TaskWait:
    record = WaitRecord(
        hook="airflow_provider_ingestjobs.hooks.amperity.AmperityHook",
        conn_type="amperity",
        conn_id="amperity_default",
        hook_params={},
        target=target,
        started_at=START,
        deadline=START + timedelta(days=1),
    )
    return TaskWait(TaskKey("nightly", "run", task_id, -1), "deferred", record)


def selection(**filters: Any) -> Selection:
    return Selection(tuple(filters.items()), START, START + timedelta(hours=5))


def test_who_waits() -> None:
    waits = [
        wait("by_id", ["j-5", "elsewhere"]),
        wait("by_feed", selection(feed_id="df-4")),
        wait("too_early", selection(feed_id="df-5")),
        # Of another release, which knows more filters.
        wait("newer", selection(planet="Mars")),
    ]
    by_job = waits_by_job(waits, JOBS, AMPERITY)
    named = {job_id: [one.task.task_id for one in found] for job_id, found in by_job.items()}
    assert named == {"j-5": ["by_id"], "elsewhere": ["by_id"], "j-4": ["by_feed"]}


def test_a_row() -> None:
    row = row_of(job(5, JobState.RUNNING), AMPERITY, {}, [wait("by_id", ["j-5"])], may_cancel=True)
    assert row["may_cancel"] is True
    assert (
        row["what_stops"]
        == "This stops Amperity job j-5, and with it the whole workflow w-5 with everything in it."
    )
    assert row["waited_for_by"][0] == {
        "dag_id": "nightly",
        "run_id": "run",
        "task_id": "by_id",
        "map_index": -1,
        "state": "deferred",
        "since": "2026-03-01T00:00:00+00:00",
        "until": "2026-03-02T00:00:00+00:00",
    }
    assert (row["rows"]["read"], row["bad"], row["written"]) == (500, 2, None)


@pytest.mark.parametrize(
    ("state", "vendor", "may"),
    [
        (JobState.SUCCEEDED, AMPERITY, True),
        (JobState.RUNNING, NARRATIVE, True),
        (JobState.RUNNING, AMPERITY, False),
    ],
    ids=["it has ended", "its vendor stops no jobs", "its viewer may not"],
)
def test_no_button_that_could_only_fail(state: JobState, vendor: Any, may: bool) -> None:
    assert row_of(job(1, state), vendor, {}, may_cancel=may)["may_cancel"] is False


def test_plots() -> None:
    drawn = plots_of([*JOBS, job(7), job(9)], "", {})
    assert [(one["target"], len(one["points"])) for one in drawn] == [("Stores", 5), ("Customers", 3)]
    assert [point["rows"] for point in drawn[0]["points"]] == [100, 300, 500, 700, 900]
    assert drawn[0]["usual"] == {"rows": None, "duration": None}
    assert [one["target"] for one in plots_of(JOBS, "Customers", {})] == ["Customers"]
