# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Blocking calls in threads of their own, at most so many at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_ingestjobs.errors import VendorUnavailable

T = TypeVar("T")
#: The most polls of one process at once. Each watch has at most one, which a vendor that hangs keeps busy.
MAX_POLL_THREADS = 64

_POLL_THREADS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def poll_threads() -> asyncio.Semaphore:
    """Return the limit that all polls on the running event loop share."""
    return _POLL_THREADS.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MAX_POLL_THREADS))


async def in_thread(call: Callable[[], T], limit: asyncio.Semaphore | None = None) -> T:
    """Run a blocking call in a thread of its own and await its result.

    The loop's default executor is shared and small: one vendor that hangs would starve all others there, and
    its threads hold up the end of the process. This one is a daemon, and logs where its caller does.

    :param call: what to run.
    :param limit: how many such threads there may be; a thread keeps its place until it ends, also when nobody
        awaits it any more.
    :raises VendorUnavailable: if no thread can be started now, which passes.
    :raises RuntimeError: if the call raises ``StopIteration``, which no future takes, or what ends a program
        or cancels a task.
    """
    if limit is not None:
        await limit.acquire()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: Exception | None) -> None:
        if limit is not None:
            limit.release()
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(call)
        except BaseException as caught:
            error = _as_error(caught)
        with suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, result, error)

    try:
        threading.Thread(target=work, name="ingestjobs", daemon=True).start()
    except RuntimeError as error:
        if limit is not None:
            limit.release()
        raise VendorUnavailable(f"no further thread can be started now: {error}") from error
    return await future


def _as_error(caught: BaseException) -> Exception:
    if isinstance(caught, Exception) and not isinstance(caught, StopIteration):
        return caught
    error = RuntimeError(f"a thread raised {type(caught).__name__}: {caught}")
    error.__cause__ = caught
    return error
