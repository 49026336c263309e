# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Imply Polaris."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.links import PAGE_LINKS
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import TemplatedText, TemplatedTexts, WaitArguments


class PolarisJobSensor(IngestJobSensor[PolarisHook]):
    """Waits until ingestion jobs of Imply Polaris have ended.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    :param table_name: only jobs that load this table, or any of several (templated).
    :param job_type: only jobs of this type, such as ``batch``, or any of several (templated).
    :param health_status: only jobs with this health, ``ok``, ``warn`` or ``error``, or any of several
        (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = PolarisHook
    # No page about a job is documented.
    operator_extra_links = PAGE_LINKS
    template_fields: Sequence[str] = (
        *IngestJobSensor.template_fields,
        "table_name",
        "job_type",
        "health_status",
        "imply_polaris_conn_id",
        "project_id",
    )

    def __init__(
        self,
        *,
        imply_polaris_conn_id: TemplatedText = "imply_polaris_default",
        project_id: TemplatedText | None = None,
        table_name: TemplatedTexts | None = None,
        job_type: TemplatedTexts | None = None,
        health_status: TemplatedTexts | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(
            filters={"table_name": table_name, "job_type": job_type, "health_status": health_status},
            **kwargs,
        )
        self.table_name = table_name
        self.job_type = job_type
        self.health_status = health_status
        self.imply_polaris_conn_id = imply_polaris_conn_id
        self.project_id = project_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """The project, if one is given."""
        return {"project_id": self.project_id} if self.project_id else {}
