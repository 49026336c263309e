# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Plans of hours in which jobs and waits come and go, drawn or written down, and their simulation."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from airflow_provider_ingestjobs.hooks.narrative import FULL_SCAN_EVERY
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.triggers.backoff import MAX_BACKOFF
from support.simulated_time import World
from support.simulated_vendors import ListTrouble, SimulatedJob, SimulatedVendor
from support.vendors import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_provider_ingestjobs.triggers.base import VendorTrigger
    from airflow_provider_ingestjobs.triggers.watch import Watch

VENDORS = tuple(BY_NAME)
each_vendor = pytest.mark.parametrize("vendor", VENDORS)
ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
#: The last end of a job, in seconds.
LAST_END = 3600.0
FAULTS = ("timeout", "429", "500", "503", "no_json", "garbage", "truncated")

simulated = settings(
    derandomize=True,
    database=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class PlannedWait:
    """One task: what it waits for, and when it comes and perhaps goes again.

    :param job: the number of the job; ``None``: a selection of all that are to be selected.
    :param conn_id: another connection than the vendor's default one.
    """

    job: int | None
    joins: float
    interval: float
    leaves: float | None
    conn_id: str | None = None


@dataclass(frozen=True)
class Plan:
    """All that happens in one simulation."""

    jobs: list[SimulatedJob]
    waits: list[PlannedWait]
    faults: dict[int, str]
    latency: float
    page_size: int = 7
    list_troubles: Sequence[ListTrouble] = ()
    silent: Collection[str] = ()


@st.composite
def plans(draw: st.DrawFn, calm: bool = False) -> Plan:
    """Draw a simulation.

    :param calm: nothing goes wrong, lists are up to date, and clocks differ by less than the overlap.
    """
    # A dozen numbers a job, each drawn by itself, would be too much to draw: one seed decides on all.
    chance = random.Random(draw(st.integers(0, 2**32)))
    # Whole seconds make changes of the same instant likely.
    whole = draw(st.booleans())
    most_skew = draw(st.sampled_from([0, 50] if calm else [0, 50, 110, 600]))
    most_lag = 0 if calm else draw(st.sampled_from([0, 0, 60, 400]))
    latest_known = draw(st.sampled_from([0, 0, 200]))

    def moment(until: float) -> float:
        return float(chance.randrange(int(until) + 1)) if whole else chance.uniform(0, until)

    jobs = []
    for number in range(draw(st.integers(1, 40))):
        at = moment(LAST_END / 2) if chance.random() < 0.5 else 0.0
        known_from = at + moment(latest_known)
        steps = [(at, JobState.PENDING), (at + moment(300), JobState.RUNNING)]
        steps += [(steps[1][0] + moment(LAST_END / 2 - 300), chance.choice(ENDS))]
        skews = [chance.uniform(-most_skew, most_skew) for _ in steps]
        if not calm and chance.random() < 0.1:
            skews[chance.randrange(3)] = 3600.0
        jobs.append(SimulatedJob(number, steps, known_from, chance.uniform(0, most_lag), skews))
    waits = []
    for _ in range(draw(st.integers(1, 60))):
        job = chance.randrange(len(jobs))
        joins = jobs[job].steps[0][0] + (moment(LAST_END) if chance.random() < 0.3 else moment(5))
        leaves = joins + moment(LAST_END / 2) * chance.random() ** 2 if chance.random() < 0.3 else None
        waits.append(PlannedWait(job, joins, chance.choice([20.0, 60.0, 60.0, 300.0]), leaves))
    faults: dict[int, str] = {}
    if not calm:
        faults = draw(st.dictionaries(st.integers(0, 300), st.sampled_from(FAULTS), max_size=30))
        if draw(st.booleans()):
            faults[draw(st.integers(0, 300))] = "401"
    latency = draw(st.sampled_from([0.0, 0.05] if calm else [0.0, 0.05, 3.0]))
    # So small that a few dozen jobs fill several pages.
    return Plan(jobs, waits, faults, latency, page_size=draw(st.sampled_from([2, 7])))


@dataclass
class Outcome:
    """What became of one wait: each event it fired, with its time."""

    events: list[tuple[float, dict[str, Any]]]
    cancelled: bool = False


def simulate(vendor_name: str, plan: Plan) -> tuple[SimulatedVendor, list[Outcome]]:
    """Run a plan until every wait is over, and check that nothing is left of them."""
    world = World()
    vendor = SimulatedVendor(
        vendor_name,
        world,
        plan.jobs,
        plan.latency,
        dict(plan.faults),
        plan.page_size,
        plan.list_troubles,
        plan.silent,
    )
    outcomes = [Outcome([]) for _ in plan.waits]

    async def wait(planned: PlannedWait, outcome: Outcome) -> None:
        if planned.job is None:
            trigger: VendorTrigger = vendor.selection_trigger(planned.interval)
        else:
            trigger = vendor.trigger(plan.jobs[planned.job], planned.interval, planned.conn_id)
        async for event in trigger.run():
            outcome.events.append((world.now, event.payload))

    async def live(planned: PlannedWait, outcome: Outcome) -> None:
        await asyncio.sleep(planned.joins)
        task = asyncio.create_task(wait(planned, outcome))
        if planned.leaves is not None:
            await asyncio.wait([task], timeout=planned.leaves - planned.joins)
            outcome.cancelled = task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def main() -> None:
        all_watches = [vendor.watch(conn_id) for conn_id in {planned.conn_id for planned in plan.waits}]
        await asyncio.gather(*map(live, plan.waits, outcomes))
        await asyncio.sleep(1000)
        for watch in all_watches:
            check_nothing_is_left(watch)

    with vendor.in_place():
        world.run(main())
    return vendor, outcomes


def check_nothing_is_left(watch: Watch) -> None:
    assert watch.is_idle, watch


def check_ends(plan: Plan, outcomes: list[Outcome]) -> None:
    for planned, outcome in zip(plan.waits, outcomes, strict=True):
        jobs = awaited_by(planned, plan)
        assert len(outcome.events) == (0 if outcome.cancelled else 1)
        for at, event in outcome.events:
            assert event["status"] == "ended", event
            ended = sorted(job["state"] for job in event["jobs"])
            assert ended == sorted(job.end[1].value for job in jobs)
            assert at >= max(job.end[0] for job in jobs)
            # At the latest a sweep has shown it, or the one after that, if the first one was disturbed.
            seen_from = max(max(job.end[0], planned.joins, job.known_from) + job.list_lag for job in jobs)
            assert at <= seen_from + 2 * FULL_SCAN_EVERY + 4 * MAX_BACKOFF


def awaited_by(planned: PlannedWait, plan: Plan) -> list[SimulatedJob]:
    """Return the jobs that a wait is about."""
    if planned.job is not None:
        return [plan.jobs[planned.job]]
    return [job for job in plan.jobs if job.is_selected]


def long_jobs(count: int, end: float) -> list[SimulatedJob]:
    """Return jobs that all started two hours ago and succeed at the same time."""
    return [
        SimulatedJob(
            number,
            [(-7200.0 - number, JobState.RUNNING), (end, JobState.SUCCEEDED)],
            # Not quite of the same instant.
            skews=[0.0, number / 1000],
        )
        for number in range(count)
    ]


def plan_for(jobs: list[SimulatedJob], interval: float = 60.0, **kwargs: Any) -> Plan:
    waits = [PlannedWait(job.id, 0.0, interval, None) for job in jobs]
    return Plan(**{"jobs": jobs, "waits": waits, "faults": {}, "latency": 0.05, **kwargs})
