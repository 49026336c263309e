# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What was given on the command line, checked as the arguments of sensors are, and by the same functions."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import (
    check_count,
    check_filters,
    check_selection_arguments,
    check_target,
    check_window,
    is_empty,
    to_seconds,
    to_utc,
)
from airflow_provider_ingestjobs.catalogue import (
    KnownConnection,
    find_connection,
    hook_class_of,
    hook_params_of,
)
from airflow_provider_ingestjobs.checks import check_checks
from airflow_provider_ingestjobs.cli.command import UnusableConnection
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.wait_target import WaitTarget

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.selection import Selection
    from airflow_provider_ingestjobs.vendors import Vendor

#: How far back jobs are looked for where nothing else is said.
LOOK_BACK = timedelta(days=1)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"\d+(?:\.\d+)?|(?:\d+(?:\.\d+)?[smhd])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def make_hook(args: Namespace) -> tuple[KnownConnection, IngestJobHook]:
    """Return the connection that a command names, and its hook, which has looked nothing up yet.

    :param args: of the command line.
    :raises InvalidInput: if there is no such connection of a vendor's, or the hook takes no such argument.
    """
    connection = find_connection(args.conn_id)
    hook_class: Any = hook_class_of(connection)
    params = read_hook_params(args.hook_param, hook_class)
    try:
        hook: IngestJobHook = hook_class(connection.conn_id, **params)
    except TypeError as error:
        raise InvalidInput("--hook-param", args.hook_param, f"{hook_class.__name__}: {error}") from error
    return connection, hook


def open_hook(args: Namespace) -> IngestJobHook:
    """Return the hook of the connection that a command names.

    :param args: of the command line.
    :raises InvalidInput: as :func:`make_hook` does.
    :raises UnusableConnection: if the connection lacks what the vendor needs.
    """
    _, hook = make_hook(args)
    try:
        _ = hook.settings
    except InvalidInput as error:
        raise UnusableConnection(str(error)) from error
    return hook


def read_hook_params(given: Sequence[str] | None, hook_class: type[IngestJobHook]) -> dict[str, str]:
    """Return further arguments of a hook.

    :param given: a text ``name=value`` for each.
    :param hook_class: the hook.
    :raises InvalidInput: for one that the hook does not take.
    """
    names = hook_params_of(hook_class)
    found: dict[str, str] = {}
    for name, value in _pairs("--hook-param", given):
        if name not in names:
            fix = f"use {', '.join(names)}" if names else "leave it out"
            raise InvalidInput(
                f"--hook-param {name}", value, f"{hook_class.__name__} takes no such thing: {fix}"
            )
        if name in found or is_empty(value):
            raise InvalidInput(f"--hook-param {name}", value, "give one value")
        found[name] = value
    return found


def read_filters(given: Sequence[str] | None, vendor: Vendor) -> dict[str, Any]:
    """Return filters; of one that is given several times any value matches.

    :param given: a text ``name=value`` for each.
    :param vendor: whose jobs they select.
    :raises InvalidInput: for a filter that the vendor does not have, and for what can be no value of it.
    """
    found: dict[str, list[str]] = {}
    for name, value in _pairs("--filter", given):
        found.setdefault(name, []).append(value)
    single = {name: values[0] if len(values) == 1 else values for name, values in found.items()}
    return check_filters(single, vendor, prefix="--filter ")


def read_checks(given: Sequence[str] | None, vendor: Vendor) -> dict[str, float | str]:
    """Return limits for jobs' numbers.

    :param given: a text ``name=limit`` for each.
    :param vendor: whose jobs they are.
    :raises InvalidInput: for a check that cannot be made with this vendor.
    """
    return check_checks({name: _number_or_text(limit) for name, limit in _pairs("--check", given)}, vendor)


def read_states(given: Sequence[str] | None) -> list[str]:
    """Return the names of states, which may have been given one by one, or with commas.

    :param given: the texts.
    """
    return [name.strip() for text in given or () for name in text.split(",")]


def read_duration(option: str, given: str | None, default: timedelta | float) -> float:
    """Return a duration in seconds.

    :param option: what it was given by, for the error.
    :param given: seconds, or such as ``90s``, ``15m``, ``24h``, ``7d``, ``1h30m``; ``None`` for the default.
    :param default: what holds then.
    :raises InvalidInput: for anything else.
    """
    if given is None:
        return to_seconds(option, default)
    text = given.strip().lower()
    if not _DURATION.fullmatch(text):
        raise InvalidInput(option, given, "give seconds, or such as 90s, 15m, 24h, 7d, 1h30m")
    return to_seconds(option, sum(float(number) * UNITS[unit or "s"] for number, unit in _PART.findall(text)))


def read_window(args: Namespace) -> tuple[datetime, datetime]:
    """Return the window of a list, which ends now if nothing else is said.

    :param args: of the command line.
    :raises InvalidInput: if it is none.
    """
    moments = _moments(args)
    end = moments.get("started_to", clock.now())
    start = moments.get("started_from")
    if start is None:
        start = end - timedelta(seconds=read_duration("--look-back", args.look_back, LOOK_BACK))
    return check_window(start, end)


def read_target(args: Namespace, vendor: Vendor) -> list[str] | Selection:
    """Return what to wait for, as a sensor does in a run of now that has no data interval.

    :param args: of the command line.
    :param vendor: whose jobs they are.
    :raises InvalidInput: as the sensor does.
    """
    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor

    filters = read_filters(args.filter, vendor)
    job_id = check_target(args.job_id or None, filters, vendor)
    moments = _moments(args)
    given: dict[str, Any] = {
        **moments,
        "look_back": args.look_back
        and timedelta(seconds=read_duration("--look-back", args.look_back, LOOK_BACK)),
        "min_jobs": args.min_jobs,
        "settle": args.settle and read_duration("--settle", args.settle, 0.0),
        "latest_only": args.latest_only or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    check_selection_arguments(job_id, given, IngestJobSensor, None)
    target = WaitTarget(
        job_id=job_id,
        filters=filters,
        moments=moments,
        look_back=to_seconds("--look-back", given.get("look_back", LOOK_BACK)),
        min_jobs=check_count("--min-jobs", given.get("min_jobs", 1)),
        settle=given.get("settle", 0.0),
        latest_only=args.latest_only,
    )
    run = SimpleNamespace(data_interval_start=None, data_interval_end=None, logical_date=clock.now())
    resolved = target.resolve(cast("Context", {"dag_run": run}), vendor)
    return list(dict.fromkeys(resolved)) if isinstance(resolved, list) else resolved


def _moments(args: Namespace) -> dict[str, datetime]:
    given = {"started_from": args.started_from, "started_to": args.started_to}
    if args.started_from is not None and args.look_back is not None:
        raise InvalidInput("--look-back", args.look_back, "leave it out beside --started-from")
    return {
        name: to_utc(f"--{name.replace('_', '-')}", value)
        for name, value in given.items()
        if value is not None
    }


def _pairs(option: str, given: Sequence[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in given or ():
        name, is_pair, value = text.partition("=")
        if not (name.strip() and is_pair):
            raise InvalidInput(option, text, "write it as NAME=VALUE")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _number_or_text(limit: str) -> float | str:
    for number in (int, float):
        with suppress(ValueError):
            return number(limit)
    return limit
