# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Judging an ended job by its numbers, not only by its state. Pure data, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.exceptions import InvalidInput

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

#: Each check: the count it looks at, what that is divided by if it is a ratio, and whether it is a minimum.
CHECKS: Mapping[str, tuple[str, str | None, bool]] = {
    "max_error_rows": ("errors", None, False),
    "max_error_ratio": ("errors", "read", False),
    "max_rejected_rows": ("rejected", None, False),
    "max_rejected_ratio": ("rejected", "read", False),
    "min_rows": ("read", None, True),
    "max_issues": ("issues", None, False),
}


def check_checks(checks: Mapping[str, Any], vendor: str, counts: Collection[str]) -> dict[str, float]:
    """Return the checks of a task, if they can be made with this vendor.

    :param checks: such as ``{"max_error_ratio": 0.01, "min_rows": 1}``.
    :param vendor: the vendor's name.
    :param counts: what the vendor counts.
    :raises InvalidInput: for a check that does not exist, has no sensible limit, or needs a count that the
        vendor does not give.
    """
    possible = [name for name, (count, of, _) in CHECKS.items() if {count, of} - {None} <= set(counts)]
    for name, limit in checks.items():
        if name not in CHECKS:
            raise InvalidInput("checks", name, f"use some of {', '.join(CHECKS)}")
        if name not in possible:
            use = f"use {', '.join(possible)}, or check=" if possible else "use check="
            raise InvalidInput("checks", name, f"{vendor} gives no such count: {use}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < float("inf"):
            raise InvalidInput(f"checks {name}", limit, "give a number of zero or more")
        if name.endswith("_ratio") and limit > 1:
            raise InvalidInput(f"checks {name}", limit, "give a part of the rows read, from 0 to 1")
    return {name: float(limit) for name, limit in checks.items()}


def failed_checks(job: Job, checks: Mapping[str, float]) -> list[str]:
    """Return what is wrong with a job's numbers, one sentence a failed check.

    A count that the vendor left out fails its check: what nobody counted is not zero.
    """
    found = (_failure(job, name, limit) for name, limit in checks.items())
    return [sentence for sentence in found if sentence]


def _failure(job: Job, name: str, limit: float) -> str | None:
    count_name, of_name, is_minimum = CHECKS[name]
    count = _count(job, count_name)
    of = _count(job, of_name) if of_name else None
    if count is None or (of_name and of is None):
        lacking = count_name if count is None else of_name
        return f"{name}={limit:.15g} cannot be judged: {job.vendor} gave no count of {lacking}"
    if of_name:
        ratio = count / of if of else float(count > 0)
        if ratio > limit:
            return f"{name}={limit:.15g} is exceeded: {count} {count_name} of {of} {of_name} are {ratio:.4g}"
        return None
    if is_minimum and count < limit:
        return f"{name}={limit:.15g} is not reached: {count} {count_name}"
    if not is_minimum and count > limit:
        return f"{name}={limit:.15g} is exceeded: {count} {count_name}"
    return None


def _count(job: Job, name: str) -> int | None:
    count = job.details.get(name) if name == "issues" else getattr(job.rows, name)
    return count if isinstance(count, int) else None
