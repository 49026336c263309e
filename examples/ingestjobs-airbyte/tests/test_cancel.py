# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airbyte stops what a connection runs, so that a cancel must look at that first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import CancelRefused, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from clock import Clock

    from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook

CONNECTION = "9924bcd0-99be-453d-ba47-c2c9766f7da5"


def add_job(sandbox: Sandbox, word: str) -> str:
    return sandbox.add_job("airbyte", timeline=[(0, word)], fields={"connectionId": CONNECTION})


def cancels(sandbox: Sandbox) -> list[str]:
    return [request.path for request in sandbox.requests() if request.method == "DELETE"]


@pytest.mark.parametrize("word", ["pending", "queued", "running", "incomplete"])
def test_the_job_that_its_connection_runs_is_stopped(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, word: str
) -> None:
    add_job(sandbox, "succeeded")
    clock.advance(60)
    job = add_job(sandbox, word)
    assert hook.cancel_job(job).state is JobState.CANCELLED
    assert len(cancels(sandbox)) == 1


@pytest.mark.parametrize("apart", [0, 60])
def test_a_job_that_has_ended_stops_nothing(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, apart: float
) -> None:
    ended = add_job(sandbox, "succeeded")
    clock.advance(apart)
    running = add_job(sandbox, "running")
    assert hook.cancel_job(ended).state is JobState.SUCCEEDED
    assert hook.get_job(running).state is JobState.RUNNING
    assert not cancels(sandbox)


@pytest.mark.parametrize(
    ("word", "other", "apart"),
    [("running", "pending", 60), ("running", "running", 0), ("incomplete", "something new", 60)],
)
def test_it_is_refused_where_the_connection_has_a_newer_run(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, word: str, other: str, apart: float
) -> None:
    job = add_job(sandbox, word)
    clock.advance(apart)
    newer = add_job(sandbox, other)
    with pytest.raises(CancelRefused, match=f"it would stop job {newer}"):
        hook.cancel_job(job)
    assert not cancels(sandbox)


def test_it_is_refused_where_an_older_run_is_before_it(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    older = add_job(sandbox, "running")
    clock.advance(60)
    job = add_job(sandbox, "pending")
    with pytest.raises(CancelRefused, match=f"it would stop job {older}"):
        hook.cancel_job(job)
    assert not cancels(sandbox)


def test_runs_of_other_connections_do_not_matter(sandbox: Sandbox, hook: AirbyteJobsHook) -> None:
    other = sandbox.add_job("airbyte", timeline=[(0, "running")])
    job = add_job(sandbox, "running")
    assert hook.cancel_job(job).state is JobState.CANCELLED
    assert hook.get_job(other).state is JobState.RUNNING


@pytest.mark.parametrize("answer", [{"body": "{"}, {"status": 500}])
def test_what_cannot_be_looked_up_is_not_stopped(
    sandbox: Sandbox, hook: AirbyteJobsHook, answer: dict[str, Any]
) -> None:
    job = add_job(sandbox, "running")
    sandbox.add_fault(Fault(path=r"/jobs$", times=None, **answer))
    with pytest.raises(VendorUnavailable):
        hook.cancel_job(job)
    assert not cancels(sandbox)


def test_a_job_that_is_not_there(sandbox: Sandbox, hook: AirbyteJobsHook) -> None:
    with pytest.raises(JobNotFound):
        hook.cancel_job("1")
    assert not cancels(sandbox)
