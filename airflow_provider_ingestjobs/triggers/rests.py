# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Selections that could not be read, and for how long each is left alone: no other wait is slowed by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.triggers.backoff import backoff

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.errors import VendorUnavailable
    from airflow_provider_ingestjobs.selection import Selection


class Rests:
    """Which selections rest, each for longer the more often in a row it could not be read."""

    def __init__(self) -> None:
        self._failures: dict[Selection, int] = {}
        self._until: dict[Selection, float] = {}

    def are_over(self, selection: Selection) -> bool:
        """Whether a selection may be read.

        :param selection: the selection.
        """
        return clock.monotonic() >= self._until.get(selection, 0.0)

    def keep(
        self,
        read: Collection[Selection],
        troubles: Mapping[Selection, VendorUnavailable],
        interval: float,
    ) -> None:
        """Note how a poll went.

        :param read: the selections that were read.
        :param troubles: why others were not.
        :param interval: seconds between two polls.
        """
        for selection in read:
            self._failures.pop(selection, None)
            self._until.pop(selection, None)
        for selection, error in troubles.items():
            failures = self._failures[selection] = self._failures.get(selection, 0) + 1
            self._until[selection] = clock.monotonic() + backoff(failures, interval, error)

    def forget_all_but(self, selections: Collection[object]) -> None:
        """Forget the selections that nobody waits for any more.

        :param selections: those that somebody waits for.
        """
        for gone in [selection for selection in self._failures if selection not in selections]:
            del self._failures[gone], self._until[gone]
