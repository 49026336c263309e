# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Airbyte."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator
from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import CancelArguments, ListArguments


class AirbyteCancelJobOperator(CancelJobOperator[AirbyteJobsHook]):
    """Stops a job of Airbyte's, by stopping what the job's connection runs.

    It is refused, and the task fails with :class:`~airflow_provider_ingestjobs.exceptions.CancelRefused`,
    where the connection runs another job. Should the job end and the connection's next one start in the
    moment between that look and the cancel, Airbyte stops the next one. Airbyte answers only when the run has
    stopped: give the connection a ``read_timeout`` that your connectors' ends fit into.

    :param airbyte_jobs_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = AirbyteJobsHook
    template_fields: Sequence[str] = (*CancelJobOperator.template_fields, "airbyte_jobs_conn_id")

    def __init__(
        self, *, airbyte_jobs_conn_id: str = "airbyte_jobs_default", **kwargs: Unpack[CancelArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.airbyte_jobs_conn_id = airbyte_jobs_conn_id


class AirbyteListJobsOperator(ListJobsOperator[AirbyteJobsHook]):
    """Lists Airbyte's jobs.

    :param airbyte_jobs_conn_id: the Airflow connection.
    :param connection_id: only jobs of this Airbyte connection (templated).
    :param workspace_ids: only jobs of these workspaces; without effect beside ``connection_id`` (templated).
    :param job_type: ``sync``, ``reset``, ``refresh`` or ``clear`` (templated). Without it, servers of before
        2026 leave out refreshes and clears.
    :param status: only jobs in this state, in Airbyte's word (templated).
    :param created_from: only jobs created from this aware moment on (templated).
    :param created_to: only jobs created until this aware moment (templated).
    :param updated_from: only jobs whose state has changed from this aware moment on (templated).
    :param updated_to: only jobs whose state has last changed until this aware moment (templated).
    :param order_by: such as ``updatedAt|DESC``; ``createdAt|DESC`` if left out (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.ListJobsOperator`.
    """

    hook_class = AirbyteJobsHook
    template_fields: Sequence[str] = (
        "connection_id",
        "workspace_ids",
        "job_type",
        "status",
        "created_from",
        "created_to",
        "updated_from",
        "updated_to",
        "order_by",
        "airbyte_jobs_conn_id",
    )

    def __init__(
        self,
        *,
        airbyte_jobs_conn_id: str = "airbyte_jobs_default",
        connection_id: str | None = None,
        workspace_ids: str | list[str] | None = None,
        job_type: str | None = None,
        status: str | None = None,
        created_from: datetime | str | None = None,
        created_to: datetime | str | None = None,
        updated_from: datetime | str | None = None,
        updated_to: datetime | str | None = None,
        order_by: str | None = None,
        **kwargs: Unpack[ListArguments],
    ) -> None:
        super().__init__(
            filters={
                "connection_id": connection_id,
                "workspace_ids": workspace_ids,
                "job_type": job_type,
                "status": status,
                "created_from": created_from,
                "created_to": created_to,
                "updated_from": updated_from,
                "updated_to": updated_to,
                "order_by": order_by,
            },
            **kwargs,
        )
        self.connection_id = connection_id
        self.workspace_ids = workspace_ids
        self.job_type = job_type
        self.status = status
        self.created_from = created_from
        self.created_to = created_to
        self.updated_from = updated_from
        self.updated_to = updated_to
        self.order_by = order_by
        self.airbyte_jobs_conn_id = airbyte_jobs_conn_id
