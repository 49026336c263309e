# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import (
        CancelArguments,
        ListArguments,
        TemplatedMoment,
        TemplatedText,
    )


class AmperityCancelJobOperator(CancelJobOperator[AmperityHook]):
    """Stops an ingest job of Amperity's, by stopping the workflow that runs it.

    Amperity has no way to stop an ingest job alone: **everything else in that workflow run stops, too**.

    :param amperity_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = AmperityHook
    # No page about a job is documented.
    operator_extra_links = ()
    template_fields: Sequence[str] = (*CancelJobOperator.template_fields, "amperity_conn_id")

    def __init__(
        self,
        *,
        amperity_conn_id: TemplatedText = "amperity_default",
        **kwargs: Unpack[CancelArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.amperity_conn_id = amperity_conn_id


class AmperityListJobsOperator(ListJobsOperator[AmperityHook]):
    """Lists Amperity's ingest jobs that started in a window.

    :param amperity_conn_id: the Airflow connection.
    :param started_from: start of the window, inclusive; seven days before its end if left out (templated).
    :param started_to: end of the window, exclusive; now if left out (templated).
    :param feed_id: only jobs that load this feed (templated).
    :param table_name: only jobs that load this table (templated).
    :param workflow_id: only jobs of this workflow run (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.ListJobsOperator`.
    """

    hook_class = AmperityHook
    template_fields: Sequence[str] = (
        "started_from",
        "started_to",
        "feed_id",
        "table_name",
        "workflow_id",
        "amperity_conn_id",
    )

    def __init__(
        self,
        *,
        amperity_conn_id: TemplatedText = "amperity_default",
        started_from: TemplatedMoment | None = None,
        started_to: TemplatedMoment | None = None,
        feed_id: TemplatedText | None = None,
        table_name: TemplatedText | None = None,
        workflow_id: TemplatedText | None = None,
        **kwargs: Unpack[ListArguments],
    ) -> None:
        super().__init__(
            filters={
                "started_from": started_from,
                "started_to": started_to,
                "feed_id": feed_id,
                "table_name": table_name,
                "workflow_id": workflow_id,
            },
            **kwargs,
        )
        self.started_from = started_from
        self.started_to = started_to
        self.feed_id = feed_id
        self.table_name = table_name
        self.workflow_id = workflow_id
        self.amperity_conn_id = amperity_conn_id
