# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Adverity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import TemplatedNumbers, TemplatedText, WaitArguments


class AdverityJobSensor(IngestJobSensor[AdverityHook]):
    """Waits until jobs of Adverity's, such as the fetches of a datastream, have ended.

    :param adverity_conn_id: the Airflow connection.
    :param datastream_id: only jobs of this datastream, or any of several (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AdverityHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "datastream_id", "adverity_conn_id")

    def __init__(
        self,
        *,
        adverity_conn_id: TemplatedText = "adverity_default",
        datastream_id: TemplatedNumbers | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(
            filters={"datastream_id": datastream_id},
            **kwargs,
        )
        self.datastream_id = datastream_id
        self.adverity_conn_id = adverity_conn_id
