# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A line in the triggerer's log about a connection: which tasks wait on it, and how its polls go."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.triggers.subscription import Subscription

#: The time between two such lines, in seconds.
REPORT_EVERY = 600.0
#: The most tasks that are named.
MAX_NAMED = 20


def describe_waits(waits: Collection[Subscription], interval: float, silence: float, failures: int) -> str:
    """Return the line, without the connection.

    :param waits: those that the watch serves.
    :param interval: the time between two polls, in seconds.
    :param silence: how long ago the vendor was last read well, in seconds.
    :param failures: how many polls in a row have failed.
    """
    jobs = len({wait.target for wait in waits if isinstance(wait.target, str)})
    selections = len({wait.target for wait in waits if not isinstance(wait.target, str)})
    tasks = {_name(wait.task): None for wait in waits if wait.task is not None}
    named = ", ".join(islice(tasks, MAX_NAMED))
    more = f", and {len(tasks) - MAX_NAMED} more" if len(tasks) > MAX_NAMED else ""
    return (
        f"jobs: {jobs}, selections: {selections}, read every {interval:.3g} s, last {silence:.0f} s ago, "
        f"failed polls in a row: {failures}, waiting tasks: {len(tasks)} ({named}{more})"
    )


def _name(task: Any) -> str:
    index = getattr(task, "map_index", -1)
    return f"{task.dag_id}.{task.task_id}{f'[{index}]' if index >= 0 else ''} of {task.run_id}"
