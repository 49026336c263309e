# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a vendor is asked to start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_ingestjobs.arguments import to_utc
from airflow_provider_ingestjobs.errors import InvalidInput

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

#: How far ahead jobs are looked for: clocks differ.
AHEAD = timedelta(minutes=5)
#: How vendors take a moment in UTC.
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Found:
    """The jobs that a request may have started.

    :param certain: those that are its own, or do just what it asks for.
    :param possible: those that may be its own, or another's.
    """

    certain: Sequence[Job] = ()
    possible: Sequence[Job] = ()

    def without(self, job_ids: Sequence[str]) -> Found:
        """Return what is left without some jobs.

        :param job_ids: the vendor's ids of them.
        """
        return Found(
            [job for job in self.certain if job.id not in job_ids],
            [job for job in self.possible if job.id not in job_ids],
        )

    def __bool__(self) -> bool:
        return bool(self.certain or self.possible)


class StartRequest(Protocol):
    """One start, in a vendor's terms; as text it is what people call it, such as "the query SELECT …"."""

    @property
    def content(self) -> Any:
        """What is sent, as JSON data: a request with another content is another one."""

    def send(self) -> list[str]:
        """Ask the vendor once, and return its ids of the started jobs; none where its answer names none.

        :raises VendorUnavailable: if it is not known whether the vendor has started them.
        :raises VendorError: if it refuses.
        """

    def find(self, since: datetime) -> Found:
        """Return the jobs that this request may have started.

        :param since: when they were created at the earliest.
        :raises VendorError: if they cannot be looked for.
        """


def digest_of(request: StartRequest) -> str:
    """Return a short text that tells a request from one with another content.

    :param request: the request.
    """
    text = json.dumps(request.content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_choice(field_name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of a vendor's words.

    :param field_name: the argument, for the error.
    :param value: what was given, rendered.
    :param choices: the words.
    :raises InvalidInput: for another one.
    """
    if value not in choices:
        raise InvalidInput(field_name, value, f"use one of {', '.join(choices)}")
    return str(value)


def to_day_or_moment(field_name: str, value: Any) -> str:
    """Return a day as it is, and a moment in UTC, as ISO 8601 text.

    :param field_name: the argument, for the error.
    :param value: a date, an aware datetime, or the text of one.
    :raises InvalidInput: if it is neither, or has no time zone.
    """
    moment = to_utc(field_name, value)
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    if is_day or (isinstance(value, str) and len(value.strip()) == len("2026-01-31")):
        return moment.date().isoformat()
    return moment.strftime(MOMENT)
