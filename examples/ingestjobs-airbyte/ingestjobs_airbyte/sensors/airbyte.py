# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Airbyte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.sensors.base import IngestJobSensor
from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import WaitArguments


class AirbyteJobsSensor(IngestJobSensor[AirbyteJobsHook]):
    """Waits until jobs of Airbyte's have ended.

    ``cancel_on_kill`` stops whatever the job's connection runs, see
    :meth:`~ingestjobs_airbyte.hooks.airbyte.AirbyteJobsHook.send_cancel`.

    :param airbyte_jobs_conn_id: the Airflow connection.
    :param connection_id: only jobs of this Airbyte connection, or any of several (templated).
    :param job_type: only jobs of this type, such as ``sync``, or any of several (templated). Without it,
        servers of before 2026 leave out refreshes and clears.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AirbyteJobsHook
    template_fields: Sequence[str] = (
        *IngestJobSensor.template_fields,
        "connection_id",
        "job_type",
        "airbyte_jobs_conn_id",
    )

    def __init__(
        self,
        *,
        airbyte_jobs_conn_id: str = "airbyte_jobs_default",
        connection_id: str | list[str] | None = None,
        job_type: str | list[str] | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(filters={"connection_id": connection_id, "job_type": job_type}, **kwargs)
        self.connection_id = connection_id
        self.job_type = job_type
        self.airbyte_jobs_conn_id = airbyte_jobs_conn_id
