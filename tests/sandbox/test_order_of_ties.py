# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs of the same instant in the lists, which some databases give in another order each time."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox

if TYPE_CHECKING:
    from support.sandbox_clients import Clock

KEY = {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"}


def sandbox_with_ties(clock: Clock, ties: random.Random | None) -> Sandbox:
    """Return a sandbox with one earlier job, four of the same instant and a later one."""
    sandbox = Sandbox(clock=clock, ties=ties)
    for job, at in (("early", -1), ("a", 0), ("b", 0), ("c", 0), ("d", 0), ("late", 1)):
        sandbox.add_job("narrative", job, timeline=[(at, "running")])
    clock.advance(2)
    return sandbox


def listed(sandbox: Sandbox, query: str) -> list[str]:
    page = json.loads(sandbox.respond("GET", "/jobs", query=query, headers=KEY).body)
    return [job["job_id"] for job in page["records"]]


@pytest.mark.parametrize("order", ["created_at", "updated_at"])
def test_the_one_added_last_is_the_latest(clock: Clock, order: str) -> None:
    sandbox = sandbox_with_ties(clock, None)
    assert listed(sandbox, f"order_by={order}_desc") == ["late", "d", "c", "b", "a", "early"]
    assert listed(sandbox, f"order_by={order}_asc") == ["early", "a", "b", "c", "d", "late"]


@pytest.mark.parametrize("order", ["created_at", "updated_at"])
# With a filter the vendor walks through all jobs, without one it cuts a page out.
@pytest.mark.parametrize("filters", ["", "&state=running"])
def test_ties_may_be_shuffled_anew_in_each_answer(clock: Clock, order: str, filters: str) -> None:
    sandbox = sandbox_with_ties(clock, random.Random(1))
    pages = [listed(sandbox, f"order_by={order}_desc{filters}") for _ in range(20)]
    assert len({tuple(page) for page in pages}) > 10
    for first, *ties, last in pages:
        assert (first, sorted(ties), last) == ("late", ["a", "b", "c", "d"], "early")


def test_any_of_the_ties_may_be_at_the_edge_of_a_page(clock: Clock) -> None:
    sandbox = sandbox_with_ties(clock, random.Random(1))
    pages = [listed(sandbox, "order_by=updated_at_desc&per_page=2&offset=2") for _ in range(50)]
    assert all(len(set(page)) == 2 for page in pages)
    assert {job for page in pages for job in page} == {"a", "b", "c", "d"}
    assert all(listed(sandbox, "per_page=2")[0] == "late" for _ in range(10))
    assert listed(sandbox, "per_page=2&offset=6") == []


def test_they_are_shuffled_after_a_reset_too(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock, ties=random.Random(1))
    sandbox.reset()
    for job in "abcd":
        sandbox.add_job("narrative", job)
    assert len({tuple(listed(sandbox, "")) for _ in range(20)}) > 1
