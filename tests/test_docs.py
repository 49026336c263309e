# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The Python of README, documentation and example DAGs runs, as Airflow would run it to parse a DAG file.

A block that is no whole file has the lines that it begins with in a comment right before it, which readers do
not see::

    <!-- begins with
    from datetime import timedelta
    -->
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from textwrap import dedent
from types import CodeType

import pytest
from airflow import __version__ as airflow_version

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "example_dags").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(
    r"(?:^(?P<margin> *)<!-- begins with\n(?P<before>(?:(?!-->).)*)-->\n\s*)?"
    r"^(?P<indent> *)```python.*?\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


def blocks() -> list[object]:
    """Return each block as the source of a module whose line numbers are the page's."""
    found: list[object] = []
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("code")) + 1
            before = dedent(block["before"] or "")
            source = before + "\n" * (line - 1 - before.count("\n")) + dedent(block["code"])
            name = f"{page.relative_to(ROOT)}:{line}"
            found.append(pytest.param(name, source, id=name))
    return found


def compiled(name: str, source: str) -> CodeType:
    return compile(source, name, "exec", dont_inherit=True)


@pytest.mark.parametrize(("name", "source"), blocks())
def test_block(name: str, source: str) -> None:
    code = compiled(name, source)
    if airflow_version.startswith("2.") and "airflow.sdk" in source:
        pytest.skip("compiled only: what it imports is Airflow 3's")
    exec(code, {"__name__": "block"})


def test_no_block_is_overlooked() -> None:
    fences = sum(len(re.findall(r"^ *```py", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert len(blocks()) == fences > 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_dag(path: Path) -> None:
    if airflow_version.startswith("2.") and path.parent.name == "airflow_3":
        pytest.skip("Airflow 3's alone")
    runpy.run_path(str(path))
