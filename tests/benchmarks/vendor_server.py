# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The vendor of one measurement, in a process of its own; it obeys JSON lines on standard input."""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Callable

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import VENDORS, Sandbox
from benchmarks.peer_vendors import PeerVendors
from benchmarks.rows import EXAMPLE, IN_SANDBOX, OTHER_JOBS, job_id_of
from ingestjobs_airbyte.sandbox import Airbyte
from support.vendors import words_for

AIRBYTE_ROWS = (EXAMPLE, "airbyte")
ENDS = {**words_for(JobState.SUCCEEDED), **dict.fromkeys(AIRBYTE_ROWS, "succeeded")}
RUNS = {**words_for(JobState.RUNNING), **dict.fromkeys(AIRBYTE_ROWS, "running")}


class Vendor:
    """The sandbox or the peers' server, with what a measurement asks of either.

    :param row: the table's row.
    :param jobs: how many jobs run, besides those that nobody waits for.
    :param latency: seconds that every answer takes longer.
    """

    def __init__(self, row: str, jobs: int, latency: float) -> None:
        self.row = row
        self.ended: dict[str, float] = {}
        self.environment: dict[str, str] = {}
        if row in IN_SANDBOX:
            # Jobs that started over the last hours: of ones that all did just now, every list would be news.
            age = 7200.0
            self._sandbox = Sandbox(clock=lambda: time.time() - age, vendors=[*VENDORS, Airbyte]).start()
            for number in range(jobs + OTHER_JOBS):
                age = 7200.0 * (1 - number / (jobs + OTHER_JOBS))
                self._sandbox.add_job(row, job_id_of(row, number), [(0, RUNS[row])])
            age = 0.0
            self._sandbox.latency = latency
            self.environment = self._sandbox.connection_env()
            self.url = self._sandbox.url
        else:
            self._peers = PeerVendors(latency)
            self.url = self._peers.url

    def answered(self) -> int:
        return len(self._sandbox.requests(self.row)) if self.row in IN_SANDBOX else self._peers.answered

    def change_during(self, seconds: float, ends: list[int], touches: list[int]) -> None:
        """End some jobs, and change others without ending them, at random moments of the next seconds."""
        events: list[tuple[float, Callable[[int], None], int]] = []
        start = time.time()
        for action, numbers in ((self._end, ends), (self._touch, touches)):
            events += [(start + random.uniform(0, seconds), action, number) for number in numbers]

        def work() -> None:
            for moment, action, number in sorted(events, key=lambda event: event[0]):
                time.sleep(max(moment - time.time(), 0))
                action(number)

        threading.Thread(target=work, daemon=True).start()

    def _end(self, number: int) -> None:
        job_id = job_id_of(self.row, number)
        self.ended[job_id] = time.time()
        if self.row in IN_SANDBOX:
            self._sandbox.set_state(self.row, job_id, ENDS[self.row])
        else:
            self._peers.end(job_id)

    def _touch(self, number: int) -> None:
        if self.row in IN_SANDBOX:
            self._sandbox.set_state(self.row, job_id_of(self.row, number), RUNS[self.row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--latency", type=float, required=True)
    options = parser.parse_args()
    vendor = Vendor(options.row, options.jobs, options.latency)

    def say(answer: object) -> None:
        print(json.dumps(answer), flush=True)

    say({"url": vendor.url, "environment": vendor.environment})
    for line in sys.stdin:
        order = json.loads(line)
        match order.pop("do"):
            case "count":
                say(vendor.answered())
            case "change":
                vendor.change_during(**order)
                say(None)
            case "ended":
                say(vendor.ended)


if __name__ == "__main__":
    main()
