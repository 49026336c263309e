# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The Python of README, documentation and example DAGs runs, as Airflow would run it to parse a DAG file.

``tests/test_shell_blocks.py`` has what is pasted into a shell, and what is saved in files for that.
"""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from support.fences import PAGES, ROOT, Fence, fences

EXAMPLES = sorted((ROOT / "example_dags").rglob("*.py"))
READ: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads}
#: Run, here or there, or only looked at.
LANGUAGES = {"python", "bash", "text", *READ}


PYTHON = fences("python")
#: Pages, and the modules that they have their readers save.
SAVED = {(fence.page, Path(fence.saved_as).stem) for fence in PYTHON if fence.saved_as}


def imports_what_is_saved(fence: Fence) -> bool:
    return any(fence.page == page and f"from {module} import" in fence.code for page, module in SAVED)


@pytest.mark.parametrize(
    "fence",
    [one for one in PYTHON if not (one.is_of_an_example or imports_what_is_saved(one))],
    ids=lambda fence: fence.name,
)
def test_python(fence: Fence) -> None:
    # The line numbers of an error are the page's.
    source = fence.before + "\n" * (fence.line - 1 - fence.before.count("\n")) + fence.code
    code = compile(source, fence.name, "exec", dont_inherit=True)
    if airflow_version.startswith("2.") and "airflow.sdk" in source:
        pytest.skip("compiled only: what it imports is Airflow 3's")
    exec(code, {"__name__": "block"})


@pytest.mark.parametrize("fence", fences(*READ), ids=lambda fence: fence.name)
def test_data(fence: Fence) -> None:
    assert READ[fence.language](fence.code)


def test_no_block_is_overlooked() -> None:
    marks = sum(len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) for page in PAGES)
    found = fences()
    assert 2 * len(found) == marks > 0
    assert {fence.name: fence.language for fence in found if fence.language not in LANGUAGES} == {}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_dag(path: Path) -> None:
    if airflow_version.startswith("2.") and path.parent.name == "airflow_3":
        pytest.skip("Airflow 3's alone")
    runpy.run_path(str(path))
