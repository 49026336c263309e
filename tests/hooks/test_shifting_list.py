# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Lists that shift while their pages are read: nothing that was there all the time is missed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import count, islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ingestjobs.errors import Unreadable
from airflow_provider_ingestjobs.hooks.shifting_list import Page, ShiftingList

PER_PAGE = 8


def page_of(jobs: list[tuple[int, int]], offset: int) -> Page:
    page = jobs[offset : offset + PER_PAGE]
    return Page(page, is_last=offset + PER_PAGE >= len(jobs))


def read(jobs: list[tuple[int, int]], exact: bool = True) -> tuple[list[int], int]:
    """Return the ids of a list that holds still, as they are read, and how many pages that took."""
    place, seen, pages = ShiftingList("Vendor", PER_PAGE, exact), [], 0
    goes_on = True
    while goes_on:
        page = page_of(jobs, place.offset)
        seen += [job_id for job_id, _ in page.keys]
        pages += 1
        goes_on = place.go_on(page)
    return seen, pages


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("exact", [True, False])
def test_a_list_that_holds_still(size: int, exact: bool) -> None:
    jobs = [(number, -number) for number in range(size)]
    seen, pages = read(jobs, exact)
    assert sorted(set(seen)) == list(range(size))
    if not exact:
        assert len(seen) == size
        assert pages == max(-(-size // PER_PAGE), 1)


@given(
    st.integers(0, 60),
    # Between two pages: how many jobs are created, and which share of the others leaves the list.
    st.lists(st.tuples(st.integers(0, 12), st.floats(0, 0.6)), max_size=40),
    st.integers(1, PER_PAGE // 2),
    st.randoms(use_true_random=False),
)
def test_who_is_there_all_the_time_is_read(
    size: int, changes: list[tuple[int, float]], equal: int, noise: random.Random
) -> None:
    jobs = {number: number // equal for number in range(size)}
    there_all_the_time = set(jobs)
    place = ShiftingList("Vendor", PER_PAGE)
    seen: set[int] = set()
    goes_on = True
    while goes_on:
        # Those of one moment are in another order each time.
        order = sorted(jobs.items(), key=lambda job: (-job[1], noise.random()))
        page = page_of(order, place.offset)
        seen |= {job_id for job_id, _ in page.keys}
        goes_on = place.go_on(page)
        created, leaving = changes.pop() if changes else (0, 0.0)
        for number in range(created):
            jobs[size + number] = (size + number) // equal
        size += created
        for job_id in [job_id for job_id in jobs if noise.random() < leaving]:
            del jobs[job_id]
            there_all_the_time.discard(job_id)
    assert there_all_the_time <= seen


def go_on(place: ShiftingList, pages: Iterable[Page]) -> None:
    for page in pages:
        place.go_on(page)


@pytest.mark.parametrize("exact", [True, False])
def test_a_list_that_does_not_end(exact: bool) -> None:
    place = ShiftingList("Vendor", PER_PAGE, exact)
    same = Page([(number, 0) for number in range(PER_PAGE)], is_last=False)
    with pytest.raises(Unreadable, match="Vendor's list does not end"):
        go_on(place, repeat(same, 100))


@pytest.mark.parametrize("exact", [True, False])
def test_empty_pages_do_not_go_on_for_ever(exact: bool) -> None:
    with pytest.raises(Unreadable, match="Vendor's list"):
        go_on(ShiftingList("Vendor", PER_PAGE, exact), repeat(Page([], is_last=False), 1000))


@pytest.mark.parametrize("seed", range(10))
def test_equal_jobs_in_another_order_each_time_end(seed: int) -> None:
    noise = random.Random(seed)
    place = ShiftingList("Vendor", PER_PAGE)
    pages = 1
    while place.go_on(page_of([(number, 0) for number in noise.sample(range(100), 100)], place.offset)):
        pages += 1
    # Each page gets on by half of it, and some steps lead back.
    assert pages < 100


def test_a_list_in_no_order_is_given_up() -> None:
    pages = (
        Page([(start + number, 0) for number in range(PER_PAGE)], is_last=False) for start in count(0, 100)
    )
    with pytest.raises(Unreadable, match="Vendor's list shifts too fast"):
        go_on(ShiftingList("Vendor", PER_PAGE), islice(pages, 10_000))
