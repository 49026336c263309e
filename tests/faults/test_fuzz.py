# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every parser under arbitrary input: what comes out is a job or an error of ours, never anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ingestjobs.arguments import check_job_id, check_path_part
from airflow_provider_ingestjobs.errors import IngestJobsError, InvalidInput, VendorUnavailable
from airflow_provider_ingestjobs.hooks.adverity import _query_of
from airflow_provider_ingestjobs.hooks.connection import check_url, read_connection
from airflow_provider_ingestjobs.hooks.http import read_retry_after
from airflow_provider_ingestjobs.hooks.records import once
from airflow_provider_ingestjobs.hooks.response import Response
from airflow_provider_ingestjobs.job import (
    Job,
    JobState,
    as_plain,
    fold_states,
    normalise_word,
    parse_timestamp,
)
from airflow_provider_ingestjobs.triggers.base import jobs_from_event
from support.vendors import VENDORS, VendorCase

#: Whatever is found is found by everybody: the same inputs in each run.
fuzzed = settings(max_examples=50, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

#: Python's parser reads lone surrogates and numbers of any size; NaN and Infinity are refused before.
TEXTS = st.text(st.characters(), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=True),
    TEXTS,
    st.sampled_from(
        ["2026-01-01T00:00:00", "2026-06-01T04:02:54.433Z", "0001-01-01T00:00:00+23:59", "\ud800", "\0"]
    ),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
FIELDS = {
    "amperity": ["id", "tables", "workflow_id"],
    "adverity": [
        "id",
        "state_label",
        "datastream",
        "issues",
        "progress",
        "job_start",
        "job_end",
        "scheduled",
        "range_start",
    ],
    "polaris": [
        "id",
        "executionStatus",
        "desiredExecutionStatus",
        "target",
        "health",
        "type",
        "createdTimestamp",
        "lastUpdatedTimestamp",
    ],
    "narrative": [
        "job_id",
        "state",
        "input",
        "result",
        "failures",
        "type",
        "created_at",
        "updated_at",
        "ended_at",
        "data_plane_id",
    ],
}
INNER = [
    "id",
    "name",
    "message",
    "tableName",
    "status",
    "dataset_id",
    "state",
    "feed_id",
    "table_name",
    "started_at",
    "ended_at",
    "read",
    "errors",
]


@st.composite
def nearly(draw: Any, vendor: str, words: list[str]) -> dict[str, Any]:
    """Return something like a vendor's record: its fields, with anything or nearly the right thing."""
    state = st.one_of(st.sampled_from([*words, "", "Archived", "  RUNNING "]), JSON)
    inner = st.dictionaries(st.sampled_from(INNER), st.one_of(SCALARS, state), max_size=6)
    value = st.one_of(JSON, inner, st.lists(inner, max_size=3))
    record: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELDS[vendor]), value, max_size=8))
    if draw(st.integers(0, 3)):
        record[FIELDS[vendor][0]] = draw(st.one_of(st.sampled_from(["isj-1", 4711, "4711"]), SCALARS))
        if vendor == "amperity":
            tables = st.lists(
                st.builds(lambda table, word: {**table, "state": word}, inner, state), max_size=3
            )
            record["tables"] = draw(st.one_of(tables, value))
        else:
            record[FIELDS[vendor][1]] = draw(state)
    return record


def hook_of(case: VendorCase) -> Any:
    """Return a hook with settings and without a connection: none of this sends anything."""
    hook = case.hook("c")
    fields = {"host": "h.example.com", "password": "hunter2"}
    connection = SimpleNamespace(conn_type=case.conn_type, login=None, schema=None, port=None, **fields)
    hook.connect(case.hook.read_settings("c", connection, {"tenant": "t"}))
    return hook


HOOKS = {case.name: hook_of(case) for case in VENDORS}


def check(job: Job, states: Mapping[str, JobState]) -> None:
    data = job.to_dict()
    text = json.dumps(data, allow_nan=False)
    assert Job.from_dict(json.loads(text)).to_dict() == data
    assert "\\u0000" not in text
    json.dumps(data, ensure_ascii=False).encode()
    json.dumps(job.to_dict(include_raw=True), allow_nan=False)
    assert isinstance(job.id, str)
    assert job.id.isprintable()
    assert isinstance(job.vendor_state, str)
    assert job.describe().isprintable()
    assert str(job).isprintable()
    for text_or_none in (job.name, job.target, job.failure, job.url):
        assert text_or_none is None or isinstance(text_or_none, str)
    for moment in (job.created_at, job.started_at, job.ended_at, job.updated_at):
        assert moment is None or moment.utcoffset() == timedelta(0)
    assert all(count is None or type(count) is int for count in data["rows"].values())
    assert job.progress is None or 0 <= job.progress <= 1
    hash((job.state, job.details.get("workflow_id"), job.details.get("dataset_id")))
    if job.state.is_terminal:
        known = {normalise_word(word) for word, state in states.items() if state.is_terminal}
        assert {normalise_word(word) for word in job.vendor_state.split(", ")} <= known


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_records(case: VendorCase) -> None:
    hook = HOOKS[case.name]

    @fuzzed
    @given(st.one_of(JSON, nearly(case.name, list(case.words.values()))))
    @example({FIELDS[case.name][0]: 1, FIELDS[case.name][1]: 10**400})
    def run(record: Any) -> None:
        try:
            job = hook.records.job(record, keep_raw=True)
        except VendorUnavailable as error:
            assert str(error).isprintable()  # noqa: PT017
            return
        check(job, case.hook.states)

    run()


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_lists(case: VendorCase) -> None:
    hook = HOOKS[case.name]
    id_field = FIELDS[case.name][0]

    @fuzzed
    @given(st.one_of(JSON, st.lists(nearly(case.name, list(case.words.values())), max_size=4)))
    def run(records: Any) -> None:
        for read in (
            lambda: list(once(hook.records.jobs(records, keep_raw=True))),
            lambda: list(hook.records.wanted(records, id_field, {"isj-1", "4711", "None"}, {}).values()),
        ):
            try:
                jobs = read()
            except VendorUnavailable:
                assert not isinstance(records, list)
                continue
            for job in jobs:
                check(job, case.hook.states)

    run()


@fuzzed
@given(
    st.one_of(JSON, st.builds(lambda body: {"data": body, "values": body}, JSON)),
    st.sampled_from(["data", "values"]),
)
def test_envelopes_read_piece_by_piece(body: Any, key: str) -> None:
    """A list that is decoded record by record is the one that is decoded at once."""
    text = json.dumps(body).replace("Infinity", "1e999")
    found = body.get(key) if isinstance(body, dict) else body
    answer = Response(200, {}, text.encode())
    try:
        records = list(answer.records(key, or_bare=True))
    except ValueError:
        assert not isinstance(found, list)
        return
    assert records == found


@fuzzed
@given(st.binary(max_size=60))
@example(b"\xff\xfe[\x00]\x00")
@example(b"\xef\xbb\xbf[]")
@example(b'{"data"')
@example(b"[" * 100_000)
@example(b'{"data": [1,]}')
@example(b"[1 2]")
@example(b'"\xff"')
@example(b"9" * 5000)
@example(b"[" + b"9" * 5000 + b"]")
def test_bodies(body: bytes) -> None:
    for read in (lambda answer: answer.json(), lambda answer: list(answer.records("data", or_bare=True))):
        try:
            read(Response(200, {}, body))
        except ValueError:
            continue


@fuzzed
@given(JSON)
def test_plain_data(data: Any) -> None:
    plain = as_plain(data)
    text = json.dumps(plain, allow_nan=False)
    json.dumps(plain, ensure_ascii=False).encode()
    assert "\\u0000" not in text
    assert as_plain(plain) == plain


@fuzzed
@given(st.one_of(JSON, st.dictionaries(st.sampled_from([*Job.__slots__, "duration"]), JSON)))
def test_jobs_from_dicts(data: Any) -> None:
    try:
        job = Job.from_dict(data)
    except (KeyError, ValueError, TypeError):
        return
    assert isinstance(job.state, JobState)


EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.one_of(st.sampled_from(["ended", "timeout", "error"]), JSON),
        "error": st.one_of(st.sampled_from(["JobNotFound", "VendorError", "SystemExit"]), JSON),
        "message": JSON,
        "jobs": st.one_of(
            JSON,
            st.lists(st.dictionaries(st.sampled_from([*Job.__slots__]), JSON, max_size=4), max_size=2),
            st.just([{"vendor": "v", "id": "1", "state": "running", "vendor_state": "running"}]),
        ),
    },
)


@fuzzed
@given(st.one_of(JSON, EVENTS))
@example({"status": "error", "error": [], "message": None})
@example({"status": "ended", "jobs": [{"state": "succeeded"}]})
@example({"status": "ended", "jobs": []})
@example({"status": "ended", "jobs": {"a": 1}})
def test_events(event: Any) -> None:
    """An event that does not say how the jobs ended is an error of ours."""
    try:
        jobs = jobs_from_event(event)
    except IngestJobsError:
        return
    assert jobs
    assert all(job.state.is_terminal for job in jobs)


@fuzzed
@given(
    st.one_of(
        JSON,
        st.datetimes().map(str),
        st.from_regex(
            r"\d{1,5}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(.\d{1,12})?(Z|[+-]\d\d:?\d\d)?", fullmatch=True
        ),
    )
)
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("2026-06-01T04:02:54.433123456Z")
@example("\uff12\uff10\uff12\uff16-01-01")
def test_timestamps(value: Any) -> None:
    moment = parse_timestamp(value)
    assert moment is None or moment.utcoffset() == timedelta(0)
    if moment is not None:
        assert moment.isoformat()
        assert abs((moment - datetime.now(UTC)).total_seconds()) < math.inf


@fuzzed
@given(
    st.one_of(
        st.none(),
        TEXTS,
        st.floats().map(str),
        st.integers().map(str),
        st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        st.from_regex(
            r"\w{3}, \d{1,3} \w{3} \d{1,6} \d{1,3}:\d{1,3}:\d{1,3} ([+-]\d{4,6}|\w{1,4})", fullmatch=True
        ),
    )
)
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("1e400")
@example("nan")
@example("-inf")
@example("9" * 5000)
@example("Mon, 01 Jan 99999 00:00:00 GMT")
@example("Mon, 01 Jan 2026 00:00:00 +99999999")
def test_retry_after(value: str | None) -> None:
    seconds = read_retry_after(value)
    assert seconds is None or 0 <= seconds <= 86_400


HOSTS = st.one_of(
    TEXTS,
    st.text(st.sampled_from("ahl.:/@\\[]#?%0127-_ \t\n"), max_size=20),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["https://", "http://", "HTTP://", "//", "ftp://", ""]),
        st.text(st.sampled_from("localhst127.0:[]@evil"), max_size=15),
        st.sampled_from(["", "/", "/x", "?q", "#f", ":80", ":x", "@evil"]),
    ),
)


@fuzzed
@given(HOSTS)
@example("http://[::1]@evil")
@example("http://[v1.a]")
@example("https://[::1%25eth0]")
@example("https://\u2100")
def test_addresses(url: str) -> None:
    """What is accepted is https, or this machine: by the parser that sends it, too."""
    from requests import Request, Session

    try:
        checked = check_url("url", url)
    except InvalidInput as error:
        assert error.field == "url"  # noqa: PT017
        return
    sent = Session().prepare_request(Request("GET", checked)).url or ""
    assert sent.rstrip("/").startswith(checked.rstrip("/")), (sent, checked)
    if not checked.startswith("https://"):
        host = checked.removeprefix("http://").partition("/")[0]
        assert host.startswith(("localhost", "127.", "[")), host


@fuzzed
@given(
    st.sampled_from(VENDORS),
    st.builds(
        SimpleNamespace,
        conn_type=st.sampled_from([None, "amperity", "adverity", "http"]),
        host=st.one_of(st.none(), HOSTS),
        login=st.one_of(st.none(), TEXTS),
        password=st.one_of(st.none(), TEXTS),
        schema=st.one_of(st.none(), TEXTS, st.sampled_from(["http", "https"])),
        port=st.one_of(st.none(), st.integers(-1, 70_000)),
    ),
    st.one_of(
        st.dictionaries(
            st.sampled_from(
                [
                    "tenant",
                    "state_map",
                    "connect_timeout",
                    "requests_per_second",
                    "auth_scheme",
                    "token_url",
                    "ca_bundle",
                ]
            ),
            JSON,
            max_size=4,
        ),
        st.dictionaries(TEXTS, JSON, max_size=2),
    ),
)
def test_connections(case: VendorCase, connection: Any, extra: dict[str, Any]) -> None:
    try:
        checked = read_connection(case.hook.vendor, "c", connection, extra)
        case.hook._check_settings(checked)
    except InvalidInput as error:
        assert "connection 'c'" in str(error)  # noqa: PT017
        return
    assert checked.base_url.startswith(("https://", "http://"))
    assert checked.timeout[0] > 0


@fuzzed
@given(st.one_of(JSON, TEXTS))
@example("..")
@example(True)
@example(10**400)
def test_job_ids(value: Any) -> None:
    try:
        job_id = check_job_id(value)
    except InvalidInput:
        return
    assert 0 < len(job_id) <= 256
    assert not set(job_id) & set("/\\?#%& \r\n\t")
    assert "/" not in check_path_part("job_id", job_id)


@fuzzed
@given(JSON)
def test_next_links(value: Any) -> None:
    try:
        query = _query_of(value)
    except VendorUnavailable:
        return
    assert query
    assert all(isinstance(part, str) for pair in query for part in pair)


@fuzzed
@given(st.lists(st.sampled_from(JobState)))
def test_folds(states: list[JobState]) -> None:
    folded = fold_states(states)
    assert folded.is_terminal == (bool(states) and all(state.is_terminal for state in states))


@pytest.mark.parametrize("case", [case for case in VENDORS if case.name in ("amperity", "polaris")], ids=str)
def test_details(case: VendorCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The further request for an ended job: a workflow, or metrics."""
    hook = HOOKS[case.name]
    ended = Job("v", "isj-1", JobState.FAILED, "failed", details={"workflow_id": "wf-1"})
    answers: list[Any] = []
    monkeypatch.setattr(hook.client, "request", lambda *args, **kwargs: answers[0])
    totals = st.dictionaries(
        st.sampled_from(["numRowsProcessed", "numRowsPersisted", "numRowsSkippedByError"]), SCALARS
    )
    shapes = st.one_of(
        JSON,
        st.fixed_dictionaries(
            {
                "totals": st.one_of(JSON, totals),
                "error": st.one_of(JSON, st.fixed_dictionaries({"message": JSON})),
            }
        ),
    )

    @fuzzed
    @given(shapes)
    def run(answer: Any) -> None:
        answers[:] = [answer]
        check(hook.add_details(ended), {"failed": JobState.FAILED})

    run()
