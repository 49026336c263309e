# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is usual for the jobs of a target, so that a load that is far off is seen. Pure data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.job import JobState

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

#: From so many jobs on something is usual.
MIN_JOBS = 6
#: By how many interquartile ranges beyond the quartiles a number is unusual: Tukey's fences.
FENCE = 1.5
#: What the interquartile range counts at least, as a share of the median: of jobs that are all alike, a small
#: change is none.
MIN_SPREAD = 0.1
#: To how many digits behind the point the ends of a range are told.
DIGITS = {"rows": 0, "duration": 1}


@dataclass(frozen=True)
class Range:
    """The usual range of a number; its ends belong to it.

    :param low: its lower end.
    :param high: its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Unusual:
    """A number of a job that is far off.

    :param what: ``rows`` or ``duration``.
    :param value: the job's.
    :param usual: the usual range.
    """

    what: str
    value: float
    usual: Range


#: The usual ranges of the jobs of a target: of ``rows`` and of ``duration``, in seconds.
Usual = Mapping[str, Range]


def usual_by_target(jobs: Iterable[Job]) -> dict[str, Usual]:
    """Return what is usual for each target, by its jobs that have succeeded.

    :param jobs: the jobs.
    """
    by_target: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.target is not None and job.state is JobState.SUCCEEDED:
            by_target[job.target].append(job)
    return {target: usual_of(own) for target, own in by_target.items()}


def usual_of(jobs: Iterable[Job]) -> Usual:
    """Return what is usual for jobs.

    :param jobs: jobs of one target that have succeeded.
    """
    jobs = list(jobs)
    numbers = {"rows": (job.rows.size for job in jobs), "duration": (job.duration for job in jobs)}
    found = {
        what: _range([float(value) for value in values if value is not None], DIGITS[what])
        for what, values in numbers.items()
    }
    return {what: one for what, one in found.items() if one is not None}


def what_is_unusual(job: Job, usual: Usual) -> list[Unusual]:
    """Return the numbers of a job that are far off; of one that has not succeeded, its state says enough.

    :param job: the job.
    :param usual: what is usual for its target.
    """
    if job.state is not JobState.SUCCEEDED:
        return []
    values = {"rows": job.rows.size, "duration": job.duration}
    return [
        Unusual(what, value, usual[what])
        for what, value in values.items()
        if value is not None and what in usual and not usual[what].low <= value <= usual[what].high
    ]


def _range(values: list[float], digits: int) -> Range | None:
    if len(values) < MIN_JOBS:
        return None
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    spread = FENCE * max(upper - lower, MIN_SPREAD * median(values))
    return Range(round(max(lower - spread, 0.0), digits), round(upper + spread, digits))
