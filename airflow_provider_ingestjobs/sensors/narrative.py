# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Narrative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import (
        TemplatedNumbers,
        TemplatedText,
        TemplatedTexts,
        WaitArguments,
    )


class NarrativeJobSensor(IngestJobSensor[NarrativeHook]):
    """Waits until jobs of Narrative's have ended.

    Rows are told of materialised views alone, as those that the job's snapshot has added to the data set; so
    ``checks={"min_rows": 1}`` is about the rows inserted. They are read from the data set's statistics, which
    the connection's key must permit.

    :param narrative_conn_id: the Airflow connection.
    :param dataset_id: only jobs whose input is this data set, or any of several (templated).
    :param data_plane_id: only jobs of this data plane, or any of several (templated).
    :param job_type: only jobs of this type, such as ``materialize-view``, or any of several (templated).
    :param tags: only jobs with any of these tags (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = NarrativeHook
    template_fields: Sequence[str] = (
        *IngestJobSensor.template_fields,
        "dataset_id",
        "data_plane_id",
        "job_type",
        "tags",
        "narrative_conn_id",
    )

    def __init__(
        self,
        *,
        narrative_conn_id: TemplatedText = "narrative_default",
        dataset_id: TemplatedNumbers | None = None,
        data_plane_id: TemplatedTexts | None = None,
        job_type: TemplatedTexts | None = None,
        tags: TemplatedTexts | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(
            filters={
                "dataset_id": dataset_id,
                "data_plane_id": data_plane_id,
                "job_type": job_type,
                "tags": tags,
            },
            **kwargs,
        )
        self.dataset_id = dataset_id
        self.data_plane_id = data_plane_id
        self.job_type = job_type
        self.tags = tags
        self.narrative_conn_id = narrative_conn_id
