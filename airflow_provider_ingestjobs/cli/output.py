# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What commands print: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_ingestjobs import clock

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendors import Vendor

#: The longest text on a failure in a table, in characters; ``get`` and JSON have all of it.
MAX_FAILURE = 60


def tell(text: str) -> None:
    """Print a line on stderr, where it does not get into the result.

    :param text: the line; what a vendor wrote may be in it.
    """
    tell_as_is(f"{on_one_line(text)}\n")


def tell_as_is(text: str) -> None:
    """Print a text on stderr, with nothing after it.

    :param text: the text; nothing that a vendor wrote may be in it.
    """
    try:
        print(text, end="", file=sys.stderr, flush=True)
    except BrokenPipeError:
        # Who reads along has enough of it. What the command does goes on: it may be half done.
        _let_nobody_read(sys.stderr)


class ProgressLog:
    """What a task's log is to a wait: here, lines on stderr with the time."""

    def info(self, text: str, *args: Any, **kwargs: Any) -> None:
        """Print a line.

        :param text: its text, with places for the arguments.
        :param args: the arguments.
        :param kwargs: what else loggers take.
        """
        tell(f"{clock.now():%H:%M:%SZ} {text % args if args else text}")

    warning = error = info


def show(rows: Sequence[Mapping[str, Any]], output: str, whole: Any = None) -> None:
    """Print a command's result.

    :param rows: the rows of the table.
    :param output: ``table``, ``plain``, ``json`` or ``yaml``.
    :param whole: what JSON and YAML have instead of the rows.
    """
    try:
        _print(rows, output, rows if whole is None else whole)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Who reads the result has enough of it; that decides nothing about the exit code. Rich, which draws
        # tables, makes a SystemExit of it.
        _let_nobody_read(sys.stdout)


def _print(rows: Sequence[Mapping[str, Any]], output: str, whole: Any) -> None:
    if output == "json":
        print(json.dumps(whole, indent=2))
        return
    if output == "yaml":
        from airflow.utils import yaml

        print(yaml.dump(whole, sort_keys=False), end="")
        return
    from airflow.cli.simple_table import AirflowConsole

    texts = [
        {name: on_one_line("" if value is None else str(value)) for name, value in row.items()}
        for row in rows
    ]
    # A vendor's text may have what would count as markup.
    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    if output == "plain":
        console.print_as_plain_table(texts)
    else:
        console.print_as_table(texts)


def show_jobs(jobs: Sequence[Job], vendor: Vendor, output: str) -> None:
    """Print jobs, a row each; JSON and YAML have all that is known of them.

    :param jobs: the jobs.
    :param vendor: whose they are.
    :param output: as :func:`show` takes it.
    """
    show([_row(job, vendor) for job in jobs], output, [job.to_dict() for job in jobs])


def show_job(job: Job, output: str) -> None:
    """Print all that is known of one job: a row for each of its fields; JSON and YAML have the job alone.

    :param job: the job.
    :param output: as :func:`show` takes it.
    """
    data = job.to_dict()
    details = data.pop("details")
    duration = None if job.duration is None else _clock_time(job.duration)
    fields = {**details, **data, "rows": str(job.rows), "duration": duration}
    rows = [{"field": name, "value": _as_text(fields[name])} for name in {**data, **details}]
    show([row for row in rows if row["value"]], output, job.to_dict())


def on_one_line(text: str) -> str:
    """Return a text as one line without anything that a terminal would obey.

    :param text: the text.
    """
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def _let_nobody_read(stream: TextIO) -> None:
    """Send all that is still written to a stream nowhere: Python would else complain when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _row(job: Job, vendor: Vendor) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "target": job.target,
        "started": job.began_at and job.began_at.isoformat(timespec="seconds"),
        "took": _took(job),
        "rows": job.rows.size,
        "bad": _bad(job, vendor),
        "failure": _shortened(job.failure or ""),
    }


def _took(job: Job) -> str | None:
    if job.duration is not None:
        return _clock_time(job.duration)
    if job.began_at is None or job.state.is_terminal or job.began_at > clock.now():
        return None
    return _clock_time((clock.now() - job.began_at).total_seconds()) + "+"


def _bad(job: Job, vendor: Vendor) -> Any:
    if job.rows.errors is not None:
        return job.rows.errors
    # What a vendor counts instead of rows.
    return next(
        (job.details[key] for key in vendor.limits.values() if job.details.get(key) is not None), None
    )


def _clock_time(seconds: float) -> str:
    return str(timedelta(seconds=max(round(seconds), 0)))


def _shortened(text: str) -> str:
    line = on_one_line(text)
    return line if len(line) <= MAX_FAILURE else line[: MAX_FAILURE - 1] + "…"


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None or value == {} else str(value)
