# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A connection that cannot be read for a while ends no wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import AuthenticationFailed, InvalidInput, VendorUnavailable
from airflow_provider_ingestjobs.hooks import for_triggers
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers import current_hook
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.triggers.watch import watch_for
from support.task_runs import in_time, until

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

ENV = "AIRFLOW_CONN_NARRATIVE_DEFAULT"
TYPO = '{"conn_type": "narrative", "password": "key", "host": "api narrative"}'


@pytest.fixture(autouse=True)
def _always_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_hook, "MAX_CONNECTION_AGE", 0.0)
    monkeypatch.setattr(current_hook, "RETRY_AFTER", 0.0)


@pytest.fixture
def connection(connections: Connections) -> str:
    return connections.add("narrative")


async def end_of(wait: Any) -> Job:
    while True:
        update = await wait.next_update()
        if update.error is not None:
            raise update.error
        if update.job is not None and update.job.state.is_terminal:
            found: Job = update.job
            return found


@pytest.mark.usefixtures("connection")
class TestConnectionAtHand:
    @pytest.mark.parametrize("saved", [None, TYPO], ids=["unreadable", "typo"])
    def test_the_settings_at_hand_go_on(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, logs: Logs, saved: str | None
    ) -> None:
        job_id = sandbox.add_job("narrative")

        async def scenario() -> Job:
            async with watch_for(NarrativeHook, "narrative_default", {}).join(job_id, 0.1) as wait:
                assert (await wait.next_update()).job is not None
                if saved is None:
                    monkeypatch.delenv(ENV)
                else:
                    monkeypatch.setenv(ENV, saved)
                polled = len(sandbox.requests())
                await until(lambda: len(sandbox.requests()) > polled + 2)
                sandbox.set_state("narrative", job_id, "completed")
                return await end_of(wait)

        assert in_time(scenario()).state is JobState.SUCCEEDED
        assert sum("cannot be read: " in line for line in logs.warnings) == 1

    def test_they_are_kept_until_others_are_there(
        self, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> None:
            current = CurrentHook(NarrativeHook, "narrative_default", {})
            first = await current.get()
            monkeypatch.delenv(ENV)
            assert await current.get() is first
            connections.add("narrative", password="another")
            while await current.get() is first:
                await asyncio.sleep(0.01)

        in_time(scenario())

    def test_no_poll_waits_while_they_are_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As where many connections are looked up one by one in a slow secrets backend."""
        look_up, looked_up = for_triggers.look_up_connection, list[Any]()

        async def slowly(*args: Any, **kwargs: Any) -> Any:
            found = await look_up(*args, **kwargs)
            if looked_up:
                await asyncio.sleep(0.3)
            looked_up.append(found)
            return found

        monkeypatch.setattr(for_triggers, "look_up_connection", slowly)

        async def scenario() -> None:
            current = CurrentHook(NarrativeHook, "narrative_default", {})
            first = await current.get()
            for _ in range(20):
                began = time.monotonic()
                assert await current.get() is first
                assert time.monotonic() - began < 0.2
            assert len(looked_up) == 1
            await until(lambda: len(looked_up) == 2)

        in_time(scenario())

    def test_refused_credentials_wait_for_others_and_not_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> None:
            current = CurrentHook(NarrativeHook, "narrative_default", {})
            await current.get()
            monkeypatch.delenv(ENV)
            with pytest.raises(VendorUnavailable, match="'narrative_default' cannot be used: create"):
                await current.get(is_refused=True)
            monkeypatch.setattr(current_hook, "MISSING_GRACE", 0.0)
            with pytest.raises(InvalidInput, match="'narrative_default' cannot be used: create"):
                await current.get(is_refused=True)

        in_time(scenario())


class TestNoConnection:
    def test_it_may_be_there_in_a_moment(self, sandbox: Sandbox, connections: Connections) -> None:
        job_id = sandbox.add_job("narrative", timeline=[(0, "completed")])

        async def scenario() -> Job:
            async with watch_for(NarrativeHook, "narrative_default", {}).join(job_id, 0.1) as wait:
                trouble = (await wait.next_update()).trouble
                assert "workers and triggerers must all see it" in str(trouble)
                connections.add("narrative")
                return await end_of(wait)

        assert in_time(scenario()).state is JobState.SUCCEEDED

    def test_that_is_believed_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(current_hook, "MISSING_GRACE", 0.3)

        async def scenario() -> None:
            async with watch_for(NarrativeHook, "narrative_default", {}).join("n-1", 0.1) as wait:
                await end_of(wait)

        with pytest.raises(InvalidInput, match="narrative_conn_id='narrative_default' cannot be used"):
            in_time(scenario())

    def test_one_that_cannot_be_used_is_an_error_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ENV, TYPO)
        with pytest.raises(InvalidInput, match="host"):
            in_time(CurrentHook(NarrativeHook, "narrative_default", {}).get())


def test_refused_credentials_still_end_a_wait(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("narrative")
    sandbox.add_fault(Fault("narrative", status=401, times=None))

    async def scenario() -> None:
        async with watch_for(NarrativeHook, "narrative_default", {}).join("n-1", 0.1) as wait:
            await end_of(wait)

    with pytest.raises(AuthenticationFailed):
        in_time(scenario())


@pytest.mark.usefixtures("connection")
def test_a_wait_that_is_cancelled_while_its_connection_is_read_lets_that_end(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Airflow 3.0 and 3.1, the triggerer ends if an answer to one of its questions stays unread."""
    read, answers = for_triggers.look_up_connection, list[Any]()
    asked = asyncio.Event()

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        await asyncio.sleep(0.05)
        answers.append(await read(*args, **kwargs))
        return answers[-1]

    monkeypatch.setattr(for_triggers, "look_up_connection", slowly)

    async def scenario() -> None:
        looking = asyncio.create_task(CurrentHook(NarrativeHook, "narrative_default", {}).get())
        await asked.wait()
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        await until(lambda: answers)

    in_time(scenario())
