# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the commands do."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta
from typing import Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import conf
from airflow_provider_ingestjobs.arguments import check_count, check_job_id, to_end_states, to_states
from airflow_provider_ingestjobs.catalogue import list_connections
from airflow_provider_ingestjobs.cli import cancelling
from airflow_provider_ingestjobs.cli.command import command
from airflow_provider_ingestjobs.cli.exit_codes import ExitCode
from airflow_provider_ingestjobs.cli.options import (
    make_hook,
    open_hook,
    read_checks,
    read_duration,
    read_filters,
    read_states,
    read_target,
    read_window,
)
from airflow_provider_ingestjobs.cli.output import ProgressLog, show, show_job, show_jobs, tell
from airflow_provider_ingestjobs.cli.waiting import Wait
from airflow_provider_ingestjobs.details import DetailReader
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.reading import find_job
from airflow_provider_ingestjobs.hooks.selecting import CLOCK_SKEW
from airflow_provider_ingestjobs.job import Job
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from airflow_provider_ingestjobs.vendor_task import MISSING_GRACE
from airflow_provider_ingestjobs.wait_target import describe_target

#: How long sensors wait at most where Airflow's settings do not say.
DEFAULT_TIMEOUT = timedelta(days=7)
#: Seconds between two looks, at most: somebody looks on.
POLL_INTERVAL = 15.0
#: How long the details of a job may take that is shown, in seconds.
DETAILS_TIMEOUT = 20.0


@command
def connections(args: Namespace) -> None:
    """List the connections that are vendors'."""
    show([{"conn_id": one.conn_id, "conn_type": one.conn_type} for one in list_connections()], args.output)


@command
def test_connection(args: Namespace) -> ExitCode | None:
    """Say whether a connection works, and what is wrong with it."""
    connection, hook = make_hook(args)
    works, message = hook.test_connection()
    row = {
        "conn_id": connection.conn_id,
        "conn_type": connection.conn_type,
        "works": works,
        "message": message,
    }
    show([row], args.output)
    return None if works else ExitCode.REFUSED


@command
def list_jobs(args: Namespace) -> None:
    """List jobs, the newest first."""
    limit = check_count("--limit", args.limit)
    states = to_states("--state", read_states(args.state)) if args.state else None
    start, end = read_window(args)
    hook = open_hook(args)
    selection = Selection(freeze_filters(read_filters(args.filter, hook.vendor)), start, end)
    until = min(end, clock.now() + CLOCK_SKEW)
    listed = hook.jobs_between(start, until, dict(selection.filters)) if start < until else []
    picked = reversed(selection.pick(listed, hook.vendor))
    jobs = [job for job in picked if states is None or job.state in states]
    show_jobs(jobs[:limit], hook.vendor, args.output)
    if len(jobs) > limit:
        tell(f"{len(jobs) - limit} more are not shown: raise --limit, or narrow the window or the filters.")


@command
def get_job(args: Namespace) -> None:
    """Show all that is known of a job."""
    job_id = check_job_id(args.job_id)
    hook = open_hook(args)
    show_job(_with_details(find_job(hook, job_id), hook), args.output)


@command
def watch_jobs(args: Namespace) -> ExitCode | None:
    """Wait until jobs have ended, as a sensor does, and say how they go."""
    expected = to_end_states("--expected-states", read_states(args.expected_states or ["succeeded"]))
    timing = _timing(
        args, conf.getfloat("sensors", "default_timeout", fallback=DEFAULT_TIMEOUT.total_seconds())
    )
    hook = open_hook(args)
    vendor = hook.vendor
    target = read_target(args, vendor)
    wait = Wait(
        hook,
        **timing,
        failed_grace=_failed_grace(args, hook),
        expected_states=expected,
        checks=read_checks(args.check, vendor),
    )
    tell(f"Waiting for {describe_target(target, vendor)}")
    try:
        jobs = wait.until_ended(target)
    except KeyboardInterrupt:
        tell(f"Interrupted: nothing was cancelled, what runs at {vendor.name} goes on.")
        return ExitCode.INTERRUPTED
    except (JobNotFound, WaitTimeout):
        # Of a table without rows, Airflow says "No data found", beside the error that says why.
        if wait.seen or args.output in ("json", "yaml"):
            show_jobs(wait.seen, vendor, args.output)
        raise
    show_jobs(jobs, vendor, args.output)
    if error := wait.what_is_wrong(jobs):
        raise error
    return None


@command
def cancel_jobs(args: Namespace) -> ExitCode | None:
    """Ask the vendor to stop jobs."""
    job_ids = list(dict.fromkeys(check_job_id(job_id) for job_id in args.job_id))
    timing = _timing(args, timedelta(hours=1))
    hook = open_hook(args)
    return cancelling.cancel(hook, job_ids, args, Wait(hook, **timing) if args.wait else None)


def _timing(args: Namespace, timeout: timedelta | float) -> dict[str, Any]:
    return {
        "timeout": read_duration("--timeout", args.timeout, timeout),
        "poll_interval": read_duration("--poll-interval", args.poll_interval, POLL_INTERVAL),
        "missing_grace": read_duration("--missing-grace", args.missing_grace, MISSING_GRACE),
    }


def _failed_grace(args: Namespace, hook: IngestJobHook) -> float:
    if args.failed_grace is not None and not hook.may_resume_jobs:
        fix = f"leave it out: {hook.vendor.name} documents no way to resume a failed job"
        raise InvalidInput("--failed-grace", args.failed_grace, fix)
    return read_duration("--failed-grace", args.failed_grace, 0.0)


def _with_details(job: Job, hook: IngestJobHook) -> Job:
    """Return a job with what takes a further request; without it, and with a word on why, if that fails."""
    deadline = clock.now() + timedelta(seconds=DETAILS_TIMEOUT)
    reader = DetailReader(hook, deadline=deadline, interval=1.0, grace=0.0, log=ProgressLog())
    return reader.wait([job])[0]
