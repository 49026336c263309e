# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the sandbox starts with when it is run with ``--demo``: each vendor names its own jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Seconds a demo job runs that is there to be waited for or cancelled.
LONG_RUN = 1800.0


@dataclass(frozen=True)
class DemoJob:
    """One demo job of a vendor.

    :param shows: what it is there to show.
    :param job_id: its id, the same at every start.
    :param arguments: the further arguments of ``Sandbox.add_job``.
    """

    shows: str
    job_id: str
    arguments: dict[str, Any]


def demo_job(shows: str, job_id: str, timeline: list[tuple[float, Any]], **arguments: Any) -> DemoJob:
    """Return a demo job that starts when it is first read, so that a demo may take its time.

    :param shows: what it is there to show.
    :param job_id: its id, the same at every start.
    :param timeline: see ``Sandbox.add_job``.
    :param arguments: further arguments of ``Sandbox.add_job``.
    """
    return DemoJob(shows, job_id, {"timeline": timeline, "starts": "first_read", **arguments})
