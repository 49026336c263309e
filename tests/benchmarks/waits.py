# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a whole wait costs a real Airflow 3.3: ours with workers and without, three peers, and Airflow itself.

``python -m benchmarks.waits --waits 40`` starts Airflow, and for each row runs a DAG of that many deferrable
tasks, one row after the other: all of them are deferred, then their jobs end together. One task of another
DAG comes before, so that what a process does once is not counted. CPU is that of all of Airflow's processes,
children included, from the run's start to its end, less what the same Airflow needs for nothing. Every row
asks a local server that answers after 50 ms, every five seconds. Nothing passes or fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.rows import job_id_of
from benchmarks.triggerer import Server
from support.airflow_instance import AirflowInstance

DAGS = """
from airflow.sdk import DAG
{imports}

QUICK = dict(deferrable=True)

for dag_id, job_ids in {runs!r}.items():
    with DAG(dag_id, schedule=None, max_active_tasks=1000, params={{}}):
        for number, job_id in enumerate(job_ids):
            {task}
"""
WARM_UP = "warm_up"
#: After how many seconds the tasks without jobs end: all have begun by then, and had a moment for themselves.
SLEEP = 20.0
OURS = (
    "from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor",
    'NarrativeJobSensor(task_id=f"wait_{number}", job_id="{{ params.prefix }}" + job_id, poke_interval=5, '
    "**QUICK, **FLAGS)",
)


@dataclass(frozen=True)
class Row:
    """A row of the table: whose server it asks, and its DAG's import and task.

    Without jobs, the tasks end by themselves.
    """

    title: str
    vendor: str
    imports: str
    task: str
    has_jobs: bool = True


ROWS = {
    "ours": Row("ours, with workers", "narrative", OURS[0], OURS[1].replace(", **FLAGS", "")),
    "workerless": Row(
        "ours, without",
        "narrative",
        OURS[0],
        OURS[1].replace("**FLAGS", "start_from_trigger=True, end_from_trigger=True"),
    ),
    "airflow": Row(
        "Airflow: only sleeps, without",
        "narrative",
        "from benchmarks.bare_task import BareTask",
        'BareTask(task_id=f"wait_{number}")',
        has_jobs=False,
    ),
    "dbt_cloud": Row(
        "peer: dbt Cloud, sensor",
        "dbt_cloud",
        "from benchmarks.dbt_over_http import OverHttpSensor",
        'OverHttpSensor(task_id=f"wait_{number}", run_id=int(job_id), poke_interval=5, **QUICK)',
    ),
    "airbyte": Row(
        "peer: Airbyte, sensor",
        "airbyte",
        "from airflow.providers.airbyte.sensors.airbyte import AirbyteJobSensor",
        'AirbyteJobSensor(task_id=f"wait_{number}", airbyte_job_id=int(job_id), poke_interval=5, **QUICK)',
    ),
    "databricks": Row(
        "peer: Databricks, operator",
        "databricks",
        "from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator",
        'DatabricksRunNowOperator(task_id=f"wait_{number}", job_id=int(job_id), polling_period_seconds=5, '
        "**QUICK)",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--waits", type=int, default=40)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--idle", type=float, default=30, help="seconds to watch Airflow idle (default: 30)")
    options = parser.parse_args()
    head = f"{'CPU s/wait':>11}{'workers':>9}{'requests':>10}{'end to success, s':>19}{'whole run, s':>14}"
    print(f"{'':<28}{head}")
    for name in options.rows:
        server = Server(ROWS[name].vendor, options.waits + 1)
        try:
            print(measure(name, options.waits, options.idle, server), flush=True)
        finally:
            server.stop()


def measure(name: str, waits: int, idle: float, server: Server) -> str:
    """Run a row's DAG in an Airflow of its own, and return its line of the table."""
    row = ROWS[name]
    job_ids = [job_id_of(row.vendor, number) for number in range(waits + 1)]
    with tempfile.TemporaryDirectory(prefix="ingestjobs-waits-") as folder:
        dags = Path(folder, "dags")
        dags.mkdir()
        (dags / "waits.py").write_text(
            DAGS.format(imports=row.imports, runs={WARM_UP: job_ids[-1:], name: job_ids[:-1]}, task=row.task)
        )
        environment = {**server.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        with AirflowInstance(Path(folder, "airflow"), dags, environment, parallelism=4) as airflow:
            server.ask("change", seconds=0.01, ends=[waits], touches=[])
            warm_up = airflow.trigger(WARM_UP, {"prefix": "", "until": 0})
            if airflow.wait_for_run(WARM_UP, warm_up, 300) != "success":
                raise SystemExit(f"{row.title}: the first task fails")
            workers = count_workers(airflow)
            time.sleep(10)
            began, before = time.monotonic(), cpu_seconds(airflow)
            time.sleep(idle)
            idle_rate = (cpu_seconds(airflow) - before) / (time.monotonic() - began)

            requests, before, began = server.ask("count"), cpu_seconds(airflow), time.monotonic()
            until = time.time() + SLEEP
            run_id = airflow.trigger(name, {"prefix": "", "until": until})
            # Each question costs Airflow CPU, too: they are few.
            airflow.wait_for(
                lambda: all_wait(airflow, name, waits), 600, what="all tasks to wait", interval=1
            )
            time.sleep(6)
            if row.has_jobs:
                server.ask("change", seconds=0.01, ends=list(range(waits)), touches=[])
            else:
                time.sleep(until - time.time())
            ended = time.monotonic()
            state = airflow.wait_for_run(name, run_id, 600, interval=1)
            done = time.monotonic()
            cpu = cpu_seconds(airflow) - before - idle_rate * (done - began)
            requests = server.ask("count") - requests
            tasks = airflow.task_instances(name, run_id)
            states = {str(task["state"]) for task in tasks}
            if (state, states) != ("success", {"success"}):
                raise SystemExit(f"{row.title}: the run is {state}, its tasks are {states}")
            workers = count_workers(airflow) - workers
    figures = f"{cpu / waits:>11.3f}{workers:>9}{requests:>10}{done - ended:>19.1f}{done - began:>14.1f}"
    return f"{row.title:<28}{figures}"


def all_wait(airflow: AirflowInstance, dag_id: str, waits: int) -> bool:
    """Whether the triggerer has begun to run the triggers of all tasks."""
    folder = airflow.home / "logs" / f"dag_id={dag_id}"
    return len(list(folder.rglob("*.trigger.*.log"))) == waits


def count_workers(airflow: AirflowInstance) -> int:
    """Return how many worker processes have run a part of a task."""
    logs = (airflow.home / "logs").rglob("attempt=*.log")
    return sum(log.read_text(errors="replace").count("::group::Pre Execute") for log in logs)


def cpu_seconds(airflow: AirflowInstance) -> float:
    """Return the CPU that all of Airflow has used, what children that are over have used included."""
    total = 0.0
    for component in airflow.components:
        for pid in airflow.pids(component):
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


if __name__ == "__main__":
    main()
