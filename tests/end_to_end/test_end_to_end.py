# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensors and cancel operators on a real Airflow: scheduler, triggerer, API server and dag processor."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.sandbox import Fault
from support.vendor_jobs import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    add_job,
    asked_to_cancel,
    cancel_requests,
)
from support.vendors import BY_NAME, CANCELLING_VENDORS

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance
    from support.metrics_server import MetricsServer

pytestmark = pytest.mark.end_to_end

CANCELLING = tuple(case.name for case in CANCELLING_VENDORS)
#: Published nowhere: Polaris names no field for the text of a failure.
FAILURE_TEXT_SHOWN = ("amperity", "adverity", "narrative")
FAILURE_TEXT = "the files have no header"
#: Adverity's page about a datastream, for people.
ADVERITY_PAGE = "https://acme.datatap.adverity.com/ads/42/emea/"
#: What Airflow writes to a deferred task's log before it calls the trigger's on_kill.
USER_ACTION = "Trigger cancelled by user action"


@dataclass(frozen=True)
class Case:
    """A task of the DAG ``waits``: the job it gets, and how it must end."""

    task_id: str
    vendor: str
    timeline: list[tuple[float, str]]
    task_state: str
    job_state: str | None
    deferred: bool
    in_log: list[str] = field(default_factory=list)
    cancel_requests: int = 0
    options: dict[str, Any] = field(default_factory=dict)


def cases() -> list[Case]:
    """All tasks of the DAG ``waits``."""
    found = []
    for vendor in BY_NAME:
        succeeding = [(0.0, RUNNING[vendor]), (5.0, SUCCEEDED[vendor])]
        failing = [(0.0, RUNNING[vendor]), (5.0, FAILED[vendor])]
        stream = {"id": 42, "absolute_url": ADVERITY_PAGE}
        page = {"fields": {"datastream": stream}} if vendor == "adverity" else {}
        texts = [FAILURE_TEXT] if vendor in FAILURE_TEXT_SHOWN else []
        found += [
            Case(f"{vendor}_succeeds", vendor, succeeding, "success", "succeeded", True, options=page),
            Case(
                f"{vendor}_fails",
                vendor,
                failing,
                "failed",
                None,
                True,
                in_log=[BY_NAME[vendor].vendor, FAILED[vendor], *texts],
                options={"failure": FAILURE_TEXT},
            ),
            Case(f"{vendor}_poke", vendor, succeeding, "success", "succeeded", False),
            Case(f"{vendor}_reschedule", vendor, succeeding, "success", "succeeded", False),
        ]
    for vendor in CANCELLING:
        running = [(0.0, RUNNING[vendor])]
        stage = {"fields": {"stage": "process"}} if vendor == "adverity" else {}
        found += [
            Case(f"{vendor}_cancels", vendor, running, "success", "cancelled", True, cancel_requests=1),
            Case(
                f"{vendor}_already_ended",
                vendor,
                [(0.0, SUCCEEDED[vendor])],
                "success",
                "succeeded",
                False,
                in_log=["already"],
            ),
            Case(
                f"{vendor}_refused",
                vendor,
                running,
                "failed",
                None,
                False,
                in_log=["CancelRefused", *(["fetch stage"] if vendor == "adverity" else ["sealed"])],
                cancel_requests=1,
                options=stage,
            ),
            Case(
                f"{vendor}_unconfirmed",
                vendor,
                running,
                "failed",
                None,
                True,
                in_log=["CancelNotConfirmed"],
                cancel_requests=1,
                options={"cancel_state": RUNNING[vendor]},
            ),
            Case(
                f"{vendor}_cancels_blocking",
                vendor,
                running,
                "success",
                "cancelled",
                False,
                cancel_requests=1,
            ),
        ]
    failing = [(0.0, "running"), (5.0, "failed")]
    return [
        *found,
        Case("soft_fails", "narrative", failing, "skipped", None, True),
        Case("times_out", "narrative", [(0.0, "running")], "failed", None, True, in_log=["WaitTimeout"]),
        Case(
            "missing", "narrative", [(0.0, "running")], "failed", None, True, in_log=["JobNotFound", "not-"]
        ),
    ]


@dataclass(frozen=True)
class Run:
    """A DAG run and the job each of its tasks got.

    :param uncounted: how many more requests each vendor had got than were counted, before the run.
    """

    dag_id: str
    run_id: str
    jobs: dict[str, str]
    uncounted: dict[str, int] = field(default_factory=dict)

    @property
    def vendors(self) -> dict[str, str]:
        """Each task's vendor; its id begins with it."""
        return {task_id: task_id.partition("_")[0] for task_id in self.jobs}


def difference(vendor: str, sandbox: Sandbox, metrics: MetricsServer) -> int:
    """Return how many more requests a vendor got than were counted."""
    counted = sum(metrics.values["requests", BY_NAME[vendor].default_conn_id])
    return len(sandbox.requests(vendor)) - int(counted)


def usual_difference(vendor: str, sandbox: Sandbox, metrics: MetricsServer) -> int:
    """Return a vendor's :func:`difference` while no request is on its way.

    It is not 0 where the tests of crashes have killed a process between a request and its count.
    """
    seen: Counter[int] = Counter()
    for _ in range(20):
        seen[difference(vendor, sandbox, metrics)] += 1
        time.sleep(0.05)
    return seen.most_common(1)[0][0]


@pytest.fixture(scope="session")
def waits(airflow: AirflowInstance, sandbox: Sandbox, metrics: MetricsServer) -> Run:
    """A finished run of the DAG ``waits``."""
    uncounted = {vendor: usual_difference(vendor, sandbox, metrics) for vendor in BY_NAME}
    jobs = {}
    for case in cases():
        jobs[case.task_id] = job_id = add_job(sandbox, case.vendor, case.timeline, **case.options)
        if case.task_id.endswith("_refused") and case.vendor != "adverity":
            path = f"/wf-{job_id}/stop" if case.vendor == "amperity" else f"/jobs/{job_id}/status$"
            sandbox.add_fault(
                Fault(case.vendor, "POST", path, status=409, body={"message": "sealed"}, times=None)
            )
    sandbox.add_fault(Fault(status=429, headers={"Retry-After": "0"}))
    run_id = airflow.trigger("waits", jobs)
    airflow.wait_for_run("waits", run_id, timeout=240)
    return Run("waits", run_id, jobs, uncounted)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.task_id)
def test_wait(case: Case, waits: Run, airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """Each way of waiting ends as it should, in the triggerer where it was asked to."""
    run_id, job_id = waits.run_id, waits.jobs[case.task_id]
    log = airflow.task_log("waits", run_id, case.task_id)

    assert airflow.task_state("waits", run_id, case.task_id) == case.task_state, log
    assert airflow.was_deferred("waits", run_id, case.task_id) == case.deferred, log
    job = airflow.xcom("waits", run_id, case.task_id)
    if case.job_state is None:
        assert job is None
        assert job_id in log
    else:
        assert (job["vendor"], job["id"], job["state"]) == (
            BY_NAME[case.vendor].vendor,
            job_id,
            case.job_state,
        )
    for text in case.in_log:
        assert text in log
    assert cancel_requests(sandbox, case.vendor, job_id) == case.cancel_requests


@pytest.mark.parametrize("vendor", BY_NAME)
def test_metrics(
    vendor: str, waits: Run, airflow: AirflowInstance, sandbox: Sandbox, metrics: MetricsServer
) -> None:
    """Tasks and the triggerer report what they ask of a vendor to wherever Airflow sends its metrics."""
    connection = BY_NAME[vendor].default_conn_id
    for name in ("polls", "poll_duration", "waits", "jobs_seen"):
        assert sum(metrics.values[name, connection]) > 0, name
    airflow.wait_for(
        lambda: difference(vendor, sandbox, metrics) == waits.uncounted[vendor],
        timeout=20,
        what=lambda: (
            f"each request to {vendor} to be counted: {waits.uncounted[vendor]} of them were not before the "
            f"run, {difference(vendor, sandbox, metrics)} are not now"
        ),
    )
    airflow.wait_for(
        lambda: metrics.values["waits", connection][-1] == 0,
        timeout=20,
        what="the gauge to say that nobody waits",
    )


def test_throttles_are_counted(waits: Run, sandbox: Sandbox, metrics: MetricsServer) -> None:
    """A 429 counts although the request was tried again and answered."""
    assert [request for request in sandbox.requests() if request.status == 429]
    counts = {key: values for key, values in metrics.values.items() if key[0] == "throttled"}
    assert sum(map(sum, counts.values())) == 1


def test_extra_link(waits: Run, airflow: AirflowInstance) -> None:
    """The task's page links to the page of the job's datastream, and where there is none has no button."""
    links = {
        task_id: airflow.links("waits", waits.run_id, task_id)
        for task_id in ("adverity_succeeds", "amperity_succeeds")
    }
    if HAS_PLUGIN_PAGES:
        for task_id, own in links.items():
            assert f"task_id={task_id}&" in str(own.pop("Ingestion job"))
    assert links == {"adverity_succeeds": {"Vendor job": ADVERITY_PAGE}, "amperity_succeeds": {}}


def test_no_secret_in_logs(waits: Run, airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """No log of any task or component shows a vendor's key."""
    keys = {str(sandbox.connection(vendor)["password"]).encode() for vendor in BY_NAME}
    logs = [path for path in airflow.home.rglob("*.log*") if path.is_file()]
    assert logs
    for path in logs:
        text = path.read_bytes()
        assert not [key for key in keys if key in text], path


def test_a_hanging_vendor_does_not_block_the_triggerer(waits: Run, airflow: AirflowInstance) -> None:
    """In this session vendors have hung for seconds; a busy machine alone is good for less than that."""
    blocked = re.findall(
        r"thread was blocked for ([\d.]+) seconds", airflow.log_file("triggerer").read_text()
    )
    assert [seconds for seconds in blocked if float(seconds) > 2] == []


def test_no_error_in_the_log_of_a_task_that_succeeds(waits: Run, airflow: AirflowInstance) -> None:
    for case in cases():
        if case.task_state == "success":
            assert " ERROR " not in airflow.task_log("waits", waits.run_id, case.task_id), case.task_id


def test_no_error_of_ours_in_the_log_of_a_component(waits: Run, airflow: AirflowInstance) -> None:
    for component in airflow.components:
        lines = airflow.log_file(component).read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if " ERROR " in line or "[error" in line]
        # Airflow's scheduler repeats there what is in the logs of the tasks that fail.
        errors = [line for line in errors if "Task failed with exception" not in line]
        assert [line for line in errors if "ingestjobs" in line] == []


@pytest.fixture(scope="session")
def interrupted(waits: Run, airflow: AirflowInstance, sandbox: Sandbox) -> Run:
    """A run of the DAG ``interrupted`` whose tasks are all deferred."""
    tasks = [(f"{vendor}_survives", vendor) for vendor in BY_NAME]
    tasks += [(f"{vendor}_{case}", vendor) for vendor in CANCELLING for case in ("marked", "marked_plain")]
    jobs = {task_id: add_job(sandbox, vendor) for task_id, vendor in tasks}
    run_id = airflow.trigger("interrupted", jobs)
    airflow.wait_for(
        lambda: all(task["triggerer_job"] for task in airflow.task_instances("interrupted", run_id)),
        timeout=60,
        what="all tasks to be in the triggerer",
    )
    return Run("interrupted", run_id, jobs)


def triggerer_jobs(airflow: AirflowInstance, run: Run) -> set[int]:
    """The ids of the triggerers that run a run's triggers."""
    tasks = airflow.task_instances(run.dag_id, run.run_id)
    return {(task["triggerer_job"] or {}).get("id", 0) for task in tasks}


def trigger_ended(airflow: AirflowInstance, run: Run, task_id: str) -> bool:
    """Whether a task's trigger has ended after a user's action (a triggerer's shutdown ends it, too)."""
    log = airflow.task_log(run.dag_id, run.run_id, task_id)
    return "trigger completed" in log.partition(USER_ACTION)[2]


def cancels_counted(metrics: MetricsServer, vendor: str) -> float:
    """How many jobs of killed tasks a vendor was asked to stop, by the metrics."""
    return sum(metrics.values["cancels", BY_NAME[vendor].default_conn_id])


@pytest.mark.parametrize("stop", ["kill", "terminate"])
def test_triggerer_restart(stop: str, interrupted: Run, airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """A new triggerer takes over what the old one waited for, and nothing was cancelled."""
    before = triggerer_jobs(airflow, interrupted)
    getattr(airflow, stop)("triggerer")
    airflow.start("triggerer")
    airflow.wait_for(
        lambda: not triggerer_jobs(airflow, interrupted) & (before | {0}),
        timeout=60,
        what="the new triggerer to take over",
    )
    assert asked_to_cancel(sandbox, interrupted.vendors, interrupted.jobs) == {}


def test_task_ends_right_after_triggerer_restart(
    interrupted: Run, airflow: AirflowInstance, sandbox: Sandbox
) -> None:
    """What was deferred when the triggerer was killed still sees its job's end."""
    survivors = {vendor: f"{vendor}_survives" for vendor in BY_NAME}
    for vendor, task_id in survivors.items():
        sandbox.set_state(vendor, interrupted.jobs[task_id], SUCCEEDED[vendor])
    for task_id in survivors.values():
        state = airflow.wait_for_task(
            "interrupted", interrupted.run_id, task_id, ["success", "failed", "up_for_retry"], timeout=60
        )
        assert state == "success", airflow.task_log("interrupted", interrupted.run_id, task_id)
        assert airflow.xcom("interrupted", interrupted.run_id, task_id)["state"] == "succeeded"
    assert asked_to_cancel(sandbox, interrupted.vendors, interrupted.jobs) == {}


def test_marked_failed_while_deferred(
    interrupted: Run, airflow: AirflowInstance, sandbox: Sandbox, metrics: MetricsServer
) -> None:
    """With ``cancel_on_kill`` the vendor is asked to stop the job, once; a plain sensor leaves it alone.

    Airflow before 3.3 does not tell a trigger that its task was killed.
    """
    marked = [f"{vendor}_marked" for vendor in CANCELLING]
    plain = [f"{vendor}_marked_plain" for vendor in CANCELLING]
    before = {vendor: cancels_counted(metrics, vendor) for vendor in CANCELLING}
    for task_id in [*marked, *plain]:
        airflow.set_task_state("interrupted", interrupted.run_id, task_id, "failed")
    if not hasattr(BaseTrigger, "on_kill"):
        time.sleep(5)
        assert asked_to_cancel(sandbox, interrupted.vendors, interrupted.jobs) == {}
        return
    airflow.wait_for(
        lambda: all(trigger_ended(airflow, interrupted, task_id) for task_id in [*marked, *plain]),
        timeout=60,
        what="the triggers of the marked tasks to end",
    )
    assert asked_to_cancel(sandbox, interrupted.vendors, interrupted.jobs) == dict.fromkeys(marked, 1)
    for vendor, task_id in zip(CANCELLING, marked, strict=True):
        log = airflow.task_log("interrupted", interrupted.run_id, task_id)
        assert f"job {interrupted.jobs[task_id]} was asked to stop" in log
        assert cancels_counted(metrics, vendor) == before[vendor] + 1
