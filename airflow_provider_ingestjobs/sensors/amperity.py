# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import TemplatedText, TemplatedTexts, WaitArguments


class AmperityJobSensor(IngestJobSensor[AmperityHook]):
    """Waits until ingest jobs of Amperity's have ended.

    :param amperity_conn_id: the Airflow connection.
    :param feed_id: only jobs that load this feed, or any of several (templated).
    :param table_name: only jobs that load this table, or any of several (templated).
    :param workflow_id: only jobs of this workflow run, or any of several (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AmperityHook
    template_fields: Sequence[str] = (
        *IngestJobSensor.template_fields,
        "feed_id",
        "table_name",
        "workflow_id",
        "amperity_conn_id",
    )

    def __init__(
        self,
        *,
        amperity_conn_id: TemplatedText = "amperity_default",
        feed_id: TemplatedTexts | None = None,
        table_name: TemplatedTexts | None = None,
        workflow_id: TemplatedTexts | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(
            filters={"feed_id": feed_id, "table_name": table_name, "workflow_id": workflow_id},
            **kwargs,
        )
        self.feed_id = feed_id
        self.table_name = table_name
        self.workflow_id = workflow_id
        self.amperity_conn_id = amperity_conn_id
