# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The fault matrix as data: each fault, how to make it, and what must come of it for each operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    CancelRefused,
    NotSupported,
    PermissionDenied,
    Throttled,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support import fault_servers
from support.fault_servers import RawServer
from support.recorder import Recorder
from support.vendors import ADVERITY, AMPERITY, POLARIS, VENDORS, VendorCase

MATRIX_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "fault-matrix.md"

OPERATIONS = ("get", "list", "cancel", "token", "wait")
#: The longest a request may sleep for a Retry-After in these tests, in seconds.
MAX_SLEEP = 0.02
#: The largest answer that is read in the rows on size.
MAX_BYTES = 12 * 2**20
#: For requests that never get an answer, in seconds.
TIMEOUT = 0.3
#: For those that must have the head of one, or another answer: a busy machine takes its time.
BUSY_TIMEOUT = 1.0
EXTRA: dict[str, Any] = {"requests_per_second": 10_000}


class Lab:
    """One cell under test: a job in the sandbox, the connection to it, and what is wrong with them."""

    def __init__(
        self,
        case: VendorCase,
        operation: str,
        sandbox: Sandbox,
        connections: Any,
        stack: ExitStack,
        certificate: str,
        elsewhere: Recorder,
    ) -> None:
        self.case = case
        self.operation = operation
        self.sandbox = sandbox
        self.certificate = certificate
        self.stack = stack
        self.elsewhere = elsewhere
        self.extra: dict[str, Any] = dict(EXTRA)
        self.host: str | None = None
        self._connections = connections
        self.job_id = sandbox.add_job(case.name, case.job_id, timeline=[(0, case.words[JobState.RUNNING])])
        self.other_id = sandbox.add_job(
            case.name, case.other_id, timeline=[(0, case.words[JobState.RUNNING])]
        )
        sandbox.cancel_delay = 0

    @property
    def request(self) -> tuple[str, str]:
        """Method and path of the request that the fault hits."""
        return self.case.requests["get" if self.operation == "wait" else self.operation]

    def connect(self) -> str:
        """Write the connection as the fault wants it, and return its id."""
        changes = {"host": self.host} if self.host else {}
        auth = "login" if self.operation == "token" else "key"
        extra = dict(self.extra)
        if self.host and auth == "login" and self.case.name == "polaris":
            extra["token_url"] = f"{self.host}/auth/realms/org/protocol/openid-connect/token"
        conn_id: str = self._connections.add(self.case.name, auth, extra=extra, **changes)
        return conn_id

    def heal(self) -> None:
        """End the trouble, as far as it does not end by itself."""
        self.host = None
        self.extra = dict(EXTRA)
        self.sandbox.clear_faults()
        self.connect()

    def spoil(self, **fault: Any) -> None:
        method, path = self.request
        fault.setdefault("times", None)
        self.sandbox.add_fault(Fault(vendor=self.case.name, method=method, path=path, **fault))

    def raw(self, script: Callable[[Any], None]) -> None:
        self.host = self.stack.enter_context(RawServer(script)).url

    def limit_times(self, seconds: float = TIMEOUT) -> None:
        self.extra |= {"connect_timeout": seconds, "read_timeout": seconds}

    def record(self, job_id: str | None = None) -> dict[str, Any]:
        """Return the job as the vendor has it."""
        hook = self.case.hook(self._connections.add(self.case.name, conn_id="untroubled"))
        raw = hook.get_job(job_id or self.job_id).raw
        copy: dict[str, Any] = json.loads(json.dumps(raw))
        return copy

    def token_answer(self) -> dict[str, Any]:
        token = self.sandbox._vendor(self.case.name).issue_token()
        return {
            self.case.token_field: token,
            "expires_in": 300,
            "access_token_expires_in": 300,
            "token_type": "Bearer",
        }

    def page(self, *records: Any) -> dict[str, Any]:
        """Return records in the envelope of the vendor's list."""
        return self.case.page(list(records))

    def answer(self) -> dict[str, Any]:
        """Return what the vendor would rightly answer."""
        if self.operation == "token":
            return self.token_answer()
        if self.operation == "list":
            return self.page(self.record(), self.record(self.other_id))
        return self.record()

    def change_record(self, change: Callable[[VendorCase, dict[str, Any]], Any]) -> None:
        """Answer with a changed record, in a list beside one that is as it should be."""
        changed = change(self.case, self.record())
        if self.operation == "list":
            changed = self.page(changed, self.record(self.other_id))
        self.spoil(body=json.dumps(changed))


@dataclass(frozen=True)
class Outcome:
    """What must come of an operation.

    :param text: the cell of the table.
    :param error: the class of the error, exactly; ``None``: it works.
    :param says: parts of the error's message.
    :param requests: the least number of requests of the spoiled kind.
    :param state: the state of the job that is read.
    :param applies: whether there is anything to test.
    :param left_out: the list is read, without the spoiled record.
    :param deferred: what comes of a deferred wait, where it is another.
    :param retry_after: from and to which ``retry_after`` the error must have.
    """

    text: str
    error: type[Exception] | None = None
    says: tuple[str, ...] = ()
    requests: int = 0
    state: JobState | None = None
    applies: bool = True
    left_out: bool = False
    retry_after: tuple[float, float] | None = None
    deferred: Outcome | None = None


def fails(error: type[Exception], *says: str, **more: Any) -> Outcome:
    shown = f"`{error.__name__}`" + (f": {' … '.join(says)}" if says else "")
    return Outcome(shown, error=error, says=says, **more)


def unavailable(*says: str, **more: Any) -> Outcome:
    return fails(VendorUnavailable, *says, **more)


def unreadable(*says: str, **more: Any) -> Outcome:
    return fails(Unreadable, *says, **more)


WORKS = Outcome("read as it is")
RETRIED = Outcome("sent again, works", requests=2)
NEW_TOKEN = Outcome("new token, works", requests=2)
ACCEPTED = Outcome("taken as accepted")
SEEN_TO_STOP = Outcome("looked at again: `cancelled`", state=JobState.CANCELLED)
LEFT_OUT = Outcome("left out and logged; the others are listed", left_out=True)
NOT_HERE = Outcome("-", applies=False)
NO_CANCEL = fails(NotSupported, "documents no way to cancel")
GOES_ON = Outcome("goes on")
SUCCEEDS = Outcome("ended at the first end it saw", state=JobState.SUCCEEDED)


@dataclass(frozen=True)
class Trouble:
    """A row of the matrix.

    :param name: what is wrong.
    :param make: makes it so.
    :param get: what must come of reading a job; likewise the others.
    :param wait: what must come of a wait; as a rule it goes on where reading a job is passing trouble.
    :param vendors: where a vendor's outcome is another: by operation and vendor.
    """

    name: str
    make: Callable[[Lab], None]
    get: Outcome
    list: Outcome
    cancel: Outcome
    token: Outcome
    wait: Outcome | None = None
    vendors: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)

    def outcome(self, operation: str, vendor: str) -> Outcome:
        if operation == "cancel" and vendor == "narrative":
            return NO_CANCEL
        outcome = self.vendors.get((operation, vendor)) or getattr(self, operation)
        if outcome is not None:
            return outcome
        read = self.outcome("get", vendor)
        if read.error is None or issubclass(read.error, VendorUnavailable):
            return GOES_ON if read.applies else NOT_HERE
        return Outcome(f"ends: {read.text}", error=read.error, says=read.says)


def same(name: str, make: Callable[[Lab], None], outcome: Outcome, **more: Any) -> Trouble:
    """Return a row with one outcome for all requests."""
    return Trouble(name, make, **{**dict.fromkeys(OPERATIONS[:4], outcome), **more})


def status(name: str, code: int, headers: dict[str, str] | None = None, **outcomes: Any) -> Trouble:
    return same(name, lambda lab: lab.spoil(status=code, headers=headers or {}), **outcomes)


def passing(
    code: int,
    name: str,
    headers: dict[str, str],
    retry_after: tuple[float, float] | None,
    is_sent_again: bool = True,
) -> tuple[Trouble, Trouble]:
    """Return the rows of a status that passes: once, and for good."""
    kind = f"{code}{name}"
    failure = fails(
        Throttled if code == 429 else VendorUnavailable,
        f"answered {code}",
        retry_after=retry_after,
        requests=2 if is_sent_again else 1,
    )
    return (
        same(
            f"{kind}, once",
            lambda lab: lab.spoil(status=code, headers=headers, times=1),
            RETRIED if is_sent_again else failure,
        ),
        same(f"{kind}, for good", lambda lab: lab.spoil(status=code, headers=headers), failure),
    )


def body(name: str, content: Callable[[Lab], Any], outcome: Outcome, **more: Any) -> Trouble:
    """Return a row of an answer that cannot be read: a cancel was accepted all the same."""
    others: dict[str, Any] = {"cancel": ACCEPTED}
    if outcome.error is Unreadable:
        # Without a token there is nothing else to ask: it is no single job's trouble.
        others["token"] = unavailable(*outcome.says)
    return same(name, lambda lab: lab.spoil(body=content(lab)), outcome, **{**others, **more})


def record(
    name: str, change: Callable[[VendorCase, dict[str, Any]], Any], get: Outcome, listed: Outcome, **more: Any
) -> Trouble:
    """Return a row of a record that is not as it should be."""
    return Trouble(
        name,
        lambda lab: lab.change_record(change),
        **{"get": get, "list": listed, "cancel": ACCEPTED, "token": NOT_HERE, **more},
    )


# ---------------------------------------------------------------------- connections


def _refused(lab: Lab) -> None:
    lab.host = fault_servers.closed_port_url()


def _no_name(lab: Lab) -> None:
    lab.host = "https://vendor.invalid"


def _tls(lab: Lab) -> None:
    lab.host = lab.stack.enter_context(RawServer(fault_servers.garbage, lab.certificate)).url


def _deaf(lab: Lab) -> None:
    lab.limit_times()
    lab.host = lab.stack.enter_context(fault_servers.DeafServer()).url


def _raw_in_time(script: Callable[[Any], None]) -> Callable[[Lab], None]:
    def make(lab: Lab) -> None:
        lab.limit_times()
        lab.raw(script)

    return make


def _in_time(seconds: float = TIMEOUT, **fault: Any) -> Callable[[Lab], None]:
    def make(lab: Lab) -> None:
        lab.limit_times(seconds)
        lab.spoil(**fault)

    return make


def _redirect(code: int, to_other_host: bool) -> Callable[[Lab], None]:
    def make(lab: Lab) -> None:
        target = lab.elsewhere.url if to_other_host else lab.sandbox.url
        lab.spoil(status=code, headers={"Location": f"{target}/elsewhere"})

    return make


# ---------------------------------------------------------------------- bodies


def _large(lab: Lab) -> Any:
    return json.dumps({**lab.answer(), "padding": "x" * (10 * 10**6)})


def _too_large(lab: Lab) -> Any:
    return b"[" + b" " * MAX_BYTES + b"]"


def _truncated(lab: Lab) -> Any:
    whole = json.dumps(lab.answer())
    return whole[: len(whole) * 2 // 3]


def _deep(lab: Lab) -> Any:
    return b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def _rather_deep(lab: Lab) -> Any:
    return json.dumps(lab.answer())[:-1].encode() + b', "deep": ' + b"[" * 400 + b"]" * 400 + b"}"


def _wrong_list(lab: Lab) -> Any:
    return {"data": 5, "results": 5, "values": 5, "records": 5, "tables": 5, "token": 5, "access_token": 5}


# ---------------------------------------------------------------------- records


def _without_state(case: VendorCase, job: dict[str, Any]) -> Any:
    del job[case.state_field]
    return job


def _bare(case: VendorCase, job: dict[str, Any]) -> Any:
    """Return nothing but id and state."""
    bare = {
        case.id_field: job[case.id_field],
        case.state_field: job[case.state_field],
    }
    if case is AMPERITY:
        bare["tables"] = [{"state": table["state"]} for table in job["tables"]]
    return bare


def _with_more(case: VendorCase, job: dict[str, Any]) -> Any:
    return {**job, "new_in_2027": {"a": [1, {"b": None}]}, "": 1, "state_reason": "because"}


def _state_is_object(case: VendorCase, job: dict[str, Any]) -> Any:
    state = {"word": "running"}
    job[case.state_field] = [{"state": state}] if case is AMPERITY else state
    return job


def _wrong_types(case: VendorCase, job: dict[str, Any]) -> Any:
    """Give everything but id and state another type."""
    kept = {case.id_field, case.state_field}
    if case is AMPERITY:
        job["tables"] = [
            {key: value if key == "state" else _other_type(value) for key, value in table.items()}
            for table in job["tables"]
        ]
    return {key: value if key in kept else _other_type(value) for key, value in job.items()}


def _other_type(value: Any) -> Any:
    return {"is": ["no", {"text": 1}]} if isinstance(value, str | int | float) else 5


def _texts_for_objects(case: VendorCase, job: dict[str, Any]) -> Any:
    return {
        key: "text" if isinstance(value, dict | list) and key != case.state_field else value
        for key, value in job.items()
    }


def _nulls(case: VendorCase, job: dict[str, Any]) -> Any:
    if case is AMPERITY:
        job["tables"] = [dict.fromkeys(table) | {"state": table["state"]} for table in job["tables"]]
    kept = {case.id_field, case.state_field}
    return {key: value if key in kept else None for key, value in job.items()}


def _no_tables(case: VendorCase, job: dict[str, Any]) -> Any:
    return {**job, "tables": None}


def _state(word: str) -> Callable[[VendorCase, dict[str, Any]], Any]:
    def change(case: VendorCase, job: dict[str, Any]) -> Any:
        if case is AMPERITY:
            for table in job["tables"]:
                table["state"] = word
        else:
            job[case.state_field] = word
        return job

    return change


#: What Polaris says of a job's health; its log entry should be an object.
HEALTH = ("status", "code", "message", "log")
TIME_FIELDS = {
    "adverity": ("job_start", "job_end", "scheduled"),
    "polaris": ("createdTimestamp", "startedTimestamp", "completedTimestamp", "lastUpdatedTimestamp"),
    "narrative": ("created_at", "updated_at", "ended_at"),
}


def _times(value: Any) -> Callable[[VendorCase, dict[str, Any]], Any]:
    def change(case: VendorCase, job: dict[str, Any]) -> Any:
        if case is AMPERITY:
            for table in job["tables"]:
                table |= {"started_at": value, "ended_at": value}
            return job
        return {**job, **dict.fromkeys(TIME_FIELDS[case.name], value)}

    return change


def _numbers_for_ids(case: VendorCase, job: dict[str, Any]) -> Any:
    """Give every id but the job's own the other type; an Adverity job's own is a number, and becomes text."""
    if case is AMPERITY:
        job["workflow_id"] = 5
        for table in job["tables"]:
            table |= {"feed_id": 7, "table_name": 8, "job_id": 9}
    elif case is ADVERITY:
        job |= {"id": str(job["id"]), "datastream": {**job["datastream"], "id": "42"}}
    elif case is POLARIS:
        job["target"] = {"type": "table", "tableName": 5}
    else:
        job["input"] = {**job["input"], "dataset_id": "10674"}
    return job


def _another(case: VendorCase, job: dict[str, Any]) -> Any:
    return {**job, case.id_field: case.other_id}


def _other_case(case: VendorCase, job: dict[str, Any]) -> Any:
    return {**job, case.id_field: str(job[case.id_field]).upper()}


def _odd_texts(case: VendorCase, job: dict[str, Any]) -> Any:
    odd = "a\x00b\ud800c\u202e\x1b[31m\r\nAIRFLOW_CTX=1"
    if case is AMPERITY:
        for table in job["tables"]:
            table |= {"table_name": odd, "feed_id": odd}
    elif case is ADVERITY:
        job |= {"datastream": {"id": odd, "name": odd}, "range_start": odd, "issues": [{"message": odd}]}
    elif case is POLARIS:
        job |= {"target": {"tableName": odd}, "type": odd, "health": dict.fromkeys(HEALTH, odd)}
    else:
        job |= {"type": odd, "data_plane_id": odd, "failures": [{"message": odd}]}
    return job


def _huge_numbers(case: VendorCase, job: dict[str, Any]) -> Any:
    if case is AMPERITY:
        for table in job["tables"]:
            table |= {"read": 10**30, "errors": -(10**30)}
    elif case is ADVERITY:
        job |= {"progress": 10**30, "datastream": {"id": 10**30}}
    elif case is POLARIS:
        job |= {"progress": 10**30}
    else:
        job["input"] = {"dataset_id": 10**30}
    return job


# ---------------------------------------------------------------------- states and lists


def _backwards(lab: Lab) -> None:
    lab.case.hook(lab.connect()).get_job(lab.job_id)
    lab.sandbox.set_state(lab.case.name, lab.job_id, lab.case.words[JobState.PENDING])


def _ended_once(lab: Lab) -> None:
    """Let the job have ended in the next answer, and in those after it run again."""
    done = _state(lab.case.words[JobState.SUCCEEDED])(lab.case, lab.record())
    if lab.operation == "list":
        done = lab.page(done, lab.record(lab.other_id))
    lab.spoil(body=json.dumps(done), times=1)


def _twice(lab: Lab) -> None:
    one, other = lab.record(), lab.record(lab.other_id)
    if lab.operation != "list":
        return
    if lab.case.name == "adverity":
        first = {**lab.page(one), "next": f"{lab.sandbox.url}/api/jobs/?page=2"}
        lab.spoil(body=first, times=1)
        lab.spoil(body=lab.page(one, other), times=1)
    elif lab.case.name == "narrative":
        lab.spoil(body={**lab.page(one), "total_records": 501}, times=1)
        lab.spoil(body={**lab.page(one, other), "total_records": 501}, times=1)
    else:
        lab.spoil(body=lab.page(one, one, other), times=1)


def _circle(lab: Lab) -> None:
    more = {"next": f"{lab.sandbox.url}/api/jobs/?page=2", "total_records": 10**9, "next_page": 1}
    lab.spoil(body={**lab.page(lab.record()), **more})


def _elsewhere(lab: Lab) -> None:
    away = f"{lab.elsewhere.url}/api/jobs/?page=2"
    page = lab.page(lab.record(), lab.record(lab.other_id))
    lab.spoil(body={**page, "next": away, "next_page": away, "url": away}, times=1)


def _bad_next(value: Any) -> Callable[[Lab], None]:
    return lambda lab: lab.spoil(body={**lab.answer(), "next": value}, times=1)


def _only_adverity(outcome: Outcome) -> dict[tuple[str, str], Outcome]:
    return {("list", "adverity"): outcome}


def _list_only(name: str, make: Callable[[Lab], None], outcome: Outcome, **more: Any) -> Trouble:
    return Trouble(
        name, make, get=NOT_HERE, list=outcome, cancel=NOT_HERE, token=NOT_HERE, wait=NOT_HERE, **more
    )


def _in_half_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)


REJECTED = fails(AuthenticationFailed, "401", "check", "password")
NO_REDIRECT = ("Redirects are not followed", "check the connection's host")
UNREADABLE = unreadable("sent a job record that cannot be read")
NOT_JSON = unreadable("that is not JSON")
NO_TOKEN = unavailable("sent no", "token")
NO_GRACE = "goes on for `missing_grace`, then `JobNotFound`"

MATRIX: tuple[Trouble, ...] = (
    same("connection refused", _refused, unavailable("Connection refused")),
    same("connection closed before the answer, once", lambda lab: lab.spoil(drop="before", times=1), RETRIED),
    same(
        "connection closed before the answer, for good",
        lambda lab: lab.spoil(drop="before"),
        unavailable("failed: ConnectionError", requests=2),
    ),
    same(
        "connection closed mid-body",
        lambda lab: lab.spoil(drop="mid_body"),
        unavailable("IncompleteRead"),
        cancel=SEEN_TO_STOP,
    ),
    same("DNS failure", _no_name, unavailable("the name of host='vendor.invalid' cannot be resolved")),
    same("TLS certificate not trusted", _tls, unavailable("certificate is not trusted", "ca_bundle")),
    same("connect timeout", _deaf, unavailable("no connection within 0.3 s")),
    same("read timeout", _in_time(delay=30), unavailable("no answer within 0.3 s")),
    same(
        "body that drips",
        _in_time(seconds=BUSY_TIMEOUT, drip=0.1),
        unavailable("had not sent its answer after 1 s"),
        cancel=SEEN_TO_STOP,
    ),
    same("header that drips", _raw_in_time(fault_servers.drip_head), unavailable("no answer within 0.3 s")),
    same(
        "endless 100 Continue",
        _raw_in_time(fault_servers.continue_for_ever),
        unavailable("no answer within 0.3 s"),
    ),
    same(
        "endless body",
        _in_time(seconds=BUSY_TIMEOUT, endless=True),
        unavailable("had not sent its answer after 1 s"),
        cancel=SEEN_TO_STOP,
    ),
    same(
        "no HTTP at all", lambda lab: lab.raw(fault_servers.garbage), unavailable("failed: ConnectionError")
    ),
    same("redirect 301 to another host", _redirect(301, True), fails(VendorError, "301", *NO_REDIRECT)),
    same("redirect 302 to another host", _redirect(302, True), fails(VendorError, "302", *NO_REDIRECT)),
    same("redirect 307 to another host", _redirect(307, True), fails(VendorError, "307", *NO_REDIRECT)),
    same("redirect 302 to the same host", _redirect(302, False), fails(VendorError, "302", *NO_REDIRECT)),
    status("400", 400, outcome=fails(VendorError, "answered 400"), token=REJECTED),
    same(
        "401, once: a key that is being replaced",
        lambda lab: lab.spoil(status=401, times=1),
        REJECTED,
        wait=Outcome(
            "ends in a worker; deferred, the connection is read anew and it goes on",
            error=AuthenticationFailed,
            says=REJECTED.says,
            deferred=GOES_ON,
        ),
    ),
    Trouble(
        "token expired on the vendor's side",
        lambda lab: lab.sandbox.expire_tokens(),
        get=NOT_HERE,
        list=NOT_HERE,
        cancel=NOT_HERE,
        token=NEW_TOKEN,
    ),
    status("401, for good: a wrong key", 401, outcome=REJECTED),
    status("403", 403, outcome=fails(PermissionDenied, "403: not permitted"), token=REJECTED),
    status(
        "404",
        404,
        outcome=fails(VendorError, "answered 404"),
        get=fails(JobNotFound, "does not know job"),
        wait=Outcome(NO_GRACE),
        token=REJECTED,
    ),
    status("409", 409, outcome=fails(VendorError, "answered 409"), token=REJECTED),
    *passing(429, ", Retry-After: 2", {"Retry-After": "2"}, (2, 2)),
    *passing(429, ", Retry-After: a date", {"Retry-After": _in_half_a_minute()}, (0, 30)),
    *passing(429, ", Retry-After: 10^12", {"Retry-After": "1000000000000"}, (86_400, 86_400), False),
    *passing(429, ", Retry-After: -5", {"Retry-After": "-5"}, (0, 0)),
    *passing(429, ", Retry-After: soon", {"Retry-After": "soon"}, None),
    *passing(429, " without Retry-After", {}, None),
    status("500", 500, outcome=unavailable("answered 500")),
    *passing(502, "", {}, None),
    *passing(503, "", {}, None),
    *passing(504, "", {}, None),
    body("HTML", lambda lab: "<!doctype html>\n<title>Sign in</title>", NOT_JSON, list=unreadable()),
    body(
        "empty body",
        lambda lab: b"",
        unreadable("not a JSON object"),
        list=unreadable(),
        token=unavailable("that is not JSON"),
    ),
    body("truncated JSON", _truncated, NOT_JSON),
    body("null", lambda lab: b"null", unreadable("not a JSON object"), list=unreadable(), token=NO_TOKEN),
    body(
        "an array for an object",
        lambda lab: b"[[]]",
        unreadable("not a JSON object"),
        list=unreadable("sent a job list"),
        token=NO_TOKEN,
    ),
    body(
        "a number for an array, and for a token",
        _wrong_list,
        UNREADABLE,
        list=unreadable("sent a job list"),
        token=NO_TOKEN,
    ),
    body("NaN and Infinity", lambda lab: b'{"id": NaN, "data": [Infinity]}', NOT_JSON),
    body("10 MB", _large, WORKS),
    body(
        "more than the limit", _too_large, unavailable("MiB: not read"), cancel=unavailable("MiB: not read")
    ),
    same(
        "a gzip bomb",
        lambda lab: lab.raw(fault_servers.gzip_bomb),
        unavailable("MiB: not read"),
    ),
    same("gzip that is none", lambda lab: lab.raw(fault_servers.not_gzip), unavailable("failed: ")),
    body("JSON 100,000 deep", _deep, NOT_JSON),
    body("JSON 400 deep, behind the list", _rather_deep, NOT_JSON),
    record("a needed field is missing", _without_state, UNREADABLE, LEFT_OUT),
    record("all other fields are missing", _bare, WORKS, WORKS),
    record("further fields", _with_more, WORKS, WORKS),
    record("the state is an object", _state_is_object, UNREADABLE, LEFT_OUT),
    record("other fields have wrong types", _wrong_types, WORKS, WORKS),
    record("text for objects and arrays", _texts_for_objects, WORKS, WORKS),
    record("null for objects", _nulls, WORKS, WORKS),
    record(
        "no record at all in the list, but null",
        lambda case, job: None,
        unreadable("not a JSON object"),
        LEFT_OUT,
    ),
    record(
        "an unknown state",
        _state("Archived\nby\x1b[31m us"),
        Outcome("`unknown`, logged", state=JobState.UNKNOWN),
        Outcome("`unknown`, logged", state=JobState.UNKNOWN),
    ),
    record("timestamps without a zone", _times("2026-06-01T04:02:54.433"), WORKS, WORKS),
    record("malformed timestamps", _times("yesterday"), WORKS, WORKS),
    record("timestamps out of range", _times("0001-01-01T00:00:00+23:59"), WORKS, WORKS),
    record("timestamps that are numbers", _times(1_700_000_000), WORKS, WORKS),
    record("ids that are numbers here and text there", _numbers_for_ids, WORKS, WORKS),
    record("another job's record", _another, unreadable("when asked for"), NOT_HERE),
    record("the job's id in capital letters", _other_case, WORKS, NOT_HERE),
    record("control characters and lone surrogates", _odd_texts, WORKS, WORKS),
    record("numbers beyond 64 bits", _huge_numbers, WORKS, WORKS),
    Trouble(
        "a state that goes backwards",
        _backwards,
        get=Outcome("as the vendor says", state=JobState.PENDING),
        list=Outcome("as the vendor says"),
        cancel=ACCEPTED,
        token=NOT_HERE,
    ),
    Trouble(
        "a terminal state that changes",
        _ended_once,
        get=Outcome("as the vendor says", state=JobState.SUCCEEDED),
        list=Outcome("as the vendor says", state=JobState.SUCCEEDED),
        cancel=NOT_HERE,
        token=NOT_HERE,
        wait=SUCCEEDS,
    ),
    _list_only("the same job on two pages", _twice, Outcome("listed once")),
    _list_only(
        "pages that go in circles",
        _circle,
        NOT_HERE,
        vendors={
            ("list", "adverity"): unreadable("go in circles"),
            ("list", "narrative"): unreadable("same page again"),
        },
    ),
    _list_only("`next` leads to another host", _elsewhere, Outcome("nothing is sent there")),
    _list_only(
        "`next` is no address",
        _bad_next("http://[half"),
        WORKS,
        vendors=_only_adverity(unreadable("`next`")),
    ),
    _list_only(
        "`next` is a number",
        _bad_next(5),
        WORKS,
        vendors=_only_adverity(unreadable("`next`")),
    ),
)

# A cancel's own refusals.
_REFUSED_CANCELS = {"400", "404", "409"} | {row.name for row in MATRIX if row.name.startswith("redirect")}


def expected(row: Trouble, operation: str, vendor: str) -> Outcome:
    """Return the outcome of one cell."""
    outcome = row.outcome(operation, vendor)
    if operation == "cancel" and row.name in _REFUSED_CANCELS and outcome.error is VendorError:
        return fails(CancelRefused, "was not cancelled", *outcome.says)
    return outcome


def as_markdown() -> str:
    """Return the matrix as the table of docs/explanation/fault-matrix.md."""
    lines = [
        "# The fault matrix",
        "",
        "What comes of each fault for each operation, with all four vendors unless one is named. Each cell",
        "is a test over real sockets in `tests/faults/test_fault_matrix.py`. This page is written by",
        "`python -m pytest tests/faults --write-matrix`.",
        "",
        "- **get**, **list**, **cancel**: `get_job`, `list_jobs` and `cancel_job` of the hook; the fault",
        "  strikes that request (a broken connection: the first). **token**: the exchange of login and",
        "  password.",
        "- **wait**: a sensor's look in its worker, and the trigger's shared poll. *Goes on* means that the",
        "  task succeeds as soon as the vendor is well again.",
        "- `VendorUnavailable` is what the hook raises to its caller; a wait logs it, backs off and goes on.",
        "- Narrative documents no way to cancel a job: each **cancel** of it is `NotSupported`, without",
        "  a request.",
        "- *Sent again*: twice at most, with backoff, or when `Retry-After` says; not where that is in more",
        "  than 30 seconds.",
        "",
        "| Fault | get | list | cancel | token | wait |",
        "|---|---|---|---|---|---|",
    ]
    for row in MATRIX:
        cells = " | ".join(cell_text(row, operation) for operation in OPERATIONS)
        lines.append(f"| {row.name} | {cells} |")
    return "\n".join(lines) + "\n"


def cell_text(row: Trouble, operation: str) -> str:
    """Return what a cell says: one text for all vendors, and what is otherwise with some of them."""
    vendors = [case for case in VENDORS if (operation, case.name) != ("cancel", "narrative")]
    texts = {case.vendor: expected(row, operation, case.name).text for case in vendors}
    counted = sorted(dict.fromkeys(texts.values()), key=lambda text: -list(texts.values()).count(text))
    said = [counted[0]]
    for other in counted[1:]:
        names = ", ".join(vendor for vendor, text in texts.items() if text == other)
        said.append(f"{names}: {other}")
    return "; ".join(said).replace("|", "\\|")
