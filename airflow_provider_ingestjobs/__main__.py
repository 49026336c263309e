# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The commands of ``airflow ingestjobs``, also where Airflow is too old to take a provider's (before 3.2)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_ingestjobs.cli.definition import get_cli_commands


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    :param arguments: of the command line; those of this process if left out.
    :raises SystemExit: with one of :class:`~airflow_provider_ingestjobs.cli.exit_codes.ExitCode`.
    """
    given = _parser().parse_args(arguments)
    given.func(given)


def _parser() -> argparse.ArgumentParser:
    (group,) = (command for command in get_cli_commands() if isinstance(command, GroupCommand))
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=group.description,
        epilog=group.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for command in group.subcommands:
        _add(commands, command)
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], command: ActionCommand) -> None:
    parser = commands.add_parser(
        command.name,
        help=command.help,
        description=command.description or command.help,
        epilog=command.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for arg in command.args:
        arg.add_to_parser(parser)
    parser.set_defaults(func=command.func)


if __name__ == "__main__":
    main()
