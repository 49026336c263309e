# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Write ``.airflow-registry.yaml``, which Airflow's provider registry reads.

::

    pip install -e . && python tools/write_registry.py

The modules are those of ``get_provider_info``, the descriptions their classes' docstrings. It needs the
package installed, not Airflow.
"""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
# What this checkout has, wherever it is run from, not what happens to be installed.
sys.path.insert(0, str(ROOT))

from airflow_provider_ingestjobs import get_provider_info  # noqa: E402

REGISTRY = ROOT / ".airflow-registry.yaml"
HEAD = "# For Airflow's provider registry; written by tools/write_registry.py.\n"
#: What the modules of a kind are there for: classes whose names end so.
ENDINGS = {"operators": "Operator", "sensors": "Sensor", "hooks": "Hook", "triggers": "Trigger"}


def as_yaml() -> str:
    """Return what the file is to have."""
    info = get_provider_info()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = {
        "package-name": info["package-name"],
        "display-name": info["name"],
        "description": project["description"],
        "docs-url": project["urls"]["Documentation"],
        "source-url": project["urls"]["Source"],
    }
    lines = [f"{key}: {_quoted(value)}" for key, value in about.items()]
    for kind, ending in ENDINGS.items():
        lines += ["", f"{kind}:"]
        modules = dict.fromkeys(module for row in info[kind] for module in row["python-modules"])
        for module in modules:
            for name, summary in _classes(module, ending):
                lines += [f"  - module: {module}.{name}", f"    description: {_quoted(summary)}"]
    return HEAD + "\n".join(lines) + "\n"


def _classes(module: str, ending: str) -> Iterator[tuple[str, str]]:
    """Yield a module's classes and the first lines of their docstrings, without importing it."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"get_provider_info() names {module}, which is not there", name=module)
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith(ending) and not node.name.startswith("_"):
            docstring = ast.get_docstring(node)
            if not docstring:
                raise ValueError(f"{module}.{node.name} has no docstring: say in its first line what it does")
            yield node.name, " ".join(docstring.partition("\n\n")[0].split())


def _quoted(text: str) -> str:
    # A text in JSON is one in YAML.
    return json.dumps(text, ensure_ascii=False)


def main() -> int:
    """Write the file."""
    REGISTRY.write_text(as_yaml(), encoding="utf-8")
    print(f"wrote {REGISTRY.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
