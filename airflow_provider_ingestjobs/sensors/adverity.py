# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Adverity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


class AdverityJobSensor(IngestJobSensor):
    """Waits until a job of Adverity's, such as a fetch of a datastream has ended.

    :param adverity_conn_id: the Airflow connection.

    Further parameters: :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AdverityHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "adverity_conn_id")

    def __init__(self, *, adverity_conn_id: str = "adverity_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adverity_conn_id = adverity_conn_id
