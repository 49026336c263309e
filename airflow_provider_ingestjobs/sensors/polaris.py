# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Imply Polaris."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


class PolarisJobSensor(IngestJobSensor):
    """Waits until an ingestion job of Imply Polaris has ended.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.

    Further parameters: :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = PolarisHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "imply_polaris_conn_id", "project_id")

    def __init__(
        self,
        *,
        imply_polaris_conn_id: str = "imply_polaris_default",
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.imply_polaris_conn_id = imply_polaris_conn_id
        self.project_id = project_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """The project, if one is given."""
        return {"project_id": self.project_id} if self.project_id else {}
