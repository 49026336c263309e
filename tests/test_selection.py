# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a selection picks, and when it is done or hopeless."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.selection import Selection, freeze_filters, matches, merge_windows, pick_all
from airflow_provider_ingestjobs.vendors import Vendor

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 3, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def job(job_id: str = "a", started: datetime | None = START, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "vendor": "Amperity",
        "id": job_id,
        "state": JobState.SUCCEEDED,
        "vendor_state": "succeeded",
        "started_at": started,
        "ended_at": started and started + SECOND,
        "target": "Table",
        "details": {"feed_ids": ["df-1", "df-2"], "table_names": ["Table"], "workflow_id": "wf-1"},
    }
    return Job(**fields | changes)


def selection(**changes: Any) -> Selection:
    fields: dict[str, Any] = {"filters": (("feed_id", "df-1"),), "started_from": START, "started_to": END}
    return Selection(**fields | changes)


VENDOR = Vendor(
    conn_type="acme",
    name="Acme",
    hook="",
    doc_url="",
    filters={
        "feed_id": "feed_ids",
        "table_name": "table_names",
        "workflow_id": "workflow_id",
        "tags": None,
    },
)


class TestPick:
    @pytest.mark.parametrize(
        ("started", "picked"),
        [
            (START - timedelta(microseconds=1), False),
            (START, True),
            (END - timedelta(microseconds=1), True),
            (END, False),
            (None, False),
        ],
    )
    def test_the_start_is_in_the_window_and_its_end_is_not(
        self, started: datetime | None, picked: bool
    ) -> None:
        assert [found.id for found in selection().pick([job(started=started)], VENDOR)] == ["a"] * picked

    def test_where_there_is_no_start_the_creation_counts(self) -> None:
        created = job(started=None, created_at=START)
        assert selection().pick([created], VENDOR) == [created]

    def test_a_job_that_starts_behind_its_window_stays_selected(self) -> None:
        waiting, running = job(created_at=START), job(started=END, created_at=START)
        assert selection().pick([waiting], VENDOR) == [waiting]
        assert selection().pick([running], VENDOR) == [running]

    def test_a_job_that_was_planned_before_its_window_and_starts_in_it_is_selected(self) -> None:
        planned = job(started=START, created_at=START - SECOND)
        assert selection().pick([planned], VENDOR) == [planned]

    def test_a_window_may_be_about_the_creation_alone(self) -> None:
        by_creation = replace(VENDOR, window=("created_at",))
        assert selection().pick([job(started=START, created_at=START - SECOND)], by_creation) == []
        assert len(selection().pick([job(started=END, created_at=START)], by_creation)) == 1

    def test_a_job_that_was_picked_stays_selected_whatever_changes(self) -> None:
        moved = job(started=END + SECOND, created_at=END, details={"feed_ids": ["another"]})
        assert selection().pick([moved], VENDOR) == []
        assert selection().pick([moved], VENDOR, {moved.id}) == [moved]

    def test_one_whose_record_has_lost_its_times_stays_too(self) -> None:
        lost = job("a", started=None, created_at=None, state=JobState.RUNNING, ended_at=None)
        picked = selection().pick([lost, job("b")], VENDOR, {"a"})
        assert [one.id for one in picked] == ["b", "a"]
        assert not selection().is_done(picked, END)
        assert selection().is_done([replace(lost, state=JobState.FAILED)], END)

    def test_one_that_is_superseded_does_not(self) -> None:
        first, rerun = job("a", target="T"), job("b", START + SECOND, target="T")
        assert selection(latest_only=True).pick([first, rerun], VENDOR, {"a"}) == [rerun]

    def test_jobs_without_a_target_do_not_share_one(self) -> None:
        two = [job("a", target=None), job("b", target=None)]
        assert selection(latest_only=True).pick(two, VENDOR) == two

    def test_jobs_come_by_their_start_whatever_the_list_s_order(self) -> None:
        jobs = [job(str(number), START + number * SECOND) for number in (3, 1, 2)]
        assert [found.id for found in selection().pick(jobs, VENDOR)] == ["1", "2", "3"]

    def test_latest_only_keeps_the_newest_of_each_target_by_start(self) -> None:
        rows = [("b0", 1, "B"), ("a2", 3, "A"), ("b1", 2, "B"), ("a1", 0, "A")]
        jobs = [job(name, START + number * SECOND, target=target) for name, number, target in rows]
        assert [found.id for found in selection(latest_only=True).pick(jobs, VENDOR)] == ["b1", "a2"]

    @pytest.mark.parametrize(
        ("filters", "fit"),
        [
            ({"feed_id": "df-2"}, True),
            ({"feed_id": "df-3"}, False),
            ({"feed_id": ["df-3", "df-1"]}, True),
            ({"feed_id": "df-1", "workflow_id": "wf-1"}, True),
            ({"feed_id": "df-1", "workflow_id": "wf-2"}, False),
            # Only the vendor knows the tags, and its list has been asked for them.
            ({"tags": "daily"}, True),
        ],
    )
    def test_all_nouns_must_have_any_of_their_values(self, filters: dict[str, Any], fit: bool) -> None:
        assert bool(selection(filters=freeze_filters(filters)).pick([job()], VENDOR)) is fit

    def test_a_number_and_its_text_are_the_same_value(self) -> None:
        narrative = job(details={"dataset_id": 42})
        assert all(
            matches(narrative, *freeze_filters({"dataset_id": value})[0]) for value in (42, "42", [42])
        )
        assert not matches(narrative, "dataset_id", "4")

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from("xyz"), max_size=2),
                st.sampled_from(["T", "U", None]),
                st.integers(-1, 3),
            ),
            max_size=12,
        ),
        st.lists(
            st.dictionaries(
                st.sampled_from(["feed_id", "table_name", "tags"]),
                st.sampled_from(["x", "T", ["x", "y"], ["T", "U"]]),
                min_size=1,
            ),
            min_size=1,
            max_size=6,
        ),
    )
    def test_many_at_once_pick_what_each_alone_does(
        self, rows: list[tuple[list[str], str | None, int]], filters: list[dict[str, Any]]
    ) -> None:
        jobs = [
            job(
                str(number),
                START + hours * timedelta(hours=12),
                details={"feed_ids": feeds, "table_names": [table] if table else []},
            )
            for number, (feeds, table, hours) in enumerate(rows)
        ]
        selections = [selection(filters=freeze_filters(one)) for one in filters]
        by_id = {one.id: one for one in jobs}
        assert pick_all(selections, by_id, VENDOR, {}) == {one: one.pick(jobs, VENDOR) for one in selections}


class TestDone:
    def test_not_before_enough_jobs_have_ended(self) -> None:
        wants_two = selection(min_jobs=2)
        running = job("b", state=JobState.RUNNING, ended_at=None)
        unknown = job("b", state=JobState.UNKNOWN, ended_at=None)
        assert not wants_two.is_done([], END)
        assert not wants_two.is_done([job()], END)
        assert not wants_two.is_done([job(), running], END)
        assert not wants_two.is_done([job(), unknown], END)
        assert wants_two.is_done([job(), job("b")], END)

    def test_settle_counts_from_the_last_end(self) -> None:
        patient = selection(settle=60.0)
        picked = [job(), job("b", START + 30 * SECOND)]
        done_at = START + 91 * SECOND
        assert patient.next_look(picked, END, START, 300) == done_at
        assert not patient.is_done(picked, done_at - timedelta(microseconds=1))
        assert patient.is_done(picked, done_at)

    def test_an_ended_job_without_an_end_does_not_hold_up_for_ever(self) -> None:
        # Adverity discards what never ran; with settle counted from "now" it would never have passed.
        patient = selection(settle=60.0)
        picked = [job(ended_at=None)]
        due = patient.next_look(picked, END, START, 300)
        assert due is not None
        assert patient.is_done(picked, due)

    def test_a_job_called_off_before_its_planned_start_is_not_waited_for(self) -> None:
        planned = job(started=None, created_at=END, state=JobState.CANCELLED, ended_at=None)
        assert selection().is_done([planned], START + SECOND)

    def test_a_vendor_s_clock_that_is_ahead_holds_nothing_up(self) -> None:
        assert selection().is_done([job(ended_at=END)], START + SECOND)

    def test_a_failure_that_is_borne_holds_it_up(self) -> None:
        failed = job("b", state=JobState.FAILED)
        borne_until = START + 60 * SECOND
        assert selection().next_look([job(), failed], END, START, 300, borne_until) == borne_until
        assert not selection().is_done([job(), failed], borne_until - timedelta(microseconds=1), borne_until)
        assert selection().is_done([job(), failed], borne_until, borne_until)

    def test_settle_may_last_longer_than_that(self) -> None:
        patient, failed = selection(settle=60.0), job(state=JobState.FAILED)
        done_at = START + 61 * SECOND
        assert patient.next_look([failed], END, START, 300, START + 30 * SECOND) == done_at
        assert not patient.is_done([failed], done_at - SECOND, START + 30 * SECOND)

    def test_while_jobs_run_only_news_can_change_anything(self) -> None:
        running = job(state=JobState.RUNNING, ended_at=None)
        assert selection().next_look([running], END, START, 300) is None


class TestTooLate:
    def test_it_lasts_for_the_window_and_the_grace_after_it(self) -> None:
        hopeless_from = END + timedelta(minutes=5)
        assert selection().next_look([], START, START, 300) == hopeless_from
        assert not selection().is_too_late([], hopeless_from - SECOND, START, 300)
        assert selection().is_too_late([], hopeless_from, START, 300)

    def test_a_wait_that_begins_late_has_the_grace_too(self) -> None:
        began = END + timedelta(days=90)
        assert not selection().is_too_late([], began + 299 * SECOND, began, 300)
        assert selection().is_too_late([], began + 300 * SECOND, began, 300)

    def test_some_are_not_enough(self) -> None:
        assert selection(min_jobs=2).is_too_late([job()], END + timedelta(hours=1), START, 300)

    def test_enough_that_still_run_are_waited_for(self) -> None:
        running = job(state=JobState.RUNNING, ended_at=None)
        assert not selection().is_too_late([running], END + timedelta(days=30), START, 300)


class TestJson:
    def test_a_selection_survives_json_and_equals_itself_in_any_zone(self) -> None:
        berlin = pendulum.timezone("Europe/Berlin")
        given_ = selection(
            filters=freeze_filters({"table_name": ["B", "A"], "feed_id": "df-1"}),
            started_from=START.astimezone(berlin),
            min_jobs=3,
            settle=1.5,
            latest_only=True,
        )
        read = Selection.from_dict(json.loads(json.dumps(given_.to_dict())))
        assert read == given_
        # Equal ones are served as one.
        assert len({read, given_}) == 1

    def test_order_and_kind_of_collection_make_no_other_filter(self) -> None:
        one = freeze_filters({"a": ["x", "y"], "b": 1, "c": None})
        assert one == freeze_filters({"b": "1", "a": ("y", "x")}) == (("a", ("x", "y")), ("b", "1"))
        assert hash(one)


class TestMergeWindows:
    @staticmethod
    def hours(*pairs: tuple[int, int]) -> list[tuple[datetime, datetime]]:
        return [
            (START + start * timedelta(hours=1), START + end * timedelta(hours=1)) for start, end in pairs
        ]

    @pytest.mark.parametrize(
        ("given_", "merged"),
        [
            ([(0, 2), (1, 3)], [(0, 3)]),
            ([(0, 1), (1, 2)], [(0, 2)]),
            ([(0, 9), (1, 2)], [(0, 9)]),
            ([(5, 6), (0, 1)], [(0, 1), (5, 6)]),
            ([(0, 1), (0, 1)], [(0, 1)]),
            ([], []),
        ],
    )
    def test_only_what_overlaps_or_touches(
        self, given_: list[tuple[int, int]], merged: list[tuple[int, int]]
    ) -> None:
        assert merge_windows(self.hours(*given_)) == self.hours(*merged)
