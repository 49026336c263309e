# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow is asked once in a while, for all who look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.triggers.threads import in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")


class Kept(Generic[T]):
    """Keeps what was read, and reads it again in the background once it is old.

    :param read: reads it; blocking.
    :param empty: what holds where it could never be read.
    :param max_age: how old it may be before it is read again, in seconds.
    :param stale_after: from which age on whoever asks waits for what is read, in seconds.
    """

    def __init__(self, read: Callable[[], T], empty: T, *, max_age: float, stale_after: float = inf) -> None:
        self._read = read
        self._kept = empty
        self._max_age = max_age
        self._stale_after = stale_after
        self._read_at = -inf
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return it."""
        age = clock.monotonic() - self._read_at
        if self._reading is None and age >= self._max_age:
            self._reading = asyncio.create_task(self._read_again())
        if self._reading is not None and age >= self._stale_after:
            await asyncio.wait({self._reading})
        return self._kept

    async def _read_again(self) -> None:
        try:
            self._kept = await in_thread(self._read)
        except Exception:
            # What was read before still holds.
            log.exception("What the page asks of Airflow cannot be read")
        finally:
            self._read_at, self._reading = clock.monotonic(), None
