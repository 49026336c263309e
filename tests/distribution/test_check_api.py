# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The comparison with the last release: what it takes for public, and what it lets through."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="the dependency group build is not installed")
if not shutil.which("git"):
    pytest.skip("git is not installed", allow_module_level=True)

from check_api import breakages, last_tag

PAGE = """# Hooks

::: airflow_provider_ingestjobs.Hook
    options:
      members: [get, stop]

::: airflow_provider_ingestjobs.jobs.Job

Text.
"""
FILES = {
    "airflow_provider_ingestjobs/__init__.py": "from airflow_provider_ingestjobs.hook import Hook\n",
    "airflow_provider_ingestjobs/hook.py": """
class Hook:
    def __init__(self, conn_id): ...
    def get(self, job_id, wait=False): ...
    def stop(self): ...
    def internal(self): ...

def function(a): ...
""",
    "airflow_provider_ingestjobs/jobs.py": """
class Job:
    state: str
    def is_final(self): ...
    def _private(self): ...
""",
    "docs/reference/hooks.md": PAGE,
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-12-01\n\n### Removed\n\n- `Hook.stop`\n",
}


def git(root: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *arguments], cwd=root, check=True, capture_output=True)


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose last release is v0.1.0."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path


HOOK, JOBS = "airflow_provider_ingestjobs/hook.py", "airflow_provider_ingestjobs/jobs.py"
BROKEN = {
    "a method that is gone": (HOOK, "def stop(", "def halt(", "Hook.stop"),
    "an argument that is gone": (HOOK, "job_id, wait=False", "job_id", "Hook.get"),
    "another default": (HOOK, "wait=False", "wait=True", "Hook.get"),
    "one more argument that must be given": (HOOK, "conn_id", "conn_id, region", "Hook"),
    "a field that is gone": (JOBS, "    state: str\n", "", "Job.state"),
    "a class that is gone": (JOBS, "class Job:", "class Work:", "Job"),
}
FINE = {
    "one more argument": (HOOK, "wait=False", "wait=False, fast=False"),
    "a method that is not shown": (HOOK, "def internal(", "def other("),
    "a function that is not shown": (HOOK, "function(a)", "function()"),
    "a private method": (JOBS, "def _private(", "def _other("),
    "one more field": (JOBS, "state: str", "state: str\n    size: int"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_users(case: str, root: Path) -> None:
    name, old, new, told = BROKEN[case]
    assert breakages(root, "v0.1.0") == []
    edit(root, name, old, new)
    (line,) = breakages(root, "v0.1.0")
    assert told in line
    # The changelog's older part lets nothing through.
    edit(
        root, "CHANGELOG.md", "## Unreleased\n", f"## Unreleased\n\n### Removed\n\n- `{told}`, deprecated.\n"
    )
    assert breakages(root, "v0.1.0") == []


@pytest.mark.parametrize("case", FINE)
def test_what_does_not(case: str, root: Path) -> None:
    name, old, new = FINE[case]
    edit(root, name, old, new)
    assert breakages(root, "v0.1.0") == []


def test_the_last_release_is_not_the_one_that_is_being_made(root: Path) -> None:
    assert last_tag(root) is None
    for tag in ("v0.9.0", "v0.10.0"):
        git(root, "commit", "--allow-empty", "-m", tag)
        git(root, "tag", tag)
    assert last_tag(root) == "v0.9.0"
    git(root, "commit", "--allow-empty", "-m", "next")
    assert last_tag(root) == "v0.10.0"
