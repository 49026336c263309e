# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The metrics of what polls a vendor again and again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from socket import gethostname
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import Stats
from airflow_provider_ingestjobs.metrics import tags_of

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.vendors import Vendor


class Meter:
    """Counts the polls of one connection.

    :param vendor: the vendor.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook: without them, two polls would share a gauge.
    :param prefix: of the metrics' names.
    """

    def __init__(
        self, vendor: Vendor, conn_id: str, hook_params: Mapping[str, Any], prefix: str = "ingestjobs."
    ) -> None:
        self._prefix = prefix
        self._tags = tags_of(vendor, conn_id, **hook_params)
        # By host, too, as Airflow's own gauges: one triggerer would overwrite another's.
        self._gauge_tags = {**self._tags, "hostname": gethostname()}
        self._answered_at = clock.monotonic()

    @property
    def silence(self) -> float:
        """For how many seconds nothing has been read well."""
        return clock.monotonic() - self._answered_at

    def start(self) -> None:
        """Begin anew: there was nothing to be read until now."""
        self._answered_at = clock.monotonic()

    def answered(self, jobs_seen: int, seconds: float) -> None:
        """Count a poll that has read what it should.

        :param jobs_seen: how many jobs it has read.
        :param seconds: how long it took.
        """
        self.start()
        Stats.incr(f"{self._prefix}polls", tags=self._tags)
        Stats.incr(f"{self._prefix}jobs_seen", jobs_seen, tags=self._tags)
        Stats.timing(f"{self._prefix}poll_duration", timedelta(seconds=seconds), tags=self._tags)
        self.gauge("seconds_since_answer", 0.0)

    def failed(self) -> None:
        """Count a poll that failed."""
        Stats.incr(f"{self._prefix}poll_failures", tags=self._tags)
        self.gauge("seconds_since_answer", self.silence)

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge.

        :param name: without the prefix.
        :param value: its value.
        """
        Stats.gauge(f"{self._prefix}{name}", value, tags=self._gauge_tags)
