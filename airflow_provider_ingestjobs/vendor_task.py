# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What sensors and operators share: a vendor's hook, and checking arguments while the DAG is parsed."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ingestjobs.exceptions import InvalidInput
from airflow_provider_ingestjobs.job import check_job_id
from airflow_provider_ingestjobs.links import XCOM_KEY

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_ingestjobs.hooks.base import IngestJobHook

#: What Airflow's own timeout of a deferral has over the trigger's, so that the trigger can say how it stood.
TIMEOUT_SLACK = timedelta(minutes=2)


class VendorTask:
    """A task on one vendor's connection.

    A subclass sets ``hook_class``, and an attribute named as the hook's ``conn_name_attr``.
    """

    hook_class: ClassVar[type[IngestJobHook]]

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    @property
    def hook_params(self) -> dict[str, Any]:
        """Further arguments of the hook."""
        return {}

    @cached_property
    def hook(self) -> IngestJobHook:
        """The vendor's hook; nothing is looked up before its first request."""
        return self.hook_class(self.conn_id, **self.hook_params)

    @property
    def vendor(self) -> str:
        """The vendor's name."""
        return self.hook_class.kind.vendor

    def trigger_arguments(
        self, started_at: datetime, timeout: timedelta, poll_interval: float, missing_grace: float
    ) -> dict[str, Any]:
        """Return what every trigger of this package takes."""
        return {
            "hook": self.hook_class.kind.hook,
            "conn_id": self.conn_id,
            "poll_interval": poll_interval,
            "started_at": started_at.isoformat(),
            "deadline": (started_at + timeout).isoformat(),
            "missing_grace": missing_grace,
            "hook_params": self.hook_params,
        }

    def keep_link(self, context: Context, job_id: str) -> None:
        """Store the job's address, so that the task's extra link works while it waits."""
        if url := self.hook.job_url(job_id):
            context["ti"].xcom_push(key=XCOM_KEY, value=url)


def check_argument_id(job_id: Any) -> Any:
    """Check a job id as early as possible: templates and upstream results are only known when the task runs.

    :raises InvalidInput: for an id that cannot be one.
    """
    if is_template(job_id):
        return job_id
    if isinstance(job_id, str):
        return check_job_id(job_id)
    if job_id is None or isinstance(job_id, int | float | bytes | list | tuple | dict | set):
        raise InvalidInput("job_id", job_id, f'write the id as text, such as job_id="{job_id!s}"')
    return job_id


def is_template(value: Any) -> bool:
    """Whether a value only becomes known when its template is rendered."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def to_seconds(field_name: str, value: timedelta | float) -> float:
    """Return a duration in seconds.

    :raises InvalidInput: if it is negative or no duration.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise InvalidInput(field_name, value, "give seconds, or a timedelta, of zero or more")
    return float(seconds)
