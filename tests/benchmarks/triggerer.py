# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One measurement: a fresh process that plays the triggerer for one row and one number of waits.

It runs triggers as Airflow's triggerer does, each in a task of one event loop, and prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import OTHER_JOBS, OURS, ended_well, peer_environment, speak_plain_http, trigger_for

LATENCY = 0.05
#: Jobs that end, and jobs that change without ending, in each interval.
ENDS, TOUCHES = 20, 20
#: How often the event loop is looked at for blocks, in seconds; as Airflow's own watchdog does.
WATCHDOG = 0.1
#: How long the first round of polls may take, in seconds.
LONGEST_START = 90.0


class Server:
    """The vendor in its own process."""

    def __init__(self, row: str, jobs: int) -> None:
        command = [sys.executable, "-m", "benchmarks.vendor_server", "--row", row]
        command += ["--jobs", str(jobs), "--latency", str(LATENCY)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self._read()
        self.environment = {**said["environment"], **peer_environment(said["url"])}

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory(field: str) -> int:
    """Return a field of this process's memory in bytes; VmHWM is the peak since :func:`reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Watchdog:
    """Measures how long the event loop did not get to run a task that was due."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + WATCHDOG
            await asyncio.sleep(WATCHDOG)
            self.longest = max(self.longest, time.perf_counter() - due)


async def measure(row: str, waits: int, interval: float, intervals: int, server: Server) -> dict[str, Any]:
    """Run a row's triggers and return what they cost."""
    fired: dict[str, float] = {}
    wrong: list[Any] = []

    async def wait_for(trigger: Any) -> None:
        async for event in trigger.run():
            payload = event.payload
            if ended_well(row, payload):
                fired[str(job_id_in(payload))] = time.time()
            else:
                wrong.append(payload)

    async def idle(trigger: Any, until: asyncio.Event) -> None:
        await until.wait()

    # What is imported and cached once must not count as memory of the waits.
    warm_up = asyncio.create_task(wait_for(trigger_for(row, waits + OTHER_JOBS - 1, interval)))
    await asyncio.sleep(1.5)
    warm_up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await warm_up

    until = asyncio.Event()
    triggers = [trigger_for(row, number, interval) for number in range(waits)]
    tasks = [asyncio.create_task(idle(trigger, until)) for trigger in triggers]
    await asyncio.sleep(0.1)
    gc.collect()
    bare = memory("VmRSS")
    reset_peak()
    until.set()
    await asyncio.gather(*tasks)

    before = server.ask("count")
    began = time.time()
    tasks = []
    for number, trigger in enumerate(triggers):
        tasks.append(asyncio.create_task(wait_for(trigger)))
        # Over half an interval: a triggerer takes up its triggers in batches, too.
        if number % 100 == 99:
            await asyncio.sleep(interval / 2 * 100 / waits)
    del triggers
    polled_by_all = 1 if row in OURS else waits
    while time.time() - began < 1.2 * interval or (
        server.ask("count") - before < polled_by_all and time.time() - began < LONGEST_START
    ):
        await asyncio.sleep(0.5)
    started_in = time.time() - began

    watchdog = Watchdog()
    watching = asyncio.create_task(watchdog.run())
    seconds = intervals * interval
    numbers = random.sample(range(waits), min(waits, (ENDS + TOUCHES) * intervals))
    ends = numbers[: max(len(numbers) // 2, 1)]
    requests, cpu, start = server.ask("count"), cpu_seconds(), time.perf_counter()
    server.ask("change", seconds=seconds, ends=ends, touches=numbers[len(ends) :])
    await asyncio.sleep(seconds)
    requests, cpu = server.ask("count") - requests, cpu_seconds() - cpu
    elapsed = time.perf_counter() - start
    watching.cancel()
    # The last to end have not been polled yet.
    latest = time.time() + 2.2 * interval
    ended = server.ask("ended")
    while len(fired) < len(ends) and time.time() < latest:
        await asyncio.sleep(0.1)
    peak = memory("VmHWM")
    now = time.time()
    return {
        "row": row,
        "waits": waits,
        "interval": interval,
        "elapsed": elapsed,
        "started_in": started_in,
        "requests": requests,
        "cpu": cpu,
        "memory": (peak - bare) / waits,
        "latencies": sorted(fired.get(job_id, now) - moment for job_id, moment in ended.items()),
        "undetected": len(ended.keys() - fired.keys()),
        "longest_block": watchdog.longest,
        "wrong": len(wrong),
        "first_wrong": str(wrong[:1]),
    }


def job_id_in(payload: Any) -> Any:
    """Return the job's id from whatever a trigger fires."""
    return payload["jobs"][0]["id"] if "jobs" in payload else payload.get("job_id", payload.get("run_id"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", required=True)
    parser.add_argument("--waits", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True)
    parser.add_argument("--intervals", type=int, required=True)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    server = Server(options.row, options.waits)
    try:
        os.environ.update(server.environment)
        # A peer logs a line per poll. That costs more than its request does, but is a matter of settings.
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        if options.row == "dbt_cloud":
            speak_plain_http()
        arguments = (options.row, options.waits, options.interval, options.intervals, server)
        print(json.dumps(asyncio.run(measure(*arguments))), flush=True)
    finally:
        server.stop()
    # Thousands of tasks that still wait are not worth an orderly end.
    os._exit(0)


if __name__ == "__main__":
    main()
