# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Narrative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.operators.base import ListJobsOperator

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import (
        ListArguments,
        TemplatedNumber,
        TemplatedText,
        TemplatedTexts,
    )


class NarrativeListJobsOperator(ListJobsOperator[NarrativeHook]):
    """Lists Narrative's jobs.

    :param narrative_conn_id: the Airflow connection.
    :param dataset_id: only jobs whose input is this data set (templated).
    :param data_plane_id: only jobs of this data plane (templated).
    :param state: only jobs in this state, in Narrative's word, or any of several (templated).
    :param job_type: only jobs of this type, such as ``materialize-view``, or any of several (templated).
    :param tags: only jobs with any of these tags (templated).
    :param order_by: such as ``updated_at_desc``; ``created_at_desc`` if left out (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.ListJobsOperator`.
    """

    hook_class = NarrativeHook
    template_fields: Sequence[str] = (
        "dataset_id",
        "data_plane_id",
        "state",
        "job_type",
        "tags",
        "order_by",
        "narrative_conn_id",
    )

    def __init__(
        self,
        *,
        narrative_conn_id: TemplatedText = "narrative_default",
        dataset_id: TemplatedNumber | None = None,
        data_plane_id: TemplatedText | None = None,
        state: TemplatedTexts | None = None,
        job_type: TemplatedTexts | None = None,
        tags: TemplatedTexts | None = None,
        order_by: TemplatedText | None = None,
        **kwargs: Unpack[ListArguments],
    ) -> None:
        super().__init__(
            filters={
                "dataset_id": dataset_id,
                "data_plane_id": data_plane_id,
                "state": state,
                "job_type": job_type,
                "tags": tags,
                "order_by": order_by,
            },
            **kwargs,
        )
        self.dataset_id = dataset_id
        self.data_plane_id = data_plane_id
        self.state = state
        self.job_type = job_type
        self.tags = tags
        self.order_by = order_by
        self.narrative_conn_id = narrative_conn_id
