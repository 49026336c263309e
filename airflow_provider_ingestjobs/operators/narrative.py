# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Narrative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.arguments import check_path_part, check_single, is_known_later
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.operators.base import ListJobsOperator
from airflow_provider_ingestjobs.operators.start import StartJobOperator
from airflow_provider_ingestjobs.starts.narrative import Query, Refresh, check_nql, check_refresh_type

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.task_arguments import (
        ListArguments,
        StartArguments,
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


class NarrativeRunQueryOperator(StartJobOperator[NarrativeHook]):
    """Runs a query in Narrative's NQL, once, waits until its job has ended, and returns the job.

    Narrative documents no way to cancel a job: one whose task is killed goes on.

    :param nql: the query, or the path of an ``.nql`` or ``.sql`` file beside the DAG (templated).
    :param data_plane_id: the data plane that it runs on (templated).
    :param narrative_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.start.StartJobOperator`.
    """

    hook_class = NarrativeHook
    template_fields: Sequence[str] = ("nql", "data_plane_id", "narrative_conn_id")
    template_ext: Sequence[str] = (".nql", ".sql")

    def __init__(
        self,
        *,
        nql: TemplatedText,
        data_plane_id: TemplatedText | None = None,
        narrative_conn_id: TemplatedText = "narrative_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.nql = nql
        self.data_plane_id = data_plane_id
        self.narrative_conn_id = narrative_conn_id

    def start_request(self, context: Context) -> Query:
        """Return the query."""
        plane = None if self.data_plane_id is None else str(self.data_plane_id)
        return Query(self.hook, check_nql(self.nql), plane or None)


class NarrativeRefreshViewOperator(StartJobOperator[NarrativeHook]):
    """Refreshes a materialised view of Narrative's, once, waits until its job has ended, and returns the job.

    Narrative documents no way to cancel a job: one whose task is killed goes on.

    :param dataset_id: the view's data set (templated).
    :param refresh_type: ``full`` or ``incremental`` (templated).
    :param narrative_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.start.StartJobOperator`.
    """

    hook_class = NarrativeHook
    template_fields: Sequence[str] = ("dataset_id", "refresh_type", "narrative_conn_id")

    def __init__(
        self,
        *,
        dataset_id: TemplatedNumber,
        refresh_type: TemplatedText,
        narrative_conn_id: TemplatedText = "narrative_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        if not is_known_later(refresh_type):
            check_refresh_type(refresh_type)
        self.dataset_id = dataset_id
        self.refresh_type = refresh_type
        self.narrative_conn_id = narrative_conn_id

    def start_request(self, context: Context) -> Refresh:
        """Return the refresh."""
        dataset_id = check_path_part("dataset_id", check_single("dataset_id", self.dataset_id))
        return Refresh(self.hook, dataset_id, check_refresh_type(self.refresh_type))
