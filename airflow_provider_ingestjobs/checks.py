# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Judging an ended job by its numbers, not only by its state. Pure data, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutine, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ingestjobs.errors import InvalidInput

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job
    from airflow_provider_ingestjobs.vendors import Levels, Vendor


class Check(NamedTuple):
    """What a check looks at.

    :param number: one of the job's row counts, or the key of its details that has the number.
    :param of: the row count that it is divided by, if it is a ratio.
    :param is_minimum: whether the number must not be lower, rather than not higher.
    """

    number: str
    of: str | None = None
    is_minimum: bool = False


#: The checks of rows; a vendor's row may add limits of its own.
CHECKS: Mapping[str, Check] = {
    "max_error_rows": Check("errors"),
    "max_error_ratio": Check("errors", of="read"),
    "max_rejected_rows": Check("rejected"),
    "max_rejected_ratio": Check("rejected", of="read"),
    "min_rows": Check("read", is_minimum=True),
}
#: What they look at with a vendor that never counts the rows read. Who asks for a least number of rows wants
#: to hear of a job that brought nothing; of the counts left, the rows inserted tell that.
WITHOUT_READ: Mapping[str, Check] = {**CHECKS, "min_rows": Check("inserted", is_minimum=True)}


def checks_of(vendor: Vendor) -> dict[str, Check]:
    """Return the checks that can be made with a vendor, by name.

    :param vendor: the vendor, whose row says what it counts.
    """
    checks = CHECKS if "read" in vendor.counts else WITHOUT_READ
    of_rows = {
        name: check for name, check in checks.items() if {check.number, check.of} - {None} <= vendor.counts
    }
    return of_rows | {name: Check(key) for name, key in vendor.limits.items()}


def check_checks(checks: Mapping[str, Any], vendor: Vendor) -> dict[str, float | str]:
    """Return the checks of a task, if they can be made with this vendor.

    :param checks: such as ``{"max_error_ratio": 0.01, "min_rows": 1}``.
    :param vendor: the vendor.
    :raises InvalidInput: for a check that does not exist, has no sensible limit, or needs a count that the
        vendor does not give.
    """
    if not isinstance(checks, Mapping):
        raise InvalidInput("checks", checks, 'give limits by check, such as {"min_rows": 1}')
    return {name: _check_limit(name, limit, vendor) for name, limit in checks.items()}


def failed_checks(job: Job, checks: Mapping[str, float | str], vendor: Vendor) -> list[str]:
    """Return what is wrong with a job's numbers, one sentence a failed check.

    A count that the vendor left out fails its check: what was not counted is not zero.

    :param job: the ended job.
    :param checks: the limits, as :func:`check_checks` returns them.
    :param vendor: the job's vendor.
    """
    possible = checks_of(vendor)
    found = [
        _too_bad(job, name, vendor.levels[name], limit)
        if isinstance(limit, str)
        else _failure(job, name, possible[name], limit)
        for name, limit in checks.items()
    ]
    return [sentence for sentence in found if sentence]


def lacks_numbers(job: Job, checks: Mapping[str, float | str], vendor: Vendor) -> bool:
    """Whether a job as it is leaves out what one of the checks looks at.

    :param job: the ended job.
    :param checks: the limits, as :func:`check_checks` returns them.
    :param vendor: the job's vendor.
    """
    possible = checks_of(vendor)
    for name, limit in checks.items():
        if isinstance(limit, str):
            if job.details.get(vendor.levels[name].key) not in vendor.levels[name].words:
                return True
            continue
        numbers = filter(None, (possible[name].number, possible[name].of))
        if any(_count(job, number) is None for number in numbers):
            return True
    return False


def check_function(check: Any) -> Any:
    """Return a task's own check, if it can be one.

    :param check: a function that takes a job, or ``None``.
    :raises InvalidInput: if it cannot be called with one argument, or only with ``await``.
    """
    if check is not None and (iscoroutinefunction(check) or not _takes_one_argument(check)):
        raise InvalidInput("check", check, "give a function (not an async one) that takes a Job")
    return check


def failed_check(job: Job, check: Callable[[Job], Any]) -> list[str]:
    """Return what a user's function finds wrong with a job.

    :param job: the ended job.
    :param check: returns ``True`` if the job is fine, else ``False``, nothing, or what is wrong with it.
    :raises InvalidInput: if it returns anything else: a list of problems must not pass for ``True``.
    """
    verdict = check(job)
    name = getattr(check, "__name__", "check")
    if verdict is True:
        return []
    if verdict is False or verdict is None or isinstance(verdict, str):
        return [verdict or f"{name}() returned {verdict!r}"]
    if iscoroutine(verdict):
        # Python would warn of it later, where nobody knows what it is about.
        verdict.close()
    raise InvalidInput("check", verdict, f"let {name}() return True, or a text that says what is wrong")


def _takes_one_argument(function: Any) -> bool:
    if not callable(function):
        return False
    try:
        signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        pass  # some that are written in C do not say what they take
    return True


def _check_limit(name: str, limit: Any, vendor: Vendor) -> float | str:
    possible = checks_of(vendor)
    own = [*possible, *vendor.levels]
    if name in CHECKS and name not in possible:
        use = f"use {', '.join(own)}, or check=" if own else "use check="
        raise InvalidInput("checks", name, f"{vendor.name} gives no such count: {use}")
    if name not in own:
        known = ", ".join([*CHECKS, *vendor.limits, *vendor.levels])
        raise InvalidInput("checks", name, f"use one or more of {known}")
    if name in vendor.levels:
        words = vendor.levels[name].words
        if limit not in words:
            raise InvalidInput(f"checks {name}", limit, f"use one of {', '.join(words)}")
        return str(limit)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < float("inf"):
        raise InvalidInput(f"checks {name}", limit, "give a number of zero or more")
    if possible[name].of and limit > 1:
        raise InvalidInput(f"checks {name}", limit, "give a ratio from 0 to 1")
    return float(limit)


def _too_bad(job: Job, name: str, levels: Levels, limit: str) -> str | None:
    word = job.details.get(levels.key)
    if word not in levels.words:
        return f"{name}={limit!r} cannot be judged: {job.vendor} gave {levels.key}={word!r}"
    if levels.words.index(word) > levels.words.index(limit):
        reason = job.details.get(levels.reason) if levels.reason else None
        return f"{name}={limit!r} is exceeded: {levels.key} is {word!r}" + (f", {reason}" if reason else "")
    return None


def _failure(job: Job, name: str, check: Check, limit: float) -> str | None:
    count_name, of_name, is_minimum = check
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
    count = getattr(job.rows, name) if hasattr(job.rows, name) else job.details.get(name)
    return count if isinstance(count, int) else None
