# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sdist passes its own tests: all of them are found, and those that read files are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.distributions import Built, needs_builders

pytestmark = needs_builders
#: They read what lies beside the package. So do this file, and test_shell_blocks.py, whose ports are fixed.
READ_FILES = (
    "test_contents.py",
    "test_metadata.py",
    "test_vendor_specs.py",
    "test_docs.py",
    "test_the_documentation_has_every_command_option_and_exit_code",
    "test_layout.py",
    "test_packaging.py",
    "test_reduced_documents.py",
    "test_reference.py",
    "test_registry.py",
    "test_release.py",
    "test_site_links.py",
    "test_benchmark_history.py",
)


def test_the_sdist_passes_its_own_tests(built: Built, tmp_path: Path) -> None:
    root = built.unpack_sdist(tmp_path)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AIRFLOW_"))}
    path = os.pathsep.join([str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", " or ".join(READ_FILES), "-p", "no:cacheprovider"],
        cwd=root,
        env={**ours, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # A file that cannot be collected is an error, whatever is selected.
    assert done.returncode == 0, done.stdout + done.stderr
    # With the options of its own pyproject.toml, which make a warning an error.
    assert "configfile: pyproject.toml" in done.stdout
