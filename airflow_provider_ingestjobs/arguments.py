# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every check of what a DAG author wrote, for arguments of all sensors, operators, hooks and triggers.

Each check takes the argument's name first, so that its error names it, and returns the value to work with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import JobState, normalise_word

if TYPE_CHECKING:
    import pendulum

    from airflow_provider_ingestjobs.vendors import Vendor

#: The longest id of a job, in characters; vendors' own have about forty.
MAX_JOB_ID_LENGTH = 256
#: American English spells it so, as do some vendors.
OTHER_SPELLINGS = {"canceled": "cancelled"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
NOT_IN_JOB_IDS = frozenset(" /\\?#%&")


def is_template(value: Any) -> bool:
    """Whether a value only becomes known when its template is rendered.

    :param value: an argument as it was given.
    """
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def is_known_later(value: Any) -> bool:
    """Whether a value is only known when the task runs: a template, or what Airflow resolves then.

    :param value: an argument as it was given.
    """
    return is_template(value) or hasattr(value, "resolve")


def is_empty(value: Any) -> bool:
    """Whether a value chooses nothing: ``None``, an empty text, or a collection with nothing in it.

    The text ``None`` is what a template makes of an upstream result that is not there.

    :param value: an argument, as given or as rendered.
    """
    if isinstance(value, list | tuple | set | frozenset):
        return not value or any(map(is_empty, value))
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def check_job_id(value: object) -> str:
    """Return a job id that fits into a vendor's address.

    :param value: the id; a whole number, as Adverity's are, becomes text.
    :raises InvalidInput: if it is empty, no id, or has a character that no vendor's id has.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidInput("job_id", value, "give the vendor's id as text, or as a whole number")
    check_rendered("job_id", value)
    if (
        value in (".", "..")
        or len(value) > MAX_JOB_ID_LENGTH
        or not value.isprintable()
        or set(value) & NOT_IN_JOB_IDS
    ):
        raise InvalidInput("job_id", value[:80], "give the vendor's job id alone, not an address or a path")
    return value


def check_given_job_id(value: Any) -> Any:
    """Check a job id as early as possible: templates and upstream results are only known when the task runs.

    :param value: ``job_id`` as the DAG's author gave it.
    :raises InvalidInput: for an id that cannot be one.
    """
    return value if is_known_later(value) else check_job_id(value)


def check_target(job_id: Any, filters: Mapping[str, Any], vendor: Vendor) -> Any:
    """Return what a wait's ``job_id`` is, as early as possible; ``None`` where filters select the jobs.

    :param job_id: as the DAG's author gave it: one id or several.
    :param filters: values by filter; ``None`` for one that was not given.
    :param vendor: whose jobs they are.
    :raises InvalidInput: for both, for neither, and for ids or filters that cannot be such.
    """
    chosen = {name: value for name, value in filters.items() if value is not None}
    if job_id is None:
        if not check_filters(chosen, vendor):
            raise InvalidInput("job_id", None, f"give job_id, or select jobs by {', '.join(vendor.filters)}")
        return None
    if chosen:
        raise InvalidInput("job_id", job_id, f"give either job_id or {', '.join(chosen)}, not both")
    if isinstance(job_id, list | tuple):
        if not job_id:
            raise InvalidInput("job_id", job_id, "it is empty: give at least one id")
        return [check_given_job_id(one) for one in job_id]
    return check_given_job_id(job_id)


def check_job_ids(given: Any) -> list[str]:
    """Return the ids of a wait's ``job_id`` when the task runs.

    :param given: one id or several, as rendered.
    :raises InvalidInput: for what is no id, or none at all.
    """
    if not isinstance(given, list | tuple | set):
        return [check_job_id(given)]
    if not given:
        raise InvalidInput("job_id", given, "it is empty: was the upstream task's result empty?")
    return [check_job_id(job_id) for job_id in given]


def check_selection_arguments(
    job_id: Any, given: Mapping[str, Any], sensor: type, default_args: Mapping[str, Any] | None
) -> None:
    """Check that what is said of selected jobs is not said of given ones, where it would do nothing.

    :param job_id: the wait's ``job_id``.
    :param given: the arguments that are about a selection, as given.
    :param sensor: the class that has their defaults.
    :param default_args: what the DAG gives all its tasks, and so also those that it does not concern.
    :raises InvalidInput: for the first that is not the default, where there is a ``job_id``.
    """
    if job_id is None:
        return
    parameters = signature(sensor).parameters
    for name, value in given.items():
        if value not in (parameters[name].default, (default_args or {}).get(name)):
            raise InvalidInput(
                name, value, "leave it out beside job_id: it is about jobs that filters select"
            )


def one_interval(name: str, value: Any, default: Any, other: str, other_value: Any) -> Any:
    """Return the longest time between two looks, which may be given by another class's name of it.

    :param name: what it is called here.
    :param value: what was given by that name.
    :param default: what that is if nothing was given.
    :param other: the other name.
    :param other_value: what was given by that one; ``None`` for nothing.
    :raises InvalidInput: for both.
    """
    if other_value is None:
        return value
    if value != default:
        raise InvalidInput(other, other_value, f"it is the same as {name}={value!r}: give one of them")
    return other_value


def check_path_part(field_name: str, value: object) -> str:
    """Return an id percent-encoded, as one part of a vendor's address.

    :param field_name: what it is, for the error.
    :param value: the id.
    :raises InvalidInput: if it would change the rest of the address, as ``..`` would, or is empty.
    """
    if not isinstance(value, str) or value in ("", ".", ".."):
        raise InvalidInput(field_name, value, "give the vendor's id alone, not an address or a path")
    return quote(value, safe="")


def check_single(field_name: str, value: object) -> str | None:
    """Return the one thing that a list is narrowed to, as text; ``None`` for anything.

    :param field_name: the filter, for the error.
    :param value: its value; a number becomes text.
    :raises InvalidInput: for several, as the vendor lists the jobs of one only.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(field_name, value, "give one, as text or as a number")
    return str(value)


def check_filters(filters: Mapping[str, Any], vendor: Vendor, prefix: str = "") -> dict[str, Any]:
    """Return filters, each of which must choose something.

    :param filters: values by filter.
    :param vendor: whose jobs they select.
    :param prefix: what stands before a filter's name in an error.
    :raises InvalidInput: for a filter that the vendor does not have, for an empty one, and for a word that no
        job has.
    """
    for name, value in filters.items():
        if name not in vendor.filters:
            raise InvalidInput(f"{prefix}{name}", value, f"use {', '.join(vendor.filters)}")
        if is_empty(value):
            raise InvalidInput(f"{prefix}{name}", value, "it is empty: leave it out, or give a value")
        words = vendor.words_of(name)
        for one in value if isinstance(value, list | tuple) else [value]:
            if words and isinstance(one, str) and one not in words and not is_template(one):
                raise InvalidInput(f"{prefix}{name}", one, f"no job has it: use {', '.join(words)}")
    return dict(filters)


def check_rendered(name: str, value: Any) -> Any:
    """Return an argument's value as rendered: what was given must not have turned into "any".

    :param name: the argument.
    :param value: its value when the task runs.
    :raises InvalidInput: if nothing is left of it.
    """
    if is_empty(value):
        raise InvalidInput(name, value, "it is empty: was the template or the upstream task's result empty?")
    return value


def to_states(field_name: str, states: Iterable[JobState | str]) -> frozenset[JobState]:
    """Return the job states that a user named.

    :param field_name: what the user called the argument, for the error.
    :param states: states or their names, in any case.
    :raises InvalidInput: for a name that is not a state, or if none is given.
    """
    return _to_states(field_name, states, list(JobState))


def to_end_states(field_name: str, states: Iterable[JobState | str]) -> frozenset[JobState]:
    """Return the states that a user named, all of which a job ends in.

    :param field_name: what the user called the argument, for the error.
    :param states: states or their names, in any case.
    :raises InvalidInput: as :func:`to_states` does, and for a state that no job ends in.
    """
    ends = [state for state in JobState if state.is_terminal]
    found = _to_states(field_name, states, ends)
    if not all(state.is_terminal for state in found):
        raise InvalidInput(field_name, states, f"name states that a job ends in: {', '.join(ends)}")
    return found


def _to_states(field_name: str, states: Any, known: Sequence[JobState]) -> frozenset[JobState]:
    names = [states] if isinstance(states, str) or not isinstance(states, Iterable) else list(states)
    if not names:
        raise InvalidInput(field_name, states, f"name at least one of {', '.join(known)}")
    words = [normalise_word(str(name)) for name in names]
    try:
        return frozenset(JobState(OTHER_SPELLINGS.get(word, word)) for word in words)
    except ValueError:
        raise InvalidInput(field_name, states, f"use one or more of {', '.join(known)}") from None


def to_seconds(field_name: str, value: timedelta | float, above_zero: bool = False) -> float:
    """Return a duration in seconds.

    :param field_name: what the user called the argument, for the error.
    :param value: seconds, or a timedelta.
    :param above_zero: whether zero is refused.
    :raises InvalidInput: if it is negative, or not a duration.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < float("inf") or (above_zero and not seconds):
        least = "more than zero" if above_zero else "zero or more"
        raise InvalidInput(field_name, value, f"give seconds, or a timedelta, of {least}")
    return float(seconds)


def check_count(field_name: str, value: Any) -> int:
    """Return a whole number of one or more.

    :param field_name: what the user called the argument, for the error.
    :param value: what was given.
    :raises InvalidInput: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(field_name, value, "give a number of one or more")
    return value


def check_flag(field_name: str, value: Any) -> bool:
    """Return ``True`` or ``False``: any text, such as ``"no"``, would count as yes.

    :param field_name: what the user called the argument, for the error.
    :param value: what was given.
    :raises InvalidInput: for anything else.
    """
    if not isinstance(value, bool):
        raise InvalidInput(field_name, value, "give True or False")
    return value


def check_cancel_on_kill(value: bool, vendor: Vendor, *, has_ids: bool, has_process: bool) -> bool:
    """Return whether a killed task cancels its jobs.

    :param value: ``cancel_on_kill``, as given.
    :param vendor: the vendor's row.
    :param has_ids: whether the jobs are given by their ids.
    :param has_process: whether there is something to kill between two looks, in a worker or a triggerer.
    :raises InvalidInput: where it would never cancel anything.
    """
    if not check_flag("cancel_on_kill", value):
        return value
    if not vendor.cancels:
        raise InvalidInput(
            "cancel_on_kill", value, f"leave it out: {vendor.name} documents no way to cancel a job"
        )
    if not has_ids:
        raise InvalidInput(
            "cancel_on_kill", value, "give job_id: jobs that are only selected are never cancelled"
        )
    if not has_process:
        raise InvalidInput(
            "cancel_on_kill",
            value,
            "a task in mode='reschedule' has no process to kill between two looks: "
            "use deferrable=True, or mode='poke'",
        )
    return value


def check_given_moment(field_name: str, value: Any) -> Any:
    """Check a moment as early as possible: a template is only known when the task runs.

    :param field_name: the argument, for the error.
    :param value: the moment, as the DAG's author gave it.
    :raises InvalidInput: as :func:`to_utc` does.
    """
    if value is not None and not is_known_later(value):
        to_utc(field_name, value)
    return value


def to_utc(field_name: str, value: object) -> pendulum.DateTime:
    """Return a moment that a user gave, in UTC.

    :param field_name: the argument, for the error.
    :param value: an aware datetime, or ISO 8601 text with an offset, as templates render it; a date, such as
        ``{{ ds }}``, is the start of that day in UTC.
    :raises InvalidInput: if it is not a moment, or has no time zone.
    """
    import pendulum

    moment = value
    if isinstance(moment, str) and _DATE.fullmatch(moment.strip()):
        moment = f"{moment.strip()}T00:00:00+00:00"
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.strip())
        except ValueError:
            raise InvalidInput(field_name, value, "write it like 2026-01-31T00:00:00+00:00") from None
    if not isinstance(moment, datetime):
        raise InvalidInput(
            field_name, value, "give an aware datetime, such as pendulum.datetime(2026, 1, 31)"
        )
    if moment.tzinfo is None:
        raise InvalidInput(field_name, value, "it has no time zone: use pendulum.datetime(…) or add +00:00")
    return pendulum.instance(moment).in_timezone("UTC")


def check_given_window(started_from: Any, started_to: Any) -> None:
    """Check a window as early as possible: templates are only known when the task runs.

    :param started_from: its start, as the DAG's author gave it; ``None`` for the default.
    :param started_to: its end.
    :raises InvalidInput: as :func:`check_window` does.
    """
    ends = [check_given_moment("started_from", started_from), check_given_moment("started_to", started_to)]
    if not any(end is None or is_known_later(end) for end in ends):
        check_window(*ends)


def check_window(started_from: object, started_to: object) -> tuple[pendulum.DateTime, pendulum.DateTime]:
    """Return a half-open window in UTC.

    :param started_from: its start, inclusive; see :func:`to_utc`.
    :param started_to: its end, exclusive.
    :raises InvalidInput: if it is empty or inverted, or an end has no zone.
    """
    start, end = to_utc("started_from", started_from), to_utc("started_to", started_to)
    if start >= end:
        raise InvalidInput("started_to", str(end), f"it must be after started_from={start}")
    return start, end
