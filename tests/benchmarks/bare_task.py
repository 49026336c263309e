# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The control of :mod:`benchmarks.waits`: the least that a task without workers can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TaskSuccessEvent


class BareEndTrigger(BaseTrigger):
    """Sleeps until the moment that the run's ``conf`` names, and ends its task."""

    moment = 0.0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.BareEndTrigger", {}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        self.moment = context["dag_run"].conf["until"]

    async def run(self) -> AsyncIterator[TaskSuccessEvent]:
        await asyncio.sleep(self.moment - time.time())
        yield TaskSuccessEvent()


class BareTask(BaseOperator):
    """Sleeps in the triggerer, which it needs no worker to begin and to end."""

    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls=f"{__name__}.BareEndTrigger",
        trigger_kwargs={},
        next_method="execute",
        next_kwargs=None,
        timeout=None,
    )
