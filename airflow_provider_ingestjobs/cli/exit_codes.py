# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the exit codes of the commands mean. It imports nothing that costs."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    AS_WANTED = 0
    OTHERWISE = 1
    WRONG_USAGE = 2
    TIME_IS_UP = 3
    REFUSED = 4
    UNKNOWN_JOB = 5
    BUG = 70
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.AS_WANTED: "as wanted",
    ExitCode.OTHERWISE: "a job failed, was cancelled, or is not what --check asks for",
    ExitCode.WRONG_USAGE: "an argument that cannot be used, or no such connection",
    ExitCode.TIME_IS_UP: "--timeout is up, and the jobs have not ended",
    ExitCode.REFUSED: "the vendor refuses or cannot be reached, or the connection cannot be used",
    ExitCode.UNKNOWN_JOB: "the vendor does not know the job, or too few of the jobs can still appear",
    ExitCode.BUG: "an error that nobody expected; --verbose shows its traceback",
    ExitCode.INTERRUPTED: "interrupted, or the question was not answered with yes",
}


def describe_exit_codes() -> str:
    """Return the exit codes and their meanings, a line each."""
    return "\n".join(["exit codes:", *(f"  {code:<4d}{meaning}" for code, meaning in MEANINGS.items())])
