# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Operators for Imply Polaris."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.links import PAGE_LINKS
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator
from airflow_provider_ingestjobs.operators.start import StartJobOperator
from airflow_provider_ingestjobs.starts.polaris import PolarisJob, check_spec, mark_of

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context, XComArg
    from airflow_provider_ingestjobs.task_arguments import (
        CancelArguments,
        ListArguments,
        StartArguments,
        TemplatedText,
        TemplatedTexts,
    )


class PolarisCancelJobOperator(CancelJobOperator[PolarisHook]):
    """Stops an ingestion job of Imply Polaris.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = PolarisHook
    # No page about a job is documented.
    operator_extra_links = PAGE_LINKS
    template_fields: Sequence[str] = (
        *CancelJobOperator.template_fields,
        "imply_polaris_conn_id",
        "project_id",
    )

    def __init__(
        self,
        *,
        imply_polaris_conn_id: TemplatedText = "imply_polaris_default",
        project_id: TemplatedText | None = None,
        **kwargs: Unpack[CancelArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.imply_polaris_conn_id = imply_polaris_conn_id
        self.project_id = project_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """The project, if one is given."""
        return {"project_id": self.project_id} if self.project_id else {}


class PolarisListJobsOperator(ListJobsOperator[PolarisHook]):
    """Lists a project's jobs of Imply Polaris.

    :param imply_polaris_conn_id: the Airflow connection.
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    :param table_name: only jobs that load this table (templated).
    :param job_type: only jobs of this type, such as ``batch``, or any of several (templated).
    :param health_status: only jobs with this health, ``ok``, ``warn`` or ``error``, or any of several
        (templated).
    :param execution_status: only jobs with this word of Polaris' own, such as ``running``, or any of several
        (templated).
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.base.ListJobsOperator`.
    """

    hook_class = PolarisHook
    template_fields: Sequence[str] = (
        "table_name",
        "job_type",
        "health_status",
        "execution_status",
        "imply_polaris_conn_id",
        "project_id",
    )

    def __init__(
        self,
        *,
        imply_polaris_conn_id: TemplatedText = "imply_polaris_default",
        project_id: TemplatedText | None = None,
        table_name: TemplatedText | None = None,
        job_type: TemplatedTexts | None = None,
        health_status: TemplatedTexts | None = None,
        execution_status: TemplatedTexts | None = None,
        **kwargs: Unpack[ListArguments],
    ) -> None:
        super().__init__(
            filters={
                "table_name": table_name,
                "job_type": job_type,
                "health_status": health_status,
                "execution_status": execution_status,
            },
            **kwargs,
        )
        self.table_name = table_name
        self.job_type = job_type
        self.health_status = health_status
        self.execution_status = execution_status
        self.imply_polaris_conn_id = imply_polaris_conn_id
        self.project_id = project_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """The project, if one is given."""
        return {"project_id": self.project_id} if self.project_id else {}


class PolarisRunJobOperator(StartJobOperator[PolarisHook]):
    """Starts an ingestion job of Imply Polaris, once, waits until it has ended, and returns it.

    A streaming job ends only when somebody stops it: start it with ``wait_for_termination=False``, and with
    ``replaceRunning`` in its specification where a running one is to be replaced.

    After a lost answer a job of the type ``sql`` is found again by a comment that the task puts before its
    query, any other by its specification.

    :param spec: the job's specification, which is the body of Polaris' request: a dict, or the path of a
        ``.json`` file beside the DAG (templated, the file's content, too).
    :param project_id: the Polaris project; instead of the connection's extra ``project_id``.
    :param imply_polaris_conn_id: the Airflow connection.
    :param kwargs: see :class:`~airflow_provider_ingestjobs.operators.start.StartJobOperator`.
    """

    hook_class = PolarisHook
    # No page about a job is documented.
    operator_extra_links = PAGE_LINKS
    template_fields: Sequence[str] = ("spec", "imply_polaris_conn_id", "project_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"spec": "json"}

    def __init__(
        self,
        *,
        spec: Mapping[str, Any] | str | XComArg,
        project_id: TemplatedText | None = None,
        imply_polaris_conn_id: TemplatedText = "imply_polaris_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(spec, Mapping):
            check_spec(spec)
        self.spec = spec
        # Within a dict, Airflow would take the name of a data file for that of a template.
        self.template_ext: Sequence[str] = (".json",) if isinstance(spec, str) else ()
        self.project_id = project_id
        self.imply_polaris_conn_id = imply_polaris_conn_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """The project, if one is given."""
        return {"project_id": self.project_id} if self.project_id else {}

    def start_request(self, context: Context) -> PolarisJob:
        """Return the job."""
        return PolarisJob(self.hook, check_spec(self.spec), mark_of(context))
