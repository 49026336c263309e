# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""
Run all example DAGs on a real Airflow against the sandbox, and show how they went.

``tox -e demo`` runs this. ``--keep`` leaves Airflow's UI up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.airflow_client import FINISHED_RUN_STATES, AirflowInstanceError
from support.airflow_instance import AirflowInstance
from support.airflow_settings import LOGIN

if TYPE_CHECKING:
    from types import FrameType

REPOSITORY = Path(__file__).resolve().parents[2]
RUN_TIMEOUT = 180

#: How every task must end, given the sandbox's demo jobs.
EXPECTED = {
    "example_amperity": {
        "wait_for_ingest": "success",
        "check_rows": "success",
        "publish": "skipped",
        "quarantine": "success",
        "stop_replaced_job": "success",
    },
    "example_adverity": {
        "wait_for_fetch": "success",
        "check_freshness": "success",
        "report_fresh": "success",
        "report_stale": "skipped",
        "stop_backfill": "success",
    },
    "example_imply_polaris": {
        "wait_for_ingestion": "success",
        "check_rows": "success",
        "query_table": "skipped",
        "inspect_bad_rows": "success",
        "cancel_mistaken_job": "success",
    },
    "example_narrative": {
        "wait_for_dataset": "success",
        "check_outcome": "success",
        "activate": "success",
        "tell_owners": "skipped",
    },
    "example_all_vendors": {
        "sources.customers": "success",
        "sources.spend": "success",
        "sources.events": "success",
        "sources.lookalikes": "skipped",
        "summarise": "success",
        "build_audience": "success",
    },
    "example_selection": {
        "wait_for_fetches": "success",
        "summarise": "success",
    },
    "example_checks": {
        "emails": "failed",
        "hold_back": "success",
        "members": "success",
        "publish": "success",
    },
    "example_without_workers": {
        "wait_for_members": "success",
        "publish": "success",
    },
    "example_start_adverity": {
        "fetch": "success",
        "report": "success",
    },
    "example_start_amperity": {
        "run_courier_group": "success",
        "report": "success",
    },
    "example_start_imply_polaris": {
        "load_day": "success",
        "roll_up": "success",
        "report": "success",
    },
    "example_start_narrative": {
        "create_lookalikes": "success",
        "refresh_view": "success",
        "activate": "success",
    },
    "example_asset_watcher": {
        "report": "success",
    },
}
#: The task for which no worker runs.
WORKERLESS = ("example_without_workers", "wait_for_members")

#: The DAG that nobody starts: a job's end does.
STARTED_BY_A_JOB = "example_asset_watcher"
#: The DAG whose sensor selects jobs by the run's data interval, as a scheduled run has one.
SELECTS_BY_DATA_INTERVAL = "example_selection"

#: The tasks that wait for a vendor, and so must go through the triggerer.
WAITING_OPERATORS = (
    *("JobSensor", "CancelJobOperator"),
    *("FetchOperator", "RunWorkflowOperator", "RunJobOperator", "RunQueryOperator", "RefreshViewOperator"),
)
#: The DAGs that start a vendor's jobs.
STARTS = {
    "adverity": "example_start_adverity",
    "amperity": "example_start_amperity",
    "imply_polaris": "example_start_imply_polaris",
    "narrative": "example_start_narrative",
}
#: The start whose answer gets lost, though the vendor has done what it was asked to.
LOST_ANSWER = Fault(vendor="adverity", method="POST", path="/fetch_fixed/$", drop="before", after=True)


class Clock:
    """Prints lines that begin with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print a line."""
        print(f"[{self.seconds:6.1f} s] {text}", flush=True)


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="leave Airflow's UI up until Ctrl-C")
    keep = parser.parse_args().keep

    if not any(found.dist and found.dist.name == "airflow-provider-ingestjobs" for found in _providers()):
        print("airflow-provider-ingestjobs is not installed in this environment: pip install '.[sandbox]'")
        return 2

    # A cancelled CI job sends SIGTERM: leave through the context managers as with Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    clock = Clock()
    home = Path(tempfile.mkdtemp(prefix="ingestjobs-demo-"))
    try:
        return _run(clock, home, keep)
    except KeyboardInterrupt:
        clock.say("stopped")
        return 130
    except AirflowInstanceError as error:
        clock.say(f"Airflow: {error}")
        return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(clock: Clock, home: Path, keep: bool) -> int:
    airflow = f"Airflow {version('apache-airflow')}"
    with Sandbox(demo=True) as sandbox:
        sandbox.cancel_delay = 3  # vendors take their time to stop a job
        sandbox.add_fault(LOST_ANSWER)
        clock.say(f"sandbox of the four vendors: {sandbox.url}")
        clock.say(f"starting {airflow} (API server, scheduler, dag processor, triggerer; SQLite)")
        with AirflowInstance(home, REPOSITORY / "example_dags", sandbox.connection_env()) as instance:
            clock.say(f"{airflow} is up, all example DAGs are parsed: {instance.url}")
            runs = {
                dag_id: instance.trigger(dag_id, data_interval=_data_interval(dag_id))
                for dag_id in EXPECTED
                if dag_id != STARTED_BY_A_JOB
            }
            deferred = _follow(clock, instance, runs)
            clock.say("all DAG runs have ended")
            tasks = {dag_id: instance.task_instances(dag_id, run_id) for dag_id, run_id in runs.items()}
            print()
            print(_table(instance, runs, tasks))
            print()
            wrong = _wrong(tasks)
            waiting = [
                (dag_id, task["task_id"])
                for dag_id in runs
                for task in tasks[dag_id]
                if str(task["operator_name"]).endswith(WAITING_OPERATORS)
            ]
            through_triggerer = [
                (dag_id, task_id)
                for dag_id, task_id in waiting
                if (dag_id, task_id) in deferred or instance.was_deferred(dag_id, runs[dag_id], task_id)
            ]
            print(
                f"{len(through_triggerer)} of {len(waiting)} waiting tasks were deferred to the triggerer; "
                f"{len(sandbox.requests())} requests reached the sandbox."
            )
            for dag_id, task_id in sorted(set(waiting) - set(through_triggerer)):
                wrong[dag_id, task_id] = "never deferred"
            wrong |= _check_starts(sandbox, instance, runs)
            if _had_worker(instance, runs, *WORKERLESS):
                wrong[WORKERLESS] = "had a worker"
            else:
                print(f"No worker ran for {'.'.join(WORKERLESS)}.")
            for (dag_id, task_id), what in wrong.items():
                print(f"\nNOT AS EXPECTED: {dag_id}.{task_id} {what}.")
                if log := _log(instance, dag_id, runs[dag_id], task_id):
                    print(textwrap.indent(log, "    "))
            if not wrong:
                print("Everything ended as expected.")
            if keep:
                _keep(clock, instance)
    return 1 if wrong else 0


def _check_starts(
    sandbox: Sandbox, instance: AirflowInstance, runs: dict[str, str]
) -> dict[tuple[str, str], str]:
    """Tell what was started; returns the DAGs that have started other jobs than their tasks have returned."""
    counts = []
    wrong = {}
    for vendor, dag_id in STARTS.items():
        values = [instance.xcom(dag_id, runs[dag_id], task_id) for task_id in EXPECTED[dag_id]]
        jobs = [
            job for value in values for job in (value if isinstance(value, list) else [value]) if _is_job(job)
        ]
        returned, started = sorted(job["id"] for job in jobs), sorted(sandbox.started_ids(vendor))
        counts.append(f"{jobs[0]['vendor'] if jobs else vendor} {len(started)}")
        if returned != started:
            wrong[dag_id, next(iter(EXPECTED[dag_id]))] = f"and others returned {returned}, started {started}"
    if not wrong:
        print(f"Jobs started: {', '.join(counts)}; each once, though the answer to one start was lost.")
    return wrong


def _data_interval(dag_id: str) -> tuple[datetime, datetime] | None:
    now = datetime.now(UTC)
    half_a_day = timedelta(hours=12)
    return (now - half_a_day, now + half_a_day) if dag_id == SELECTS_BY_DATA_INTERVAL else None


def _started_by_a_job(clock: Clock, instance: AirflowInstance) -> dict[str, str]:
    """Return the run that a job's end has started, if there is one, and tell which job it was."""
    for run in [run for run in instance.runs(STARTED_BY_A_JOB) if run["start_date"]][:1]:
        run_id = str(run["dag_run_id"])
        for event in instance.asset_events(STARTED_BY_A_JOB, run_id):
            job = event["extra"]["payload"]
            clock.say(f"{STARTED_BY_A_JOB} was started by {job['vendor']} job {job['id']}: {job['state']}")
        return {STARTED_BY_A_JOB: run_id}
    return {}


def _follow(clock: Clock, instance: AirflowInstance, runs: dict[str, str]) -> set[tuple[str, str]]:
    """Print every change of a task's state until all runs have ended; returns the tasks seen deferred.

    The run that nobody starts is added to the others.
    """
    seen: dict[tuple[str, str], str] = {}
    deferred: set[tuple[str, str]] = set()
    unfinished = dict(runs)

    def look() -> bool:
        if STARTED_BY_A_JOB not in runs and (started := _started_by_a_job(clock, instance)):
            runs.update(started)
            unfinished.update(started)
        for dag_id, run_id in list(unfinished.items()):
            # In this order, so that the tasks' last states are not missed.
            ended = instance.run_state(dag_id, run_id) in FINISHED_RUN_STATES
            for task in instance.task_instances(dag_id, run_id):
                key, state = (dag_id, task["task_id"]), task["state"]
                if state == "deferred":
                    deferred.add(key)
                # What lies between is the scheduler's business.
                if state in (None, "scheduled", "queued") or seen.get(key) == state:
                    continue
                seen[key] = state
                clock.say(f"{dag_id:<27} {task['task_id']:<20} {state}")
            if ended:
                del unfinished[dag_id]
        return not unfinished and STARTED_BY_A_JOB in runs

    instance.wait_for(
        look,
        RUN_TIMEOUT,
        what=lambda: f"the end of {', '.join(unfinished) or f'a job, to start {STARTED_BY_A_JOB}'}",
        interval=0.4,
    )
    return deferred


def _wrong(tasks: dict[str, list[dict[str, Any]]]) -> dict[tuple[str, str], str]:
    states = {(dag_id, task["task_id"]): task["state"] for dag_id, found in tasks.items() for task in found}
    expected = {
        (dag_id, task_id): state for dag_id, ends in EXPECTED.items() for task_id, state in ends.items()
    }
    return {
        key: f"is {states.get(key, 'missing')} instead of {expected.get(key, 'absent')}"
        for key in sorted(expected.keys() | states.keys())
        if states.get(key) != expected.get(key)
    }


def _table(instance: AirflowInstance, runs: dict[str, str], tasks: dict[str, list[dict[str, Any]]]) -> str:
    rows = []
    for dag_id, run_id in runs.items():
        order = list(EXPECTED[dag_id])
        known = [task for task in tasks[dag_id] if task["task_id"] in order]
        for task in sorted(known, key=lambda task: order.index(task["task_id"])):
            value = instance.xcom(dag_id, run_id, task["task_id"])
            chosen = (instance.xcom(dag_id, run_id, task["task_id"], "skipmixin_key") or {}).get("followed")
            jobs = [one for one in (value if isinstance(value, list) else [value]) if _is_job(one)]
            seconds = max((job["duration"] for job in jobs), default=task["duration"])
            failure = _failure(instance, dag_id, run_id, task["task_id"]) if task["state"] == "failed" else ""
            rows.append(
                [
                    dag_id,
                    task["task_id"],
                    ", ".join(_short(job["id"]) for job in jobs),
                    ", ".join(dict.fromkeys(job["vendor_state"] for job in jobs)),
                    "" if seconds is None else f"{seconds:.1f} s",
                    _rows(jobs[0]["rows"]) if len(jobs) == 1 else "",
                    failure or _result(task["state"], jobs, chosen, value),
                ]
            )
        rows.append([])
    header = ["DAG", "task", "job", "vendor state", "duration", "rows", "result"]
    widths = [max(len(row[column]) for row in [header, *filter(None, rows)]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *(line(row) if row else "" for row in rows[:-1])])


def _result(state: str, jobs: list[dict[str, Any]], chosen: Any, value: Any) -> str:
    if jobs:
        return f"{state}: job {', job '.join(job['state'] for job in jobs)}"
    if chosen:
        return f"{state}: chose {', '.join(map(str, chosen))}"
    if value is None or state != "success":
        return state
    return f"{state}: {value if isinstance(value, str) else ', '.join(map(str, value))}"


def _failure(instance: AirflowInstance, dag_id: str, run_id: str, task_id: str) -> str:
    """Return what a failed check says, numbers and all."""
    _, _, said = _log(instance, dag_id, run_id, task_id).partition("JobCheckFailed: ")
    return f"failed: {said.splitlines()[0]}" if said else ""


def _is_job(value: Any) -> bool:
    return isinstance(value, dict) and "vendor_state" in value


def _rows(rows: dict[str, int | None]) -> str:
    written = (rows["inserted"] or 0) + (rows["updated"] or 0)
    counts = {
        "read": rows["read"],
        "written": written,
        "rejected": rows["rejected"],
        "errors": rows["errors"],
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _short(job_id: str) -> str:
    return job_id if len(job_id) <= 25 else f"{job_id[:8]}…{job_id[-8:]}"


def _log(instance: AirflowInstance, dag_id: str, run_id: str, task_id: str) -> str:
    """A task's log without Airflow's folding marks; empty if the task never ran."""
    try:
        lines = instance.task_log(dag_id, run_id, task_id).splitlines()
    except AirflowInstanceError:
        return ""
    return "\n".join(line for line in lines if "::group::" not in line and "::endgroup::" not in line)


def _had_worker(instance: AirflowInstance, runs: dict[str, str], dag_id: str, task_id: str) -> bool:
    """Whether a worker has written to a task's log."""
    folder = instance.home / "logs" / f"dag_id={dag_id}" / f"run_id={runs[dag_id]}" / f"task_id={task_id}"
    return any(folder.glob("attempt=?.log"))


def _keep(clock: Clock, instance: AirflowInstance) -> None:
    print(f"\nAirflow stays up: {instance.url}  login: {LOGIN}  password: {instance.password}")
    if HAS_PLUGIN_PAGES:
        print(f"The jobs, and who waited for them: {instance.url}/plugin/ingestjobs")
    print("The sandbox's jobs have ended; a DAG that you trigger again finds them as they are.")
    print("Ctrl-C ends it all.", flush=True)
    try:
        while True:
            instance.check_alive()
            time.sleep(1)
    except KeyboardInterrupt:
        clock.say("ending Airflow and the sandbox")


def _providers() -> Any:
    return entry_points(group="apache_airflow_provider")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
