# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Selecting, judging and being started by jobs that nobody here started, on a real Airflow."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3
from support.vendor_jobs import RUNNING, SUCCEEDED, add_job
from support.vendors import BY_NAME
from support.watched import end_a_job, list_requests, started_by, wait_until_started

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance
    from support.metrics_server import MetricsServer

pytestmark = pytest.mark.end_to_end

#: Airflow 3.3 and newer.
SHARES_POLLS = find_spec("airflow.triggers.shared_stream") is not None
#: What a job of each vendor loads, for the selections of the DAG ``selections``.
LOADS = {
    "amperity": {"tables": [{"feed_id": "df-e2e"}]},
    "adverity": {"datastream_id": 31},
    "polaris": {"target": {"type": "table", "tableName": "e2e"}},
    "narrative": {"dataset_id": 31},
}


def test_selections_and_checks(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """
    A run takes the jobs of its data interval, late starters within ``settle`` included.

    Beside it, tasks whose jobs succeeded with bad rows fail, or are skipped, with the numbers.
    """

    def add(vendor: str, begin: float, end: float) -> str:
        timeline = [(begin, RUNNING[vendor]), (end, SUCCEEDED[vendor])]
        return add_job(sandbox, vendor, timeline, starts="now", fields=LOADS[vendor])

    for vendor in BY_NAME:
        add(vendor, 0, 1)
    time.sleep(2.5)
    began = datetime.now(UTC) - timedelta(seconds=1)
    expected = {vendor: [add(vendor, 0, 8), add(vendor, 12, 15)] for vendor in BY_NAME}
    bad = {"read": 1000, "inserted": 600, "rejected": 300, "errors": 100}
    checked = {name: add_job(sandbox, "amperity", rows=bad) for name in ("check_fails", "check_skips")}
    for job_id in checked.values():
        sandbox.set_state("amperity", job_id, SUCCEEDED["amperity"])

    run_id = airflow.trigger("selections", checked, data_interval=(began, began + timedelta(days=1)))
    airflow.wait_for_run("selections", run_id, timeout=120)

    for vendor, jobs in expected.items():
        log = airflow.task_log("selections", run_id, vendor)
        assert airflow.task_state("selections", run_id, vendor) == "success", log
        assert airflow.was_deferred("selections", run_id, vendor)
        found = airflow.xcom("selections", run_id, vendor)
        assert [(job["id"], job["state"]) for job in found] == [(job_id, "succeeded") for job_id in jobs]
    for name, state in (("check_fails", "failed"), ("check_skips", "skipped")):
        assert airflow.task_state("selections", run_id, name) == state
        log = airflow.task_log("selections", run_id, name)
        assert f"{checked[name]}: max_rejected_ratio=0.1 is exceeded: 300 rejected of 1000 read" in log
        assert "max_error_rows=0 is exceeded: 100 errors" in log
        assert "min_rows=10" not in log


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 has no watchers of assets")
def test_watchers(airflow: AirflowInstance, sandbox: Sandbox, metrics: MetricsServer) -> None:
    """Each job starts its DAG once, also if it ends while no triggerer runs; two watchers share one poll.

    Before Airflow 3.3 each watcher polls for itself, and what ends while no triggerer runs starts nothing.
    """
    airflow.wait_for(lambda: list_requests(sandbox), 60, what="the watchers to poll")
    time.sleep(5)
    before, began = len(list_requests(sandbox)), time.monotonic()
    first, second = [end_a_job(sandbox, 1)], [end_a_job(sandbox, 2)]
    wait_until_started(airflow, 1, first)
    wait_until_started(airflow, 2, second)
    polls, seconds = len(list_requests(sandbox)) - before, time.monotonic() - began
    # Every two seconds, or up to a tenth earlier; two polls side by side would make twice as many.
    most = seconds / 1.8 + 1
    assert seconds / 4 <= polls <= (most if SHARES_POLLS else 2 * most)
    assert metrics.values["watcher_polls", "narrative_default"]
    assert metrics.values["watcher_seconds_since_answer", "narrative_default"][-1] == 0

    log = airflow.log_file("triggerer")
    seen = log.stat().st_size
    fired = end_a_job(sandbox, 1)
    airflow.wait_for(
        lambda: fired.encode() in log.read_bytes()[seen:], 30, what="the watcher to fire", interval=0.05
    )
    time.sleep(0.2)
    airflow.kill("triggerer")
    unseen = end_a_job(sandbox, 2)
    before = len(list_requests(sandbox))
    airflow.start("triggerer")
    airflow.wait_for(lambda: len(list_requests(sandbox)) > before + 2, 60, what="the watchers to poll again")
    second.append(unseen if SHARES_POLLS else end_a_job(sandbox, 2))
    wait_until_started(airflow, 2, second)
    if SHARES_POLLS:
        # Killed as it fired: the job is not lost, but the next triggerer may tell it again.
        airflow.wait_for(
            lambda: fired in started_by(airflow, 1), 30, what="the job that fired to start its DAG"
        )
    assert started_by(airflow, 1).count(first[0]) == 1
    assert started_by(airflow, 1).count(fired) <= 2

    for run in airflow.runs("started_by_2"):
        airflow.wait_for_run("started_by_2", run["dag_run_id"], 60)
        assert airflow.xcom("started_by_2", run["dag_run_id"], "tell") in [[job_id] for job_id in second]
