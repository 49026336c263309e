# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""All deferred waits on a connection share one poll, and each ends with its own job's end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab
from airflow_provider_ingestjobs.sandbox.task_runs import defer, fire, in_time, until
from airflow_provider_ingestjobs.triggers.base import jobs_from_event

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState

MANY = 30
#: How many requests a poll of as many jobs may take where the vendor has a list: a third of one by one.
MAX_REQUESTS = MANY // 3
#: Polls of all waits that are watched.
POLLS = 3


def counting(lab: Lab) -> tuple[type[Any], list[tuple[int, int]]]:
    """Return the vendor's sensor on a hook that counts, and where it keeps what it counts.

    :param lab: the vendor.
    :returns: the sensor's class, and of each poll how many jobs it looked for by how many requests.
    """
    polls: list[tuple[int, int]] = []
    vendors_hook: Any = lab.case.hook

    class CountingHook(vendors_hook):  # type: ignore[misc]
        def read_jobs(self, job_ids: Collection[str], state: ReadState | None = None) -> BulkRead:
            before = len(lab.requests())
            try:
                return super().read_jobs(job_ids, state)  # type: ignore[no-any-return]
            finally:
                polls.append((len(job_ids), len(lab.requests()) - before))

    vendors_sensor: Any = lab.case.sensor

    class CountingSensor(vendors_sensor):  # type: ignore[misc]
        hook_class = lab.importable(CountingHook)

    return CountingSensor, polls


async def end_each(lab: Lab, waits: dict[str, JobState], triggers: list[Any], begun: Any) -> dict[str, Any]:
    """Let jobs end once their waits have begun, and return how each wait ended by its job.

    :param lab: the vendor.
    :param waits: how each job ends.
    :param triggers: the triggers that wait for them, in the same order.
    :param begun: tells when all are waiting.
    """
    firing = [asyncio.ensure_future(fire(trigger)) for trigger in triggers]
    await until(begun)
    assert not any(wait.done() for wait in firing)
    for job_id, state in waits.items():
        lab.set_state(job_id, state)
    events = await asyncio.gather(*firing)
    return {job_id: jobs_from_event(event)[0].state for job_id, event in zip(waits, events, strict=True)}


class SharingTests(ContractTests):
    """Many deferred waits on one connection."""

    def many(self, lab: Lab, **options: Any) -> dict[str, JobState]:
        """Return running jobs, and how each of them is going to end.

        :param lab: the vendor.
        :param options: see ``Sandbox.add_job``.
        """
        ends = [lab.ends[number % len(lab.ends)] for number in range(MANY)]
        return {lab.add_job(JobState.RUNNING, **options): end for end in ends}

    def test_many_waits_share_each_poll(self, lab: Lab) -> None:
        sensor, polls = counting(lab)
        waits = self.many(lab)
        triggers = [defer(lab.sensor("deferred", sensor=sensor, job_id=job_id)) for job_id in waits]

        def begun() -> bool:
            return sum(jobs == MANY for jobs, _ in polls) >= POLLS

        assert in_time(end_each(lab, waits, triggers, begun), 30) == waits
        whole = [requests for jobs, requests in polls if jobs == MANY]
        assert max(whole) <= MANY, "a job was asked for more than once in a poll"
        if self.case.hook.find_in_lists is not IngestJobHook.find_in_lists:
            assert max(whole) <= MAX_REQUESTS, f"requests of each poll of {MANY} jobs: {whole}"

    def test_many_waits_for_one_job_cost_as_much_as_one(self, lab: Lab) -> None:
        sensor, polls = counting(lab)
        job_id = lab.add_job(JobState.RUNNING)
        triggers = [defer(lab.sensor("deferred", sensor=sensor, job_id=job_id)) for _ in range(MANY)]

        async def wait_together() -> list[Any]:
            firing = [asyncio.ensure_future(fire(trigger)) for trigger in triggers]
            await until(lambda: len(polls) >= POLLS)
            lab.set_state(job_id, JobState.SUCCEEDED)
            return await asyncio.gather(*firing)

        events = in_time(wait_together(), 30)
        assert {jobs_from_event(event)[0].state for event in events} == {JobState.SUCCEEDED}
        assert {jobs for jobs, _ in polls} == {1}
        alone = max(1, polls[0][1])
        assert max(requests for _, requests in polls) <= alone

    def test_a_list_that_is_late_loses_no_job(self, lab: Lab) -> None:
        sensor, polls = counting(lab)
        waits = self.many(lab, list_lag=0.3)
        triggers = [defer(lab.sensor("deferred", sensor=sensor, job_id=job_id)) for job_id in waits]
        assert in_time(end_each(lab, waits, triggers, lambda: polls), 30) == waits

    @pytest.mark.parametrize("trouble", [{"status": 403}, {"body": "<html>"}, {"drop": "mid_body"}], ids=str)
    def test_a_list_in_trouble_ends_no_wait(self, lab: Lab, trouble: dict[str, Any]) -> None:
        if self.case.list_path is None:
            pytest.skip(f"the case of {self.case} names no list_path")
        sensor, polls = counting(lab)
        waits = self.many(lab)
        lab.sandbox.add_fault(Fault(path=self.case.list_path, times=3, **trouble))
        triggers = [defer(lab.sensor("deferred", sensor=sensor, job_id=job_id)) for job_id in waits]

        def begun() -> bool:
            return len(polls) >= POLLS

        assert in_time(end_each(lab, waits, triggers, begun), 30) == waits

    def test_a_job_that_is_not_there_ends_its_own_wait_alone(self, lab: Lab) -> None:
        gone, waits = lab.unknown_job(), self.many(lab)
        arguments = {"sensor": self.case.sensor, "missing_grace": 0.1}
        ends_alone = defer(lab.sensor("deferred", job_id=gone, **arguments))
        triggers = [defer(lab.sensor("deferred", job_id=job_id, **arguments)) for job_id in waits]

        async def wait_together() -> tuple[Any, dict[str, Any]]:
            alone = asyncio.ensure_future(fire(ends_alone))
            found = await end_each(lab, waits, triggers, alone.done)
            return await alone, found

        event, found = in_time(wait_together(), 30)
        with pytest.raises(JobNotFound, match=gone):
            jobs_from_event(event)
        assert found == waits
