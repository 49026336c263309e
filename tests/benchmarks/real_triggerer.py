# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One run inside a real Airflow: many deferred tasks on one connection, and what the triggerer costs.

``python -m benchmarks.real_triggerer --tasks 10000`` starts Airflow and the sandbox, makes that many
deferred tasks, lets the triggerer take them up, watches it for a while, ends all jobs at once, and prints a
table. The tasks are written to Airflow's database as workers leave them, since starting a worker process for
each would take an hour, and the scheduler is ended before, so that what is measured has the machine to
itself. With ``--production``, there are two triggerers over PostgreSQL. With ``--control``, the tasks wait
for a moment instead, with a trigger that does nothing else: what is left is Airflow's own cost.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.airflow_instance import AirflowInstance
from support.vendors import NARRATIVE

DAG_ID, POOL = "benchmark_deferred", "nobody_runs"
DAG = """
from airflow.sdk import dag
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor

@dag(schedule=None)
def {dag_id}():
    NarrativeJobSensor.partial(task_id="wait", pool={pool!r}, deferrable=True).expand(job_id={job_ids!r})

{dag_id}()
"""
#: Run with Airflow's settings and the triggers as JSON lines, one for each task.
DEFER = """
import json, sys
from airflow.models import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

with create_session() as session:
    tasks = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == sys.argv[1])).all()
    for task, line in zip(tasks, sys.stdin, strict=True):
        task.trigger = Trigger(*json.loads(line))
        task.state, task.next_method, task.try_number = TaskInstanceState.DEFERRED, "execute_complete", 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=10, help="poke_interval in seconds (default: 10)")
    parser.add_argument("--intervals", type=int, default=6, help="how many to watch (default: 6)")
    parser.add_argument("--production", action="store_true", help="two triggerers over PostgreSQL")
    parser.add_argument("--control", action="store_true", help="a trigger that only sleeps instead of ours")
    options = parser.parse_args()
    tasks, interval = options.tasks, options.interval
    # The triggerer keeps a log file open for each.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with running(tasks, options.production) as (airflow, sandbox, job_ids):
        run_id = airflow.trigger(DAG_ID)
        airflow.wait_for(lambda: count(airflow, run_id, "scheduled") == tasks, 1800, "all tasks are there")
        for scheduler in airflow.of_kind("scheduler"):
            airflow.kill(scheduler)
        bare = memory_mib(airflow)
        moment = datetime.now(UTC) + timedelta(seconds=90 + tasks / 50 + interval * options.intervals)
        defer(airflow, job_ids, interval, moment if options.control else None)
        started = time.monotonic()
        airflow.wait_for(lambda: count_logs(airflow) == tasks, 1800, "all triggers run")
        taken_up_after = time.monotonic() - started
        first_requests = len(sandbox.requests())
        time.sleep(2 * interval)
        blocked = [blocks(airflow)]
        cpu, requests, began = cpu_seconds(airflow), len(sandbox.requests()), time.monotonic()
        time.sleep(interval * options.intervals)
        rounds = (time.monotonic() - began) / interval
        cpu, requests = cpu_seconds(airflow) - cpu, len(sandbox.requests()) - requests
        memory = memory_mib(airflow)
        blocked.append(blocks(airflow))
        if options.control:
            left = (moment - datetime.now(UTC)).total_seconds()
            if left < 0:
                raise SystemExit(
                    "the control has fired while it was watched: this machine needs a later moment"
                )
            time.sleep(left)
        for job_id in job_ids:
            sandbox.set_state("narrative", job_id, NARRATIVE.words[JobState.SUCCEEDED])
        ended = time.monotonic()
        airflow.wait_for(
            lambda: count(airflow, run_id, "deferred") < tasks, 1800, "the first trigger has fired"
        )
        first_fired = time.monotonic()
        airflow.wait_for(lambda: count(airflow, run_id, "deferred") == 0, 1800, "all triggers have fired")
        fired_after, fired_in = time.monotonic() - ended, time.monotonic() - first_fired
        blocked.append(blocks(airflow))
    print(f"{'deferred tasks':<48}{tasks:>10,}")
    print(f"{'seconds until the triggerer had taken all up':<48}{taken_up_after:>10.0f}")
    print(f"{'vendor requests until then':<48}{first_requests:>10}")
    print(f"{'vendor requests per interval':<48}{requests / rounds:>10.2f}")
    print(f"{'triggerer CPU seconds per interval':<48}{cpu / rounds:>10.2f}")
    print(f"{'triggerer memory, all processes, MiB':<48}{memory:>10.0f}")
    print(f"{'  over what it was before the triggers':<48}{memory - bare:>10.0f}")
    print(f"{'seconds until all triggers had fired':<48}{fired_after:>10.1f}")
    print(f"{'  since the first had, which waits for a poll':<48}{fired_in:>10.1f}")
    print("blocks of the event loop that Airflow warned of, in seconds:")
    for phase, (before, after) in {
        "while the triggerer takes them up": (0, len(blocked[0])),
        "while all wait": (len(blocked[0]), len(blocked[1])),
        "while all end at once": (len(blocked[1]), len(blocked[2])),
    }.items():
        seconds = [float(text) for text in blocked[2][before:after]]
        said = f"{len(seconds)}, up to {max(seconds)}" if seconds else "none"
        print(f"  {phase:<46}{said:>20}")


@contextmanager
def running(tasks: int, production: bool) -> Iterator[tuple[AirflowInstance, Sandbox, list[str]]]:
    age = 7200.0
    with (
        tempfile.TemporaryDirectory(prefix="ingestjobs-benchmark-") as folder,
        # Jobs that started over the last hours: of ones that all did just now, every list would be news.
        Sandbox(clock=lambda: time.time() - age) as sandbox,
    ):
        job_ids = []
        for number in range(tasks):
            age = 7200.0 * (1 - number / tasks)
            job_ids.append(sandbox.add_job("narrative", timeline=[(0, NARRATIVE.words[JobState.RUNNING])]))
        age = 0.0
        dags = Path(folder, "dags")
        dags.mkdir()
        (dags / "benchmark.py").write_text(DAG.format(dag_id=DAG_ID, pool=POOL, job_ids=job_ids))
        environment = {
            **sandbox.connection_env(),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(tasks),
            "AIRFLOW__TRIGGERER__CAPACITY": str(tasks),
        }
        with instance_class(production)(Path(folder, "airflow"), dags, environment) as airflow:
            airflow.api("POST", "pools", json={"name": POOL, "slots": 0})
            yield airflow, sandbox, job_ids


def instance_class(production: bool) -> type[AirflowInstance]:
    if not production:
        return AirflowInstance
    from support.production_instance import ProductionInstance

    return ProductionInstance


def triggerer_pids(airflow: AirflowInstance) -> list[int]:
    return [pid for name in airflow.of_kind("triggerer") for pid in airflow.pids(name)]


def defer(airflow: AirflowInstance, job_ids: list[str], interval: float, moment: datetime | None) -> None:
    """Write the triggers to Airflow's database: ours, or with a moment the control's."""
    now = datetime.now(UTC)
    ours: dict[str, Any] = {
        "hook": NARRATIVE.hook_path,
        "conn_id": NARRATIVE.default_conn_id,
        "poll_interval": interval,
        "started_at": now.isoformat(),
        "deadline": (now + timedelta(days=1)).isoformat(),
    }
    lines = []
    for job_id in job_ids:
        path = "airflow_provider_ingestjobs.triggers.job.IngestJobTrigger"
        arguments = {**ours, "job_ids": [job_id]}
        if moment:
            path, arguments = "benchmarks.bare_trigger.BareTrigger", {"moment": moment.timestamp()}
        lines.append(json.dumps([path, arguments]))
    subprocess.run(
        [sys.executable, "-c", DEFER, DAG_ID], input="\n".join(lines), text=True, check=True, env=airflow.env
    )


def count(airflow: AirflowInstance, run_id: str, state: str) -> int:
    path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
    found = airflow.api("GET", path, params={"state": state, "limit": 1})["total_entries"]
    print(f"{found:>6} {state}", end="\r", file=sys.stderr, flush=True)
    time.sleep(1)
    return int(found)


def count_logs(airflow: AirflowInstance) -> int:
    """Return how many triggers have begun their log."""
    found = sum(1 for _ in (airflow.home / "logs").rglob("*.trigger.*.log"))
    print(f"{found:>6} triggers", end="\r", file=sys.stderr, flush=True)
    time.sleep(1)
    return found


def blocks(airflow: AirflowInstance) -> list[str]:
    """Return the seconds of each warning, all so far."""
    logs = [airflow.log_file(name).read_text() for name in airflow.of_kind("triggerer")]
    told = re.findall(r"^(\S+) .*thread was blocked for ([\d.]+) seconds", "".join(logs), re.MULTILINE)
    return [seconds for _, seconds in sorted(told)]


def cpu_seconds(airflow: AirflowInstance) -> float:
    ticks = 0
    for pid in triggerer_pids(airflow):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(airflow: AirflowInstance) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in triggerer_pids(airflow))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
