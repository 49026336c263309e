# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A DAG run whose tasks each have a job of the sandbox, told and asked by name of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.vendor_jobs import STOPPING, add_job, asked_to_cancel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance


@dataclass(frozen=True)
class Run:
    """A DAG run, the vendor of each of its tasks, and the job each got."""

    airflow: AirflowInstance
    sandbox: Sandbox
    dag_id: str
    run_id: str
    vendors: dict[str, str]
    jobs: dict[str, str]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The task instances, by task id."""
        return {task["task_id"]: task for task in self.airflow.task_instances(self.dag_id, self.run_id)}

    def triggerers(self) -> set[int]:
        """The ids of the triggerers that run the triggers; 0 stands for a task that has none."""
        return {(task["triggerer_job"] or {}).get("id", 0) for task in self.tasks().values()}

    def log(self, task_id: str, try_number: int = 1) -> str:
        """A task's log."""
        return self.airflow.task_log(self.dag_id, self.run_id, task_id, try_number)

    def wait_until_deferred(self, task_ids: Iterable[str]) -> None:
        """Wait until a triggerer runs the triggers of some tasks."""
        wanted = set(task_ids)

        def waiting() -> set[str]:
            return wanted - {name for name, task in self.tasks().items() if task["triggerer_job"]}

        self.airflow.wait_for(
            lambda: not waiting(), 90, what=lambda: f"a triggerer to run {', '.join(waiting())}"
        )

    def end_job(self, task_id: str, words: dict[str, str]) -> None:
        """End a task's job, in its vendor's word."""
        vendor = self.vendors[task_id]
        self.sandbox.set_state(vendor, self.jobs[task_id], words[vendor])

    def asked_to_cancel(self) -> dict[str, int]:
        """How often each task's job was asked to stop, where it was at all."""
        return asked_to_cancel(self.sandbox, self.vendors, self.jobs)

    def ends(self, timeout: float = 120) -> dict[str, str]:
        """Each task's state, at the run's end."""
        self.airflow.wait_for_run(self.dag_id, self.run_id, timeout)
        return {name: task["state"] for name, task in self.tasks().items()}


def start(
    airflow: AirflowInstance,
    sandbox: Sandbox,
    dag_id: str,
    vendors: dict[str, str],
    cancelled: Collection[str] = (),
) -> Run:
    """
    Start a run whose jobs run until they are told to end.

    :param vendors: each task's vendor.
    :param cancelled: the tasks that cancel their jobs, which then only show that they are stopping.
    """
    jobs = {
        task_id: add_job(sandbox, vendor, cancel_state=STOPPING[vendor])
        if task_id in cancelled
        else add_job(sandbox, vendor)
        for task_id, vendor in vendors.items()
    }
    return Run(airflow, sandbox, dag_id, airflow.trigger(dag_id, jobs), vendors, jobs)
