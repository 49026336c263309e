# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What waiting costs the triggerer: this package beside three peers, each against a local server.

Every figure comes from a fresh process that plays the triggerer, with its vendor in another one that takes
50 ms longer for each answer. ``--quick`` leaves out 10,000 waits; ``--json`` adds the figures to those of
earlier runs. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.rows import EXAMPLE, MOST_AIRBYTE, OURS, PEERS
from support.vendors import VENDORS

NAMES = {
    **{case.name: case.vendor for case in VENDORS},
    EXAMPLE: "Airbyte (example)",
    "airbyte": "peer: Airbyte",
    "dbt_cloud": "peer: dbt Cloud",
    "databricks": "peer: Databricks",
}
#: What the documentation draws its table from; a line for each run.
HISTORY = Path(__file__).parents[2] / "docs" / "benchmark-history.jsonl"
#: With fewer waits, what is left of the whole process' noise is more than theirs.
MEMORY_FROM = 1000
LONGEST_RUN = 400


@dataclass(frozen=True)
class Figures:
    """One row of the table, for one number of waits. Seconds, bytes, and requests per interval.

    :param mark: ``*`` if a round of polls took longer than an interval, so that requests and CPU are those of
        a whole round; ``~`` if the figures are scaled from fewer waits.
    """

    row: str
    waits: int
    requests: float
    cpu: float
    memory: float
    p50: float
    p99: float
    block: float
    mark: str = ""
    note: str = ""


def run(row: str, waits: int, interval: float, intervals: int) -> Figures:
    """Measure a row in a fresh process."""
    measured = min(waits, MOST_AIRBYTE) if row == "airbyte" else waits
    with tempfile.TemporaryDirectory(prefix="ingestjobs-bench-") as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        command = [sys.executable, "-m", "benchmarks.triggerer", "--row", row]
        command += ["--waits", str(measured), "--interval", str(interval), "--intervals", str(intervals)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_RUN,
            env={**kept, "AIRFLOW_HOME": home, "PYTHONHASHSEED": "0"},
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{row} with {waits} waits came to nothing:\n{done.stderr[-2000:]}")
    figures = figures_from(json.loads(lines[-1]), intervals)
    return figures if measured == waits else scaled(figures, waits)


def figures_from(data: dict[str, Any], intervals: int) -> Figures:
    row, waits, latencies = data["row"], data["waits"], data["latencies"]
    spread = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    divisor, mark = float(intervals), ""
    if row in PEERS and waits >= MEMORY_FROM and data["requests"] < 0.9 * waits * intervals:
        divisor, mark = data["requests"] / waits, "*"
    note = f"{data['wrong']} waits failed, such as with {data['first_wrong']}" if data["wrong"] else ""
    if data["undetected"]:
        note += f" {data['undetected']} ends were not seen at all"
    return Figures(
        row,
        waits,
        data["requests"] / divisor,
        data["cpu"] / divisor,
        data["memory"],
        spread[49],
        spread[98],
        data["longest_block"],
        mark,
        note,
    )


def scaled(figures: Figures, waits: int) -> Figures:
    """Return what more waits would cost a trigger whose polls come one after the other."""
    factor = waits / figures.waits
    return replace(
        figures,
        waits=waits,
        requests=figures.requests * factor,
        cpu=figures.cpu * factor,
        p50=figures.p50 * factor,
        p99=figures.p99 * factor,
        mark="~",
    )


def table(results: list[Figures]) -> str:
    head = ("", "waits", "requests", "CPU s", "KB/wait", "seen p50", "p99 s", "longest block ms")
    lines = [head]
    for figures in sorted(results, key=lambda one: (one.waits, list(NAMES).index(one.row))):
        memory = f"{figures.memory / 1024:.1f}" if figures.waits >= MEMORY_FROM else "-"
        lines.append(
            (
                NAMES[figures.row],
                f"{figures.waits:,}",
                f"{figures.requests:,.1f}{figures.mark}",
                f"{figures.cpu:,.3f}{figures.mark}",
                memory,
                f"{figures.p50:,.1f}",
                f"{figures.p99:,.1f}",
                f"{figures.block * 1000:,.0f}",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells))
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def comparison(results: list[Figures], waits: int, interval: float) -> str:
    """Return how this package stands to the best peer, and to what it aims at."""
    at = {figures.row: figures for figures in results if figures.waits == waits}
    best_cpu = min((at[row] for row in PEERS), key=lambda one: one.cpu)
    lines = [f"At {waits:,} waits, against the best peer ({NAMES[best_cpu.row]}):"]
    for row in OURS:
        ours = at[row]
        lines.append(
            f"  {NAMES[row]:<17} 1/{best_cpu.cpu / ours.cpu:,.0f} of the CPU, "
            f"1/{waits / max(ours.requests, 1e-9):,.0f} of the requests"
        )
    if waits < 10_000:
        return "\n".join(lines)
    aims = [
        ("CPU at most 1/20 of the best peer", max(at[row].cpu for row in OURS) <= best_cpu.cpu / 20),
        ("requests at most 25", max(at[row].requests for row in OURS) <= 25),
        ("requests of Narrative <= 2 as few jobs change", at["narrative"].requests <= 2),
        ("p99 <= one interval + 1 s", max(at[row].p99 for row in OURS) <= interval + 1),
        ("memory <= 10 KB a wait", max(at[row].memory for row in OURS) <= 10 * 1024),
        ("event loop never blocked for 0.2 s", max(at[row].block for row in OURS) < 0.2),
    ]
    return "\n".join(lines + [f"  {'met   ' if met else 'MISSED'} {aim}" for aim, met in aims])


NOTES = f"""\
Requests and CPU are per interval: what the vendor got, and what the process that plays the
triggerer used.
In each interval 20 jobs end and 20 others change. Memory: the peak over that of the bare trigger
objects, each in an asyncio task. Seen: from a job's end to the trigger's event.
*  A round of polls takes longer than an interval: requests and CPU are of one round.
~  Scaled from {MOST_AIRBYTE} waits: Airbyte's trigger blocks the event loop, one poll after another.
The peer for Airbyte and the example ask the same server. In the peers' favour: the other two's servers
have next to nothing to do for an answer, their log line per poll is turned off, and dbt Cloud's hook,
which only speaks https, is made to speak http.
""".strip()


def append_to_history(path: Path, results: list[Figures], versions: dict[str, str], **run: object) -> None:
    """Add a run to those of earlier days.

    :param path: the file.
    :param results: what was measured.
    :param versions: of the packages that were measured.
    :param run: what else there is to know of the run, without naming the machine.
    """
    line = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "versions": {"python": sys.version.split()[0], **versions},
        "cores": os.cpu_count(),
        **run,
        "figures": [{"name": NAMES[figures.row], **asdict(figures)} for figures in results],
    }
    with path.open("a") as history:
        history.write(json.dumps(line) + "\n")


def commit() -> str | None:
    """Return the commit that this source tree is of; None where there is no git to tell."""
    command = ["git", "-C", str(HISTORY.parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 1,000 waits, in under three minutes")
    parser.add_argument(
        "--json",
        nargs="?",
        type=Path,
        const=HISTORY,
        metavar="FILE",
        help=f"add the figures as a line to a file (if none is named: docs/{HISTORY.name})",
    )
    options = parser.parse_args()
    load = os.getloadavg()[0]
    began = time.monotonic()
    interval, intervals = (5.0, 2) if options.quick else (10.0, 3)
    # Few waits take next to no CPU, and hardly disturb each other.
    few = [(row, waits) for waits in (1, 100) for row in OURS + PEERS]
    batches = [few, [(row, 1000) for row in OURS], [(row, 1000) for row in PEERS]]
    if not options.quick:
        batches += [[(row, 10_000) for row in OURS[first : first + 2]] for first in range(0, len(OURS), 2)]
        batches += [[("airbyte", 10_000)], [("dbt_cloud", 10_000)], [("databricks", 10_000)]]

    def measure(waits_of_row: tuple[str, int]) -> Figures:
        return run(*waits_of_row, interval, intervals)

    results: list[Figures] = []
    for batch in batches:
        what = ", ".join(f"{row} {waits:,}" for row, waits in batch)
        print(f"{time.monotonic() - began:4.0f} s: {what}", file=sys.stderr)
        with ThreadPoolExecutor(len(batch)) as pool:
            results += pool.map(measure, batch)
    packages = [f"apache-airflow-providers-{name}" for name in ("airbyte", "dbt-cloud", "databricks")]
    packages = ["apache-airflow", *packages, "airflow-provider-ingestjobs"]
    versions = {name: version(name) for name in packages}
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, an interval of {interval:g} s\n")
    print(table(results))
    print(f"\n{comparison(results, results[-1].waits, interval)}\n\n{NOTES}")
    for figures in results:
        if figures.note:
            print(f"! {NAMES[figures.row]} with {figures.waits:,} waits: {figures.note}")
    if options.json:
        run_of = {"quick": options.quick, "interval": interval, "load_before": round(load, 2)}
        append_to_history(options.json, results, versions, **run_of)
    print(f"\nTook {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
