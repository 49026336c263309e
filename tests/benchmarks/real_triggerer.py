# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One run inside a real Airflow: many deferred tasks on one connection, and what the triggerer costs.

``python tests/benchmarks/real_triggerer.py --tasks 1000`` starts Airflow and the sandbox, defers that many
mapped tasks (most of the time: a worker process is started for each), watches the triggerer for a while, ends
all jobs at once, and prints a table. With ``--control``, the tasks wait for a moment instead, with Airflow's
own ``DateTimeTrigger``: what is left is Airflow's own cost.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))

from airflow_instance import AirflowInstance

from airflow_provider_ingestjobs.sandbox import Sandbox

DAG_ID = "benchmark_deferred"
DAG = """
from airflow.providers.common.compat.sdk import dag
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor

@dag(schedule=None, max_active_tasks={tasks})
def {dag_id}():
    NarrativeJobSensor.partial(
        task_id="wait", deferrable=True, poke_interval={interval}, timeout=7200
    ).expand(job_id={job_ids!r})

{dag_id}()
"""
CONTROL = """
from datetime import datetime

from airflow.sdk import BaseOperator, dag
from airflow.providers.standard.triggers.temporal import DateTimeTrigger

class Wait(BaseOperator):
    def __init__(self, job_id, **kwargs):
        super().__init__(**kwargs)
        self.job_id = job_id

    def execute(self, context):
        self.defer(trigger=DateTimeTrigger(datetime.fromisoformat({moment!r})), method_name="resume")

    def resume(self, context, event=None):
        pass

@dag(schedule=None, max_active_tasks={tasks})
def {dag_id}():
    Wait.partial(task_id="wait").expand(job_id={job_ids!r})

{dag_id}()
"""
#: Seconds in which this machine must have deferred a task of the control, on average.
CONTROL_PACE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10, help="poke_interval in seconds (default: 10)")
    parser.add_argument("--intervals", type=int, default=6, help="how many to watch (default: 6)")
    parser.add_argument("--control", action="store_true", help="Airflow's own trigger instead of ours")
    options = parser.parse_args()
    watched = options.interval * options.intervals
    moment = datetime.now(UTC) + timedelta(seconds=60 + CONTROL_PACE * options.tasks + watched)
    template = CONTROL if options.control else DAG
    with running(template, options.tasks, options.interval, moment) as (airflow, sandbox, job_ids):
        started = time.monotonic()
        run_id = airflow.trigger(DAG_ID)
        airflow.wait_for(
            lambda: count(airflow, run_id, "deferred") == options.tasks, 3600, "all tasks are deferred"
        )
        deferred_after = time.monotonic() - started
        time.sleep(options.interval)
        blocked = [blocks(airflow)]
        cpu, requests, began = cpu_seconds(airflow), len(sandbox.requests()), time.monotonic()
        time.sleep(watched)
        rounds = (time.monotonic() - began) / options.interval
        cpu, requests = cpu_seconds(airflow) - cpu, len(sandbox.requests()) - requests
        memory = memory_mib(airflow)
        blocked.append(blocks(airflow))
        if options.control:
            time.sleep((moment - datetime.now(UTC)).total_seconds())
        for job_id in job_ids:
            sandbox.set_state("narrative", job_id, "completed")
        ended = time.monotonic()
        airflow.wait_for(lambda: count(airflow, run_id, "deferred") == 0, 600, "all triggers have fired")
        fired_after = time.monotonic() - ended
        blocked.append(blocks(airflow))
    print(f"{'deferred tasks':<42}{options.tasks:>10,}")
    print(f"{'seconds until all were deferred':<42}{deferred_after:>10.0f}")
    print(f"{'vendor requests per interval':<42}{requests / rounds:>10.2f}")
    print(f"{'triggerer CPU seconds per interval':<42}{cpu / rounds:>10.2f}")
    print(f"{'triggerer memory, all its processes, MiB':<42}{memory:>10.0f}")
    print(f"{'seconds until all triggers had fired':<42}{fired_after:>10.1f}")
    print("blocks of the event loop that Airflow warned of, in seconds:")
    for phase, (before, after) in {
        "while worker processes defer": (0, len(blocked[0])),
        "while all wait": (len(blocked[0]), len(blocked[1])),
        "while all end at once": (len(blocked[1]), len(blocked[2])),
    }.items():
        print(f"  {phase:<40}{', '.join(blocked[2][before:after]) or 'none':>10}")


@contextmanager
def running(
    template: str, tasks: int, interval: float, moment: datetime
) -> Iterator[tuple[AirflowInstance, Sandbox, list[str]]]:
    with tempfile.TemporaryDirectory(prefix="ingestjobs-benchmark-") as folder, Sandbox() as sandbox:
        job_ids = [sandbox.add_job("narrative", timeline=[(0, "running")]) for _ in range(tasks)]
        dags = Path(folder, "dags")
        dags.mkdir()
        values = {"tasks": tasks, "interval": interval, "job_ids": job_ids, "moment": moment.isoformat()}
        (dags / "benchmark.py").write_text(template.format(dag_id=DAG_ID, **values))
        environment = {
            **sandbox.connection_env(),
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(tasks),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(tasks),
            "AIRFLOW__TRIGGERER__CAPACITY": str(tasks),
        }
        with AirflowInstance(Path(folder, "airflow"), dags, environment) as airflow:
            yield airflow, sandbox, job_ids


def count(airflow: AirflowInstance, run_id: str, state: str) -> int:
    path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
    found = airflow.api("GET", path, params={"state": state, "limit": 1})["total_entries"]
    print(f"{found:>6} {state}", end="\r", file=sys.stderr, flush=True)
    time.sleep(1)
    return int(found)


def blocks(airflow: AirflowInstance) -> list[str]:
    """Return the seconds of each warning, all so far."""
    return re.findall(r"thread was blocked for ([\d.]+) seconds", airflow.log_file("triggerer").read_text())


def cpu_seconds(airflow: AirflowInstance) -> float:
    ticks = 0
    for pid in airflow.pids("triggerer"):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(airflow: AirflowInstance) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in airflow.pids("triggerer"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
