# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


class AmperityJobSensor(IngestJobSensor):
    """Waits until an ingest job of Amperity's has ended.

    :param amperity_conn_id: the Airflow connection.

    Further parameters: :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AmperityHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "amperity_conn_id")

    def __init__(self, *, amperity_conn_id: str = "amperity_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amperity_conn_id = amperity_conn_id
