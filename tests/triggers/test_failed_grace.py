# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A failure that one of many deferred waits bears: the poll goes on reading it, for that wait alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.exceptions import WaitTimeout
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from airflow_provider_ingestjobs.triggers.base import VendorTrigger, jobs_from_event
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger
from support.task_runs import fire, in_time, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.connections import Connections
    from support.logs import Logs

    MakeTrigger = Callable[..., VendorTrigger]

JOB_ID = "isj-1"
FEED = {"tables": [{"feed_id": "df-1"}]}
HOUR = 3600.0
BORNE = "the wait bears the failure until"

pytestmark = pytest.mark.usefixtures("quick_watch", "one_try", "amperity")


@pytest.fixture
def amperity(connections: Connections) -> None:
    connections.add("amperity", extra={"requests_per_second": 1000})


@pytest.fixture(params=["job", "selection"])
def trigger(request: pytest.FixtureRequest) -> MakeTrigger:
    """Make a trigger that waits for the job, by its id or as all that a selection picks."""

    def make(timeout: float = HOUR, **changes: Any) -> VendorTrigger:
        now = datetime.now(UTC)
        arguments = {
            "hook": AmperityHook.vendor.hook,
            "conn_id": AmperityHook.default_conn_name,
            "poll_interval": 0.05,
            "started_at": (now - timedelta(days=1)).isoformat(),
            "deadline": (now + timedelta(seconds=timeout)).isoformat(),
            **changes,
        }
        if request.param == "job":
            return IngestJobTrigger(job_ids=[JOB_ID], **arguments)
        # One for all: what else a wait wants makes no other selection.
        started_from = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
        started_to = started_from + timedelta(days=4)
        selection = Selection(freeze_filters({"feed_id": "df-1"}), started_from, started_to)
        return JobSelectionTrigger(selection=selection.to_dict(), **arguments)

    return make


def add_failed_job(sandbox: Sandbox, ended: float = 0.0, **more: Any) -> None:
    """Add a job that failed so many seconds ago."""
    timeline = [(-ended - 60, "running"), (-ended, "failed")]
    sandbox.add_job("amperity", JOB_ID, timeline, fields=FEED, **more)


def states_of(event: Any) -> list[str]:
    return [job.state.value for job in jobs_from_event(event)]


def reads(sandbox: Sandbox) -> int:
    return len([request for request in sandbox.requests() if "/ingest/" in request.path])


def test_a_job_that_is_resumed_has_its_true_end(sandbox: Sandbox, trigger: MakeTrigger, logs: Logs) -> None:
    add_failed_job(sandbox)

    async def scenario() -> Any:
        waiting = asyncio.ensure_future(fire(trigger(failed_grace=HOUR)))
        await until(lambda: BORNE in logs.text)
        sandbox.set_state("amperity", JOB_ID, "running")
        await until(lambda: f"Amperity job {JOB_ID} has been resumed at the vendor" in logs.text)
        assert not waiting.done()
        sandbox.set_state("amperity", JOB_ID, "succeeded")
        return await waiting

    assert states_of(in_time(scenario())) == ["succeeded"]


def test_a_look_is_due_when_the_time_is_over(sandbox: Sandbox, trigger: MakeTrigger) -> None:
    add_failed_job(sandbox, starts="first_read", ended=60)
    assert states_of(in_time(fire(trigger(failed_grace=61.0, poll_interval=HOUR)))) == ["failed"]
    assert 2 <= reads(sandbox) <= 3


def test_it_holds_over_a_restart(sandbox: Sandbox, trigger: MakeTrigger, logs: Logs) -> None:
    add_failed_job(sandbox, ended=1800)
    borne = trigger(failed_grace=HOUR)

    async def one_triggerer() -> None:
        waiting = asyncio.ensure_future(fire(borne))
        await until(lambda: BORNE in logs.text)
        waiting.cancel()

    async def the_next() -> Any:
        waiting = asyncio.ensure_future(fire(borne))
        await until(lambda: logs.text.count(BORNE) > told)
        sandbox.set_state("amperity", JOB_ID, "succeeded")
        return await waiting

    in_time(one_triggerer())
    told = logs.text.count(BORNE)
    assert states_of(in_time(the_next())) == ["succeeded"]


def test_a_restart_gives_no_further_time(sandbox: Sandbox, trigger: MakeTrigger, logs: Logs) -> None:
    add_failed_job(sandbox, ended=1800)
    assert states_of(in_time(fire(trigger(failed_grace=1700.0)))) == ["failed"]
    assert BORNE not in logs.text


def test_one_wait_s_grace_is_no_other_s(sandbox: Sandbox, trigger: MakeTrigger, logs: Logs) -> None:
    add_failed_job(sandbox, ended=1800)

    async def scenario() -> list[Any]:
        patient = asyncio.ensure_future(fire(trigger(failed_grace=HOUR)))
        await until(lambda: BORNE in logs.text)
        # They join while the failure is borne, and are told of it although it is no news.
        others = [fire(trigger()), fire(trigger(failed_grace=60.0)), fire(trigger())]
        assert [states_of(event) for event in await asyncio.gather(*others)] == [["failed"]] * 3
        assert not patient.done()
        sandbox.set_state("amperity", JOB_ID, "running")
        await until(lambda: "has been resumed at the vendor" in logs.text)
        sandbox.set_state("amperity", JOB_ID, "succeeded")
        return [await patient, await fire(trigger())]

    assert [states_of(event) for event in in_time(scenario())] == [["succeeded"], ["succeeded"]]


def test_the_last_look_may_find_the_failure(sandbox: Sandbox, trigger: MakeTrigger) -> None:
    add_failed_job(sandbox, failure="No such bucket")
    event = in_time(fire(trigger(timeout=-5.0, failed_grace=HOUR)))
    with pytest.raises(WaitTimeout) as caught:
        jobs_from_event(event)
    assert "had not ended for good after 1 day" in str(caught.value)
    assert "(vendor says 'failed': No such bucket), which the wait bore until" in str(caught.value)


def test_a_vendor_that_takes_too_long_to_say_why_holds_nobody_up(
    sandbox: Sandbox, trigger: MakeTrigger, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.MAX_DETAIL_SECONDS", 0.1)
    add_failed_job(sandbox, failure="No such bucket")
    sandbox.add_fault(Fault(vendor="amperity", path="workflow", delay=2))

    async def scenario() -> Any:
        waiting = asyncio.ensure_future(fire(trigger(failed_grace=HOUR)))
        await until(lambda: BORNE in logs.text)
        sandbox.set_state("amperity", JOB_ID, "succeeded")
        return await waiting

    assert states_of(in_time(scenario())) == ["succeeded"]
    assert "No such bucket" not in logs.text


def test_while_it_is_borne_the_vendor_is_asked_once_why_it_failed(
    sandbox: Sandbox, trigger: MakeTrigger, logs: Logs
) -> None:
    add_failed_job(sandbox)

    async def scenario() -> None:
        waiting = asyncio.ensure_future(fire(trigger(failed_grace=HOUR)))
        await until(lambda: BORNE in logs.text)
        before = reads(sandbox)
        await until(lambda: reads(sandbox) >= before + 5)
        waiting.cancel()

    in_time(scenario())
    assert len([request for request in sandbox.requests() if "/workflow/" in request.path]) == 1
    assert logs.text.count(BORNE) == 1
