# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Stopping the vendor's jobs, and saying so where it documents no way to."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput, NotSupported
from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, JobNotFound
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.lab import INTERVAL, ContractTests, Lab
from airflow_provider_ingestjobs.sandbox.task_runs import (
    Outcome,
    defer,
    in_time,
    killed,
    revived,
    run_deferred,
    run_in_worker,
    until,
)

blocking_and_deferred = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])


class CancelTests(ContractTests):
    """Stopping jobs; each test is of a vendor that can, but for those that say otherwise."""

    def cancel(self, deferrable: bool, **arguments: Any) -> Outcome:
        """Run the cancel operator to its end.

        :param deferrable: whether it waits in the triggerer.
        :param arguments: further arguments of the operator.
        """
        assert self.case.cancel_operator is not None
        given = {"task_id": "cancel", "deferrable": deferrable, "poll_interval": INTERVAL, "timeout": 10}
        make: Any = partial(self.case.cancel_operator, **{**given, **arguments})
        return run_deferred(make) if deferrable else run_in_worker(make)

    def test_there_is_an_operator_where_the_row_says_so(self) -> None:
        assert (self.case.cancel_operator is not None) == self.case.hook.vendor.cancels

    @blocking_and_deferred
    def test_a_running_job_is_stopped(self, lab: Lab, cancels: None, deferrable: bool) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        outcome = self.cancel(deferrable, job_id=job_id)
        assert outcome.error is None
        assert (outcome.value["id"], outcome.value["state"]) == (job_id, "cancelled")
        assert lab.hook().get_job(job_id).state is JobState.CANCELLED

    @blocking_and_deferred
    def test_a_job_that_has_ended_is_left_alone(self, lab: Lab, cancels: None, deferrable: bool) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED)
        assert self.cancel(deferrable, job_id=job_id).value["state"] == "succeeded"
        assert {request.method for request in lab.requests()} == {"GET"}

    def test_stopping_twice_stops_once(self, lab: Lab, cancels: None) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        hook = lab.hook()
        for _ in range(2):
            assert hook.cancel_job(job_id).state is not JobState.UNKNOWN
        assert self.cancel(deferrable=False, job_id=job_id).value["state"] == "cancelled"

    def test_an_unknown_job_cannot_be_stopped(self, lab: Lab, cancels: None) -> None:
        assert type(self.cancel(deferrable=False, job_id=lab.unknown_job()).error) is JobNotFound

    def test_the_operator_need_not_wait(self, lab: Lab, cancels: None) -> None:
        lab.sandbox.cancel_delay = 60
        outcome = self.cancel(
            deferrable=False, job_id=lab.add_job(JobState.RUNNING), wait_for_termination=False
        )
        assert outcome.value["state"] in ("running", "cancelling")

    @blocking_and_deferred
    def test_a_stop_that_is_not_confirmed_in_time(self, lab: Lab, cancels: None, deferrable: bool) -> None:
        lab.sandbox.cancel_delay = 60
        job_id = lab.add_job(JobState.RUNNING)
        outcome = self.cancel(deferrable, job_id=job_id, timeout=0.2)
        assert type(outcome.error) is CancelNotConfirmed
        assert job_id in str(outcome.error)

    def test_a_killed_sensor_stops_its_job(self, lab: Lab, cancels: None) -> None:
        lab.sandbox.cancel_delay = 0
        job_id = lab.add_job(JobState.RUNNING)
        lab.sensor("poke", job_id=job_id, cancel_on_kill=True).on_kill()
        assert lab.hook().get_job(job_id).state is JobState.CANCELLED

    def test_a_killed_deferred_sensor_stops_its_job(self, lab: Lab, cancels: None) -> None:
        lab.sandbox.cancel_delay = 0
        job_id = lab.add_job(JobState.RUNNING)
        trigger = revived(defer(lab.sensor("deferred", job_id=job_id, cancel_on_kill=True)))

        async def kill() -> None:
            waiting = asyncio.ensure_future(anext(trigger.run()))
            await until(lab.requests)
            await killed(trigger)
            waiting.cancel()

        in_time(kill())
        assert lab.hook().get_job(job_id).state is JobState.CANCELLED

    def test_a_killed_sensor_stops_nothing_unless_asked(self, lab: Lab) -> None:
        job_id = lab.add_job(JobState.RUNNING)
        lab.sensor("poke", job_id=job_id).on_kill()
        in_time(killed(revived(defer(lab.sensor("deferred", job_id=job_id)))))
        assert {request.method for request in lab.requests()} <= {"GET"}
        assert lab.hook().get_job(job_id).state is JobState.RUNNING

    def test_a_vendor_that_cannot_says_so(self, lab: Lab) -> None:
        if lab.row.cancels:
            pytest.skip(f"{lab.row.name} documents a way to cancel a job")
        job_id = lab.add_job(JobState.RUNNING)
        with pytest.raises(NotSupported, match=lab.row.name):
            lab.hook().cancel_job(job_id)
        with pytest.raises(InvalidInput, match="cancel_on_kill"):
            lab.sensor("poke", job_id=job_id, cancel_on_kill=True)
        assert not lab.requests()
