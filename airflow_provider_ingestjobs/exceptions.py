# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The one hierarchy of errors.

Those that say how a *job* ended are Airflow exceptions, so that ``soft_fail`` turns them into a skip in every
mode. Those that say the *wait* could not be made (bad input, refused credentials) are not: a wrong key must
never look like a skipped task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job


class IngestJobsError(Exception):
    """Base of every error this package raises."""


class InvalidInput(IngestJobsError, ValueError):
    """An argument or a connection field that cannot be used.

    :param field: the argument or field, as the user knows it.
    :param value: what was given; never pass a secret.
    :param fix: what to write instead.
    """

    def __init__(self, field: str, value: object, fix: str) -> None:
        super().__init__(field, value, fix)
        self.field = field
        self.value = value
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.field}={self.value!r} cannot be used: {self.fix}"


class NotSupported(IngestJobsError):
    """The vendor's API has no documented way to do this."""


class VendorError(IngestJobsError):
    """The vendor refused a request.

    :param message: what happened, with the vendor's own words in it.
    :param status: the HTTP status, if there was an answer.
    :param request_id: the vendor's id of the request, for its support.
    :param retry_after: seconds the vendor asked to wait before the next request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class VendorUnavailable(VendorError):
    """Passing trouble: no answer, an overloaded vendor, or an answer that cannot be read. Waits go on."""


class AuthenticationFailed(VendorError):
    """The vendor rejected the connection's credentials (401) or their permissions (403)."""


class CancelRefused(VendorError):
    """The vendor does not cancel this job, or not any more."""


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
