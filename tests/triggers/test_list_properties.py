# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Lists in trouble, selections beside ids, several connections: every wait ends once, with the true end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.plans import (
    LAST_END,
    Plan,
    PlannedWait,
    check_ends,
    each_vendor,
    long_jobs,
    plan_for,
    plans,
    simulate,
    simulated,
)
from support.simulated_vendors import ListTrouble

#: A selection reads lists at each look, which takes its time.
few = settings(simulated, max_examples=8)
#: A list that is refused ends a selection, which nothing else can read; jobs are read by their ids.
REFUSED = (400, 403)
#: What passes.
PASSING = (503, "late", "shrunk")


@st.composite
def list_troubles(draw: st.DrawFn, kinds: tuple[int | str, ...]) -> list[ListTrouble]:
    """Draw times in which lists are in trouble, up to half an hour each."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    begins = [chance.uniform(0, LAST_END) for _ in range(draw(st.integers(1, 4)))]
    return [ListTrouble(begin, begin + chance.uniform(1, 1800), chance.choice(kinds)) for begin in begins]


@st.composite
def plans_with_a_selection(draw: st.DrawFn) -> Plan:
    """Draw a simulation in which waits for a selection come and go beside those for single jobs."""
    plan = draw(plans())
    chance = random.Random(draw(st.integers(0, 2**32)))
    # A wait that begins later than a job is in the lists for the last time would have to know of it already.
    for job in chance.sample(plan.jobs, chance.randint(1, len(plan.jobs))):
        job.is_selected = True
    leaves = [None, None, chance.uniform(60, LAST_END)]
    selecting = [
        PlannedWait(None, chance.uniform(0, 60), chance.choice([20.0, 60.0, 300.0]), leave)
        for leave in leaves
    ]
    faults = {number: kind for number, kind in plan.faults.items() if kind != "truncated"}
    return replace(plan, waits=[*plan.waits, *selecting], faults=faults)


@each_vendor
@few
@given(plan=plans(), troubles=list_troubles(REFUSED + PASSING))
def test_a_list_in_trouble_ends_no_wait_wrong(vendor: str, plan: Plan, troubles: list[ListTrouble]) -> None:
    plan = replace(plan, list_troubles=troubles)
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)


@each_vendor
@few
@given(plan=plans_with_a_selection(), troubles=list_troubles(PASSING))
def test_a_selection_ends_with_the_true_ends_of_all_its_jobs(
    vendor: str, plan: Plan, troubles: list[ListTrouble]
) -> None:
    plan = replace(plan, list_troubles=troubles)
    if vendor == "polaris":
        # Its pages overlap: in fifty requests a list, as two jobs a page take, one would always fail.
        plan = replace(plan, page_size=7)
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)


@each_vendor
@pytest.mark.parametrize("count", [2, 12])
def test_a_connection_without_an_answer_slows_no_other(vendor: str, count: int) -> None:
    jobs = long_jobs(count, end=500.0)
    here = [PlannedWait(job.id, 0.0, 20.0, None) for job in jobs]
    elsewhere = [PlannedWait(job.id, 0.0, 20.0, 3000.0, "elsewhere") for job in jobs]
    plan = plan_for(jobs, waits=[*here, *elsewhere], silent={"elsewhere"})
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    assert max(outcome.events[0][0] for outcome in outcomes[:count]) < 500 + 20 + 2
