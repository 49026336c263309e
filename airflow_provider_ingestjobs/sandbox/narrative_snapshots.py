# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The snapshots that jobs of the sandbox's Narrative make of their data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import normalise_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

#: The type of the jobs that make them.
MATERIALIZE_VIEW = "materialize-view"


def snapshots_of(dataset: str, jobs: Iterable[SandboxJob]) -> list[dict[str, Any]] | None:
    """Return the DatasetSummaryResponse of each snapshot, the latest first, or None if there is no job of it.

    :param dataset: the data set's id.
    :param jobs: the jobs, of any data set.
    """
    of_dataset = [
        job
        for job in jobs
        if job.visible and _makes_snapshots(job) and str(job.fields["input"]["dataset_id"]) == dataset
    ]
    if not of_dataset:
        return None
    done = sorted((job for job in of_dataset if _has_snapshot(job)), key=_snapshot_order)
    snapshots: list[dict[str, Any]] = []
    rows = 0
    for files, job in enumerate(done, 1):
        added = job.rows_now(job.is_complete).get("inserted", 0)
        rows += added
        snapshots.append(_snapshot(job, added, files, rows))
    return snapshots[::-1]


def _makes_snapshots(job: SandboxJob) -> bool:
    return job.fields["type"] == MATERIALIZE_VIEW and "dataset_id" in job.fields["input"]


def _has_snapshot(job: SandboxJob) -> bool:
    return normalise_word(job.state) == "completed"


def _snapshot_order(job: SandboxJob) -> tuple[float, int]:
    return job.ended_at or 0.0, job.number


def snapshot_id(job: SandboxJob) -> int:
    """Return the id of the snapshot that a job makes.

    :param job: the job.
    """
    # As large as theirs, and the next one's neighbour: a client that rounds takes one for the other.
    return 1_724_919_539_450_000_000 + job.number


def _snapshot(job: SandboxJob, added: int, files: int, rows: int) -> dict[str, Any]:
    """Return DatasetSummaryResponse, as of a data set that only ever grows, by one file for each snapshot.

    :param job: the job that made the snapshot.
    :param added: rows that it has added.
    :param files: files that the data set then had.
    :param rows: rows that the data set then had.
    """
    none = ("deleted_records", "deleted_files", "added_delete_files", "removed_delete_files", "removed_bytes")
    stored = {"files": files, "records": rows, "bytes": 100 * rows}
    return {
        "snapshot_id": snapshot_id(job),
        **{f"est_total_dataset_stored_{name}": count for name, count in stored.items()},
        **{f"active_dataset_stored_{name}": count for name, count in stored.items()},
        "snapshot_added_files": 1,
        "snapshot_added_records": added,
        "snapshot_added_bytes": 100 * added,
        **{f"snapshot_{name}": 0 for name in none},
    }
