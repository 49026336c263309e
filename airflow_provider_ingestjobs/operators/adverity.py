# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Adverity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator

if TYPE_CHECKING:
    from datetime import date

    from airflow_provider_ingestjobs.task_arguments import (
        CancelArguments,
        ListArguments,
        TemplatedMoment,
        TemplatedNumber,
        TemplatedText,
    )


class AdverityCancelJobOperator(CancelJobOperator[AdverityHook]):
    """Stops a job of Adverity's, which Adverity allows in the job's fetch stage only.

    Later it is refused, and the task fails with
    :class:`~airflow_provider_ingestjobs.exceptions.CancelRefused`. A stopped job may end as ``Discarded``,
    which counts as cancelled.

    :param adverity_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = AdverityHook
    template_fields: Sequence[str] = (*CancelJobOperator.template_fields, "adverity_conn_id")

    def __init__(
        self,
        *,
        adverity_conn_id: TemplatedText = "adverity_default",
        **kwargs: Unpack[CancelArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.adverity_conn_id = adverity_conn_id


class AdverityListJobsOperator(ListJobsOperator[AdverityHook]):
    """Lists Adverity's running and scheduled jobs, or with a window the past ones.

    :param adverity_conn_id: the Airflow connection.
    :param datastream_id: only jobs of this datastream (templated).
    :param started_from: start of the window of past jobs, or a date (templated).
    :param started_to: end of that window, or a date (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.ListJobsOperator`.
    """

    hook_class = AdverityHook
    template_fields: Sequence[str] = ("datastream_id", "started_from", "started_to", "adverity_conn_id")

    def __init__(
        self,
        *,
        adverity_conn_id: TemplatedText = "adverity_default",
        datastream_id: TemplatedNumber | None = None,
        started_from: date | TemplatedMoment | None = None,
        started_to: date | TemplatedMoment | None = None,
        **kwargs: Unpack[ListArguments],
    ) -> None:
        super().__init__(
            filters={"datastream_id": datastream_id, "started_from": started_from, "started_to": started_to},
            **kwargs,
        )
        self.datastream_id = datastream_id
        self.started_from = started_from
        self.started_to = started_to
        self.adverity_conn_id = adverity_conn_id
