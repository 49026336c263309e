# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Whatever a vendor, the network and the users do: every wait ends once, with the job's true end."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import tracemalloc
from collections import Counter, deque

import pytest
from hypothesis import given

from airflow_provider_ingestjobs.hooks.adverity import MAX_PAST_PAGES
from airflow_provider_ingestjobs.hooks.narrative import FULL_SCAN_EVERY
from airflow_provider_ingestjobs.hooks.reading import MAX_READS
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.triggers.backoff import JITTER
from airflow_provider_ingestjobs.triggers.watch import NEW_WAITS_DELAY, UPDATES_PER_TURN
from support.plans import (
    Plan,
    PlannedWait,
    awaited_by,
    check_ends,
    check_nothing_is_left,
    each_vendor,
    long_jobs,
    plan_for,
    plans,
    simulate,
    simulated,
)
from support.simulated_time import World
from support.simulated_vendors import SimulatedJob, SimulatedVendor


def check_requests(vendor: SimulatedVendor) -> None:
    """No poll asks more than the design allows; a rejected key doubles one poll."""
    pages = len(vendor.jobs) // vendor.page_size + 2
    for poll in vendor.polls:
        twice = 2 if "401" in vendor.faults.values() else 1
        assert poll["by_id"] <= MAX_READS * twice
        # Polaris' unfinished jobs and its ended ones are lists of their own.
        lists = {"amperity": 1, "polaris": 2 * pages}.get(vendor.name, pages)
        assert poll["list"] <= lists * twice
        # Where many are absent from Adverity's list, and where some are known under no address.
        assert poll["past"] <= (pages + MAX_PAST_PAGES) * twice
        if vendor.name == "narrative":
            # Late listed jobs are looked for in the list once, and then one by one.
            assert poll.total() <= (pages + min(len(vendor.jobs), MAX_READS)) * twice


@each_vendor
@simulated
@given(plan=plans())
def test_every_wait_ends_once_with_the_true_end(vendor: str, plan: Plan) -> None:
    simulation, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    check_requests(simulation)


@each_vendor
@simulated
@given(plan=plans(calm=True))
def test_an_end_is_seen_within_the_interval_asked_for(vendor: str, plan: Plan) -> None:
    simulation, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    check_requests(simulation)
    # One poll may be under way, and the next has to come to the job.
    longest_poll = max((poll.total() for poll in simulation.polls), default=0) * plan.latency
    for planned, outcome in zip(plan.waits, outcomes, strict=True):
        (job,) = awaited_by(planned, plan)
        for at, _ in outcome.events:
            # A trigger does not fire in the first six seconds after its task was deferred.
            seen_from = max(job.end[0], planned.joins + 6, job.known_from)
            assert at <= seen_from + planned.interval + 2 * longest_poll + 2 * NEW_WAITS_DELAY


def test_ten_thousand_waits_take_few_requests() -> None:
    jobs = long_jobs(10_000, end=900.0)
    # Each minute two of them end, until all do.
    for number in range(20):
        jobs[number].steps = [jobs[number].steps[0], (300 + 30.0 * number, JobState.FAILED)]
    plan = plan_for(jobs)
    world = World()
    vendor = SimulatedVendor("narrative", world, plan.jobs, page_size=500)
    ended: Counter[str] = Counter()

    async def wait(job: SimulatedJob) -> None:
        async with vendor.watch().join(vendor.id_of(job), 60.0) as wait:
            while True:
                news = await wait.next_update()
                if news.job and news.job.state.is_terminal:
                    ended[news.job.state] += 1
                    return

    async def main() -> None:
        await asyncio.gather(*map(wait, jobs))

    with vendor.in_place():
        world.run(main())
    assert ended == {JobState.FAILED: 20, JobState.SUCCEEDED: 9_980}
    assert max(poll.total() for poll in vendor.polls) <= 25
    # All but two: the first, a sweep, and the one that finds everything changed.
    assert sum(poll.total() > 2 for poll in vendor.polls) == 2


def test_after_a_burst_and_some_quiet_a_poll_takes_one_page() -> None:
    # Eight pages of jobs that all started in the same second, and long afterwards their ends.
    jobs = [
        SimulatedJob(number, [(0.0, JobState.RUNNING), (1000.0 + 10 * number, JobState.SUCCEEDED)])
        for number in range(56)
    ]
    # Its end is stamped in the burst, but listed last, behind a page of others.
    for number in range(8):
        jobs[number].steps = [(0.0, JobState.RUNNING), (60.0 + number, JobState.SUCCEEDED)]
    jobs[0].list_lag = 100.0
    plan = plan_for(jobs)
    simulation, outcomes = simulate("narrative", plan)
    check_ends(plan, outcomes)
    assert outcomes[0].events[0][0] < 60 + 100 + 60 + 1
    late = [outcome.events[0][0] - job.end[0] for job, outcome in zip(jobs[1:], outcomes[1:], strict=True)]
    assert max(late) < 60 + 1
    quiet = [at for at, _ in simulation.requests if 400 < at < 1000]
    assert len(quiet) <= 600 / (60 * (1 - JITTER)) + 1


@each_vendor
def test_all_waits_on_one_job_are_told(vendor: str) -> None:
    jobs = long_jobs(1, end=100.0)
    plan = plan_for(jobs, waits=[PlannedWait(0, 0.0, 60.0, None)] * (2 * UPDATES_PER_TURN + 1))
    check_ends(plan, simulate(vendor, plan)[1])


@each_vendor
def test_a_shorter_interval_counts_at_once(vendor: str) -> None:
    jobs = [*long_jobs(1, end=9000.0), *long_jobs(2, end=80.0)[1:]]
    plan = plan_for(jobs, waits=[PlannedWait(0, 0.0, 600.0, None), PlannedWait(1, 50.0, 10.0, None)])
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    assert outcomes[1].events[0][0] < 91


@each_vendor
def test_retry_after_counts_from_the_answer(vendor: str) -> None:
    plan = plan_for(long_jobs(1, end=500.0), interval=10.0, latency=30.0, faults={1: "429"})
    simulation, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    assert simulation.requests[2][0] >= simulation.requests[1][1] + 100


def test_a_page_that_is_gone_when_its_turn_comes_ends_the_list() -> None:
    jobs = long_jobs(9, end=1000.0)
    # Between the answer with the first page, of seven, and the second one, two jobs end.
    for job in jobs[:2]:
        job.steps = [job.steps[0], (NEW_WAITS_DELAY + 1.5, JobState.FAILED)]
    plan = plan_for(jobs, latency=1.0)
    simulation, outcomes = simulate("adverity", plan)
    check_ends(plan, outcomes)
    assert simulation.polls[0]["list"] == 2


@each_vendor
@pytest.mark.parametrize("count", [3, 12])
def test_a_job_that_the_vendor_fails_over_is_its_own_trouble(vendor: str, count: int) -> None:
    jobs = long_jobs(count, end=400.0)
    # Nor do lists have it.
    jobs[1].broken, jobs[1].list_lag = 500, 1e9
    waits = [PlannedWait(number, 0.0, 20.0, 3000.0 if number == 1 else None) for number in range(count)]
    plan = plan_for(jobs, waits=waits)
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    assert max(outcome.events[0][0] for number, outcome in enumerate(outcomes) if number != 1) < 425


@each_vendor
@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize("count", [4, 8])
def test_jobs_that_cannot_be_read_hold_up_no_others(vendor: str, status: int, count: int) -> None:
    jobs = long_jobs(count, end=4000.0)
    for job in jobs[1:3]:
        # Nor do lists have them.
        job.broken, job.list_lag = status, 1e9
    waits = [PlannedWait(job.id, 0.0, 20.0, 9000.0 if job.broken else None) for job in jobs]
    plan = plan_for(jobs, waits=waits)
    _, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    ends = [outcome.events[0][0] for job, outcome in zip(jobs, outcomes, strict=True) if not job.broken]
    assert max(ends) < 4000 + 20 + 1


@each_vendor
def test_a_vendor_that_fails_over_many_is_left_alone(vendor: str) -> None:
    jobs = long_jobs(8, end=1000.0)
    for job in jobs[1:]:
        job.broken, job.list_lag = 503, 1e9
    waits = [PlannedWait(job.id, 0.0, 20.0, 3000.0 if job.broken else None) for job in jobs]
    plan = plan_for(jobs, waits=waits)
    simulation, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    # Every twenty seconds it would be 150 polls.
    assert len(simulation.polls) < 30


@each_vendor
def test_a_state_map_counts_for_jobs_that_change_no_more(vendor: str) -> None:
    jobs = [*long_jobs(8, end=9000.0), SimulatedJob(8, long_jobs(1, 100.0)[0].steps, word="archived")]
    world = World()
    simulation = SimulatedVendor(vendor, world, jobs, page_size=500)
    # Adverity's lists of current jobs have no ended one: whatever the word.
    seen: list[tuple[float, str]] = []

    async def wait(job: SimulatedJob) -> None:
        async with simulation.watch().join(simulation.id_of(job), 60.0) as wait:
            while (news := await wait.next_update()).job is None or not news.job.state.is_terminal:
                if job.word and news.job:
                    seen.append((world.now, news.job.state))
            if job.word:
                seen.append((world.now, news.job.state))

    async def edit() -> None:
        await asyncio.sleep(200)
        simulation.extra = {**simulation.extra, "state_map": {"archived": "succeeded"}}

    async def main() -> None:
        await asyncio.gather(edit(), *map(wait, jobs))

    with simulation.in_place():
        world.run(main())
    assert [state for _, state in seen] == [JobState.RUNNING, JobState.UNKNOWN, JobState.SUCCEEDED]
    assert seen[-1][0] < 200 + 300 + 2 * 60 < FULL_SCAN_EVERY


def test_memory_is_flat_over_hours() -> None:
    hours, jobs = 6, long_jobs(30, end=1e6)
    world = World()
    simulation = SimulatedVendor("narrative", world, jobs, faults=dict.fromkeys(range(0, 9000, 50), "503"))
    # What the simulation itself keeps must not grow, either.
    simulation.polls, simulation.requests = deque(maxlen=100), deque(maxlen=100)
    allocated: list[int] = []

    async def come_and_go(number: int) -> None:
        chance = random.Random(number)
        while True:
            job = chance.choice(jobs)
            with_timeout = asyncio.wait_for(
                anext(simulation.trigger(job, 30.0).run()), chance.uniform(1, 200)
            )
            with pytest.raises(TimeoutError):
                await with_timeout

    async def main() -> None:
        tasks = [asyncio.create_task(come_and_go(number)) for number in range(8)]
        for hour in range(hours):
            await asyncio.sleep(3600)
            if hour in (1, hours - 1):
                gc.collect()
                snapshot = tracemalloc.take_snapshot().filter_traces(
                    [
                        tracemalloc.Filter(True, "*/airflow_provider_ingestjobs/*"),
                        # It remembers its last requests.
                        tracemalloc.Filter(False, "*/airflow_provider_ingestjobs/sandbox/*"),
                    ]
                )
                allocated.append(sum(trace.size for trace in snapshot.traces))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(1000)
        check_nothing_is_left(simulation.watch())

    # pytest keeps what is logged, and with it every error.
    logging.disable()
    tracemalloc.start()
    try:
        with simulation.in_place():
            world.run(main())
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
    # Less than one small object for each poll.
    assert simulation.asked > 2000
    assert allocated[1] < allocated[0] + 30_000


def test_waits_that_come_one_after_the_other_share_their_first_looks() -> None:
    # Eighty pages: a look at all of them takes four seconds. Half of the jobs have ended already.
    jobs = long_jobs(560, end=1000.0)
    for job in jobs[::2]:
        job.steps = [job.steps[0], (-3600.0, JobState.SUCCEEDED)]
    waits = [PlannedWait(job.id, job.id / 20, 60.0, None) for job in jobs]
    plan = plan_for(jobs, waits=waits)
    simulation, outcomes = simulate("narrative", plan)
    check_ends(plan, outcomes)
    # Without a rest between looks, they would be one long row of requests: 660 in these seconds.
    assert sum(at < 33 for at, _ in simulation.requests) < 400
    late = [outcomes[number].events[0][0] - waits[number].joins for number in range(0, len(waits), 2)]
    # Five seconds of rest, what is left of one look, and another.
    assert max(late) < 5 + 2 * 4 + 1


def test_a_change_that_a_slow_clock_has_stamped_is_seen() -> None:
    jobs = long_jobs(6, end=2000.0)
    for number in (4, 5):
        jobs[number].steps = [
            (-7200.0, JobState.PENDING),
            (96.0 + number, JobState.RUNNING),
            jobs[number].end,
        ]
    # It changes last, but comes third by its stamp, behind a page that has been seen.
    jobs[1].steps, jobs[1].skews = [jobs[1].steps[0], (125.0, JobState.FAILED)], [0.0, -40.0]
    plan = plan_for(jobs, page_size=2)
    _, outcomes = simulate("narrative", plan)
    check_ends(plan, outcomes)
    assert outcomes[1].events[0][0] < 125 + 60 + 1


@pytest.mark.parametrize("vendor", ["adverity", "narrative"])
def test_few_waits_do_not_read_a_long_list(vendor: str) -> None:
    jobs = long_jobs(100, end=2000.0)
    waits = [PlannedWait(number, 0.0, 60.0, None) for number in (0, 20, 50, 80, 99)]
    plan = plan_for(jobs, waits=waits)
    simulation, outcomes = simulate(vendor, plan)
    check_ends(plan, outcomes)
    # Pages, and the same number of jobs one by one.
    assert max(poll.total() for poll in simulation.polls) <= 2 * len(waits)


def test_long_polls_start_earlier() -> None:
    # Twelve pages of a second each.
    jobs = long_jobs(84, end=1e5)
    for number, job in enumerate(jobs):
        job.steps = [job.steps[0], (500.0 + 30 * number, JobState.SUCCEEDED)]
    plan = plan_for(jobs, latency=1.0)
    _, outcomes = simulate("adverity", plan)
    check_ends(plan, outcomes)
    late = [outcome.events[0][0] - job.end[0] for job, outcome in zip(jobs, outcomes, strict=True)]
    assert max(late) < 60 + 5
