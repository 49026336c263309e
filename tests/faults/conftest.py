# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the fault tests share, and the matrix as a table at the end of the run."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Tests are imported by path, without a package around them.
for folder in (Path(__file__).parent, Path(__file__).parents[1]):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorder import Recorder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-matrix", action="store_true", help="write docs/fault-matrix.md anew")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-matrix", default=False):
        from fault_matrix import MATRIX_PAGE, as_markdown

        MATRIX_PAGE.parent.mkdir(exist_ok=True)
        MATRIX_PAGE.write_text(as_markdown())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix: how many of each cell's tests came out as it says."""
    from fault_matrix import CELL, MATRIX, OPERATIONS

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
    terminalreporter.section("fault matrix: cells as designed / tested, over all vendors")
    width = max(len(row.name) for row in MATRIX)
    terminalreporter.write_line(" ".join([" " * width, *(f"{name:>8}" for name in OPERATIONS)]))
    for row in MATRIX:
        cells = [(row.name, operation) for operation in OPERATIONS]
        counts = [f"{good[cell]}/{ran[cell]}" if ran[cell] else "-" for cell in cells]
        terminalreporter.write_line(" ".join([f"{row.name:<{width}}", *(f"{count:>8}" for count in counts)]))
    total = f"{sum(good.values())} of {sum(ran.values())} as designed"
    terminalreporter.write_line(f"{total}; what is designed: docs/fault-matrix.md")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    from fault_servers import write_certificate

    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def _elsewhere() -> Iterator[Recorder]:
    from recorder import Recorder

    with Recorder() as running:
        yield running


@pytest.fixture
def elsewhere(_elsewhere: Recorder) -> Recorder:
    """Another host: nothing must ever be sent to it."""
    _elsewhere.requests.clear()
    return _elsewhere


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of this machine's own network settings into the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
