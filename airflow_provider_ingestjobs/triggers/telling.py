# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a watch tells of itself to people: in an XCom of one of the tasks that it serves.

A triggerer has no other place that Airflow's API server can read, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from socket import gethostname
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.hooks.for_triggers import name_of
from airflow_provider_ingestjobs.triggers.ending import check_xcom_backend
from airflow_provider_ingestjobs.triggers.xcoms import keep_xcom

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.triggers.subscription import Subscription

log = logging.getLogger(__name__)

#: The XCom's key.
WATCH_XCOM_KEY = "_ingestjobs_watch"
#: The longest time between two words, in seconds, and the shortest, where there is news.
TELL_EVERY = 60.0
TELL_AGAIN = 5.0


class Telling:
    """Tells how the polls of one connection go.

    :param hook_class: the hook that reads the jobs.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._about = {
            "hook": name_of(hook_class),
            "conn_id": conn_id,
            "hook_params": {name: value for name, value in hook_params.items() if value},
            "host": gethostname(),
        }
        self._carrier: Subscription | None = None
        self._trouble: str | None = None
        self._trouble_since: str | None = None
        self._told_at: float | None = None
        self._read_at: float | None = None
        self._writing: asyncio.Task[None] | None = None

    def tell(self, waits: Collection[Subscription], interval: float, trouble: Exception | None) -> None:
        """Tell how a poll went, if there is news or nothing was told for a while; it is stored later.

        :param waits: those that the watch serves now.
        :param interval: seconds between two polls.
        :param trouble: what is in the way of all of them, if anything is.
        """
        if trouble is None:
            self._read_at = clock.time()
        if self._writing is not None and not self._writing.done():
            return
        text = None if trouble is None else str(trouble)
        is_news = text != self._trouble or self._carrier not in waits
        pause = clock.monotonic() - self._told_at if self._told_at is not None else TELL_EVERY
        if pause < (TELL_AGAIN if is_news else TELL_EVERY):
            return
        self._carrier = next((wait for wait in waits if wait.task is not None), None)
        if self._carrier is None:
            return
        now = clock.now()
        if text is None or self._trouble is None:
            self._trouble_since = None if text is None else now.isoformat()
        self._trouble, self._told_at = text, clock.monotonic()
        word = {
            **self._about,
            "waits": len(waits),
            "interval": interval,
            "read_at": self._read_at,
            "told_at": now.timestamp(),
            "trouble": text,
            "trouble_since": self._trouble_since,
        }
        self._writing = asyncio.create_task(_store(self._carrier.task, word))


async def _store(task: Any, word: Mapping[str, Any]) -> None:
    try:
        # Another backend may keep each word for good, and the page could not read it.
        check_xcom_backend()
        await keep_xcom(task, WATCH_XCOM_KEY, word)
    except Exception as error:
        # The task may just have ended. The next word comes with the next poll that has one.
        log.debug("What the watch tells of itself cannot be stored: %s", error)
