# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The trigger of asset watchers: an event for each job that ends, once."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers import base

from support.task_runs import in_time, revived, until
from support.vendors import VENDORS

if not hasattr(base, "BaseEventTrigger"):
    pytest.skip("asset watchers came with Airflow 3", allow_module_level=True)

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import IngestJobsError, InvalidInput
from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers.asset_event import MAX_KEY_LENGTH
from airflow_provider_ingestjobs.triggers.event import IngestJobEventTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from support.connections import Connections
    from support.logs import Logs

FEED = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}


@pytest.fixture(autouse=True)
def _connections(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.asset_event.EVENT_STORED_AFTER", 0.05)
    for vendor in VENDORS:
        connections.add(vendor.name, extra={"requests_per_second": 1000})


def trigger(**changes: Any) -> IngestJobEventTrigger:
    arguments = {"hook": AmperityHook, "filters": {"feed_id": "df-1"}, "poll_interval": 0.05, **changes}
    return IngestJobEventTrigger(**arguments)


class Store:
    """What Airflow 3.3 keeps for an asset, with the methods that its triggers may call."""

    def __init__(self, longest_key: int = 512) -> None:
        self.kept: dict[str, str] = {}
        self.writes = 0
        self.refuses: Exception | None = None
        self._longest_key = longest_key

    async def aget(self, key: str, default: Any = None) -> Any:
        if isinstance(self.refuses, ValueError):
            raise self.refuses
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        if self.refuses:
            raise self.refuses
        assert value is not None
        assert 0 < len(key) <= self._longest_key
        self.writes += 1
        self.kept[key] = json.dumps(value)


class Watching:
    """A trigger as a triggerer runs it, from the start of the context to its end."""

    def __init__(
        self,
        trigger: IngestJobEventTrigger,
        store: Store | None = None,
        stream: AsyncIterator[Any] | None = None,
        fired: Callable[[], None] | None = None,
    ) -> None:
        self.trigger = revived(trigger)
        self._fired = fired
        if store is not None:
            self.trigger.asset_state_store = store
        self.events: list[dict[str, Any]] = []
        self._stream = stream

    async def _collect(self) -> None:
        shared = self._stream
        async for event in (
            self.trigger.run() if shared is None else self.trigger.filter_shared_stream(shared)
        ):
            self.events.append(json.loads(json.dumps(event.payload)))
            if self._fired:
                self._fired()

    async def __aenter__(self) -> Watching:
        self.task = asyncio.create_task(self._collect())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


async def polled(sandbox: Sandbox, times: int = 2, vendor: str = "amperity") -> None:
    """Wait until the vendor has been asked some more times: with two, one whole poll has begun and ended."""
    before = len(sandbox.requests(vendor))
    await until(lambda: len(sandbox.requests(vendor)) >= before + times)


def ends(sandbox: Sandbox, word: str = "succeeded", **fields: Any) -> str:
    return sandbox.add_job("amperity", timeline=[(0, word)], fields=fields or FEED)


def ended_now(job_id: str, **changes: Any) -> Job:
    now = clock.now()
    fields = {"created_at": now, "started_at": now, "ended_at": now, **changes}
    return Job(vendor="Vendor", id=job_id, state=JobState.SUCCEEDED, vendor_state="done", **fields)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("a bug in a bug")


class TestArguments:
    def test_it_survives_the_way_into_airflow_s_database(self) -> None:
        given = trigger(
            filters={"feed_id": ["df-2", "df-1"], "workflow_id": "wf"},
            states=("failed", JobState.SUCCEEDED),
            look_back=3600,
            conn_id="other",
        )
        again = revived(given)
        assert again.serialize() == given.serialize()
        path, arguments = given.serialize()
        assert path == "airflow_provider_ingestjobs.triggers.asset_event.IngestJobEventTrigger"
        assert arguments["hook"] == "airflow_provider_ingestjobs.hooks.amperity.AmperityHook"
        assert (arguments["states"], arguments["conn_id"]) == (["failed", "succeeded"], "other")
        # Airflow tells a watcher that it knows by this hash: another one at each parse would start it anew.
        kept = json.loads(json.dumps(arguments))
        assert IngestJobEventTrigger.hash(path, arguments) == IngestJobEventTrigger.hash(path, kept)

    def test_the_connection_is_the_vendor_s_default_one(self) -> None:
        assert trigger(hook=PolarisHook, filters={}).conn_id == "imply_polaris_default"
        assert trigger(hook=PolarisHook.vendor.hook, filters={}).hook_class is PolarisHook

    def test_an_asset_takes_it_as_its_watcher(self) -> None:
        from airflow.sdk import Asset, AssetWatcher

        asset = Asset("amperity://acme/df-1", watchers=[AssetWatcher(name="loads", trigger=trigger())])
        (watcher,) = asset.watchers
        assert isinstance(watcher.trigger, IngestJobEventTrigger)
        assert watcher.trigger.filters == {"feed_id": "df-1"}

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"filters": {"datastream_id": 1}}, "datastream_id.*use feed_id, table_name, workflow_id"),
            ({"filters": {"feed_id": None}}, "feed_id.*empty"),
            ({"filters": {"feed_id": []}}, "feed_id.*empty"),
            ({"filters": {"feed_id": ""}}, "feed_id.*empty"),
            ({"hook": "airflow_provider_ingestjobs.hooks.amperity.Hook"}, "hook.*class path"),
            ({"hook": AmperityHook()}, "hook=.*give the class"),
            ({"hook": dict}, "hook=.*give the class"),
            ({"states": ["running"]}, "states.*ends in"),
            ({"poll_interval": 5, "poke_interval": 6}, "poke_interval=6.*the same as poll_interval=5"),
            ({"states": ["done"]}, "states.*succeeded"),
            ({"states": []}, "states.*at least one"),
            ({"poll_interval": 0}, "poll_interval"),
            ({"poll_interval": "60"}, "poll_interval"),
            ({"look_back": -1}, "look_back"),
        ],
    )
    def test_what_cannot_be_is_an_error_in_the_dag(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidInput, match=said):
            trigger(**changes)


class TestEvents:
    def test_one_for_each_job_that_ends_from_now_on(self, sandbox: Sandbox) -> None:
        before = ends(sandbox)

        async def watch() -> list[dict[str, Any]]:
            async with Watching(trigger()) as watching:
                await polled(sandbox)
                first = sandbox.add_job("amperity", timeline=[(0, "running")], fields=FEED)
                await polled(sandbox)
                assert watching.ids == []
                sandbox.set_state("amperity", first, "succeeded")
                second = ends(sandbox)
                await until(lambda: len(watching.events) == 2)
                await polled(sandbox, 4)
                assert sorted(watching.ids) == sorted([first, second])
                assert before not in watching.ids
                return watching.events

        for event in in_time(watch()):
            job = Job.from_dict(event)
            assert (job.vendor, job.state, job.target) == ("Amperity", JobState.SUCCEEDED, "Customers")
            assert job.details["feed_ids"] == ["df-1"]

    def test_only_wanted_states_and_nouns(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            failed_only = trigger(states="failed")
            async with Watching(failed_only) as failures, Watching(trigger()) as successes:
                await polled(sandbox, 4)
                bad, good = ends(sandbox, "failed"), ends(sandbox)
                ends(sandbox, tables=[{"feed_id": "df-2"}])
                ends(sandbox, "canceled")
                await until(lambda: failures.events and successes.events)
                await polled(sandbox, 6)
                assert (failures.ids, successes.ids) == ([bad], [good])

        in_time(watch())

    def test_several_of_a_poll_come_by_their_end(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            async with Watching(trigger(poll_interval=0.4)) as watching:
                await polled(sandbox, 1)
                late = sandbox.add_job(
                    "amperity", timeline=[(-60, "running"), (-10, "succeeded")], fields=FEED
                )
                early = sandbox.add_job(
                    "amperity", timeline=[(-50, "running"), (-40, "succeeded")], fields=FEED
                )
                await until(lambda: len(watching.events) == 2)
                assert watching.ids == [early, late]

        in_time(watch())

    def test_without_filters_every_job(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            async with Watching(trigger(hook=AdverityHook, filters={})) as watching:
                await polled(sandbox, 4, "adverity")
                jobs = [
                    sandbox.add_job("adverity", timeline=[(0, "Success")], fields={"datastream_id": number})
                    for number in (1, 2)
                ]
                await until(lambda: sorted(watching.ids) == jobs)

        in_time(watch())

    def test_narrative_s_tags(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            async with Watching(trigger(hook=NarrativeHook, filters={"tags": ["eu"]})) as watching:
                await polled(sandbox, 2, "narrative")
                sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"tags": ["us"]})
                mine = sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"tags": ["eu"]})
                await until(lambda: watching.events)
                await polled(sandbox, 2, "narrative")
                assert watching.ids == [mine]

        in_time(watch())

    def test_jobs_that_started_longer_ago_than_it_looks_back(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            async with Watching(trigger(look_back=600)) as watching:
                await polled(sandbox)
                sandbox.add_job("amperity", timeline=[(-700, "running"), (0, "succeeded")], fields=FEED)
                mine = sandbox.add_job(
                    "amperity", timeline=[(-500, "running"), (0, "succeeded")], fields=FEED
                )
                await until(lambda: watching.events)
                await polled(sandbox)
                assert watching.ids == [mine]

        in_time(watch())

    def test_a_page_more_of_narrative_s_list_tells_nothing_of_the_past(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(NarrativeHook, "page_size", 5)
        for hours in range(60, 0, -3):
            sandbox.add_job("narrative", timeline=[(-3600 * hours, "completed")])

        async def watch() -> None:
            async with Watching(trigger(hook=NarrativeHook, filters={})) as watching:
                await polled(sandbox, 6, "narrative")
                for _ in range(8):
                    sandbox.add_job("narrative", timeline=[(0, "running")])
                await polled(sandbox, 10, "narrative")
                assert watching.ids == []

        in_time(watch())


class TestTrouble:
    @pytest.fixture(autouse=True)
    def _once(self, one_try: None) -> None:
        pass

    @pytest.mark.parametrize(
        "trouble", [{"status": 503}, {"status": 403}, {"drop": "before"}, {"body": "<html>"}]
    )
    def test_it_goes_on_and_tells_what_ended_meanwhile(
        self, sandbox: Sandbox, trouble: dict[str, Any]
    ) -> None:
        async def watch() -> None:
            async with Watching(trigger()) as watching:
                await polled(sandbox)
                sandbox.add_fault(Fault(vendor="amperity", times=None, **trouble))
                job_id = ends(sandbox)
                await polled(sandbox)
                sandbox.clear_faults()
                await until(lambda: watching.events)
                assert watching.ids == [job_id]
                assert not watching.task.done()

        in_time(watch())

    def test_before_the_first_answer_nothing_is_known_of_what_had_ended(self, sandbox: Sandbox) -> None:
        ends(sandbox)
        sandbox.add_fault(Fault(vendor="amperity", status=503, times=2))

        async def watch() -> None:
            async with Watching(trigger()) as watching:
                await polled(sandbox, 4)
                job_id = ends(sandbox)
                await until(lambda: watching.events)
                assert watching.ids == [job_id]

        in_time(watch())

    def test_it_is_logged_once_a_time(self, sandbox: Sandbox, logs: Logs) -> None:
        async def watch() -> None:
            async with Watching(trigger()):
                sandbox.add_fault(Fault(vendor="amperity", status=503, times=3))
                await polled(sandbox, 5)

        in_time(watch())
        warnings = [text for text in logs.warnings if "cannot be read now" in text]
        assert len(warnings) == 1
        assert "amperity_default" in warnings[0]

    def test_a_connection_that_is_missing_may_come_later(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        async def watch() -> None:
            stream = IngestJobEventTrigger.open_shared_stream(trigger(conn_id="later").serialize()[1])
            assert isinstance(await anext(stream), IngestJobsError)
            connections.add("amperity", conn_id="later")
            assert (await anext(stream)).jobs == []

        in_time(watch())

    def test_the_vendor_s_retry_after_is_honoured(self, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(vendor="amperity", status=429, headers={"Retry-After": "1"}))

        async def watch() -> float:
            stream = IngestJobEventTrigger.open_shared_stream(trigger().serialize()[1])
            assert isinstance(await anext(stream), IngestJobsError)
            began = time.monotonic()
            await anext(stream)
            return time.monotonic() - began

        assert 0.9 <= in_time(watch()) < 4

    @pytest.mark.parametrize(
        "bug",
        [
            ZeroDivisionError("a bug"),
            StopIteration("next() of nothing"),
            asyncio.CancelledError("in a thread"),
            SystemExit("a vendor's library that exits"),
            KeyError(None),
            Unprintable(),
        ],
        ids=lambda bug: type(bug).__name__,
    )
    def test_a_bug_in_a_hook_ends_no_watcher(
        self, bug: BaseException, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow 3.3")
        jobs_between = AmperityHook.jobs_between
        bugs: list[BaseException] = []

        def buggy(hook: AmperityHook, *arguments: Any) -> list[Job]:
            if bugs:
                raise bugs.pop()
            return jobs_between(hook, *arguments)

        monkeypatch.setattr(AmperityHook, "jobs_between", buggy)

        async def watch() -> None:
            triggerer = Triggerer(shared_stream.SharedStreamManager())
            async with (
                triggerer.watching(1, trigger()) as one,
                triggerer.watching(2, trigger(filters={})) as two,
            ):
                await polled(sandbox)
                bugs.append(bug)
                await until(lambda: not bugs)
                job_id = ends(sandbox)
                await until(lambda: one.events and two.events)
                assert one.ids == two.ids == [job_id]
                assert not one.task.done()
                assert not two.task.done()

        in_time(watch())

    def test_days_of_trouble_do_not_end_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.backoff.MAX_BACKOFF", 0.0)

        async def no_connection(*arguments: Any) -> Any:
            raise IngestJobsError("a thousand of Airflow's own look-ups would take too long here")

        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.current_hook.open_hook", no_connection)

        async def watch() -> None:
            waiting = trigger(poll_interval=1e-6)
            stream = IngestJobEventTrigger.open_shared_stream(waiting.serialize()[1])
            for _ in range(1100):
                assert isinstance(await anext(stream), IngestJobsError)

        in_time(watch())


class TestRestart:
    """With the store of Airflow 3.3 a new triggerer goes on; without it starts anew."""

    def test_what_ended_while_none_ran_is_told_by_the_next_and_nothing_twice(self, sandbox: Sandbox) -> None:
        store = Store()
        ends(sandbox)

        async def watch() -> None:
            async with Watching(trigger(), store) as one:
                await until(lambda: store.writes)
                told = ends(sandbox)
                await until(lambda: store.writes == 2)
                assert one.ids == [told]
            missed = ends(sandbox)
            async with Watching(trigger(), store) as two:
                await until(lambda: two.events)
                await polled(sandbox)
                assert two.ids == [missed]
            async with Watching(trigger(), store) as three:
                await polled(sandbox, 3)
                assert three.ids == []

        in_time(watch())

    def test_killed_between_firing_and_noting_it_tells_again_rather_than_never(
        self, sandbox: Sandbox
    ) -> None:
        store = Store()

        async def watch() -> None:
            waiting = trigger()
            waiting.asset_state_store = store  # type: ignore[assignment]  # plays Airflow's
            events = waiting.filter_shared_stream(waiting.open_shared_stream(waiting.serialize()[1]))
            first = asyncio.ensure_future(anext(events))
            await until(lambda: store.writes)
            job_id = ends(sandbox)
            event = await first
            assert event.payload["id"] == job_id
            # Airflow logs it: not the whole job, which is in the asset's event.
            assert repr(event) == f"TriggerEvent<Amperity job {job_id} is succeeded>"
            # Here the triggerer dies: what follows the event's firing never runs.
            async with Watching(trigger(), store) as again:
                await until(lambda: again.events)
                assert again.ids == [job_id]

        in_time(watch())

    def test_without_a_store_it_starts_anew(self, sandbox: Sandbox) -> None:
        async def watch() -> None:
            async with Watching(trigger()):
                await polled(sandbox)
            ends(sandbox)
            async with Watching(trigger()) as again:
                await polled(sandbox)
                job_id = ends(sandbox)
                await until(lambda: again.events)
                assert again.ids == [job_id]

        in_time(watch())

    def test_what_is_kept_is_the_look_back_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store()
        began = clock.now()

        async def polls() -> AsyncIterator[Any]:
            old = {"created_at": began - timedelta(days=400), "started_at": None}
            unwanted = [ended_now(f"old-{number}", **old) for number in range(1000)]
            for hour in range(6):
                now = began + timedelta(hours=hour)
                monkeypatch.setattr(clock, "now", lambda now=now: now)
                yield [*unwanted, ended_now(f"hour-{hour}")]

        async def watch() -> list[str]:
            waiting = trigger(hook=PolarisHook, filters={}, look_back=2.5 * 3600)
            async with Watching(waiting, store, polls()) as watching:
                await watching.task
            return watching.ids

        assert in_time(watch()) == [f"hour-{hour}" for hour in range(1, 6)]
        (kept,) = map(json.loads, store.kept.values())
        assert list(kept["jobs"]) == ["hour-3", "hour-4", "hour-5"]
        assert kept["since"] == began.timestamp()

    def test_a_longer_look_back_does_not_bring_back_what_was_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, began = Store(), clock.now()

        async def polls(hours: range) -> AsyncIterator[Any]:
            for hour in hours:
                now = began + timedelta(hours=hour)
                monkeypatch.setattr(clock, "now", lambda now=now: now)
                jobs = [ended_now(f"hour-{n}", ended_at=began + timedelta(hours=n)) for n in range(hour + 1)]
                yield [replace(job, created_at=job.ended_at, started_at=job.ended_at) for job in jobs]

        async def watch() -> None:
            async with Watching(trigger(filters={}, look_back=3600), store, polls(range(5))) as watching:
                await watching.task
                assert watching.ids == [f"hour-{hour}" for hour in range(1, 5)]
            async with Watching(trigger(filters={}), store, polls(range(5, 7))) as again:
                await again.task
                assert again.ids == ["hour-5", "hour-6"]

        in_time(watch())

    def test_a_job_that_one_poll_leaves_out_is_not_told_again(self, sandbox: Sandbox) -> None:
        store = Store()

        async def watch() -> None:
            async with Watching(trigger(look_back=3600), store) as watching:
                await until(lambda: store.writes)
                left_out = ends(sandbox)
                await until(lambda: store.writes == 2)
                sandbox.remove_job("amperity", left_out)
                other = ends(sandbox)
                await until(lambda: store.writes == 3)
                sandbox.add_job("amperity", left_out, timeline=[(0, "succeeded")], fields=FEED)
                await polled(sandbox, 3)
                assert watching.ids == [left_out, other]

        in_time(watch())

    def test_jobs_that_many_polls_leave_out_are_not_told_again(self) -> None:
        jobs = [ended_now(f"job-{number}") for number in range(300)]
        store = Store()

        async def polls(*listed: list[Job]) -> AsyncIterator[Any]:
            for one in listed:
                yield one

        async def watch() -> None:
            # A page is missing from some of the lists, also after a restart.
            whole, part = jobs, jobs[:100]
            before = polls([], whole, part, part, [*part, ended_now("more")], whole)
            async with Watching(trigger(filters={}), store, before) as watching:
                await watching.task
                assert sorted(watching.ids) == sorted([*(job.id for job in jobs), "more"])
            async with Watching(trigger(filters={}), store, polls(part, whole)) as again:
                await again.task
                assert again.ids == []

        in_time(watch())

    def test_a_job_that_the_first_list_lacked_fires_only_if_it_has_ended_since(self) -> None:
        now = clock.now()
        created_at = now - timedelta(hours=3)
        before = ended_now("before", created_at=created_at, ended_at=now - timedelta(hours=2))
        since = ended_now("since", created_at=created_at, ended_at=now + timedelta(seconds=5))
        # By a clock that is a little behind.
        behind = ended_now("behind", created_at=created_at, ended_at=now - timedelta(seconds=30))
        # What failed at Imply Polaris has no end, and its last change is that of its user.
        untold = ended_now("untold", created_at=created_at, ended_at=None, updated_at=created_at)

        async def watch() -> list[str]:
            async def polls() -> AsyncIterator[Any]:
                yield []
                yield [before, since, behind, untold]

            async with Watching(trigger(filters={}), stream=polls()) as watching:
                await watching.task
            return sorted(watching.ids)

        assert in_time(watch()) == ["behind", "since", "untold"]

    def test_a_job_that_ends_while_a_slow_first_poll_reads_its_lists_fires(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "running")], fields=FEED)
        jobs_between = AmperityHook.jobs_between

        def slow(hook: AmperityHook, *arguments: Any) -> list[Job]:
            jobs = jobs_between(hook, *arguments)
            if jobs and not jobs[0].state.is_terminal:
                sandbox.set_state("amperity", job_id, "succeeded")
                # The list took an hour.
                later = clock.time() + 3600
                monkeypatch.setattr(clock, "time", lambda: later)
            return jobs

        monkeypatch.setattr(AmperityHook, "jobs_between", slow)

        async def watch() -> None:
            async with Watching(trigger()) as watching:
                await until(lambda: watching.events)
                assert watching.ids == [job_id]

        in_time(watch())

    def test_watchers_of_one_asset_keep_their_own(self, sandbox: Sandbox) -> None:
        store = Store()

        async def watch() -> None:
            failures, successes = trigger(states="failed"), trigger()
            async with Watching(failures, store) as bad, Watching(successes, store) as good:
                await until(lambda: store.writes == 2)
                job_ids = [ends(sandbox, "failed"), ends(sandbox)]
                await until(lambda: bad.events and good.events and store.writes == 4)
                assert [*bad.ids, *good.ids] == job_ids
            async with Watching(failures, store) as bad, Watching(successes, store) as good:
                await polled(sandbox, 6)
                assert bad.ids == good.ids == []

        in_time(watch())

    def test_watchers_of_one_asset_on_several_connections_keep_their_own(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        store = Store()
        connections.add("amperity", conn_id="amperity_us")
        connections.add("imply_polaris", conn_id="polaris_us")
        ends(sandbox)
        given = [
            trigger(filters={}),
            trigger(filters={}, conn_id="amperity_us"),
            trigger(filters={}, hook=PolarisHook),
            trigger(filters={}, hook=PolarisHook, hook_params={"project_id": "other"}),
        ]

        async def first_poll(one: IngestJobEventTrigger, jobs: list[str]) -> list[str]:
            async def stream() -> AsyncIterator[Any]:
                yield [ended_now(job_id) for job_id in jobs]

            watching = Watching(one, store, stream())
            async with watching:
                await watching.task
            return watching.ids

        async def watch() -> None:
            for turn in range(2):
                for number, one in enumerate(given):
                    assert await first_poll(one, [f"{number}-1", f"{number}-2"]) == [], (turn, number)
            assert len(store.kept) == len(given)

        in_time(watch())

    def test_what_0_1_0_has_kept_is_carried_over(self, sandbox: Sandbox) -> None:
        store = Store()
        told, missed = ends(sandbox), ends(sandbox)
        store.kept["ingestjobs.told?feed_id=df-1&states=succeeded"] = json.dumps([told])

        async def watch() -> None:
            async with Watching(trigger(), store) as one:
                await until(lambda: store.writes)
                await polled(sandbox)
                assert one.ids == [missed]
            # From here on the old key counts no more.
            store.kept["ingestjobs.told?feed_id=df-1&states=succeeded"] = json.dumps([])
            async with Watching(trigger(), store) as two:
                await polled(sandbox, 3)
                assert two.ids == []

        in_time(watch())

    def test_a_store_that_refuses_does_not_make_it_tell_twice(self, sandbox: Sandbox, logs: Logs) -> None:
        store = Store()

        async def watch() -> None:
            async with Watching(trigger(), store) as watching:
                await until(lambda: store.writes)
                store.refuses = RuntimeError("API_SERVER_ERROR")
                first = ends(sandbox)
                await until(lambda: watching.events)
                await polled(sandbox, 3)
                assert watching.ids == [first]
                assert not watching.task.done()
                store.refuses = None
                second = ends(sandbox)
                await until(lambda: store.writes == 2)
                assert watching.ids == [first, second]
            async with Watching(trigger(), store) as again:
                await polled(sandbox, 3)
                assert again.ids == []

        in_time(watch())
        assert any("is not kept this time" in text and "API_SERVER_ERROR" in text for text in logs.warnings)

    def test_a_trigger_of_several_assets_works_without_what_is_kept(
        self, sandbox: Sandbox, logs: Logs
    ) -> None:
        store = Store()
        store.refuses = ValueError("Task has 2 concrete inlets and outlets")

        async def watch() -> None:
            async with Watching(trigger(), store) as watching:
                await polled(sandbox, 3)
                job_id = ends(sandbox)
                await until(lambda: watching.events)
                await polled(sandbox)
                assert watching.ids == [job_id]

        in_time(watch())
        assert any("several assets" in text for text in logs.warnings)

    def test_many_values_make_no_key_that_the_store_refuses(self, sandbox: Sandbox) -> None:
        assert MAX_KEY_LENGTH == 512
        store = Store(longest_key=512)
        feeds = [f"df-{number:06d}" for number in range(100)]

        async def watch() -> None:
            async with (
                Watching(trigger(filters={"feed_id": feeds}), store) as many,
                Watching(trigger(filters={"feed_id": [*feeds, "df-1"]}), store) as more,
            ):
                await until(lambda: store.writes == 2)
                job_id = ends(sandbox)
                await until(lambda: more.events)
                assert (many.ids, more.ids) == ([], [job_id])
            assert len(store.kept) == 2

        in_time(watch())


class TestSharedStream:
    def test_who_shares_one(self) -> None:
        key = trigger().shared_stream_key()
        assert hash(key) is not None
        equals: list[dict[str, Any]] = [
            {"filters": {"feed_id": "df-2"}},
            {"states": "failed"},
            {"filters": {}},
        ]
        for same in equals:
            assert trigger(**same).shared_stream_key() == key, same
        others: list[dict[str, Any]] = [
            {"conn_id": "other"},
            {"poll_interval": 1},
            {"look_back": 60},
            {"hook_params": {"project_id": "p"}},
            {"hook": AdverityHook, "filters": {}, "conn_id": "amperity_default"},
        ]
        assert len({trigger(**other).shared_stream_key() for other in others} | {key}) == len(others) + 1

    def test_tags_need_lists_of_their_own(self) -> None:
        keys = [
            trigger(hook=NarrativeHook, filters=filters).shared_stream_key()
            for filters in (
                {},
                {"tags": "eu"},
                {"tags": ["eu", "us"]},
                {"tags": ["us", "eu"]},
                {"job_type": "x"},
            )
        ]
        assert keys[2] == keys[3]
        assert keys[0] == keys[4]
        assert len(set(keys)) == 3

    def test_it_is_the_same_after_the_way_through_the_database(self) -> None:
        given = trigger(hook=PolarisHook, filters={}, hook_params={"project_id": "p"})
        assert revived(given).shared_stream_key() == given.shared_stream_key()

    def test_many_watchers_of_one_stream(self, sandbox: Sandbox) -> None:
        count = 50

        async def watch() -> int:
            queues: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(count)]

            async def drain(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
                while True:
                    yield await queue.get()

            async def fan_out() -> None:
                async for item in IngestJobEventTrigger.open_shared_stream(trigger().serialize()[1]):
                    for queue in queues:
                        queue.put_nowait(item)

            poll = asyncio.create_task(fan_out())
            watchers = [
                Watching(trigger(filters={"feed_id": f"df-{number}"}), stream=drain(queue))
                for number, queue in enumerate(queues)
            ]
            for watcher in watchers:
                await watcher.__aenter__()
            await polled(sandbox)
            jobs = [ends(sandbox, tables=[{"feed_id": f"df-{number}"}]) for number in range(count)]
            asked, began = len(sandbox.requests("amperity")), time.monotonic()
            await until(lambda: all(watcher.events for watcher in watchers))
            cost = len(sandbox.requests("amperity")) - asked
            assert cost <= 2 + (time.monotonic() - began) / 0.04
            poll.cancel()
            for watcher, job_id in zip(watchers, jobs, strict=True):
                await watcher.__aexit__()
                assert watcher.ids == [job_id]
            return cost

        in_time(watch())

    def test_airflow_s_own_manager_of_shared_streams_and_a_late_joiner(self, sandbox: Sandbox) -> None:
        shared_stream = pytest.importorskip(
            "airflow.triggers.shared_stream", reason="shared streams came with Airflow 3.3"
        )

        async def watch() -> None:
            manager = shared_stream.SharedStreamManager()

            def joined(number: int, waiting: IngestJobEventTrigger) -> Watching:
                key = waiting.shared_stream_key()
                stream = manager.subscribe(trigger_id=number, trigger=waiting, key=key)
                return Watching(waiting, stream=stream)

            # The first one's filter and states must not narrow what the others get.
            async with joined(1, trigger(filters={"feed_id": "df-9"}, states="failed")) as first:
                await polled(sandbox)
                before = ends(sandbox)
                await polled(sandbox)
                async with joined(2, trigger()) as late, joined(3, trigger(filters={})) as all_jobs:
                    await polled(sandbox, 3)
                    after = ends(sandbox)
                    await until(lambda: late.events and all_jobs.events)
                    await polled(sandbox)
                    assert (first.ids, late.ids, all_jobs.ids) == ([], [after], [after])
                    assert before not in late.ids
            assert len(manager._groups) == 1
            await manager.stop_all()

        in_time(watch())

    def test_a_late_joiner_with_a_store_is_told_what_it_missed(self, sandbox: Sandbox) -> None:
        store = Store()

        async def watch() -> None:
            async with Watching(trigger(), store):
                await until(lambda: store.writes)
            missed = ends(sandbox)
            stream = IngestJobEventTrigger.open_shared_stream(trigger().serialize()[1])
            await anext(stream)
            async with Watching(trigger(), store, stream) as late:
                await until(lambda: late.events)
                assert late.ids == [missed]

        in_time(watch())


def test_a_job_is_told_once_though_its_vendor_lists_it_as_running_and_as_ended(sandbox: Sandbox) -> None:
    # Adverity's current and past jobs are two lists: who ends between their readings is in both or in none.
    async def watch() -> None:
        async with Watching(trigger(hook=AdverityHook, filters={"datastream_id": 42})) as watching:
            await polled(sandbox, 4, "adverity")
            now = datetime.now(UTC)
            jobs = [
                sandbox.add_job("adverity", timeline=[(0, "Running"), (0.02 * number, "Success")])
                for number in range(1, 20)
            ]
            await until(lambda: len(watching.events) >= len(jobs))
            await polled(sandbox, 4, "adverity")
            assert sorted(watching.ids) == sorted(jobs)
            assert datetime.now(UTC) - now < timedelta(seconds=15)

    in_time(watch())


class Triggerer:
    """What Airflow's triggerer does with watchers that share a poll, from 3.3 on.

    :param manager: Airflow's own.
    """

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.not_stored: list[int] = []

    @asynccontextmanager
    async def watching(
        self, number: int, given: IngestJobEventTrigger, store: Store | None = None
    ) -> AsyncIterator[Watching]:
        key = given.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=number, trigger=given, key=key)
        watching = Watching(given, store, stream, partial(self._fired, number, key))
        async with watching:
            yield watching
        await self.manager.unsubscribe(number, key)

    def _fired(self, number: int, key: Any) -> None:
        sequence_number = self.manager.bind_pending_event(trigger_id=number, key=key)
        if sequence_number is not None:
            self.not_stored.append(sequence_number)

    def store_events(self) -> None:
        self.manager.confirm_persisted(self.not_stored)
        self.not_stored = []


class TestEventsThatAirflowStores:
    """From Airflow 3.3 on, a job has fired once Airflow has stored its event."""

    @pytest.fixture
    def triggerer(self, monkeypatch: pytest.MonkeyPatch) -> Triggerer:
        shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow 3.3")
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.asset_event.EVENT_STORED_AFTER", 3600.0)
        return Triggerer(shared_stream.SharedStreamManager())

    def test_they_are_noted_then_and_not_before(self, sandbox: Sandbox, triggerer: Triggerer) -> None:
        store = Store()

        async def watch() -> None:
            async with triggerer.watching(1, trigger(), store) as watching:
                await until(lambda: store.writes)
                first = ends(sandbox)
                await until(lambda: watching.events)
                await polled(sandbox, 4)
                assert store.writes == 1
                second = ends(sandbox)
                await until(lambda: len(watching.events) == 2)
                await polled(sandbox)
                assert store.writes == 1
                triggerer.store_events()
                await until(lambda: store.writes == 3)
                assert watching.ids == [first, second]
            async with triggerer.watching(2, trigger(), store) as again:
                await polled(sandbox, 3)
                assert again.ids == []

        in_time(watch())

    def test_a_job_whose_event_was_not_stored_fires_again(
        self, sandbox: Sandbox, triggerer: Triggerer
    ) -> None:
        store = Store()

        async def watch() -> None:
            async with triggerer.watching(1, trigger(), store) as watching:
                await until(lambda: store.writes)
                job_id = ends(sandbox)
                await until(lambda: watching.events)
                await polled(sandbox)
            async with triggerer.watching(2, trigger(), store) as again:
                await until(lambda: again.events)
                assert again.ids == [job_id]

        in_time(watch())

    def test_a_store_that_refuses_ends_no_watcher(self, sandbox: Sandbox, triggerer: Triggerer) -> None:
        broken, sound = Store(), Store()

        def have_fired(watchers: list[Watching], times: int) -> bool:
            return all(len(watching.events) == times for watching in watchers)

        def has_written(store: Store, times: int) -> bool:
            return store.writes == times

        async def watch() -> None:
            async with (
                triggerer.watching(1, trigger(), broken) as one,
                triggerer.watching(2, trigger(), sound) as two,
            ):
                await until(lambda: broken.writes and sound.writes)
                broken.refuses = RuntimeError("API_SERVER_ERROR")
                for count in (1, 2):
                    ends(sandbox)
                    await until(partial(have_fired, [one, two], count))
                    triggerer.store_events()
                    await until(partial(has_written, sound, count + 1))
                assert len(one.ids) == len(set(one.ids)) == 2

        in_time(watch())


STORED = {
    "hook": AmperityHook.vendor.hook,
    "conn_id": "amperity_default",
    "filters": {"feed_id": "df-1"},
    "states": ["succeeded"],
    "poll_interval": 0.05,
    "look_back": 3600.0,
    "hook_params": {},
}


class TestStoredByAirflow32:
    def test_its_dicts_come_in_an_envelope(self) -> None:
        stored: dict[str, Any] = {
            **STORED,
            "filters": {"Encoding.VAR": {"feed_id": "df-1"}, "Encoding.TYPE": "dict"},
            "hook_params": {"Encoding.VAR": {}, "Encoding.TYPE": "dict"},
        }
        arguments = IngestJobEventTrigger(**stored).serialize()[1]
        assert arguments["filters"] == {"feed_id": "df-1"}
        assert arguments["hook_params"] == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"filters": {"workspace_id": "7"}}, "workspace_id"),
        ({"states": ["stranded"]}, "stranded"),
        ({"hook": "airflow_provider_ingestjobs.hooks.newer.NewerHook"}, "NewerHook"),
        ({"poll_interval": None}, "poll_interval"),
        ({"filters": 7}, "int"),
        ({"settle": 60}, "no argument settle"),
    ],
)
class TestStoredByAnotherRelease:
    """A triggerer that gets an exception from a trigger's constructor ends, with all that it runs."""

    def test_it_says_so_and_harms_no_other(
        self, sandbox: Sandbox, logs: Logs, changes: dict[str, Any], said: str
    ) -> None:
        async def watch() -> None:
            stored = IngestJobEventTrigger(**{**STORED, **changes})
            assert stored.shared_stream_key() is None
            fired: list[Any] = []

            async def collect() -> None:
                fired.extend([event async for event in stored.run()])

            unusable = asyncio.create_task(collect())
            async with Watching(trigger()) as watching:
                await polled(sandbox)
                job_id = ends(sandbox)
                await until(lambda: watching.ids == [job_id])
            assert not unusable.done()
            unusable.cancel()
            with suppress(asyncio.CancelledError):
                await unusable
            assert fired == []

        in_time(watch())
        (told,) = [record for record in logs.records if "fires nothing" in record.getMessage()]
        assert told.levelname == "ERROR"
        assert said in told.getMessage()

    def test_a_notebook_has_an_event_loop_too_and_is_told_as_the_dag_is_stored(
        self, changes: dict[str, Any], said: str
    ) -> None:
        async def cell() -> None:
            IngestJobEventTrigger(**{**STORED, **changes}).serialize()

        with pytest.raises((InvalidInput, AttributeError, TypeError), match=said):
            in_time(cell())

    def test_in_a_dag_it_is_an_error(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises((InvalidInput, AttributeError, TypeError), match=said):
            IngestJobEventTrigger(**{**STORED, **changes})
