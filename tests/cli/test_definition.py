# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow's own command line gets to see of the commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version
from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_ingestjobs import get_provider_info
from airflow_provider_ingestjobs.cli.definition import get_cli_commands
from airflow_provider_ingestjobs.cli.exit_codes import MEANINGS, ExitCode
from airflow_provider_ingestjobs.provider_info import provider_info
from airflow_provider_ingestjobs.vendors import VENDORS
from support.command_line import Run

DOCS = Path(__file__).parents[2] / "docs" / "guides" / "command-line.md"
OWN = "airflow_provider_ingestjobs"
NAMES = ["connections", "test", "list", "get", "watch", "cancel"]


def commands() -> dict[str, ActionCommand]:
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    return {command.name: command for command in group.subcommands}


def test_the_commands() -> None:
    assert list(commands()) == NAMES


def test_airflow_is_told() -> None:
    assert get_provider_info()["cli"] == [f"{OWN}.cli.definition.get_cli_commands"]


def test_a_package_that_brings_vendors_brings_no_second_command() -> None:
    assert "cli" not in provider_info("airflow-provider-ingestjobs", VENDORS)


def test_to_import_it_costs_next_to_nothing() -> None:
    code = (
        "import sys, json, airflow.cli.cli_config\n"
        f"import {OWN}\n"
        "before = set(sys.modules)\n"
        f"import {OWN}.cli.definition as definition\n"
        "definition.get_cli_commands()\n"
        "print('new:' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("new:")]
    assert json.loads(line.removeprefix("new:")) == [
        f"{OWN}.cli",
        f"{OWN}.cli.definition",
        f"{OWN}.cli.exit_codes",
    ]


@pytest.mark.skipif(
    airflow_version.startswith(("2.", "3.0.", "3.1.")),
    reason="Airflow before 3.2 takes no provider's commands",
)
def test_airflows_own_parser_takes_them() -> None:
    # In a process of its own: the parser asks all providers, and keeps what they say.
    code = (
        "from airflow.cli.cli_parser import get_parser\n"
        "parser = get_parser()\n"
        "for line in (\n"
        "    ['connections', '-o', 'json'],\n"
        "    ['test', 'c', '--hook-param', 'a=b'],\n"
        "    ['list', 'c', '--filter', 'a=b', '--filter', 'c=d', '--state', 'failed', '--limit', '5'],\n"
        "    ['get', 'c', 'j', '-v'],\n"
        "    ['watch', 'c', 'j', 'k', '--timeout', '1h'],\n"
        "    ['watch', 'c', '--filter', 'a=b', '--latest-only', '--check', 'min_rows=1'],\n"
        "    ['cancel', 'c', 'j', '--yes', '--wait'],\n"
        "):\n"
        "    args = parser.parse_args(['ingestjobs', *line])\n"
        "    print('takes', line[0], args.func.__name__)\n"
        "for name in ('connections', 'test', 'list', 'get', 'watch', 'cancel'):\n"
        "    try:\n"
        "        parser.parse_args(['ingestjobs', name, '--help'])\n"
        "    except SystemExit as end:\n"
        "        print('helps', name, end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("takes ")] == [
        *NAMES[:5],
        "watch",
        "cancel",
    ]
    assert re.findall(r"^helps (\w+) 0$", done.stdout, re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help(name: str, run: Run) -> None:
    done = run(name, "--help")
    assert done.code == 0
    assert "exit codes:" in done.out
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^  {code.value} +{re.escape(meaning)}$", done.out, re.MULTILINE)


def test_every_option_has_a_help() -> None:
    for command in commands().values():
        for arg in command.args:
            assert arg.kwargs["help"], arg.flags


def test_help_of_all(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    assert f"python -m {OWN}" in done.out
    for name in NAMES:
        assert re.search(rf"^    {name}$|^    {name} ", done.out, re.MULTILINE)


@pytest.mark.parametrize("arguments", [[], ["start"], ["get", "conn"], ["list", "c", "--limit", "many"]])
def test_wrong_usage(arguments: list[str], run: Run) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "error: " in done.lines[-1]


def test_the_documentation_has_every_command_option_and_exit_code() -> None:
    text = DOCS.read_text()
    for command in commands().values():
        assert f"airflow ingestjobs {command.name}" in text
        for arg in command.args:
            flag = max(arg.flags, key=len)
            assert not flag.startswith("--") or f"`{flag}" in text, flag
    for code in ExitCode:
        assert f"| {code.value} | {MEANINGS[code]} |" in text
