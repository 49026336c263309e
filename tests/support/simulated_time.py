# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A clock that jumps, and the event loop that lives in it: hours of waiting in a fraction of a second."""

from __future__ import annotations

import asyncio
import selectors
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ingestjobs.triggers import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

R = TypeVar("R")

#: The moment at which every simulation starts, as a UNIX time.
START = 1_793_000_000.0


class World:
    """The simulated time, in seconds since its start, and the event loop that lives in it."""

    def __init__(self) -> None:
        self.now = 0.0
        #: Threads that compute, rather than sleep in simulated time. Only the loop's thread changes it.
        self.working = 0
        self.loop = _Loop(self)

    def time(self) -> float:
        return START + self.now

    def sleep(self, seconds: float) -> None:
        """Sleep in a thread, in simulated time."""
        over = threading.Event()

        def wake() -> None:
            self.working += 1
            over.set()

        def lie_down() -> None:
            self.working -= 1
            self.loop.call_later(seconds, wake)

        self.loop.call_soon_threadsafe(lie_down)
        over.wait()

    async def in_thread(self, call: Callable[[], R], limit: asyncio.Semaphore | None = None) -> R:
        """Run a call as the package does; time stands still while it computes, awaited or not."""
        is_over = is_left = False

        def end() -> None:
            nonlocal is_over
            is_over = True
            self.working -= is_left

        def work() -> R:
            try:
                return call()
            finally:
                self.loop.call_soon_threadsafe(end)

        self.working += 1
        try:
            return await threads.in_thread(work, limit)
        except asyncio.CancelledError:
            is_left = not is_over
            raise
        finally:
            self.working -= not is_left

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(main)


class _Selector(selectors.SelectSelector):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._world.working:
            return super().select(None)
        if timeout is None:
            raise RuntimeError("nothing is left to happen in this simulation")
        self._world.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(_Selector(world))

    def time(self) -> float:
        return self._world.now
