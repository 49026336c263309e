# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The commands as Airflow's own command line takes them, and ``python -m``.

Every ``airflow`` command imports this, whatever it does: nothing but Airflow's own definitions is imported
here, and a command's code only when it runs.
"""

from __future__ import annotations

from argparse import Action, Namespace
from typing import Any

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)

from airflow_provider_ingestjobs.cli.exit_codes import describe_exit_codes


class _OneOrMoreOrNone(Action):
    """What stands alone in the line, wherever that is.

    Of ``nargs="*"`` argparse decides before the first option whether something is there; ``"+"`` waits, and
    may be left out like this.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "nargs": "+", "required": False})

    def __call__(self, parser: Any, namespace: Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)


COMMANDS = "airflow_provider_ingestjobs.cli.commands"
A_DURATION = "seconds, or such as 90s, 15m, 24h, 7d, 1h30m"
A_MOMENT = "ISO 8601 with an offset, such as 2026-01-31T08:00+00:00; a date is its start in UTC"


def _arg(*flags: str, **options: Any) -> Arg:
    return Arg(flags, **options)  # type: ignore[no-untyped-call]


CONN_ID = _arg("conn_id", help="The Airflow connection of the vendor")
HOOK_PARAM = _arg(
    "--hook-param",
    action="append",
    metavar="NAME=VALUE",
    help="A further argument of the vendor's hook, such as a project; may be repeated",
)
JOB_ID = _arg("job_id", help="The vendor's id of the job")
JOB_IDS = _arg("job_id", nargs="+", help="The vendor's ids of the jobs")
JOB_IDS_OR_NONE = _arg(
    "job_id", action=_OneOrMoreOrNone, help="The vendor's ids of the jobs; none where --filter selects them"
)
FILTER = _arg(
    "--filter",
    action="append",
    metavar="NAME=VALUE",
    help="Only jobs that match, as in the vendor's sensor. Repeated with another name: all must match; "
    "with the same name: any of its values",
)
STATE = _arg(
    "--state",
    action="append",
    metavar="STATE",
    help="Only jobs in this state, such as failed; may be repeated, or be several with commas",
)
STARTED_FROM = _arg(
    "--started-from", metavar="MOMENT", help=f"When the earliest of the jobs started: {A_MOMENT}"
)
STARTED_TO = _arg("--started-to", metavar="MOMENT", help="The end of that window, exclusive")
LOOK_BACK = _arg(
    "--look-back",
    metavar="DURATION",
    help=f"How far back the window begins, instead of --started-from (default: 24h): {A_DURATION}",
)
LIMIT = _arg(
    "--limit",
    type=int,
    metavar="NUMBER",
    default=100,
    help="The most jobs to show, the newest first (default: 100)",
)
MIN_JOBS = _arg(
    "--min-jobs",
    type=int,
    metavar="NUMBER",
    help="How many selected jobs there must be at least (default: 1)",
)
SETTLE = _arg(
    "--settle",
    metavar="DURATION",
    help="How long after the last end further jobs may still appear (default: 0)",
)
LATEST_ONLY = _arg(
    "--latest-only",
    action="store_true",
    help="Of the selected jobs with the same target, only the one that started last counts",
)
TIMEOUT = _arg(
    "--timeout",
    metavar="DURATION",
    help="How long to wait at most (default: as sensors, 7d if Airflow's settings do not say otherwise)",
)
POLL_INTERVAL = _arg(
    "--poll-interval",
    metavar="DURATION",
    help="The longest time between two looks (default: 15s)",
)
MISSING_GRACE = _arg(
    "--missing-grace",
    metavar="DURATION",
    help="How long the vendor may not know a job, yet or for a while (default: as sensors, 5m)",
)
FAILED_GRACE = _arg(
    "--failed-grace",
    metavar="DURATION",
    help="How long after its end a failed job may still be resumed, at vendors where that is possible",
)
EXPECTED_STATES = _arg(
    "--expected-states",
    action="append",
    metavar="STATES",
    help="The states that count as success, with commas (default: succeeded)",
)
CHECK = _arg(
    "--check",
    action="append",
    metavar="NAME=LIMIT",
    help="A limit for the jobs' numbers, such as max_error_rows=0 or min_rows=1; may be repeated",
)
WAIT = _arg("--wait", action="store_true", help="Wait until the jobs have ended")

COMMON = (ARG_OUTPUT, ARG_VERBOSE)
OF_CONNECTION = (CONN_ID, HOOK_PARAM, *COMMON)
WINDOW = (STARTED_FROM, STARTED_TO, LOOK_BACK)
WAITING = (TIMEOUT, POLL_INTERVAL, MISSING_GRACE)
SELECTION = (FILTER, *WINDOW, MIN_JOBS, SETTLE, LATEST_ONLY)
JUDGING = (FAILED_GRACE, EXPECTED_STATES, CHECK)


def get_cli_commands() -> list[CLICommand]:
    """Return the commands."""
    return [
        GroupCommand(
            name="ingestjobs",
            help="Vendors' ingestion jobs: list, watch and cancel them",
            description="Vendors' ingestion jobs, by the Airflow connections to the vendors.",
            subcommands=(
                _command("connections", "connections", "List the connections that are vendors'", COMMON),
                _command(
                    "test",
                    "test_connection",
                    "Say whether a connection works, and what is wrong with it",
                    OF_CONNECTION,
                ),
                _command(
                    "list",
                    "list_jobs",
                    "List jobs, the newest first",
                    (*OF_CONNECTION, FILTER, STATE, *WINDOW, LIMIT),
                ),
                _command("get", "get_job", "Show all that is known of a job", (*OF_CONNECTION, JOB_ID)),
                _command(
                    "watch",
                    "watch_jobs",
                    "Wait until jobs have ended, as a sensor does, and say how they go",
                    (*OF_CONNECTION, JOB_IDS_OR_NONE, *SELECTION, *WAITING, *JUDGING),
                ),
                _command(
                    "cancel",
                    "cancel_jobs",
                    "Ask the vendor to stop jobs",
                    (*OF_CONNECTION, JOB_IDS, ARG_YES, WAIT, *WAITING),
                ),
            ),
            epilog=describe_exit_codes(),
        )
    ]


def _command(name: str, function: str, what: str, args: tuple[Arg, ...]) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=what,
        func=lazy_load_command(f"{COMMANDS}.{function}"),
        args=args,
        epilog=describe_exit_codes(),
    )
