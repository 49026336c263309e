# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The wheel and the sdist have what they should, and nothing else."""

from __future__ import annotations

import tarfile
from configparser import ConfigParser
from pathlib import Path

from support.distributions import ROOT, Built, build, needs_builders

pytestmark = needs_builders

PACKAGE = "airflow_provider_ingestjobs"
#: Of the checkout, what is of no use to those who have the sdist.
NOT_IN_SDIST = (".ci/", ".github/")


def sdist_files(built: Built) -> set[str]:
    with tarfile.open(built.sdist) as file:
        return {member.name.partition("/")[2] for member in file.getmembers() if member.isfile()}


def test_the_wheel_has_the_package_and_its_metadata_alone(built: Built, files_in_git: set[str]) -> None:
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    expected = {name for name in files_in_git if name.startswith(f"{PACKAGE}/")}
    assert set(built.wheel_files) == expected | {f"{built.dist_info}/{name}" for name in metadata}
    kinds = {Path(name).suffix for name in expected}
    assert kinds == {".py", ".typed", ".js", ".css", ".svg"}


def test_the_wheel_s_files_are_those_of_the_folder(built: Built) -> None:
    files = built.wheel_files
    for name, content in files.items():
        if name.startswith(f"{PACKAGE}/"):
            assert content == (ROOT / name).read_bytes(), name
    assert files[f"{built.dist_info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"Tag: py3-none-any" in files[f"{built.dist_info}/WHEEL"]


def test_the_sdist_has_what_git_has(built: Built, files_in_git: set[str]) -> None:
    expected = {name for name in files_in_git if not name.startswith(NOT_IN_SDIST)}
    assert sdist_files(built) == expected | {"PKG-INFO"}


def test_the_sdist_has_no_leftovers(built: Built) -> None:
    leftovers = {"__pycache__", ".tox", ".venv", ".git", ".pytest_cache", ".mypy_cache", ".hypothesis"}
    found = {name for name in sdist_files(built) if leftovers & {*Path(name).parts} or name.endswith(".pyc")}
    assert found == set()


def test_the_sdist_builds_the_same_wheel_and_sdist(built: Built, tmp_path: Path) -> None:
    again = build(built.unpack_sdist(tmp_path / "sdist"), tmp_path / "again")
    assert again.wheel_files == built.wheel_files
    assert sdist_files(again) == sdist_files(built)


def test_the_entry_points_are_airflow_s(built: Built) -> None:
    parser = ConfigParser()
    parser.read_string(built.wheel_files[f"{built.dist_info}/entry_points.txt"].decode())
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "apache_airflow_provider": {"provider_info": f"{PACKAGE}:get_provider_info"},
        "airflow.plugins": {"ingestjobs": f"{PACKAGE}.ui.plugin:IngestJobsPlugin"},
    }
