# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's jobs as the end-to-end tests use them: each vendor's words, and what was asked of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ingestjobs.sandbox import Sandbox

VENDORS = ("amperity", "adverity", "polaris", "narrative")
CANCELLING = ("amperity", "adverity", "polaris")
RUNNING = {"amperity": "running", "adverity": "Running", "polaris": "running", "narrative": "running"}
SUCCEEDED = {"amperity": "succeeded", "adverity": "Success", "polaris": "completed", "narrative": "completed"}
FAILED = {"amperity": "failed", "adverity": "Failed", "polaris": "failed", "narrative": "failed"}
CANCELLED = {"amperity": "canceled", "adverity": "Cancelled", "polaris": "canceled"}
#: What a job shows that was asked to stop; Adverity and Polaris have no word for it.
STOPPING = {"amperity": "stopping", "adverity": "Running", "polaris": "running"}

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
    """How often the vendor was asked to stop a job."""
    method, path = {
        "amperity": ("POST", f"/wf-{job_id}/stop"),
        "adverity": ("POST", f"/jobs/{job_id}/stop/"),
        "polaris": ("PUT", f"/jobs/{job_id}"),
        "narrative": ("POST", job_id),
    }[vendor]
    return sum(
        request.method == method and request.path.endswith(path) for request in sandbox.requests(vendor)
    )


def asked_to_cancel(sandbox: Sandbox, vendors: Mapping[str, str], jobs: Mapping[str, str]) -> dict[str, int]:
    """How often each task's job was asked to stop, where it was at all.

    :param vendors: each task's vendor.
    :param jobs: each task's job.
    """
    counts = {task_id: cancel_requests(sandbox, vendors[task_id], job_id) for task_id, job_id in jobs.items()}
    return {task_id: times for task_id, times in counts.items() if times}
