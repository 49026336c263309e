# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensor for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.links import PAGE_LINKS
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.task_arguments import TemplatedText, TemplatedTexts, WaitArguments


class AmperityJobSensor(IngestJobSensor[AmperityHook]):
    """Waits until ingest jobs of Amperity's have ended.

    In Amperity, people can resume a workflow that has failed: restart it from the task that failed, retry
    that task, or skip it. By default a wait has failed before they get to it. With ``failed_grace`` it bears
    the failure for a while, and ends as failed only if the job is then still failed::

        AmperityJobSensor(
            task_id="wait",
            feed_id="df-5L6d1veh",
            failed_grace=timedelta(hours=2),
            timeout=timedelta(hours=8),
            deferrable=True,
        )

    Until then the task's log says that the job has failed, why, and until when the wait bears it. Whether an
    ingest job keeps its id when its workflow is resumed, Amperity does not document: a wait for a ``job_id``
    follows that job alone, a selection with ``latest_only`` also one that loads the same tables after it.

    :param amperity_conn_id: the Airflow connection.
    :param feed_id: only jobs that load this feed, or any of several (templated).
    :param table_name: only jobs that load this table, or any of several (templated).
    :param workflow_id: only jobs of this workflow run, or any of several (templated).
    :param failed_grace: how long after its end a job that has failed may still be resumed in Amperity:
        seconds, or a timedelta. Of several jobs it holds for each. ``timeout`` still bounds the wait. If the
        job's record has no end, the time runs since the wait first saw the failure, anew after a restart of
        the triggerer; in ``reschedule`` mode, where nothing is kept between two looks, such a failure counts
        at once. Cancelled and skipped jobs are never borne, nor failed ones where ``expected_states`` has
        ``failed``. ``cancel_on_kill`` leaves a job alone that is failed when the task is killed.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.sensors.base.IngestJobSensor`.
    """

    hook_class = AmperityHook
    # No page about a job is documented.
    operator_extra_links = PAGE_LINKS
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
        failed_grace: timedelta | float = 0.0,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(
            filters={"feed_id": feed_id, "table_name": table_name, "workflow_id": workflow_id},
            failed_grace=failed_grace,
            **kwargs,
        )
        self.feed_id = feed_id
        self.table_name = table_name
        self.workflow_id = workflow_id
        self.amperity_conn_id = amperity_conn_id
