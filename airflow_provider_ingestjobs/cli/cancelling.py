# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Cancelling jobs by hand: say what stops, ask, and say what came of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.cli.command import exit_code_of
from airflow_provider_ingestjobs.cli.exit_codes import ExitCode
from airflow_provider_ingestjobs.cli.output import show_jobs, tell, tell_as_is
from airflow_provider_ingestjobs.errors import IngestJobsError, InvalidInput
from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, JobNotFound, WaitTimeout

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.cli.waiting import Wait
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job


def cancel(
    hook: IngestJobHook, job_ids: Sequence[str], args: Namespace, wait: Wait | None
) -> ExitCode | None:
    """Ask a vendor to stop jobs, after a question, and print them as they are then.

    :param hook: the vendor's hook.
    :param job_ids: the vendor's ids of them.
    :param args: of the command line.
    :param wait: waits for their ends, if that is wanted.
    :raises JobNotFound: if the vendor does not know one of them; then none is cancelled.
    :raises NotSupported: if the vendor documents no way to stop jobs.
    :raises VendorError: if the vendor refuses to tell of them, or cannot be reached.
    :raises CancelNotConfirmed: if they have not ended in time.
    """
    if not hook.vendor.cancels:
        # It says so, without a request.
        hook.cancel_job(job_ids[0])
    jobs = _read(hook, job_ids)
    going = [job for job in jobs.values() if not job.state.is_terminal]
    for job in jobs.values():
        if job.state.is_terminal:
            tell(f"{job} has already ended: {job.describe()}.")
    if going and not (args.yes or _is_agreed_to(hook, going)):
        tell("Nothing was cancelled.")
        return ExitCode.INTERRUPTED
    asked, errors = [], []
    for job in going:
        try:
            jobs[job.id] = hook.cancel_job(job.id)
        except IngestJobsError as error:
            tell(f"{job} was not cancelled: {error}")
            errors.append(error)
            continue
        asked.append(job.id)
        tell(f"{job} was asked to stop, and is {jobs[job.id].describe()}.")
    if wait and asked:
        try:
            jobs |= _after_the_end(wait, asked)
        except IngestJobsError:
            jobs |= {job.id: job for job in wait.seen}
            show_jobs(list(jobs.values()), hook.vendor, args.output)
            raise
    show_jobs(list(jobs.values()), hook.vendor, args.output)
    return exit_code_of(errors[0]) if errors else None


def _read(hook: IngestJobHook, job_ids: Sequence[str]) -> dict[str, Job]:
    found = hook.get_jobs(job_ids)
    unknown = [job_id for job_id in job_ids if job_id not in found]
    if unknown:
        raise JobNotFound(
            f"{hook.vendor.name} does not know job {', '.join(unknown)}: nothing was cancelled. "
            f"Check the id and connection {hook.conn_id!r}."
        )
    return {found[job_id].id: found[job_id] for job_id in job_ids}


def _is_agreed_to(hook: IngestJobHook, going: Sequence[Job]) -> bool:
    tell(f"This would stop, on connection {hook.conn_id!r}:")
    for job in going:
        tell(f"- {_what_stops(hook, job)}")
    tell_as_is("Stop it? (y/N) ")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = "n\n"
    if not answer.endswith("\n"):
        tell("")
    if not answer:
        raise InvalidInput("--yes", False, "nobody answers here, and nothing was cancelled: give --yes")
    return answer.strip().lower() in ("y", "yes")


def _what_stops(hook: IngestJobHook, job: Job) -> str:
    parts = [
        hook.vendor.what_stops(job.id, job.details),
        f"now {job.describe()}",
        job.target and f"target {job.target}",
        job.began_at and f"started {job.began_at.isoformat(timespec='seconds')}",
    ]
    return "; ".join(part for part in parts if part)


def _after_the_end(wait: Wait, job_ids: Sequence[str]) -> dict[str, Job]:
    try:
        return {job.id: job for job in wait.until_ended(job_ids)}
    except WaitTimeout as error:
        raise CancelNotConfirmed(f"{error} It was asked to stop.") from error
    except KeyboardInterrupt:
        tell(f"Interrupted: {wait.vendor} was asked to stop job {', '.join(job_ids)}.")
        raise
