# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a poll of asset watchers hands to each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job


@dataclass(slots=True)
class Listing:
    """What one poll has found.

    :param jobs: the ended jobs.
    :param began: when the poll began: a job that has ended since may still be listed as running.
    :param once_stored: takes what to call once Airflow has stored the events that were fired for this poll;
        ``None`` where Airflow does not tell.
    """

    jobs: list[Job]
    began: datetime
    once_stored: list[Callable[[], Awaitable[None]]] | None = None

    @classmethod
    def of(cls, item: Any) -> Listing:
        """Return a listing as it is, and a bare list, which a subclass of the trigger may yield, as one.

        :param item: a listing, or ended jobs.
        """
        return item if isinstance(item, Listing) else cls(item, clock.now())
