# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The package can be installed with Airflow's own constraints, which managed Airflows make obligatory."""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "airflow-provider-ingestjobs"
MINOR_VERSIONS = {"2.11", "3.0", "3.1", "3.2", "3.3"}


def pins(path: Path) -> dict[str, str]:
    """Return what a file of constraints pins, and the version of Airflow that it is for."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    names = dict(line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in names.items()} | {
        "apache-airflow": path.stem.removeprefix("airflow-")
    }


FILES = {path.stem: pins(path) for path in sorted(Path(__file__).with_name("constraints").glob("*.txt"))}
#: Those of all extras, too.
REQUIREMENTS = [Requirement(line) for line in requires(PACKAGE) or []]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
@pytest.mark.parametrize("file", FILES)
def test_no_bound_is_above_what_airflow_pins(file: str, requirement: Requirement) -> None:
    pinned = FILES[file].get(canonicalize_name(requirement.name))
    assert pinned is None or requirement.specifier.contains(pinned)


def test_every_minor_version_has_its_constraints_here() -> None:
    assert {pinned["apache-airflow"].rpartition(".")[0] for pinned in FILES.values()} == MINOR_VERSIONS


def test_every_requirement_is_among_them() -> None:
    assert {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} <= FILES[
        "airflow-3.0.0"
    ].keys()
