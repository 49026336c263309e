# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Stopping a killed task's jobs from its worker, which has seconds for it: side by side, each for itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_ingestjobs.errors import IngestJobsError, VendorUnavailable
from airflow_provider_ingestjobs.metrics import tags_of

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendor_task import VendorTask

Answer: TypeAlias = "Job | Exception | None"

#: Requests that a killed task has under way at once.
MAX_STOP_THREADS = 8
#: How long it waits for the answers, in seconds. Airflow 3 ends its process after five, Airflow 2 by default
#: after sixty; one that has reached its ``execution_timeout`` would wait for ever.
MAX_STOP_TIME = 60.0


def stop_all(
    task: VendorTask[Any], job_ids: Collection[str], log: Any, why: str = "The task was killed"
) -> None:
    """Ask the vendor to stop a killed task's jobs, and say in the log what came of it.

    Nothing is raised: Airflow calls this in a signal handler, whose error would be the task's.

    :param task: the killed task.
    :param job_ids: the vendor's ids of its jobs.
    :param log: the task's log.
    :param why: why they are to stop.
    """
    if not job_ids:
        return
    named = f"{task.vendor} job {', '.join(job_ids)}"
    try:
        hook = _hook_of_its_own(task)
    except Exception as error:
        log.warning("%s, but %s goes on: %s", why, named, error, exc_info=_is_bug(error))
        return
    log.info("%s, asking %s to stop", why, named)
    tags = tags_of(task.hook_class.vendor, task.conn_id, **task.hook_params)
    unheard = set(job_ids)
    for job_id, answer in _ask_all(hook, job_ids):
        unheard.discard(job_id)
        tell(log, f"{task.vendor} job {job_id}", answer, tags, why)
    if unheard:
        log.warning("Whether %s job %s stops is not known yet", task.vendor, ", ".join(sorted(unheard)))


def tell(
    log: Any, name: str, answer: Answer, tags: Mapping[str, str], why: str = "The task was killed"
) -> None:
    """Say in the log what came of asking the vendor to stop a killed task's job, and count it.

    :param log: the task's log.
    :param name: the vendor and its id of the job.
    :param answer: what :meth:`~airflow_provider_ingestjobs.hooks.base.IngestJobHook.ask_to_stop` returned, or
        raised.
    :param tags: of the metrics.
    :param why: why it was asked.
    """
    from airflow_provider_ingestjobs.airflow_compat import Stats

    failed = isinstance(answer, Exception)
    Stats.incr("ingestjobs.cancel_failures" if failed else "ingestjobs.cancels", tags=dict(tags))
    if answer is None:
        log.info("%s was asked to stop", name)
    elif not isinstance(answer, Exception):
        log.info("%s is not asked to stop, it is %s", answer, answer.describe())
    else:
        goes_on = "may go on" if isinstance(answer, VendorUnavailable) else "goes on"
        log.warning("%s, but %s %s: %s", why, name, goes_on, answer, exc_info=_is_bug(answer))


def note_on_earlier_try(context: Context) -> str:
    """Return what to add to a job's cancelled end: a clear kills a task, and its new try finds that job.

    :param context: the context of a task that cancels its jobs when it is killed.
    """
    if (getattr(context["ti"], "try_number", None) or 1) < 2:
        return ""
    return ". An earlier try of this task may have cancelled it: start the job anew and clear again"


def _hook_of_its_own(task: VendorTask[Any]) -> IngestJobHook:
    # The signal may have stopped the task's thread while it held a lock of its hook, such as the token's; and
    # threads must not talk to Airflow's supervisor, which a hook with settings does not.
    hook: IngestJobHook = task.hook_class(task.conn_id, **task.hook_params)
    hook.connect(task.hook.settings)
    return hook


def _ask_all(hook: IngestJobHook, job_ids: Collection[str]) -> Iterator[tuple[str, Answer]]:
    """Yield ids and the vendor's answers as they come, until all are there or the time is up."""
    left: SimpleQueue[str] = SimpleQueue()
    answers: SimpleQueue[tuple[str, Answer]] = SimpleQueue()
    for job_id in job_ids:
        left.put(job_id)

    def work() -> None:
        with suppress(Empty):
            while True:
                job_id = left.get_nowait()
                answers.put((job_id, _ask(hook, job_id)))

    if not _start_threads(work, min(len(job_ids), MAX_STOP_THREADS)):
        work()
    deadline = time.monotonic() + MAX_STOP_TIME
    with suppress(Empty):
        for _ in job_ids:
            yield answers.get(timeout=max(deadline - time.monotonic(), 0))


def _start_threads(work: Callable[[], None], count: int) -> int:
    """Start up to so many threads, and return how many could be started."""
    for started in range(count):
        try:
            # As daemons: a vendor that hangs must not keep the process.
            threading.Thread(
                target=copy_context().run, args=(work,), name="ingestjobs-stop", daemon=True
            ).start()
        except RuntimeError:
            return started
    return count


def _ask(hook: IngestJobHook, job_id: str) -> Answer:
    try:
        return hook.ask_to_stop(job_id)
    except Exception as error:
        return error


def _is_bug(error: Exception) -> Exception | None:
    return None if isinstance(error, IngestJobsError) else error
