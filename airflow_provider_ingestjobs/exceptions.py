# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How a task ends: the errors that are Airflow exceptions; and all others, for users to import from here.

Those that say how a *job* ended are Airflow exceptions, so that ``soft_fail`` turns them into a skip in every
mode. Those that say the *wait* could not be made (bad input, refused credentials) are not: a wrong key must
never look like a skipped task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    IngestJobsError,
    InvalidInput,
    NotSupported,
    PermissionDenied,
    Throttled,
    UnexpectedError,
    Unreadable,
    VendorError,
    VendorUnavailable,
)

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

__all__ = [
    "AuthenticationFailed",
    "CancelNotConfirmed",
    "CancelRefused",
    "IngestJobsError",
    "InvalidInput",
    "JobCancelled",
    "JobCheckFailed",
    "JobEnded",
    "JobFailed",
    "JobNotFound",
    "NotSupported",
    "PermissionDenied",
    "StartUnknown",
    "StartedJobFailed",
    "TaskKilled",
    "Throttled",
    "UnexpectedError",
    "Unreadable",
    "VendorError",
    "VendorUnavailable",
    "WaitTimeout",
]


class JobNotFound(IngestJobsError, AirflowException):
    """The vendor does not know this job."""


class JobEnded(IngestJobsError, AirflowFailException):
    """A job ended otherwise than the task wants; a retry would only see the same end.

    :param message: what to tell the user.
    :param job: the job as last read.
    """

    def __init__(self, message: str, job: Job | None = None) -> None:
        super().__init__(message)
        self.job = job


class JobFailed(JobEnded):
    """The job failed, or ended in another state that the task does not expect."""


class JobCheckFailed(JobEnded):
    """The job ended as expected, but not with the numbers that the task asks for."""


class JobCancelled(JobEnded):
    """The job was cancelled."""


class WaitTimeout(IngestJobsError, AirflowSensorTimeout):
    """The job had not ended when the task's timeout was up."""


class CancelNotConfirmed(IngestJobsError, AirflowException):
    """The vendor took the cancel request, but the job had not ended when the timeout was up."""


class StartUnknown(IngestJobsError, AirflowException):
    """Whether the vendor has started a job cannot be told; nothing is started while that is so."""


class TaskKilled(IngestJobsError, AirflowException):
    """The task was killed; a retry goes on from what is known then."""


class StartedJobFailed(IngestJobsError, AirflowException):
    """The job that the task has started failed; a retry starts another one.

    :param message: what to tell the user.
    :param job: the job as last read.
    """

    def __init__(self, message: str, job: Job | None = None) -> None:
        super().__init__(message)
        self.job = job
