# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Many deferred tasks that wait for selections: one poll for all, and nobody's trouble is everybody's."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_ingestjobs.errors import VendorError
from airflow_provider_ingestjobs.exceptions import JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from airflow_provider_ingestjobs.triggers.base import jobs_from_event
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger
from support.task_runs import in_time, revived, until

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch, connections: Connections) -> None:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    for vendor in ("amperity", "narrative"):
        connections.add(vendor, extra={"requests_per_second": 1000})


def trigger(
    filters: dict[str, Any],
    window: tuple[datetime, datetime] | None = None,
    hook: Any = AmperityHook,
    wants: dict[str, Any] | None = None,
    **changes: Any,
) -> JobSelectionTrigger:
    now = datetime.now(UTC)
    start, end = window or (now - HOUR, now + HOUR)
    arguments = {
        "hook": hook.vendor.hook,
        "conn_id": hook.default_conn_name,
        "poll_interval": 0.3,
        "started_at": now.isoformat(),
        "deadline": (now + timedelta(seconds=30)).isoformat(),
        **changes,
    }
    selection = Selection(freeze_filters(filters), start, end, **wants or {})
    return JobSelectionTrigger(selection=selection.to_dict(), **arguments)


def job_trigger(job_id: str, **changes: Any) -> IngestJobTrigger:
    _, arguments = trigger({"feed_id": "x"}, **changes).serialize()
    del arguments["selection"]
    return IngestJobTrigger(job_ids=[job_id], **arguments)


async def first(waiting: Any) -> Any:
    """Return the payload of a trigger's one event."""
    async for event in waiting.run():
        return json.loads(json.dumps(event.payload))
    raise AssertionError("the trigger fired nothing")


def found(payload: Any) -> list[str]:
    return [job.id for job in jobs_from_event(payload)]


def feed(name: str) -> dict[str, Any]:
    return {"tables": [{"feed_id": name, "table_name": name}]}


def polls(sandbox: Sandbox, vendor: str = "amperity") -> list[dict[str, list[str]]]:
    return [parse_qs(request.query) for request in sandbox.requests(vendor)]


class TestOnePoll:
    def test_a_thousand_waits_with_filters_of_their_own_cost_one_request_a_poll(
        self, sandbox: Sandbox
    ) -> None:
        count = 1000
        jobs = [
            sandbox.add_job("amperity", timeline=[(0, "running")], fields=feed(f"df-{number}"))
            for number in range(count)
        ]

        async def wait() -> list[Any]:
            waits = [
                asyncio.create_task(first(trigger({"feed_id": f"df-{number}"}, poll_interval=2)))
                for number in range(count)
            ]
            await until(lambda: sandbox.requests("amperity"))
            for job_id in jobs:
                sandbox.set_state("amperity", job_id, "succeeded")
            return await asyncio.gather(*waits)

        began = time.monotonic()
        payloads = in_time(wait(), 40)
        # One or two when they came, and one each two seconds.
        assert len(sandbox.requests("amperity")) <= 3 + (time.monotonic() - began) / 1.8
        assert [found(payload) for payload in payloads] == [[job_id] for job_id in jobs]

    def test_equal_selections_are_one(self, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", timeline=[(0, "running"), (0.5, "succeeded")], fields=feed("df-1"))
        window = (datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR)

        async def wait() -> list[Any]:
            return await asyncio.gather(*(first(trigger({"feed_id": "df-1"}, window)) for _ in range(200)))

        payloads = in_time(wait())
        assert len({tuple(found(payload)) for payload in payloads}) == 1
        assert len(sandbox.requests("amperity")) <= 6

    def test_windows_are_merged_where_they_overlap_only(self, sandbox: Sandbox) -> None:
        base = datetime(2026, 2, 3, tzinfo=UTC)
        near = [(base + hours * HOUR, base + (hours + 2) * HOUR) for hours in range(5)]
        far = (base - 1000 * HOUR, base - 999 * HOUR)
        for start, end in [*near, far]:
            middle = (start + (end - start) / 2).timestamp() - time.time()
            sandbox.add_job("amperity", timeline=[(middle, "succeeded")], fields=feed("df-1"))

        async def wait() -> list[Any]:
            return await asyncio.gather(*(first(trigger({"feed_id": "df-1"}, one)) for one in [*near, far]))

        assert all(found(payload) for payload in in_time(wait()))
        windows = {(query["created_from"][0], query["created_to"][0]) for query in polls(sandbox)}
        assert windows == {
            ("2026-02-03T00:00:00Z", "2026-02-03T06:00:00Z"),
            ("2025-12-23T08:00:00Z", "2025-12-23T09:00:00Z"),
        }

    def test_jobs_and_selections_share_the_watch(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job(
            "amperity", timeline=[(0, "running"), (0.6, "succeeded")], fields=feed("df-1")
        )

        async def wait() -> tuple[Any, Any]:
            return await asyncio.gather(first(job_trigger(job_id)), first(trigger({"feed_id": "df-1"})))

        assert [found(payload) for payload in in_time(wait())] == [[job_id], [job_id]]


class TestTrouble:
    def test_a_selection_that_the_vendor_refuses_ends_alone(self, sandbox: Sandbox) -> None:
        fields = {"dataset_id": 7}
        timeline = [(0, "running"), (0.8, "completed")]
        job_id = sandbox.add_job("narrative", timeline=timeline, fields=fields)
        other = sandbox.add_job("narrative", timeline=timeline, fields={**fields, "tags": ["eu"]})
        # Only a UUID is a data plane; Narrative answers 400.
        refused = trigger({"data_plane_id": "oops", "tags": "us"}, hook=NarrativeHook)
        waits = [
            refused,
            trigger({"dataset_id": 7}, hook=NarrativeHook),
            trigger({"tags": "eu", "dataset_id": "7"}, hook=NarrativeHook),
            job_trigger(job_id, hook=NarrativeHook),
        ]

        async def wait() -> list[Any]:
            return await asyncio.gather(*map(first, waits))

        bad, *good = in_time(wait())
        with pytest.raises(VendorError, match="400"):
            jobs_from_event(bad)
        assert [sorted(found(payload)) for payload in good] == [sorted([job_id, other]), [other], [job_id]]

    def test_refused_alone_in_its_list_it_does_not_end_the_job_s_wait(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job("narrative", timeline=[(0, "running"), (0.9, "completed")])
        ids = [sandbox.add_job("narrative", timeline=[(0, "running"), (0.9, "completed")]) for _ in range(6)]

        async def wait() -> list[Any]:
            jobs = [
                asyncio.create_task(first(job_trigger(one, hook=NarrativeHook))) for one in [job_id, *ids]
            ]
            # From the second poll on Narrative's list shows no changes: that poll reads no job at all.
            await until(lambda: len(sandbox.requests("narrative")) >= 3)
            bad = await first(trigger({"data_plane_id": "oops"}, hook=NarrativeHook))
            return [bad, *await asyncio.gather(*jobs)]

        bad, *good = in_time(wait())
        with pytest.raises(VendorError, match="400"):
            jobs_from_event(bad)
        assert [found(payload) for payload in good] == [[one] for one in [job_id, *ids]]

    @pytest.mark.parametrize("fault", [{"status": 500}, {"drop": "before"}, {"body": "<html>"}], ids=str)
    def test_one_that_cannot_be_read_slows_nobody_else(self, sandbox: Sandbox, fault: dict[str, Any]) -> None:
        job_id = sandbox.add_job("narrative")
        seen = sandbox.add_job("narrative", fields={"dataset_id": 7})
        sandbox.add_fault(Fault("narrative", "GET", "^/jobs$", skip=1, times=None, **fault))

        async def scenario() -> None:
            arguments: dict[str, Any] = {"hook": NarrativeHook, "poll_interval": 0.1}
            waits = [
                asyncio.ensure_future(first(trigger({"dataset_id": "7"}, **arguments))),
                asyncio.ensure_future(first(job_trigger(job_id, **arguments))),
            ]
            await until(lambda: sum(r.path == f"/jobs/{job_id}" for r in sandbox.requests()) >= 15)
            assert not any(wait.done() for wait in waits)
            sandbox.clear_faults()
            sandbox.set_state("narrative", seen, "completed")
            assert found(await waits[0]) == [seen]
            waits[1].cancel()

        in_time(scenario())

    @pytest.mark.usefixtures("one_try")
    def test_a_new_one_that_cannot_be_read_is_no_trouble_of_the_others(
        self, sandbox: Sandbox, logs: Logs
    ) -> None:
        job_id = sandbox.add_job("narrative")
        sandbox.add_fault(Fault("narrative", "GET", "^/jobs$", status=500, times=None))

        async def scenario() -> None:
            old = asyncio.ensure_future(first(job_trigger(job_id, hook=NarrativeHook, poll_interval=3600)))
            await until(sandbox.requests)
            new = asyncio.ensure_future(first(trigger({"dataset_id": "7"}, hook=NarrativeHook)))
            await until(lambda: "cannot be read now, the wait goes on" in logs.text)
            old.cancel()
            new.cancel()

        in_time(scenario())
        assert f"job {job_id} cannot be read" not in logs.text
        assert "poll failed" not in logs.text

    def test_refused_credentials_end_all(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity", password="wrong")

        async def wait() -> list[Any]:
            return await asyncio.gather(*(first(trigger({"feed_id": str(n)})) for n in range(20)))

        assert {payload["error"] for payload in in_time(wait())} == {"AuthenticationFailed"}
        assert len(sandbox.requests("amperity")) <= 4

    @pytest.mark.usefixtures("one_try")
    def test_passing_trouble_ends_nobody(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=feed("df-1"))
        sandbox.add_fault(Fault(vendor="amperity", status=503, times=1))
        sandbox.add_fault(Fault(vendor="amperity", drop="mid_body", times=1))
        assert found(in_time(first(trigger({"feed_id": "df-1"}, poll_interval=0.1)))) == [job_id]


class TestEnds:
    def test_time_is_up(self, sandbox: Sandbox) -> None:
        running = sandbox.add_job("amperity", fields=feed("df-1"))
        deadline = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
        payload = in_time(first(trigger({"feed_id": "df-1"}, deadline=deadline)))
        with pytest.raises(WaitTimeout, match=rf"had not ended .*{running} running"):
            jobs_from_event(payload)

    def test_one_that_finds_nothing_says_so(
        self, sandbox: Sandbox, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.follow.FIRST_WORD", timedelta(seconds=0.2))
        deadline = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        in_time(first(trigger({"feed_id": "df-1"}, deadline=deadline)))
        assert "Still waiting. Amperity jobs with feed_id='df-1'" in logs.text
        assert "Of at least 1 jobs, these were seen: none, last read at" in logs.text

    def test_a_last_look_after_the_deadline_still_counts(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(-10, "succeeded")], fields=feed("df-1"))
        past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
        assert found(in_time(first(trigger({"feed_id": "df-1"}, deadline=past)))) == [job_id]

    def test_a_hopeless_window_takes_two_looks_and_not_a_poll_each_moment(self, sandbox: Sandbox) -> None:
        window = (datetime(2026, 2, 3, tzinfo=UTC), datetime(2026, 2, 4, tzinfo=UTC))
        waiting = trigger({"feed_id": "df-1"}, window, missing_grace=0.5, poll_interval=20)
        with pytest.raises(JobNotFound, match="Only 0 of at least 1"):
            jobs_from_event(in_time(first(waiting)))
        assert 2 <= len(sandbox.requests("amperity")) <= 3

    def test_settle_needs_no_poll_each_moment_either(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=feed("df-1"))
        waiting = trigger({"feed_id": "df-1"}, poll_interval=20, wants={"settle": 0.5})
        assert found(in_time(first(waiting))) == [job_id]
        assert len(sandbox.requests("amperity")) <= 3

    def test_another_triggerer_goes_on_where_one_stopped(self, sandbox: Sandbox) -> None:
        early = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=feed("df-1"))
        late = sandbox.add_job("amperity", timeline=[(0.8, "succeeded")], fields=feed("df-1"))
        waiting = trigger({"feed_id": "df-1"}, wants={"min_jobs": 2})

        async def stopped() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(first(waiting), 0.4)

        in_time(stopped())
        again = revived(waiting)
        assert again.serialize() == waiting.serialize()
        assert found(in_time(first(again))) == [early, late]

    def test_its_arguments_have_no_secret_in_them(self) -> None:
        _, arguments = trigger({"feed_id": "df-1"}).serialize()
        assert "sandbox" not in json.dumps(arguments)

    def test_the_jobs_of_the_event_are_ended_ones(self, sandbox: Sandbox) -> None:
        sandbox.add_job("amperity", timeline=[(0, "running"), (0.4, "failed")], fields=feed("df-1"))
        (job,) = jobs_from_event(in_time(first(trigger({"feed_id": "df-1"}))))
        assert job.state is JobState.FAILED
