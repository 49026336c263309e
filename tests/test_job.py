# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The one shape of a job."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_ingestjobs.arguments import check_job_id, to_states
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts, fold_states, parse_timestamp

FULL = Job(
    vendor="Amperity",
    id="isj-1",
    state=JobState.SUCCEEDED,
    vendor_state="succeeded",
    name="df-1",
    target="Customers",
    created_at=datetime(2026, 1, 31, 1, tzinfo=UTC),
    started_at=datetime(2026, 1, 31, 2, tzinfo=UTC),
    ended_at=datetime(2026, 1, 31, 2, 30, 0, 500_000, tzinfo=UTC),
    updated_at=datetime(2026, 1, 31, 3, tzinfo=UTC),
    rows=RowCounts(read=10, inserted=8, updated=0, rejected=1, errors=1),
    failure="none at all",
    progress=1.0,
    url="https://example.com/jobs/isj-1",
    details={"workflow_id": "wf-1", "feed_ids": ["df-1"]},
    raw={"id": "isj-1", "tables": []},
)


class TestStates:
    @pytest.mark.parametrize("state", JobState)
    def test_only_ends_are_terminal(self, state: JobState) -> None:
        ends = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED}
        assert state.is_terminal == (state in ends)

    def test_a_state_is_its_lower_case_word(self) -> None:
        assert json.dumps(JobState.SUCCEEDED) == '"succeeded"'

    @pytest.mark.parametrize(
        ("parts", "whole"),
        [
            # design.md: "no tables yet -> PENDING"
            ("", "pending"),
            # "not terminal (RUNNING if any runs or some are done, else PENDING; ..."
            ("pending", "pending"),
            ("pending pending", "pending"),
            ("running", "running"),
            ("pending running", "running"),
            ("pending succeeded", "running"),
            ("pending failed", "running"),
            ("pending skipped", "running"),
            ("pending cancelled", "running"),
            ("running failed", "running"),
            # "... CANCELLING if any is stopping)"
            ("cancelling", "cancelling"),
            ("cancelling pending", "cancelling"),
            ("cancelling running failed succeeded", "cancelling"),
            ("cancelling unknown", "cancelling"),
            # "all terminal -> FAILED if any failed, else CANCELLED if any was cancelled, else SUCCEEDED"
            ("failed", "failed"),
            ("failed cancelled succeeded skipped", "failed"),
            ("cancelled succeeded skipped", "cancelled"),
            ("succeeded succeeded", "succeeded"),
            ("succeeded skipped", "succeeded"),
            # "(SKIPPED if all were skipped)"
            ("skipped skipped", "skipped"),
            # "An unlisted word is UNKNOWN: not terminal"
            ("unknown", "unknown"),
            ("unknown succeeded", "unknown"),
            ("unknown failed", "unknown"),
        ],
    )
    def test_fold(self, parts: str, whole: str) -> None:
        states = [JobState(part) for part in parts.split()]
        assert fold_states(states) is JobState(whole)
        assert fold_states(states[::-1]) is JobState(whole)

    def test_states_by_name(self) -> None:
        assert to_states("expected_states", "Succeeded") == {JobState.SUCCEEDED}
        assert to_states("expected_states", ["SKIPPED", JobState.FAILED]) == {
            JobState.SKIPPED,
            JobState.FAILED,
        }

    @pytest.mark.parametrize("states", [[], ["done"], "done", [None], [1]])
    def test_no_states(self, states: object) -> None:
        with pytest.raises(InvalidInput, match=r"expected_states=.*succeeded"):
            to_states("expected_states", states)  # type: ignore[arg-type]  # as a user may write it


class TestJson:
    @pytest.mark.parametrize("include_raw", [False, True])
    def test_round_trip_through_json(self, include_raw: bool) -> None:
        data = json.loads(json.dumps(FULL.to_dict(include_raw=include_raw)))
        again = Job.from_dict(data)
        assert again == FULL
        assert again.raw == (FULL.raw if include_raw else None)
        assert again.to_dict(include_raw=include_raw) == data

    def test_round_trip_of_a_job_that_says_nothing(self) -> None:
        job = Job("Narrative", "1", JobState.PENDING, "pending")
        assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job

    def test_what_the_dict_has(self) -> None:
        assert FULL.to_dict() == {
            "vendor": "Amperity",
            "id": "isj-1",
            "state": "succeeded",
            "vendor_state": "succeeded",
            "name": "df-1",
            "target": "Customers",
            "created_at": "2026-01-31T01:00:00+00:00",
            "started_at": "2026-01-31T02:00:00+00:00",
            "ended_at": "2026-01-31T02:30:00.500000+00:00",
            "updated_at": "2026-01-31T03:00:00+00:00",
            "duration": 1800.5,
            "rows": {"read": 10, "inserted": 8, "updated": 0, "rejected": 1, "errors": 1},
            "failure": "none at all",
            "progress": 1.0,
            "url": "https://example.com/jobs/isj-1",
            "details": {"workflow_id": "wf-1", "feed_ids": ["df-1"]},
        }

    def test_plain_types_only(self) -> None:
        assert type(FULL.to_dict()["state"]) is str

    @pytest.mark.parametrize("data", [{}, {"vendor": "x", "id": "1", "state": "done", "vendor_state": "x"}])
    def test_not_a_job(self, data: dict[str, str]) -> None:
        with pytest.raises((KeyError, ValueError, TypeError)):
            Job.from_dict(data)


class TestWhatItSays:
    def test_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            FULL.state = JobState.FAILED  # type: ignore[misc]  # that it cannot be set is the point

    def test_duration(self) -> None:
        assert FULL.duration == 1800.5
        assert dataclasses.replace(FULL, started_at=None).duration == 5400.5
        assert dataclasses.replace(FULL, started_at=None, created_at=None).duration is None
        assert dataclasses.replace(FULL, ended_at=None).duration is None

    def test_describe(self) -> None:
        assert FULL.describe() == (
            "succeeded (vendor says 'succeeded'), rows: 10 read, 8 inserted, 0 updated, 1 rejected, 1 errors"
        )
        running = Job("Adverity", "1", JobState.RUNNING, "Running", progress=0.426)
        assert running.describe() == "running (vendor says 'Running'), 43% done"

    def test_raw_stays_out_of_the_repr(self) -> None:
        assert "tables" not in repr(FULL)

    def test_no_rows_counted(self) -> None:
        assert str(RowCounts()) == "no counts"


class TestTimestamps:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2023-10-31T11:19:13.400498", datetime(2023, 10, 31, 11, 19, 13, 400_498, UTC)),
            ("2024-06-01T04:02:54.433Z", datetime(2024, 6, 1, 4, 2, 54, 433_000, UTC)),
            ("2022-08-09T22:34:46.716017658Z", datetime(2022, 8, 9, 22, 34, 46, 716_017, UTC)),
            ("2024-06-01T06:02:54+02:00", datetime(2024, 6, 1, 4, 2, 54, 0, UTC)),
            ("2024-06-01", datetime(2024, 6, 1, tzinfo=UTC)),
        ],
    )
    def test_read_in_utc(self, text: str, moment: datetime) -> None:
        read = parse_timestamp(text)
        assert read == moment
        assert read is not None
        assert read.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "value", [None, "", "soon", 5, {}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-12:00"]
    )
    def test_what_is_no_timestamp_is_none(self, value: object) -> None:
        assert parse_timestamp(value) is None

    def test_any_zone_becomes_utc(self) -> None:
        moment = parse_timestamp("2024-01-01T00:00:00-05:00")
        assert moment is not None
        assert moment.isoformat() == "2024-01-01T05:00:00+00:00"


class TestJobIds:
    @pytest.mark.parametrize(
        "job_id",
        ["isj-20240701-48815-6dcXdk", "4711", "efb35e3e-406e-4127-ad2e-280fede4f431", "a:b", "x" * 256, "…"],
    )
    def test_good(self, job_id: str) -> None:
        assert check_job_id(job_id) == job_id

    def test_a_number_from_an_upstream_task_is_text(self) -> None:
        assert check_job_id(4711) == "4711"

    @pytest.mark.parametrize(
        "job_id",
        [
            "",
            " ",
            "\n",
            "a/b",
            "a?b",
            "a#b",
            "../x",
            "..",
            ".",
            "a b",
            "a\\b",
            "a%2Fb",
            "a\nb",
            "a\x00b",
            "a&b",
        ],
    )
    def test_bad(self, job_id: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_job_id(job_id)
        assert caught.value.field == "job_id"
        assert repr(job_id) in str(caught.value)
        assert "cannot be used: " in str(caught.value)

    @pytest.mark.parametrize("job_id", [None, True, 1.5, b"4711", ["4711"], {"id": 1}])
    def test_not_text(self, job_id: object) -> None:
        with pytest.raises(InvalidInput, match=r"job_id=.*give the vendor's id as text"):
            check_job_id(job_id)

    def test_too_long_is_refused_and_shown_in_part(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_job_id("x" * 10_000)
        assert len(str(caught.value)) < 300
