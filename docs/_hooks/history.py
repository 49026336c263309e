# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""MkDocs' hook for the benchmarks of earlier days: pictures and tables of what ``bench --json`` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
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
#: Of a picture: the height of a bar, the width of its label, and of the longest bar.
BAR, LABELS, LENGTH = 18, 220, 480
Run = dict[str, Any]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the pictures and tables where the page asks for them."""
    if "<!-- the history -->" not in markdown:
        return markdown
    runs = [json.loads(line) for line in HISTORY.read_text().splitlines()]
    return markdown.replace("<!-- the history -->", drawn(runs))


def drawn(runs: list[Run]) -> str:
    """
    Return a table of the runs, and for each number of waits a section with bars and numbers; the newest run
    comes first.

    :param runs: the lines of the file.
    """
    newest_first = sorted(enumerate(runs, 1), reverse=True)
    parts = [_table(["Run", "When and where"], [[f"{number}", _about(run)] for number, run in newest_first])]
    for waits in sorted({one["waits"] for run in runs for one in run["figures"]}, reverse=True):
        parts.append(f"## {waits:,} waits")
        columns = {
            number: by_name
            for number, run in newest_first
            if (by_name := {one["name"]: one for one in run["figures"] if one["waits"] == waits})
        }
        names = list(dict.fromkeys(name for by_name in columns.values() for name in by_name))
        for figure, (title, shape) in FIGURES.items():
            lines = [
                [name, *(_shown(by_name.get(name), figure, shape) for by_name in columns.values())]
                for name in names
            ]
            bars = [
                (f"{name}, run {number}", by_name[name][figure])
                for name in names
                for number, by_name in columns.items()
                if name in by_name
            ]
            parts += [
                f"{title}:",
                _bars(title, bars),
                _table(["", *(f"Run {number}" for number in columns)], lines),
            ]
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


def _bars(title: str, bars: list[tuple[str, float]]) -> str:
    """Return a picture with a bar for each label, as long as its number says beside the others."""
    longest = max(number for _, number in bars) or 1.0
    height = BAR * len(bars)
    widths = [max(number / longest * LENGTH, 1.0) for _, number in bars]
    lines = "".join(
        f'<text x="{LABELS - 8}" y="{at * BAR + 12}" text-anchor="end">{escape(label)}</text>'
        f'<rect x="{LABELS}" y="{at * BAR + 3}" width="{width:.1f}" height="{BAR - 6}"/>'
        for at, ((label, _), width) in enumerate(zip(bars, widths, strict=True))
    )
    return (
        f'<svg class="bars" role="img" viewBox="0 0 {LABELS + LENGTH} {height}" aria-label="{escape(title)}">'
        f"{lines}</svg>"
    )


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
