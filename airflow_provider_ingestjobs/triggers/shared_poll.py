# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The poll that watchers share from Airflow 3.3 on: Airflow tells it when the watchers' events are stored."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import SharedStreamProducer

from airflow_provider_ingestjobs.triggers.listing import Listing

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import AdvanceItem

log = logging.getLogger(__name__)


class SharedPoll(SharedStreamProducer):
    """Hands each poll to the watchers, and calls them back once Airflow has stored their events.

    :param polls: starts the poll; yields a listing, or an error, each time.
    """

    def __init__(self, polls: Callable[[], AsyncIterator[Any]]) -> None:
        self._polls = polls

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield what each poll finds, with what to call once its events are stored."""
        async for item in self._polls():
            if isinstance(item, Exception):
                yield item, []
                continue
            listing = replace(Listing.of(item), once_stored=[])
            yield listing, listing.once_stored

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Call the watchers back.

        :param batch: polls whose watchers have all had their events stored, or have failed.
        """
        for callbacks, outcome in batch:
            if outcome.failed:
                # Whose events are not stored is not said: what is not noted fires twice at worst.
                continue
            for callback in callbacks:
                try:
                    await callback()
                except Exception:
                    # Raised, it would end all watchers that share the poll.
                    log.exception("A watcher could not note which jobs have fired")
