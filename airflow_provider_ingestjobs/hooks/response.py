# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A vendor's answer, and how its JSON is read: whole, or record by record.

Record by record, with the standard library alone: ``ijson`` takes a wrong or missing list for an empty one,
which would look like "no jobs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: The deepest nesting of an answer that is read; vendors' records have about ten levels.
MAX_LEVELS = 100


@dataclass(frozen=True)
class Response:
    """A vendor's answer, read to its end.

    :param status: the HTTP status.
    :param headers: the headers, found in any case.
    :param body: the bytes, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        :raises ValueError: if it is not JSON, or nested too deep to read.
        """
        try:
            data = _decoder.decode(self._text)
        except RecursionError:
            raise _too_deep() from None
        _check_depth(data)
        return data

    def records(self, key: str, others: dict[str, Any] | None = None, or_bare: bool = False) -> Iterator[Any]:
        """Decode a list record by record: all at once would hold up the other threads and fill the memory.

        :param key: the object's field that has the list.
        :param others: filled with the object's other fields; complete once the list has ended.
        :param or_bare: whether the body may also be the list itself.
        :raises ValueError: if there is no such list.
        """
        try:
            yield from _records(self._text, key, {} if others is None else others, or_bare)
        except RecursionError:
            raise _too_deep() from None

    @property
    def _text(self) -> str:
        return self.body.decode(json.detect_encoding(self.body), "surrogatepass")


def _records(text: str, key: str, others: dict[str, Any], or_bare: bool) -> Iterator[Any]:
    at = _skip(text, 0)
    is_object = text[at] == "{"
    if not is_object and not (or_bare and text[at] == "["):
        # What is no JSON at all, such as a web page, is another error.
        _decode(text, at)
        raise ValueError(f"it has no field {key!r}")
    if is_object:
        at = _take_fields(text, at, key, others)
        if text[at] == "}":
            raise ValueError(f"it has no field {key!r}")
    if text[at] != "[":
        raise ValueError(f"the field {key!r} is not an array")
    at = _skip(text, at + 1)
    while text[at] != "]":
        start = at
        record, at = _decode(text, at)
        # A record with few brackets cannot be nested deep, and counting them takes no time.
        if text.count("[", start, at) + text.count("{", start, at) >= MAX_LEVELS:
            _check_depth(record)
        yield record
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        elif text[at] != "]":
            raise json.JSONDecodeError("no comma between records", text, at)
    if is_object:
        _take_fields(text, _skip(text, at + 1), None, others)


def _take_fields(text: str, at: int, key: str | None, fields: dict[str, Any]) -> int:
    """Take in an object's fields from a bracket or comma on, up to the value of ``key`` or the end.

    :returns: where that is.
    """
    while text[at] in "{,":
        at = _skip(text, at + 1)
        if text[at] == "}":
            break
        name, at = _decode(text, at)
        at = _skip(text, at)
        if text[at] != ":" or not isinstance(name, str):
            raise json.JSONDecodeError("no colon after a field's name", text, at)
        at = _skip(text, at + 1)
        if name == key:
            return at
        fields[name], at = _decode(text, at)
        _check_depth(fields[name])
        at = _skip(text, at)
    if text[at] != "}":
        raise json.JSONDecodeError("no comma between fields", text, at)
    return at


def _skip(text: str, at: int) -> int:
    """Return the place of the next character that is not white space."""
    at = _white(text, at).end()  # type: ignore[union-attr]  # it matches the empty text, too
    if at == len(text):
        raise json.JSONDecodeError("it ends early", text, at)
    return at


def _check_depth(data: Any) -> None:
    # Code that walks through the data (marshal, repr, Airflow's) gives up earlier than Python's parser does.
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(MAX_LEVELS):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> json.JSONDecodeError:
    return json.JSONDecodeError("nested too deep", "", 0)


def _refuse_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


_white = re.compile(r"[ \t\n\r]*").match
# Shared: `json.loads` would make one for each call.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_decode = _decoder.raw_decode
