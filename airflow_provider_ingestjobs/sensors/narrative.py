# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Narrative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


class NarrativeJobSensor(IngestJobSensor):
    """Waits until a job of Narrative's has ended.

    :param narrative_conn_id: the Airflow connection.

    Further parameters: :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = NarrativeHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "narrative_conn_id")

    def __init__(self, *, narrative_conn_id: str = "narrative_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.narrative_conn_id = narrative_conn_id
