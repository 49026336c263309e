# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a workflow run of the sandbox's Amperity shows: what follows from its ingest jobs and its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.vendor import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

_WORKFLOW_DEFAULTS = {"type": "courier.group/run", "name": "Daily ingest"}
#: The states in which a run itself shows an error; in others only its tasks do.
_ERROR_STATES = ("failed", "canceled")
_OVERVIEW = ("id", "state", "type", "name", "tenant", "created_at", "ended_at")
_IN_LIST = (*_OVERVIEW, "principal_id", "principal_name", "principal_email", "error")
_WHEN_STARTED = (
    *("task_instances", "id", "name", "principal_name", "principal_id", "type"),
    *("launched_version", "state", "created_at", "tenant", "current_version"),
)


def workflow_run(
    workflow_id: str, tenant: str, jobs: Sequence[SandboxJob], started: SandboxJob | None = None
) -> dict[str, Any]:
    """Return a workflow run with all it could show; keys with an underscore are the sandbox's own.

    :param workflow_id: its id.
    :param tenant: the tenant it belongs to.
    :param jobs: its ingest jobs, one at least unless it was started.
    :param started: what it goes through by itself, if it was started through the API.
    """
    words = [
        [normalise_word(part["state"]) for part in job.parts] or [normalise_word(job.state)] for job in jobs
    ]
    # What it goes through by itself counts until it shows jobs.
    of_run = jobs or ([] if started is None else [started])
    shown = [word for of_job in words for word in of_job] or [normalise_word(of_run[0].state)]
    state = _folded(shown, all(job.is_ended for job in of_run))
    created = min(job.created_at for job in of_run) if started is None else started.created_at
    ends = [job.ended_at for job in of_run]
    ended = None if None in ends else max(end for end in ends if end is not None)
    run: dict[str, Any] = {"id": workflow_id, "state": state, "tenant": tenant, **_WORKFLOW_DEFAULTS}
    run.update(created_at=iso(created), _created=created, _ended=ended)
    if ended is not None:
        run["ended_at"] = iso(ended)
    run["task_instances"] = [_task(job, tenant, of_job) for job, of_job in zip(jobs, words, strict=True)]
    run.update(
        principal_id="sandbox", principal_name="Automated workflow", principal_email="sandbox@example.com"
    )
    errors = [task["error"] for task in run["task_instances"] if "error" in task]
    if not jobs and (error := _error(of_run[0], state)):
        errors.append(error)
    if errors and state in _ERROR_STATES:
        run["error"] = errors[0]
    for job in [*jobs, *([] if started is None else [started])]:
        run.update(job.fields.get("workflow", {}))
    return run


def when_started(run: dict[str, Any]) -> dict[str, Any]:
    """Return of a run what the answer to its start shows, whatever it does next.

    :param run: what ``workflow_run`` returned.
    """
    at_first = {**run, "state": "scheduled", "task_instances": []}
    return {name: at_first[name] for name in _WHEN_STARTED if name in at_first}


def in_list(run: dict[str, Any]) -> dict[str, Any]:
    """Return of a run what the list shows.

    :param run: what ``workflow_run`` returned.
    """
    return {name: run[name] for name in _IN_LIST if name in run}


def overview(run: dict[str, Any]) -> dict[str, Any]:
    """Return of a run what the plain view shows.

    :param run: what ``workflow_run`` returned.
    """
    return {name: run[name] for name in _OVERVIEW if name in run}


def verbose(run: dict[str, Any]) -> dict[str, Any]:
    """Return of a run what the verbose view shows.

    :param run: what ``workflow_run`` returned.
    """
    return {name: value for name, value in run.items() if not name.startswith("_")}


def _task(job: SandboxJob, tenant: str, words: list[str]) -> dict[str, Any]:
    names = [str(part["fields"]["table_name"]) for part in job.parts]
    task: dict[str, Any] = {
        "id": f"wft-{job.id.removeprefix('isj-')}",
        "state": _folded(words, job.is_ended),
        "tenant": tenant,
        "created_at": iso(job.created_at),
        "label": f"Ingesting {', '.join(names) or 'nothing yet'}",
        "workflow_id": job.group,
    }
    if job.ended_at is not None:
        task.update(ended_at=iso(job.ended_at), state_changed_at=iso(job.ended_at))
    if error := _error(job, str(task["state"])):
        task["error"] = error
    return task


def _error(job: SandboxJob, state: str) -> dict[str, Any] | None:
    """Return the error of a task, or of a run that has none, in this state."""
    if state == "failed":
        return {
            "attribution": job.fields.get("attribution", "customer"),
            "type": "amperity.workflow.task.ingest/job",
            "message": job.failure or "The ingest job failed.",
            "data": None,
        }
    if job.cancel_asked and state == "canceled":
        return {
            "attribution": "customer",
            "type": "amperity.workflow.workflow.repository.core/cancel",
            "message": "Workflow manually stopped",
            "data": None,
        }
    return None


def _folded(words: list[str], ended: bool) -> str:
    """Return a workflow's state from its tables' states; how Amperity does it is not published."""
    if ended:
        if "failed" in words:
            return "failed"
        return "canceled" if {"canceled", "stopped"} & set(words) else "succeeded"
    if "stopping" in words:
        return "stopping"
    return "scheduled" if set(words) <= {"scheduled"} else "running"
