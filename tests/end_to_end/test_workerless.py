# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waits without workers come to the same as those with: each task of the DAG ``workerless`` has a twin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import ENDS_FROM_TRIGGER, STARTS_FROM_TRIGGER
from airflow_provider_ingestjobs.links import XCOM_KEY
from support.vendor_jobs import FAILED, RUNNING, SUCCEEDED, add_job
from support.vendors import BY_NAME

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

HAS_LINEAGE = find_spec("airflow.providers.openlineage") is not None
#: What ends in the triggerer, where Airflow can do that.
ENDS_HERE = (
    *BY_NAME,
    "several",
    "selected",
    "windowed",
    "pulled",
    "given",
    "whole",
    "silent",
    "expected",
    "own_params",
    "executes",
)
#: What a worker ends: how, and what the log says of why.
ENDS_IN_WORKER = {
    "fails": ("failed", "does not succeed"),
    "soft_fails": ("skipped", "does not succeed"),
    "checked": ("failed", "does not succeed"),
    "times_out": ("failed", "WaitTimeout"),
    "missing": ("failed", "JobNotFound"),
    "function": ("success", "its check is a function"),
    "called_back": ("success", "on_success_callback"),
    "mapped_over": ("success", "a task is mapped over its result"),
    "anxious": ("success", "AnxiousSensor has its own execute_complete"),
}
#: What a worker starts: how it ends, and what the log says of why.
STARTS_IN_WORKER = {
    "bad_template": ("failed", "starts in a worker: 'nobody' is undefined"),
    "bad_input": ("failed", "starts in a worker: job_id='a/"),
    "nothing": ("failed", "starts in a worker: the triggerer cannot read the result of 'nobody'"),
    "no_connection": ("failed", "starts in a worker: narrative_conn_id='nobody'"),
    "own_params": ("success", "A worker starts this task: only a worker checks its params"),
    "executes": ("success", "A worker starts this task: only a worker calls its on_execute_callback"),
}


@dataclass(frozen=True)
class Twins:
    """A finished run of the DAG."""

    airflow: AirflowInstance
    run_id: str
    states: dict[tuple[str, int], str]

    def log(self, task_id: str) -> str:
        """A task's log."""
        return self.airflow.task_log("workerless", self.run_id, task_id)

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """What a task has left."""
        return self.airflow.xcom("workerless", self.run_id, task_id, key)

    def stored(self, task_id: str) -> Any:
        """What a task has left, as Airflow's API tells it: a text is not a dict."""
        path = f"dags/workerless/dagRuns/{self.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.airflow.api("GET", path, params=self.airflow.xcom_params)["value"]

    def last_words(self, task_id: str) -> list[str]:
        """The last line of a task's log that tells how a job ended."""
        return re.findall(r"(?<=INFO ).* is (?:succeeded|failed) \(vendor says .*$", self.log(task_id), re.M)[
            -1:
        ]

    def had_worker(self, task_id: str) -> bool:
        """Whether a worker has written to a task's log."""
        folder = self.airflow.home / "logs" / "dag_id=workerless" / f"run_id={self.run_id}"
        return (folder / f"task_id={task_id}" / "attempt=1.log").exists()

    def error(self, task_id: str) -> str:
        """The last line of a task's log that names an error, without what differs from run to run."""
        lines = re.findall(
            r"^.*?(\w+(?:Error|Input|Failed|NotFound|Timeout|Connection): .*)$", self.log(task_id), re.M
        )
        return re.sub(r"\d+(\.\d+)?( seconds?|-\S+)|at \S+", "#", lines[-1])


@pytest.fixture(scope="module")
def twins(airflow: AirflowInstance, sandbox: Sandbox) -> Twins:
    """A run in which all jobs run for some seconds."""

    def add(vendor: str, seconds: float, words: dict[str, str] = SUCCEEDED, **options: Any) -> str:
        timeline = [(0.0, RUNNING[vendor]), (seconds, words[vendor])]
        return add_job(sandbox, vendor, timeline, rows={"read": 100, "errors": 1, "inserted": 99}, **options)

    page = {"datastream": {"id": 42, "absolute_url": "https://acme.datatap.adverity.com/ads/42/emea/"}}
    jobs = {vendor: add(vendor, 5, fields=page if vendor == "adverity" else {}) for vendor in BY_NAME}
    jobs |= {
        "several": add("polaris", 7),
        "whole": add("narrative", 7),
        "runs": add_job(sandbox, "narrative"),
    }
    jobs |= {"fails": add("narrative", 5, FAILED, failure="the files have no header")}
    for seconds in (5, 8):
        add("amperity", seconds, starts="now", fields={"tables": [{"feed_id": "df-workerless"}]})
    run_id = airflow.trigger("workerless", {**jobs, "feed": "df-workerless"})
    airflow.wait_for_run("workerless", run_id, 240)
    states = {
        (ti["task_id"], ti["map_index"]): ti["state"] for ti in airflow.task_instances("workerless", run_id)
    }
    return Twins(airflow, run_id, states)


def test_all_end_as_their_twins(twins: Twins) -> None:
    pairs = {
        key: (state, twins.states[f"{key[0]}_workerless", key[1]])
        for key, state in twins.states.items()
        if (f"{key[0]}_workerless", key[1]) in twins.states
    }
    assert {key: ours for key, (ours, _) in pairs.items()} == {
        key: theirs for key, (_, theirs) in pairs.items()
    }
    wanted = {**STARTS_IN_WORKER, **ENDS_IN_WORKER}
    assert {name: state for (name, _), (state, _) in pairs.items()} == {
        name: wanted.get(name, ("success", ""))[0] for name in {*wanted, *ENDS_HERE, "mapped", "over"}
    }


@pytest.mark.parametrize("name", ENDS_HERE)
def test_it_leaves_what_its_twin_leaves(name: str, twins: Twins) -> None:
    if name == "silent":
        assert twins.xcom(f"{name}_workerless") is None
    else:
        assert twins.stored(f"{name}_workerless") == twins.stored(name)
    # A worker stores an empty address, too.
    assert (twins.xcom(f"{name}_workerless", XCOM_KEY) or "") == (twins.xcom(name, XCOM_KEY) or "")


@pytest.mark.skipif(not ENDS_FROM_TRIGGER or HAS_LINEAGE, reason="a worker ends every task here")
@pytest.mark.parametrize("name", ENDS_HERE)
def test_it_ends_in_the_triggerer(name: str, twins: Twins) -> None:
    task_id = f"{name}_workerless"
    assert re.search(r"TriggerEvent<(<\w+\.SUCCESS: )?'success'>", twins.log(task_id))
    if STARTS_FROM_TRIGGER and name not in STARTS_IN_WORKER:
        assert not twins.had_worker(task_id)
        assert "started in the triggerer" in twins.log(task_id)
    if name != "selected":
        assert twins.last_words(task_id) == twins.last_words(name)


@pytest.mark.parametrize(
    "name", ["bad_template", "bad_input", "nothing", "no_connection", "fails", "checked", "missing"]
)
def test_it_fails_by_the_words_of_its_twin(name: str, twins: Twins) -> None:
    assert twins.error(f"{name}_workerless") == twins.error(name)


@pytest.mark.skipif(not ENDS_FROM_TRIGGER or HAS_LINEAGE, reason="a worker ends every task here")
@pytest.mark.parametrize("name", ENDS_IN_WORKER)
def test_the_log_says_why_a_worker_ends_it(name: str, twins: Twins) -> None:
    assert ENDS_IN_WORKER[name][1] in twins.log(f"{name}_workerless")


@pytest.mark.skipif(not STARTS_FROM_TRIGGER, reason="a worker starts every task here")
@pytest.mark.parametrize("name", STARTS_IN_WORKER)
def test_the_log_says_why_a_worker_starts_it(name: str, twins: Twins) -> None:
    assert STARTS_IN_WORKER[name][1] in twins.log(f"{name}_workerless")
