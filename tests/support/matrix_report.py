# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A pytest plugin: the fault matrix as a table at the end of a run, and as a page of the documentation.

The matrix itself is imported only where it is needed, as it brings in the whole package.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: The name under which a test's report carries its cell.
CELL = "fault_matrix_cell"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-matrix", action="store_true", help="write the page of the fault matrix anew")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-matrix", default=False):
        from support.fault_matrix import MATRIX_PAGE, as_markdown

        MATRIX_PAGE.parent.mkdir(exist_ok=True)
        MATRIX_PAGE.write_text(as_markdown())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix: how many of each cell's tests came out as it says."""
    ran: Counter[tuple[str, str]] = Counter()
    good: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, cell in getattr(report, "user_properties", ()):
                if name == CELL and report.when == "call":
                    ran[cell] += 1
                    good[cell] += outcome == "passed"
    if not ran:
        return
    from support.fault_matrix import MATRIX, OPERATIONS

    terminalreporter.section("fault matrix: cells as designed / tested, over all vendors")
    width = max(len(row.name) for row in MATRIX)
    terminalreporter.write_line(" ".join([" " * width, *(f"{name:>8}" for name in OPERATIONS)]))
    for row in MATRIX:
        cells = [(row.name, operation) for operation in OPERATIONS]
        counts = [f"{good[cell]}/{ran[cell]}" if ran[cell] else "-" for cell in cells]
        terminalreporter.write_line(" ".join([f"{row.name:<{width}}", *(f"{count:>8}" for count in counts)]))
    total = f"{sum(good.values())} of {sum(ran.values())} as designed"
    terminalreporter.write_line(f"{total}; what is designed: docs/explanation/fault-matrix.md")
