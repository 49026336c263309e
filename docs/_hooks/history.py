# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""MkDocs' hook for the benchmarks of earlier days: tables from what ``bench --json`` has written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

HISTORY = Path(__file__).parents[1] / "benchmark-history.jsonl"
PACKAGE = "airflow-provider-ingestjobs"
#: The figures that are shown, and how.
FIGURES = {
    "requests": ("Vendor requests per interval", "{:,.1f}"),
    "cpu": ("CPU seconds per interval", "{:,.3f}"),
    "p99": ("Seconds from a job's end to the trigger's event, 99th percentile", "{:,.1f}"),
}
Run = dict[str, Any]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the tables where the page asks for them."""
    if "<!-- the history -->" not in markdown:
        return markdown
    runs = [json.loads(line) for line in HISTORY.read_text().splitlines()]
    return markdown.replace("<!-- the history -->", tables(runs))


def tables(runs: list[Run]) -> str:
    """
    Return a section for each number of waits, with a table for each figure; the newest run comes first.

    :param runs: the lines of the file.
    """
    parts = []
    for waits in sorted({one["waits"] for run in runs for one in run["figures"]}, reverse=True):
        parts.append(f"## {waits:,} waits")
        measured = [
            (run, by_row)
            for run in reversed(runs)
            if (by_row := {one["row"]: one for one in run["figures"] if one["waits"] == waits})
        ]
        rows = list(dict.fromkeys(row for _, by_row in measured for row in by_row))
        for figure, (title, shape) in FIGURES.items():
            lines = [
                [_name(run), *(_shown(by_row.get(row), figure, shape) for row in rows)]
                for run, by_row in measured
            ]
            parts += [f"{title}:", _table(["Run", *(row.replace("_", " ") for row in rows)], lines)]
    return "\n\n".join(parts)


def _name(run: Run) -> str:
    versions, kind = run["versions"], ", quick" if run["quick"] else ""
    airflow, python = versions["apache-airflow"], versions["python"]
    return (
        f"{run['date']}, {versions[PACKAGE]} ({run['commit'] or 'no commit'}); Airflow {airflow}, Python "
        f"{python}, {run['cores']} cores, load {run['load_before']}, every {run['interval']:g} s{kind}"
    )


def _shown(figures: dict[str, Any] | None, figure: str, shape: str) -> str:
    if figures is None:
        return ""
    mark = figures["mark"] if figure != "p99" or figures["mark"] == "~" else ""
    return shape.format(figures[figure]) + mark.replace("*", "\\*").replace("~", "\\~")


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
