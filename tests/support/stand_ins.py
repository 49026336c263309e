# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Programs that stand in for those which a page has its reader run, and a test cannot: they would change the
machine, never end, or ask other hosts. Each ends with an error where the real one would. (`pytest` and
`airflow db` are those of the test's own environment.)

``python -m support.stand_ins pip install …``
"""

from __future__ import annotations

import shlex
import sys
import tomllib
import urllib.request
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = "airflow-provider-ingestjobs"
#: What others publish.
FOREIGN = {"apache-airflow", "pytest", "tox", "tox-uv"}
#: Where a folder of the reader's stands for a checkout.
CHECKOUT = "/path/to/airflow-provider-ingestjobs"


def write_stand_ins(folder: Path) -> None:
    """
    Write the programs.

    :param folder: comes first on ``PATH``.
    """
    me = f'exec {shlex.quote(sys.executable)} -m {__name__} "${{0##*/}}" "$@"\n'
    # A virtual environment of the page would lack what the test has installed.
    python = (
        'if [ "$1 $2" = "-m pip" ]; then shift 2; exec pip "$@"; fi\n'
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; : > "$3/bin/activate"; exit; fi\n'
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    # What is the same as `airflow ingestjobs`, and begins sooner; tests/end_to_end has that one.
    airflow = (
        'if [ "$1" = standalone ]; then exit; fi\n'
        f'if [ "$1" = db ]; then exec {shlex.quote(sys.executable)} -m airflow "$@"; fi\n'
        '[ "$1" = ingestjobs ] && shift || exit 1\n'
        f'exec {shlex.quote(sys.executable)} -W ignore -m airflow_provider_ingestjobs "$@"\n'
    )
    # That of the environment that the test runs in.
    run_pytest = f'exec {shlex.quote(sys.executable)} -m pytest "$@"\n'
    texts = {
        "pip": me,
        "tox": me,
        "curl": me,
        "python": python,
        "python3": python,
        "pytest": run_pytest,
        "airflow": airflow,
    }
    for name, text in texts.items():
        program = folder / name
        program.write_text("#!/bin/sh\n" + text)
        program.chmod(0o755)


def _pip(arguments: Sequence[str]) -> None:
    parser = ArgumentParser("pip")
    parser.add_argument("command", choices=["install"])
    parser.add_argument("requirements", nargs="*")
    parser.add_argument("--constraint")
    options = parser.parse_intermixed_args(arguments)
    for text in options.requirements:
        _check_requirement(text.replace(CHECKOUT, OURS))


def _check_requirement(text: str) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise SystemExit(f"pip cannot install {text!r}: {error}") from None
    if requirement.name not in {OURS, *FOREIGN}:
        raise SystemExit(f"no page has its reader install {requirement.name!r}")
    extras = PROJECT["project"]["optional-dependencies"]
    if requirement.name == OURS and not requirement.extras <= set(extras):
        raise SystemExit(f"{text!r}: there are only the extras {sorted(extras)}")


def _tox(arguments: Sequence[str]) -> None:
    parser = ArgumentParser("tox")
    parser.add_argument("-e", dest="env", choices=PROJECT["tool"]["tox"]["env"])
    parser.add_argument("posargs", nargs="*")
    for text in parser.parse_args(arguments).posargs:
        if text.startswith("tests/") and not (ROOT / text.partition("::")[0]).exists():
            raise SystemExit(f"{text} does not exist")


def _curl(arguments: Sequence[str]) -> None:
    parser = ArgumentParser("curl")
    parser.add_argument("url")
    parser.add_argument("-X", dest="method", required=True)
    parser.add_argument("-d", dest="data", required=True)
    options = parser.parse_args(arguments)
    request = urllib.request.Request(options.url, options.data.encode(), method=options.method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        print(answer.read().decode())


PROGRAMS: dict[str, Callable[[Sequence[str]], None]] = {
    "pip": _pip,
    "tox": _tox,
    "curl": _curl,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2:])
