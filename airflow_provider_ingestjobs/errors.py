# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What can go wrong, without Airflow. How a *task* ends is in :mod:`airflow_provider_ingestjobs.exceptions`.

::

    IngestJobsError
     ├── InvalidInput               an argument or a connection field that cannot be used
     ├── NotSupported               the vendor documents no way to do this
     ├── UnexpectedError            a bug, with its traceback in the log
     └── VendorError                the vendor refused a request
          ├── VendorUnavailable     passing trouble: waits go on
          │    ├── Throttled        429: too many requests
          │    └── Unreadable       an answer that is not what the vendor documents
          ├── AuthenticationFailed  401: the credentials are not accepted
          │    └── PermissionDenied 403: they are accepted, but do not permit this
          └── CancelRefused         the vendor does not stop this job, or no longer
"""

from __future__ import annotations


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


class NoConnection(InvalidInput):
    """Airflow has no such connection; or it cannot tell: Airflow 3 hides every failure of a look-up so."""


class NotSupported(IngestJobsError):
    """The vendor's API has no documented way to do this."""


class UnexpectedError(IngestJobsError):
    """A bug, in this package, in a hook or in a library; the log has the traceback."""


class VendorError(IngestJobsError):
    """The vendor refused a request.

    :param message: what happened, with the vendor's own words in it.
    :param status: the HTTP status; ``None`` if there was no whole answer.
    :param request_id: the vendor's id of the request, for its support.
    :param retry_after: seconds the vendor asked to wait before the next request.
    :param answered: the HTTP status of an answer that broke off.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        answered: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.answered = answered

    @property
    def wants_pause(self) -> bool:
        """Whether to send nothing else for now: the vendor asked for a pause."""
        return self.retry_after is not None

    @property
    def rejects_credentials(self) -> bool:
        """Whether the credentials are not accepted at all: every other request would be refused, too."""
        return False


class VendorUnavailable(VendorError):
    """Passing trouble: no answer, an overloaded vendor, or an answer that cannot be read. Waits go on."""

    @property
    def wants_pause(self) -> bool:
        """Whether to send nothing else for now: the vendor asked for a pause, or did not answer in time."""
        return self.status in (None, 504) or super().wants_pause


class Throttled(VendorUnavailable):
    """The vendor got too many requests (429)."""

    @property
    def wants_pause(self) -> bool:
        """Always: the next request would be refused, too."""
        return True


class Unreadable(VendorUnavailable):
    """The vendor answered, but not with what it documents."""

    @property
    def wants_pause(self) -> bool:
        """Never: the vendor is there, and its next answer may be readable."""
        return False


class AuthenticationFailed(VendorError):
    """The vendor rejected the connection's credentials (401)."""

    @property
    def rejects_credentials(self) -> bool:
        """Always."""
        return True


class PermissionDenied(AuthenticationFailed):
    """The vendor accepts the connection's credentials, but they do not permit this request (403)."""

    @property
    def rejects_credentials(self) -> bool:
        """Never: they may permit the next request."""
        return False


class CancelRefused(VendorError):
    """The vendor does not cancel this job, or no longer does."""
