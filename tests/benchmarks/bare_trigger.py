# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The control of :mod:`benchmarks.real_triggerer`: the least that a trigger can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class BareTrigger(BaseTrigger):
    """Sleeps once, and fires.

    :param moment: until when, as a UNIX time.
    """

    def __init__(self, moment: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "benchmarks.bare_trigger.BareTrigger", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.moment - time.time())
        yield TriggerEvent({})  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
