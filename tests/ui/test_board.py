# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""All who look at a connection cost its vendor what one does, and see what was last read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.ui import board as boards
from airflow_provider_ingestjobs.ui.board import Board, Boards, Reader
from airflow_provider_ingestjobs.ui.reads import DETAILS_PER_READ, read_ids, read_window
from support.connections import Connections


def board(
    hook: Any = AmperityHook,
    conn_id: str = "amperity_default",
    interval: float = 60.0,
    read: Any = partial(read_window, length=timedelta(days=1)),  # noqa: B008 - never changed
) -> Board:
    return Board(Reader(CurrentHook(hook, conn_id, {})), read, interval)


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(steps(), 20))


async def settled(of: Board) -> None:
    await of.look()
    if of._reading is not None:
        await asyncio.wait({of._reading})


def ids(of: Board) -> list[str]:
    return [job.id for job in of.last_read.jobs] if of.last_read else []


def test_a_hundred_who_look_at_once_are_one(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    job_id = sandbox.add_job("amperity", timeline=[(0, "running")])

    async def look() -> None:
        watched = board()
        await asyncio.gather(*(watched.look() for _ in range(100)))
        assert ids(watched) == [job_id]
        await asyncio.gather(*(watched.look() for _ in range(100)))

    run(look)
    assert len([one for one in sandbox.requests("amperity") if one.path == "/api/ingest/jobs"]) == 1


@pytest.mark.usefixtures("one_try")
def test_trouble_keeps_the_jobs_and_passes(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    job_id = sandbox.add_job("amperity", timeline=[(0, "running")])

    async def look() -> None:
        watched = board(interval=0.0)
        await settled(watched)
        sandbox.add_fault(Fault(vendor="amperity", status=503, times=None))
        watched._read_again_at = 0.0
        await settled(watched)
        assert ids(watched) == [job_id]
        assert watched.trouble is not None
        assert "503" in watched.trouble.text
        since = watched.trouble.since
        watched._read_again_at = 0.0
        await settled(watched)
        assert watched.trouble.since == since
        sandbox.clear_faults()
        watched._read_again_at = 0.0
        await settled(watched)
        assert watched.trouble is None

    run(look)


def test_a_connection_that_is_missing_says_so(connections: Connections) -> None:
    async def look() -> None:
        watched = board()
        await settled(watched)
        assert watched.trouble is not None
        assert "amperity_default" in watched.trouble.text

    run(look)


def test_nobody_waits_long_for_a_vendor_that_hangs(
    sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.add("amperity")
    monkeypatch.setattr(boards, "FIRST_LOOK", 0.1)
    sandbox.latency = 1.0

    async def look() -> None:
        watched = board()
        await asyncio.wait_for(watched.look(), 0.8)
        assert (watched.last_read, watched.trouble) == (None, None)
        await settled(watched)
        assert watched.last_read is not None

    run(look)


def test_whoever_leaves_ends_no_read(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    job_id = sandbox.add_job("amperity", timeline=[(0, "running")])
    sandbox.latency = 0.2

    async def look() -> None:
        watched = board()
        viewer = asyncio.create_task(watched.look())
        await asyncio.sleep(0.05)
        viewer.cancel()
        await settled(watched)
        assert ids(watched) == [job_id]

    run(look)


def test_what_takes_a_request_for_each_job_comes_bit_by_bit(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("polaris", extra={"requests_per_second": 1000})
    for _ in range(DETAILS_PER_READ + 2):
        sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 7, "inserted": 7})

    def in_full(of: Board) -> int:
        return sum(job.rows.read is not None for job in (of.last_read.jobs if of.last_read else ()))

    async def look() -> None:
        watched = board(PolarisHook, "imply_polaris_default")
        await settled(watched)
        assert in_full(watched) == DETAILS_PER_READ
        watched._read_again_at = 0.0
        await settled(watched)
        assert in_full(watched) == DETAILS_PER_READ + 2
        asked = len(sandbox.requests("polaris"))
        watched._read_again_at = 0.0
        await settled(watched)
        assert in_full(watched) == DETAILS_PER_READ + 2
        # The list alone.
        assert len(sandbox.requests("polaris")) <= asked + 2

    run(look)


def test_the_jobs_of_a_task(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    job_id = sandbox.add_job("amperity", timeline=[(0, "running")])

    async def look() -> None:
        watched = board(read=partial(read_ids, job_ids=(job_id, "isj-unknown")))
        await settled(watched)
        assert ids(watched) == [job_id]
        assert watched.last_read is not None
        assert watched.last_read.missing == {"isj-unknown"}

    run(look)


def test_a_board_that_nobody_looks_at_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Boards()
    first = kept.get("a", "one", board)
    assert kept.get("a", "one", board) is first
    monkeypatch.setattr(boards, "FORGET_AFTER", -1.0)
    assert kept.get("a", "one", board) is not first


def test_whoever_comes_back_late_sees_nothing_old(
    sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.add("amperity")
    monkeypatch.setattr(boards, "MIN_REST", 0.0)

    async def look() -> None:
        watched = board(interval=0.01)
        await settled(watched)
        job_id = sandbox.add_job("amperity", timeline=[(0, "running")])
        await asyncio.sleep(0.1)
        await watched.look()
        assert ids(watched) == [job_id]

    run(look)


def test_a_cancel_shows_at_once(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    sandbox.add_job("amperity", timeline=[(0, "running")])
    kept = Boards()

    async def look() -> None:
        watched = kept.get("a", "one", board)
        await settled(watched)
        assert watched.last_read is not None
        job = replace(watched.last_read.jobs[0], state=JobState.CANCELLING)
        kept.take_in("a", job)
        assert watched.last_read.jobs == (job,)
        await settled(watched)
        assert watched.last_read.jobs[0].state is JobState.RUNNING

    run(look)


def test_a_read_that_began_before_a_cancel_does_not_undo_it(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("amperity")
    sandbox.add_job("amperity", timeline=[(0, "running")])

    async def look() -> None:
        watched = board()
        await settled(watched)
        assert watched.last_read is not None
        job = replace(watched.last_read.jobs[0], state=JobState.CANCELLING)
        watched._read_again_at, sandbox.latency = clock.monotonic(), 0.3
        await watched.look()
        await asyncio.sleep(0.1)
        watched.take_in(job)
        await settled(watched)
        assert watched.last_read.jobs == (job,)
        # What the vendor says after it counts again.
        await settled(watched)
        assert watched.last_read.jobs[0].state is JobState.RUNNING

    run(look)


def test_a_vendor_that_hangs_holds_up_no_other(
    sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.add("amperity")
    connections.add("polaris")
    monkeypatch.setattr(boards, "FIRST_LOOK", 0.05)
    places = asyncio.Semaphore(boards.MAX_READS + 1)
    monkeypatch.setattr(boards, "poll_threads", lambda: places)
    sandbox.add_fault(Fault(vendor="amperity", delay=3.0, times=None))
    reader = Reader(CurrentHook(AmperityHook, "amperity_default", {}))

    async def look() -> None:
        read = partial(read_window, length=timedelta(days=1))
        hanging = [Board(reader, read, 60.0) for _ in range(2 * boards.MAX_READS)]
        await asyncio.gather(*(one.look() for one in hanging))
        other = board(PolarisHook, "imply_polaris_default")
        await asyncio.wait_for(settled(other), 2.0)
        assert other.last_read is not None

    run(look)
