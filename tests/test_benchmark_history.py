# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What ``bench --json`` writes is what the documentation makes its pictures and tables of."""

from __future__ import annotations

import json
import platform
import re
import runpy
from pathlib import Path
from typing import Any

from benchmarks.bench import Figures, append_to_history

HOOK: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "_hooks" / "history.py"))
VERSIONS = {"apache-airflow": "3.3.2", "airflow-provider-ingestjobs": "0.1.0"}


def figures(row: str, waits: int, requests: float, mark: str = "") -> Figures:
    return Figures(row, waits, requests, cpu=0.5, memory=6000, p50=4.0, p99=9.0, block=0.01, mark=mark)


def test_runs_add_up_to_pictures_and_tables(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    run: dict[str, Any] = {"interval": 10.0, "load_before": 0.1}
    both = [figures("narrative", 10_000, 1), figures("databricks", 10_000, 9_000, "*")]
    append_to_history(history, both, VERSIONS, quick=False, **run)
    append_to_history(history, [figures("narrative", 1000, 2)], VERSIONS, quick=True, **run)
    append_to_history(history, [figures("narrative", 10_000, 3)], VERSIONS, quick=False, **run)

    runs = [json.loads(line) for line in history.read_text().splitlines()]
    lines = HOOK["drawn"](runs).splitlines()
    assert [line for line in lines if line.startswith("##")] == ["## 10,000 waits", "## 1,000 waits"]
    start = lines.index("Vendor requests per interval:") + 4
    picture = lines[start - 2]
    labels = re.findall(r">([^<>]+)</text>", picture)
    widths = [float(width) for width in re.findall(r' width="([\d.]+)"', picture)]
    assert labels == ["Narrative, run 3", "Narrative, run 1", "peer: Databricks, run 1"]
    assert widths[0] == widths[1] < 2
    assert widths[2] > 400
    head, _, ours, peer = (line.strip("|").split("|") for line in lines[start : start + 4])
    assert [cell.strip() for cell in head] == ["", "Run 3", "Run 1"]
    assert [cell.strip() for cell in ours] == ["Narrative", "3.0", "1.0"]
    assert [cell.strip() for cell in peer] == ["peer: Databricks", "", r"9,000.0\*"]
    assert [line[:5] for line in lines if "quick" in line] == ["| 2 |"]


def test_a_run_does_not_name_its_machine(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    run: dict[str, Any] = {"quick": True, "interval": 5.0, "load_before": 0.1}
    append_to_history(history, [figures("narrative", 1, 1)], VERSIONS, **run)
    assert platform.node() not in history.read_text()
    assert str(Path.home()) not in history.read_text()
