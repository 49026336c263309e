# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A load that is far off is told from those that only vary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.ui.usual import MIN_JOBS, usual_by_target, what_is_unusual

START = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = [48_210, 51_004, 47_900, 49_870, 50_511, 52_230, 46_800]


def load(rows: int | None, seconds: float = 60.0, state: JobState = JobState.SUCCEEDED, **more: Any) -> Job:
    return Job(
        vendor="Amperity",
        id="j-1",
        state=state,
        vendor_state=state.value,
        target="Stores",
        started_at=START,
        ended_at=START + timedelta(seconds=seconds),
        rows=RowCounts(read=rows),
        **more,
    )


def unusual(job: Job, jobs: list[Job]) -> list[str]:
    return [one.what for one in what_is_unusual(job, usual_by_target(jobs).get("Stores", {}))]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(49_000, []), (52_900, []), (12_000, ["rows"]), (0, ["rows"]), (140_000, ["rows"]), (None, [])],
)
def test_rows(rows: int | None, expected: list[str]) -> None:
    assert unusual(load(rows), [load(one) for one in WEEK]) == expected


def test_duration() -> None:
    week = [load(None, seconds) for seconds in (60, 64, 58, 61, 70, 66)]
    assert unusual(load(None, 65), week) == []
    assert unusual(load(None, 600), week) == ["duration"]


def test_few_jobs_tell_nothing() -> None:
    assert unusual(load(1), [load(one) for one in WEEK[: MIN_JOBS - 1]]) == []
    assert unusual(load(1), [load(one) for one in WEEK[:MIN_JOBS]]) == ["rows"]


def test_of_jobs_that_are_all_alike_a_small_change_is_none() -> None:
    alike = [load(1000) for _ in range(20)]
    assert unusual(load(1100), alike) == []
    assert unusual(load(1500), alike) == ["rows"]


def test_failures_are_neither_judged_nor_a_measure() -> None:
    failed = [load(5, state=JobState.FAILED) for _ in range(20)]
    assert unusual(load(50_000), failed) == []
    assert unusual(load(5, state=JobState.FAILED), [load(one) for one in WEEK]) == []


def test_the_rows_of_a_vendor_that_counts_none_read() -> None:
    written = RowCounts(inserted=3, updated=4)
    assert Job("V", "1", JobState.SUCCEEDED, "ok", rows=written).rows.size == 7
    assert Job("V", "1", JobState.SUCCEEDED, "ok").rows.size is None
