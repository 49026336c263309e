# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Long lists are decoded record by record, to the same end as all at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ingestjobs.hooks.response import Response

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def records(body: bytes) -> list[Any]:
    return list(Response(200, {}, body).records("values", or_bare=True))


@given(
    st.lists(values, max_size=4),
    st.dictionaries(st.text().filter(lambda key: key != "values"), values, max_size=3),
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_as_the_whole_would_be(
    found: list[Any], others: dict[str, Any], indent: int | None, encoding: str
) -> None:
    assert records(json.dumps(found, indent=indent).encode(encoding)) == found
    for content in ({**others, "values": found}, {"values": found, **others}):
        answer = Response(200, {}, json.dumps(content, indent=indent).encode(encoding))
        rest: dict[str, Any] = {}
        assert list(answer.records("values", rest)) == found
        assert rest == others


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html>",
        b'{"values":[1,2',
        b'{"values":[{"a":',
        b"[1 2]",
        b"[1,",
        b'{"values" [1]}',
        b'{"values":[1]',
        b'{"values":[1],"next":',
        b'{"values":[1] "next":null}',
        b'{[]:1,"values":[1]}',
        b",[1]",
    ],
)
def test_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        records(body)


@pytest.mark.parametrize(
    "body", [b"{}", b"1", b'"values"', b'{"values":null}', b'{"values":{}}', b'{"a":{"values":[1]}}']
)
def test_no_list(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"values"):
        records(body)


def test_a_bare_list_is_none_where_an_object_is_published() -> None:
    with pytest.raises(ValueError, match=r"values"):
        list(Response(200, {}, b"[1]").records("values"))


def test_nested_too_deep() -> None:
    deep = b"[" * 100_000
    with pytest.raises(ValueError, match="nested too deep"):
        records(b'{"values":[' + deep)
    with pytest.raises(ValueError, match="nested too deep"):
        records(b'{"values":[' + b"[" * 500 + b"]" * 500 + b"]}")
