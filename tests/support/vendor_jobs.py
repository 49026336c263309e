# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's jobs as the end-to-end tests use them: what they are told, and what was asked of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import JobState
from support.vendors import AMPERITY, words_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ingestjobs.sandbox import Sandbox

RUNNING = words_for(JobState.RUNNING)
SUCCEEDED = words_for(JobState.SUCCEEDED)
FAILED = words_for(JobState.FAILED)
CANCELLED = words_for(JobState.CANCELLED)
#: What a job shows that was asked to stop; Adverity has no word for it, and Polaris publishes none.
STOPPING = RUNNING | {"amperity": AMPERITY.words[JobState.CANCELLING]}

_numbers = count(1)


def add_job(
    sandbox: Sandbox, vendor: str, timeline: list[tuple[float, Any]] | None = None, **options: Any
) -> str:
    """Add a job that runs for ever, or along a timeline; an Amperity job gets a workflow of its own."""
    options = {"starts": "first_read", **options}
    if vendor == "amperity":
        options["job_id"] = job_id = f"isj-{next(_numbers)}"
        options["fields"] = {"workflow_id": f"wf-{job_id}", **options.get("fields", {})}
    return sandbox.add_job(vendor, timeline=timeline or [(0.0, RUNNING[vendor])], **options)


def cancel_requests(sandbox: Sandbox, vendor: str, job_id: str) -> int:
    """How often the vendor was asked to stop a job: nothing else that is asked of a job changes it."""
    return sum(
        request.method != "GET" and not {job_id, f"wf-{job_id}"}.isdisjoint(request.path.split("/"))
        for request in sandbox.requests(vendor)
    )


def asked_to_cancel(sandbox: Sandbox, vendors: Mapping[str, str], jobs: Mapping[str, str]) -> dict[str, int]:
    """How often each task's job was asked to stop, where it was at all.

    :param vendors: each task's vendor.
    :param jobs: each task's job.
    """
    counts = {task_id: cancel_requests(sandbox, vendors[task_id], job_id) for task_id, job_id in jobs.items()}
    return {task_id: times for task_id, times in counts.items() if times}
