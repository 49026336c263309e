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
    Return a table of the runs, and a section for each number of waits; the newest run comes first.

    :param runs: the lines of the file.
    """
    newest_first = sorted(enumerate(runs, 1), reverse=True)
    parts = [_table(["Run", "When and where"], [[f"{number}", _about(run)] for number, run in newest_first])]
    for waits in sorted({one["waits"] for run in runs for one in run["figures"]}, reverse=True):
        parts.append(f"## {waits:,} waits")
        columns = {
            f"Run {number}": by_name
            for number, run in newest_first
            if (by_name := {one["name"]: one for one in run["figures"] if one["waits"] == waits})
        }
        names = list(dict.fromkeys(name for by_name in columns.values() for name in by_name))
        for figure, (title, shape) in FIGURES.items():
            lines = [
                [name, *(_shown(by_name.get(name), figure, shape) for by_name in columns.values())]
                for name in names
            ]
            parts += [f"{title}:", _table(["", *columns], lines)]
    return "\n\n".join(parts)


def _about(run: Run) -> str:
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
    return shape.format(figures[figure]) + mark.replace("*", "\\*")


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
