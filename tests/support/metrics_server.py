# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The metrics that a real Airflow sends."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict


class MetricsServer:
    """Takes in what Airflow sends over UDP in StatsD's format, with InfluxDB's tags."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._receive, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """Return the settings with which Airflow sends its metrics here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "ingestjobs",
        }

    def _receive(self) -> None:
        while True:
            for line in self._socket.recv(65536).decode().splitlines():
                # airflow.ingestjobs.polls,vendor=narrative,connection=narrative_default:1|c
                name, _, value = line.rpartition("|")[0].rpartition(":")
                name, *tags = name.split(",")
                connection = dict(tag.split("=", 1) for tag in tags).get("connection", "")
                self.values[name.removeprefix("airflow.ingestjobs."), connection].append(float(value))
