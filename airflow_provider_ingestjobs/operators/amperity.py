# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.arguments import is_known_later, to_seconds
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.amperity_workflow import AmperityWorkflowHook
from airflow_provider_ingestjobs.links import PAGE_LINKS
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator
from airflow_provider_ingestjobs.operators.start import StartJobOperator
from airflow_provider_ingestjobs.starts.amperity import (
    WorkflowRun,
    check_config_id,
    check_range,
    check_run_mode,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.task_arguments import (
        CancelArguments,
        ListArguments,
        StartArguments,
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
    operator_extra_links = PAGE_LINKS
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


class AmperityRunWorkflowOperator(StartJobOperator[AmperityWorkflowHook]):
    """Starts a workflow run of Amperity, once, waits until it has ended, and returns it.

    The workflow itself is waited for: it may load nothing, and has no ingest job then. Those that it has run
    are in the result's ``details``, as ``ingest_jobs``; its rows are their sum.

    Amperity's answers do not name the group of a run. After a lost answer a run is found again by
    ``workflow_name``; without it the task asks people, if any run was created in the meantime.

    :param config_id: the id of a courier group, an orchestration group or a campaign: from the menu in its
        row, *Copy ID* (templated).
    :param range_from: of a courier group, from when files are loaded; one that reads cloud storage needs it
        (templated).
    :param range_to: until when, exclusive; left out, it is the day of ``range_from`` (templated).
    :param run_mode: of a courier group, ``full``, ``refresh`` or ``source`` (templated).
    :param workflow_name: the name of this group's runs, as the *Workflows* page shows it (templated).
    :param failed_grace: how long after its end a failed run may still be resumed by people in Amperity.
    :param amperity_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.start.StartJobOperator`.
    """

    hook_class = AmperityWorkflowHook
    # No page about a workflow is documented.
    operator_extra_links = PAGE_LINKS
    template_fields: Sequence[str] = (
        "config_id",
        "range_from",
        "range_to",
        "run_mode",
        "workflow_name",
        "amperity_conn_id",
    )

    def __init__(
        self,
        *,
        config_id: TemplatedText,
        range_from: TemplatedMoment | None = None,
        range_to: TemplatedMoment | None = None,
        run_mode: TemplatedText | None = None,
        workflow_name: TemplatedText | None = None,
        failed_grace: timedelta | float = 0.0,
        amperity_conn_id: TemplatedText = "amperity_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        if not (is_known_later(range_from) or is_known_later(range_to)):
            check_range(range_from, range_to)
        if not is_known_later(run_mode):
            check_run_mode(run_mode)
        self.config_id = config_id
        self.range_from = range_from
        self.range_to = range_to
        self.run_mode = run_mode
        self.workflow_name = workflow_name
        self.failed_grace = to_seconds("failed_grace", failed_grace)
        self.amperity_conn_id = amperity_conn_id

    def start_request(self, context: Context) -> WorkflowRun:
        """Return the run."""
        start, end = check_range(self.range_from, self.range_to)
        config_id, run_mode = check_config_id(self.config_id), check_run_mode(self.run_mode)
        name = None if self.workflow_name is None else str(self.workflow_name)
        return WorkflowRun(self.hook, config_id, start, end, run_mode, name or None)
