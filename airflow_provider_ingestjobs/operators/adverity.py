# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Adverity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.arguments import check_flag, check_path_part, check_single, is_known_later
from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator
from airflow_provider_ingestjobs.operators.start import StartJobOperator
from airflow_provider_ingestjobs.starts.adverity import Fetch, check_priority, check_range

if TYPE_CHECKING:
    from datetime import date

    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.task_arguments import (
        CancelArguments,
        ListArguments,
        StartArguments,
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


class AdverityFetchOperator(StartJobOperator[AdverityHook]):
    """Starts a fetch of an Adverity datastream, once, waits until its jobs have ended, and returns them.

    It is one job, which after a lost answer is found again by its range, or with ``split`` several; those
    cannot be told from the schedule's own after a lost answer, and the task asks people.

    :param datastream_id: the datastream (templated).
    :param range_start: the first day of the data, or its first moment in UTC (templated).
    :param range_end: the last one (templated).
    :param split: make as many jobs of the range as the datastream's schedule does, rather than one.
    :param priority: ``high``, ``default``, ``low`` or ``backdata`` (templated).
    :param adverity_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.start.StartJobOperator`.
    """

    hook_class = AdverityHook
    starts_several = True
    template_fields: Sequence[str] = (
        "datastream_id",
        "range_start",
        "range_end",
        "priority",
        "adverity_conn_id",
    )

    def __init__(
        self,
        *,
        datastream_id: TemplatedNumber,
        range_start: TemplatedMoment,
        range_end: TemplatedMoment,
        split: bool = False,
        priority: TemplatedText | None = None,
        adverity_conn_id: TemplatedText = "adverity_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        if not (is_known_later(range_start) or is_known_later(range_end)):
            check_range(range_start, range_end)
        if not is_known_later(priority):
            check_priority(priority)
        self.datastream_id = datastream_id
        self.range_start = range_start
        self.range_end = range_end
        self.split = check_flag("split", split)
        self.priority = priority
        self.adverity_conn_id = adverity_conn_id

    def start_request(self, context: Context) -> Fetch:
        """Return the fetch."""
        start, end = check_range(self.range_start, self.range_end)
        datastream_id = check_path_part("datastream_id", check_single("datastream_id", self.datastream_id))
        return Fetch(self.hook, datastream_id, start, end, self.split, check_priority(self.priority))
