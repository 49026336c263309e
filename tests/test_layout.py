# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The package's rooms: none imports in a circle, none has outgrown itself, and few need Airflow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airflow_provider_ingestjobs

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = airflow_provider_ingestjobs.__name__
ROOT = Path(airflow_provider_ingestjobs.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 400
#: What a vendor's own files are called, and the fields and nouns that stand nowhere else but on its row.
VENDORS = {"amperity", "adverity", "polaris", "narrative"}
OWN_WORDS = ("token_url\\b", "numRows", "feed_id", "datastream", "snapshot", "healthStatus", "state_label")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports when it is imported itself."""
    names = {module_of(file) for file in FILES}

    def walk(nodes: list[ast.stmt]) -> Iterator[ast.ImportFrom]:
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                yield node
            elif (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test)) or isinstance(
                node, ast.ClassDef
            ):
                yield from walk(node.body)

    for node in walk(ast.parse(path.read_text()).body):
        if node.module and node.module.startswith(PACKAGE):
            modules = {f"{node.module}.{alias.name}" for alias in node.names} & names
            yield from modules or {node.module}


def test_no_import_circle() -> None:
    graph = {module_of(path): set(imports_of(path)) - {module_of(path)} for path in FILES}
    # Everybody imports the package, which imports nobody when it is imported.
    graph = {module: needs - {PACKAGE} for module, needs in graph.items() if module != PACKAGE}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"they import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_file_has_outgrown_its_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_vendor_s_words_stand_in_its_own_files_alone(path: Path) -> None:
    its_own = VENDORS & set(path.stem.split("_"))
    if its_own or path.name == "vendors.py":
        return
    code = ast.unparse(_without_docstrings(ast.parse(path.read_text())))
    assert [word for word in OWN_WORDS if re.search(rf"\b{word}", code)] == []


@pytest.mark.parametrize(
    "module", ["job", "errors", "selection", "checks", "arguments", "vendors", "provider_info", "sandbox"]
)
def test_it_needs_no_airflow(module: str) -> None:
    code = f"import sys, {PACKAGE}.{module}; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _is_for_types(node: ast.If | ast.ClassDef) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = [*node.body[1:], ast.Pass()]
    return tree
