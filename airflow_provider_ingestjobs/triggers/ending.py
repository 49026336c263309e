# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How a task ends whose jobs have ended well, without a worker. All other ends need one, which tells why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.arguments import to_end_states
from airflow_provider_ingestjobs.checks import check_checks
from airflow_provider_ingestjobs.errors import IngestJobsError
from airflow_provider_ingestjobs.links import XCOM_KEY
from airflow_provider_ingestjobs.verdict import Wanted

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendors import Vendor

#: Where Airflow has its own XCom backend; another one may take its time in the event loop.
OWN_XCOM_BACKENDS = ("airflow.sdk.bases.xcom", "airflow.models.xcom")
#: The most that a triggerer stores as a task's result, in characters of JSON.
MAX_RESULT = 256 * 1024


class WorkerNeeded(Exception):
    """Something that a triggerer cannot do, or leaves to a worker; the text says what."""


def say_why(log: Any, what: str, error: Exception) -> str:
    """Tell a task's log why a worker is needed, with the traceback of a bug, and return the reason.

    :param log: the task's log.
    :param what: what the worker does.
    :param error: why.
    """
    reason = str(error) or type(error).__name__
    is_bug = not isinstance(error, WorkerNeeded | IngestJobsError | TimeoutError)
    log.info("The task %s in a worker: %s", what, reason, exc_info=is_bug)
    return reason


class Ending:
    """What a task makes of its ended jobs, as far as a triggerer can tell.

    :param expected_states: the states that count as success.
    :param checks: the limits for the jobs' numbers.
    :param returns: what the task's result is: ``job`` (a dict), ``jobs`` (a list of dicts) or ``nothing``.
    :param include_raw: whether the jobs' whole records are in it.
    :param vendor: the jobs' vendor.
    :raises WorkerNeeded: if another release has written what cannot be understood here.
    """

    def __init__(
        self,
        vendor: Vendor,
        *,
        expected_states: Sequence[str] = (),
        checks: Mapping[str, Any] | None = None,
        returns: str = "",
        include_raw: bool = False,
        **unknown: Any,
    ) -> None:
        if unknown or returns not in ("job", "jobs", "nothing"):
            raise WorkerNeeded("another release has begun this wait")
        states = to_end_states("expected_states", expected_states)
        self._wanted = Wanted(vendor, states, check_checks(checks or {}, vendor))
        self._returns = returns
        self.include_raw = include_raw

    def needs_details_of(self, jobs: Sequence[Job]) -> set[str]:
        """Return the ids of the jobs that cannot be judged without what takes another request.

        :param jobs: the ended jobs, as the wait has read them.
        :raises WorkerNeeded: if one ended otherwise than expected.
        """
        if not self._wanted.expects(jobs):
            raise WorkerNeeded("it does not succeed")
        return self._wanted.needs_details_of(jobs)

    def xcoms(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """Return what the task leaves, by XCom key.

        :param jobs: the ended jobs, with their details.
        :raises WorkerNeeded: if they are not what is wanted, or too much.
        """
        if self._wanted.what_is_wrong(jobs):
            raise WorkerNeeded("it does not succeed")
        xcoms: dict[str, Any] = {}
        if len(jobs) == 1 and jobs[0].url:
            xcoms[XCOM_KEY] = jobs[0].url
        if self._returns != "nothing":
            found = [job.to_dict(include_raw=self.include_raw) for job in jobs]
            xcoms["return_value"] = found[0] if self._returns == "job" else found
            if (size := len(json.dumps(found))) > MAX_RESULT:
                raise WorkerNeeded(f"its result has {size:,} characters")
        return xcoms


def check_installation() -> None:
    """Check that this Airflow has nothing that acts on a task's end in its worker alone.

    :raises WorkerNeeded: if it has.
    """
    if find_spec("airflow.providers.openlineage"):
        raise WorkerNeeded("a worker tells OpenLineage of the task's end")
    check_xcom_backend()


def check_xcom_backend() -> None:
    """Check that a triggerer may read and store XComs.

    :raises WorkerNeeded: if it may not.
    """
    from airflow_provider_ingestjobs.airflow_compat import XCom

    if XCom.__module__ not in OWN_XCOM_BACKENDS:
        raise WorkerNeeded(f"this Airflow keeps XComs by {XCom.__module__}.{XCom.__name__}")
