# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting jobs on a real Airflow of every version; what only 3.3 can do is shown in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from support.vendor_jobs import FAILED, RUNNING, SUCCEEDED
from support.vendors import BY_NAME

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

#: The tasks whose first job fails.
FAILS_FIRST = ("amperity", "narrative")
STARTS = r"/(fetch_fixed/|workflow/runs|jobs|refresh-materialized-view)$"


def test_a_lost_answer_and_a_retry(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """Each job whose answer was lost is found; where it fails, the retry starts another one, and no more."""
    before = {vendor: len(sandbox.started_ids(vendor)) for vendor in BY_NAME}
    for vendor in BY_NAME:
        sandbox.add_fault(Fault(vendor, "POST", STARTS, drop="before", after=True))
        for end in (FAILED, SUCCEEDED) if vendor in FAILS_FIRST else (SUCCEEDED,):
            sandbox.plan_start(vendor, [(0, RUNNING[vendor]), (2, end[vendor])])
    run_id = airflow.trigger("starting", {})
    airflow.wait_for_run("starting", run_id, 180)

    tasks = {task["task_id"]: task for task in airflow.task_instances("starting", run_id)}
    logs = {name: airflow.task_log("starting", run_id, name, 1) for name in tasks}
    assert {name: task["state"] for name, task in tasks.items()} == dict.fromkeys(BY_NAME, "success"), logs
    for vendor in BY_NAME:
        started = sandbox.started_ids(vendor)[before[vendor] :]
        assert len(started) == tasks[vendor]["try_number"] == (2 if vendor in FAILS_FIRST else 1), logs[
            vendor
        ]
        returned = airflow.xcom("starting", run_id, vendor)
        (job,) = returned if isinstance(returned, list) else [returned]
        assert job["id"] == started[-1]
        assert "is not known" in logs[vendor]
        assert f"has started job {started[0]}" in logs[vendor]
