# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""dbt Cloud's sensor, whose hook only knows https, over http as everybody else here, in each process."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from airflow.providers.dbt.cloud.sensors import dbt as sensors
from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

from benchmarks.rows import speak_plain_http

speak_plain_http()


class OverHttpTrigger(DbtCloudRunJobTrigger):  # type: ignore[misc]
    """The peer's trigger, found again in this module."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.OverHttpTrigger", super().serialize()[1]


class OverHttpSensor(sensors.DbtCloudJobRunSensor):  # type: ignore[misc]
    """The peer's sensor, with that trigger."""

    def execute(self, context: Any) -> Any:
        with patch.object(sensors, "DbtCloudRunJobTrigger", OverHttpTrigger):
            return super().execute(context)
