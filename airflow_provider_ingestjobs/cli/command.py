# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What every command does: it loads Airflow's settings, and turns errors into one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from functools import wraps

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_ingestjobs.cli.exit_codes import ExitCode
from airflow_provider_ingestjobs.cli.output import tell, tell_as_is
from airflow_provider_ingestjobs.errors import IngestJobsError, InvalidInput, NotSupported, VendorError
from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, JobEnded, JobNotFound, WaitTimeout


class UnusableConnection(IngestJobsError):
    """There is such a connection, and nothing can be asked over it as it is."""


#: What errors mean; the first that fits.
CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (JobEnded, ExitCode.OTHERWISE),
    (InvalidInput, ExitCode.WRONG_USAGE),
    (WaitTimeout, ExitCode.TIME_IS_UP),
    (CancelNotConfirmed, ExitCode.TIME_IS_UP),
    (JobNotFound, ExitCode.UNKNOWN_JOB),
    (VendorError, ExitCode.REFUSED),
    (NotSupported, ExitCode.REFUSED),
    (UnusableConnection, ExitCode.REFUSED),
)


def exit_code_of(error: Exception) -> ExitCode:
    """Return the exit code that stands for an error.

    :param error: the error.
    """
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.BUG)


def command(run: Callable[[Namespace], ExitCode | None]) -> Callable[[Namespace], None]:
    """Return a command as Airflow's command line calls it.

    :param run: does the work; what it returns is the exit code.
    """

    @suppress_logs_and_warning
    @providers_configuration_loaded
    @wraps(run)
    def command_line(args: Namespace) -> None:
        # Only so does Airflow 3.1 and newer look connections up in the database. Not when this is imported:
        # tasks and triggers, which have no database, may have this process's environment.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        _keep_logs_out_of_the_result()
        if code := _run(run, args):
            sys.exit(code)

    return command_line


def _keep_logs_out_of_the_result() -> None:
    """Let what is logged to stdout go to stderr; Airflow 3.3 does that itself, for its own commands."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            try:
                handler.setStream(sys.stderr)
            except AttributeError:
                # Airflow 2's own, which looks its stream up each time.
                handler._use_stderr = True  # type: ignore[attr-defined]


def _run(run: Callable[[Namespace], ExitCode | None], args: Namespace) -> ExitCode | None:
    try:
        return run(args)
    except KeyboardInterrupt:
        tell("Interrupted.")
        return ExitCode.INTERRUPTED
    except Exception as error:
        code = exit_code_of(error)
        if args.verbose:
            tell_as_is(traceback.format_exc())
        if code is ExitCode.BUG:
            first_line = str(error).partition("\n")[0]
            tell(f"{type(error).__name__}: {first_line}. --verbose shows where that is from.")
        else:
            tell(str(error))
        return code
