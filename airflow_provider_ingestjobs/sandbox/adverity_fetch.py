# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A request to the sandbox's Adverity that starts a datastream's fetches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_ingestjobs.sandbox.vendor import iso, parse_time

PRIORITIES = ("high", "default", "low", "backdata")


class InvalidField(ValueError):
    """A field of a request that is missing or wrong.

    :param name: its name.
    :param message: what is wrong.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


@dataclass(frozen=True)
class FetchRequest:
    """What is to be fetched: "the first" and "the last day of the date range".

    :param start: the range's start as it was asked for.
    :param end: its end.
    """

    start: str
    end: str

    @classmethod
    def parse(cls, body: dict[str, Any]) -> FetchRequest:
        """Return the request that a body makes; fields that are not documented are passed over.

        :param body: the body, as JSON.
        :raises InvalidField: if something documented is missing or wrong.
        """
        for name in ("start", "end"):
            if body.get(name) in (None, ""):
                raise InvalidField(name, "This field is required.")
            _moment(name, body[name])
        if _moment("end", body["end"]) < _moment("start", body["start"]):
            # That it is refused is not documented; a range that ends before it starts has no meaning.
            raise InvalidField("end", "The end must not be before the start.")
        if body.get("priority", "default") not in PRIORITIES:
            raise InvalidField("priority", f'"{body["priority"]}" is not a valid choice.')
        callback = body.get("callback")
        if callback is not None and not str(callback).startswith(("http://", "https://")):
            raise InvalidField("callback", "Enter a valid URL.")
        if not isinstance(body.get("force", False), bool):
            raise InvalidField("force", "Must be a valid boolean.")
        return cls(str(body["start"]), str(body["end"]))

    def ranges(self, count: int) -> list[dict[str, str | None]]:
        """Return what each of so many jobs fetches: parts of the range that follow each other.

        :param count: how many jobs.
        """
        start, end = parse_time(self.start), parse_time(self.end)
        bounds = [start + (end - start) * part / count for part in range(count)] + [end]
        return [
            {"range_start": iso(bounds[part], "seconds"), "range_end": iso(bounds[part + 1], "seconds")}
            for part in range(count)
        ]


def _moment(name: str, value: Any) -> float:
    try:
        return parse_time(value)
    except (TypeError, ValueError) as error:
        raise InvalidField(name, "Enter a valid date/time.") from error
