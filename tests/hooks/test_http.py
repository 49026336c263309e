# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What comes over the wire, and what is made of it when it is not what was hoped for."""

from __future__ import annotations

import base64
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs import __version__
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    PermissionDenied,
    Throttled,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.hooks import http
from airflow_provider_ingestjobs.hooks.http import read_retry_after
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, Sandbox
from support.recorder import Recorder
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.connections import Connections
    from support.logs import Logs

CANARY = "canary-6f1c9e7a"


@pytest.fixture
def running(sandbox: Sandbox, connections: Connections) -> Any:
    """A Narrative hook with one job that runs: the plainest of the four."""
    connections.add("narrative", extra={"connect_timeout": 2, "read_timeout": 2})
    sandbox.add_job("narrative", NARRATIVE.job_id)
    return NARRATIVE.hook()


def within(seconds: float, call: Any) -> Any:
    """Return a call's result or error, failing if it takes longer."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, f"still at it after {seconds} s"
    return results[0]


class TestWhatIsSent:
    def test_headers(self, recorder: Recorder, connections: Connections) -> None:
        connections.add("narrative", host=recorder.url)
        recorder.answers["/jobs/1"] = {"job_id": "1", "state": "running"}
        NARRATIVE.hook().get_job("1")
        (kept,) = recorder.requests
        product, airflow = kept.headers["user-agent"].split(" ")
        assert product == f"airflow-provider-ingestjobs/{__version__}"
        assert airflow.startswith(("apache-airflow/2.", "apache-airflow/3."))
        assert kept.headers["accept"] == "application/json"
        assert kept.headers["authorization"] == f"Bearer {CREDENTIALS['narrative'].key}"

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_ids_are_percent_encoded(
        self, case: VendorCase, recorder: Recorder, connections: Connections
    ) -> None:
        connections.add(case.name, host=recorder.url)
        with pytest.raises(VendorUnavailable):  # the recorder answers {}
            case.hook().get_job("a:b…ü")
        assert recorder.requests[0].path.rstrip("/").endswith("/jobs/a%3Ab%E2%80%A6%C3%BC")

    def test_the_session_holds_no_credentials(self, running: Any) -> None:
        running.get_job(NARRATIVE.job_id)
        session = running.get_conn()
        assert isinstance(session, requests.Session)
        assert session is running.get_conn()
        assert "authorization" not in {name.lower() for name in session.headers}
        assert CREDENTIALS["narrative"].key not in repr(vars(session))

    def test_netrc_does_not_replace_the_credentials(
        self, recorder: Recorder, connections: Connections, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login somebody password {CANARY}\n")
        monkeypatch.setenv("NETRC", str(netrc))
        connections.add("narrative", host=recorder.url)
        recorder.answers["/jobs/1"] = {"job_id": "1", "state": "running"}
        NARRATIVE.hook().get_job("1")
        assert recorder.requests[0].headers["authorization"] == f"Bearer {CREDENTIALS['narrative'].key}"

    def test_no_proxy_between_this_machine_and_itself(
        self, running: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING

    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize(
        ("case", "tenants", "slept_for"),
        [
            # Two teams' connections to one account have one rate, the lower one.
            (AMPERITY, ["acme", "acme"], [1 / 5, 2 / 5, 3 / 5]),
            (AMPERITY, ["acme", "other"], [1 / 10, 1 / 5]),
            (POLARIS, [None, None], [1 / 5, 2 / 5, 3 / 5]),
            # At one host, only the key tells whose the requests are.
            (NARRATIVE, [None, None], [1 / 10, 1 / 5]),
        ],
        ids=str,
    )
    def test_the_rate_is_the_account_s(
        self,
        case: VendorCase,
        tenants: list[str | None],
        slept_for: list[float],
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        http.rate_limiter_of.cache_clear()
        slept: list[float] = []
        monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=slept.append))
        hooks = []
        for conn_id, tenant, rate in zip(("first", "second"), tenants, (10, 5), strict=True):
            extra = {"requests_per_second": rate, **({"tenant": tenant} if tenant else {})}
            hooks.append(case.hook(connections.add(case.name, conn_id=conn_id, extra=extra)))
        for hook in hooks:
            # Its rate is known from here on.
            _ = hook.client.session
        for hook in hooks * 2:
            with pytest.raises(VendorError):
                hook.client.request("GET", "/nowhere")
        assert sorted(slept) == pytest.approx(slept_for)

    @pytest.mark.usefixtures("one_try")
    def test_requests_per_second_hold_for_all_hooks_of_a_connection(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        http.rate_limiter_of.cache_clear()
        slept: list[float] = []
        # A clock that stands still: each request sleeps for as long as its turn is away from the first one's.
        monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=slept.append))
        connections.add("narrative", extra={"requests_per_second": 20})
        sandbox.add_job("narrative", NARRATIVE.job_id)
        hooks = [NARRATIVE.hook() for _ in range(4)]
        threads = [
            threading.Thread(target=lambda hook=hook: [hook.get_job(NARRATIVE.job_id) for _ in range(2)])
            for hook in hooks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(sandbox.requests("narrative")) == 8
        assert sorted(slept) == pytest.approx([turn / 20 for turn in range(1, 8)])


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_not_followed(self, running: Any, sandbox: Sandbox, recorder: Recorder, status: int) -> None:
        sandbox.add_fault(Fault(status=status, headers={"Location": f"{recorder.url}/jobs/1"}))
        with pytest.raises(VendorError, match="Redirects are not followed: check the connection's host"):
            running.get_job(NARRATIVE.job_id)
        assert recorder.requests == []
        assert len(sandbox.requests()) == 1

    def test_not_followed_with_a_password(
        self, sandbox: Sandbox, connections: Connections, recorder: Recorder
    ) -> None:
        connections.add("amperity", auth="login")
        sandbox.add_fault(Fault(path="token", status=307, headers={"Location": f"{recorder.url}/token"}))
        with pytest.raises(VendorError, match="Redirects are not followed"):
            AMPERITY.hook().get_job("isj-1")
        assert recorder.requests == []

    def test_a_next_link_to_another_host_is_not_followed(
        self, sandbox: Sandbox, connections: Connections, recorder: Recorder
    ) -> None:
        connections.add("adverity")
        page = {"count": 1, "next": f"{recorder.url}/api/jobs/?page=2", "previous": None, "results": []}
        sandbox.add_fault(Fault(vendor="adverity", body=page))
        sandbox.add_fault(Fault(vendor="adverity", body={**page, "next": None}))
        assert list(ADVERITY.hook().list_jobs()) == []
        assert recorder.requests == []
        assert [request.query for request in sandbox.requests()] == ["page_size=1000", "page=2"]


class TestStatuses:
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, VendorError),
            (401, AuthenticationFailed),
            (403, PermissionDenied),
            (405, VendorError),
            (408, VendorUnavailable),
            (409, VendorError),
            (422, VendorError),
            (425, VendorUnavailable),
            (429, Throttled),
            (500, VendorUnavailable),
            (502, VendorUnavailable),
            (503, VendorUnavailable),
            (504, VendorUnavailable),
        ],
    )
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_errors(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        status: int,
        error: type[VendorError],
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(status=status))
        with pytest.raises(VendorError) as caught:
            hook.get_job(case.job_id)
        assert type(caught.value) is error
        assert caught.value.status == status
        said = str(caught.value)
        assert f"{case.vendor} answered {status} to GET " in said
        assert f"Sandbox fault {status}" in said
        assert f"connection '{case.conn_type}_default'" in said
        # The trouble is over: so is the error.
        assert hook.get_job(case.job_id).state is JobState.RUNNING

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_a_job_nobody_knows(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        with pytest.raises(JobNotFound, match=f"{case.vendor} does not know job '999'"):
            case.hook(connections.add(case.name)).get_job("999")

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    @pytest.mark.parametrize("auth", ["key", "login"])
    def test_wrong_credentials(
        self,
        case: VendorCase,
        auth: str,
        sandbox: Sandbox,
        connections: Connections,
        logs: Logs,
    ) -> None:
        hook = case.hook(connections.add(case.name, auth=auth, password=CANARY))
        with pytest.raises(AuthenticationFailed) as caught:
            hook.get_job(case.job_id)
        assert str(caught.value).startswith("401: ")
        assert f"check {'login and ' if auth == 'login' else ''}password. " in str(caught.value)
        assert caught.value.status == 401
        worked, message = hook.test_connection()
        assert not worked
        assert message.startswith(str(caught.value).partition(" to GET ")[0])
        assert CANARY not in f"{caught.value!r} {message} {logs.text}"
        # Asking again with the same password would only lock somebody out.
        assert len(sandbox.requests()) == 2

    def test_request_id(self, running: Any, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(status=400, body={"message": "no", "request_id": "req-1"}))
        sandbox.add_fault(Fault(status=400, headers={"X-Request-Id": "req-2"}))
        for request_id in ("req-1", "req-2"):
            with pytest.raises(VendorError, match=f"request id {request_id}") as caught:
                running.get_job(NARRATIVE.job_id)
            assert caught.value.request_id == request_id

    def test_the_vendors_words_on_one_line(self, running: Any, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(status=400, body={"error": "a\nb\x1b[31m", "error_description": "c" * 5000}))
        with pytest.raises(VendorError) as caught:
            running.get_job(NARRATIVE.job_id)
        said = str(caught.value)
        assert "a b [31m: ccc" in said
        assert said.isprintable()
        assert len(said) < 600


class TestBadAnswers:
    @pytest.mark.parametrize(
        "body",
        ["{", "<html><h1>Sorry</h1></html>", b"\xff\xfe\x00", "[" * 100_000, "null", "[]", '"x"', "{}", ""],
        ids=["cut", "html", "bytes", "deep", "null", "list", "text", "empty", "nothing"],
    )
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_what_is_no_job_is_passing_trouble(
        self, case: VendorCase, body: str | bytes, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(body=body, headers={"Content-Type": "text/html"}))
        with pytest.raises(VendorUnavailable, match=case.vendor) as caught:
            hook.get_job(case.job_id)
        assert len(str(caught.value)) < 600
        assert hook.get_job(case.job_id).state is JobState.RUNNING

    @pytest.mark.parametrize(
        "body", ["{", "[]", "{}", '{"data": 5, "results": 5, "values": 5, "records": 5}']
    )
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_what_is_no_list_is_passing_trouble(
        self, case: VendorCase, body: str, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.add_fault(Fault(body=body, times=None))
        with pytest.raises(VendorUnavailable):
            list(hook.list_jobs())
        with pytest.raises(VendorUnavailable):
            hook.get_jobs([str(number) for number in range(5)])

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_one_bad_record_in_a_list_is_left_out(
        self,
        case: VendorCase,
        sandbox: Sandbox,
        connections: Connections,
        logs: Logs,
    ) -> None:
        hook = case.hook(connections.add(case.name))
        good = {"id": "1", "job_id": "1", "tables": [], "state_label": "Running", "state": "running"}
        records = [None, 5, {}, {**good, "executionStatus": "running"}, {"id": "2", "job_id": "2"}]
        sandbox.add_fault(Fault(body=dict.fromkeys(("data", "results", "values", "records"), records)))
        sandbox.add_fault(Fault(body={"data": [], "results": [], "values": [], "records": []}, times=None))
        assert [job.id for job in hook.list_jobs()] == ["1"]
        assert logs.text.count("Left out of the list") == 4

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_another_job_than_the_one_asked_for(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        record = {"id": "2", "job_id": "2", "tables": [], "state_label": "Success", "state": "completed"}
        sandbox.add_fault(Fault(body={**record, "executionStatus": "completed"}))
        with pytest.raises(VendorUnavailable, match="sent job '2' when asked for '1'"):
            hook.get_job("1")

    def test_dropped_connections_are_tried_again(self, running: Any, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(drop="before"))
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING
        assert [request.status for request in sandbox.requests()] == [None, 200]

    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("drop", ["before", "mid_body"])
    def test_dropped_for_good(self, running: Any, sandbox: Sandbox, drop: Any) -> None:
        sandbox.add_fault(Fault(drop=drop))
        with pytest.raises(VendorUnavailable, match=r"GET http://127.0.0.1.*failed: "):
            running.get_job(NARRATIVE.job_id)
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING

    def test_nobody_there(self, connections: Connections, recorder: Recorder) -> None:
        recorder.__exit__()
        connections.add("narrative", host=recorder.url)
        with pytest.raises(VendorUnavailable, match="refused"):
            NARRATIVE.hook().get_job("1")

    @pytest.mark.usefixtures("one_try")
    def test_unknown_host(self, connections: Connections) -> None:
        connections.add("narrative", host="https://no-such-host.invalid")
        worked, message = NARRATIVE.hook().test_connection()
        assert not worked
        assert "host='no-such-host.invalid' cannot be resolved: check the connection's host" in message


class TestSlowAnswers:
    @pytest.fixture
    def impatient(self, sandbox: Sandbox, connections: Connections, one_try: None) -> Any:
        connections.add("narrative", extra={"read_timeout": 0.3})
        sandbox.add_job("narrative", NARRATIVE.job_id)
        return NARRATIVE.hook()

    def test_silence(self, impatient: Any, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(delay=5))
        error = within(2, lambda: impatient.get_job(NARRATIVE.job_id))
        assert isinstance(error, VendorUnavailable)
        assert "no answer within 0.3 s" in str(error)

    def test_a_byte_now_and_then(self, impatient: Any, sandbox: Sandbox) -> None:
        sandbox.add_fault(Fault(drip=0.1))
        error = within(2, lambda: impatient.get_job(NARRATIVE.job_id))
        assert isinstance(error, VendorUnavailable)
        assert "had not sent its answer after 0.3 s" in str(error)

    @pytest.mark.parametrize(
        ("status", "fault"),
        [
            (None, {"endless": True}),
            (404, {"endless": True, "drip": 0.05}),
            (503, {"endless": True}),
            (503, {"endless": True, "drip": 0.05}),
        ],
        ids=str,
    )
    def test_an_answer_without_end(
        self, sandbox: Sandbox, connections: Connections, fault: dict[str, Any], status: int | None
    ) -> None:
        # With retries: what is left of an answer that is tried again must not be read to its end, either.
        connections.add("narrative", extra={"read_timeout": 0.3})
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=status, times=3, **fault))
        error = within(5, lambda: NARRATIVE.hook().get_job(NARRATIVE.job_id))
        assert isinstance(error, VendorUnavailable)

    def test_too_much(self, running: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.MAX_BYTES", 2**20)
        sandbox.add_fault(Fault(body=b" " * (2**20 + 1)))
        with pytest.raises(VendorUnavailable, match="sent more than 1 MiB: not read"):
            running.get_job(NARRATIVE.job_id)
        sandbox.add_fault(Fault(endless=True))
        with pytest.raises(VendorUnavailable, match="sent more than 1 MiB: not read"):
            running.get_job(NARRATIVE.job_id)
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING

    def test_the_cap(self) -> None:
        assert http.MAX_BYTES == 64 * 1024 * 1024


class TestRetries:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_passing_trouble_is_tried_again(self, running: Any, sandbox: Sandbox, status: int) -> None:
        sandbox.add_fault(Fault(status=status))
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING
        assert [request.status for request in sandbox.requests()] == [status, 200]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
    def test_everything_else_is_not(self, running: Any, sandbox: Sandbox, status: int) -> None:
        sandbox.add_fault(Fault(status=status))
        with pytest.raises((VendorError, JobNotFound)):
            running.get_job(NARRATIVE.job_id)
        assert len(sandbox.requests()) == 1

    @pytest.mark.parametrize("case", [AMPERITY, ADVERITY, POLARIS], ids=str)
    def test_a_cancel_is_tried_again_after_a_look(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.cancel_delay = 0
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="POST", status=503))
        assert hook.cancel_job(case.job_id).state is JobState.CANCELLED
        methods = " ".join(request.method for request in sandbox.requests())
        assert methods.count("POST") == 2
        assert "POST GET" in methods
        assert "POST POST" not in methods

    @pytest.mark.parametrize("case", [AMPERITY, ADVERITY, POLARIS], ids=str)
    def test_a_cancel_whose_answer_is_lost_is_sent_once(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        sandbox.cancel_delay = 0.2
        for ask in (hook.cancel_job, hook.ask_to_stop):
            job_id = sandbox.add_job(case.name)
            before = len(sandbox.requests())
            sandbox.add_fault(Fault(method="POST", drop="mid_body"))
            job = ask(job_id)
            assert job is not None
            assert job.state in (JobState.CANCELLED, JobState.CANCELLING)
            sent = sandbox.requests()[before:]
            assert [request.method for request in sent].count("POST") == 1

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_only_what_changes_nothing_is_sent_again_after_a_tls_error(
        self, method: str, running: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin = http._ResponseWithDeadline.begin
        alerts = iter([ssl.SSLError("sslv3 alert bad record mac")])

        def begin_after_an_alert(response: Any) -> None:
            begin(response)
            if alert := next(alerts, None):
                raise alert

        monkeypatch.setattr(http._ResponseWithDeadline, "begin", begin_after_an_alert)
        with suppress(VendorUnavailable):
            if method == "POST":
                running.run_query("CREATE MATERIALIZED VIEW v AS SELECT 1")
            else:
                running.get_job(NARRATIVE.job_id)
        assert len(sandbox.requests()) == (1 if method == "POST" else 2)

    def test_retry_after_is_waited_for(
        self, running: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        requests_before: list[tuple[float, int]] = []

        def sleep(seconds: float) -> None:
            requests_before.append((seconds, len(sandbox.requests())))

        monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=sleep))
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "7"}))
        assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING
        assert requests_before == [(7, 1)]
        assert len(sandbox.requests()) == 2

    def test_a_long_retry_after_does_not_hold_the_request_but_reaches_the_waiter(
        self, running: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.MAX_SLEEP", 0.05)
        sandbox.add_fault(Fault(status=429, headers={"Retry-After": "7200"}, times=None))
        error = within(3, lambda: running.get_job(NARRATIVE.job_id))
        assert isinstance(error, VendorUnavailable)
        assert (error.status, error.retry_after) == (429, 7200.0)
        assert len(sandbox.requests()) == 1

    def test_rate_limited_vendor(self, running: Any, sandbox: Sandbox) -> None:
        sandbox.rate_limit("narrative", 2)
        for _ in range(4):
            assert running.get_job(NARRATIVE.job_id).state is JobState.RUNNING
        assert 429 in [request.status for request in sandbox.requests()]

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, None),
            ("", None),
            ("soon", None),
            ("nan", None),
            ("0", 0.0),
            ("-5", 0.0),
            ("1.5", 1.5),
            ("inf", 86_400.0),
            ("99999999999", 86_400.0),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
            ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ],
    )
    def test_reading_retry_after(self, header: str | None, seconds: float | None) -> None:
        assert read_retry_after(header) == seconds

    def test_retry_after_as_a_date(self) -> None:
        moment = datetime.now(UTC) + timedelta(seconds=90)
        assert read_retry_after(format_datetime(moment, usegmt=True)) == pytest.approx(90, abs=3)
        assert read_retry_after(format_datetime(moment.replace(tzinfo=None))) == pytest.approx(90, abs=3)


class TestSecrets:
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    @pytest.mark.parametrize("auth", ["key", "login"])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
    @pytest.mark.usefixtures("one_try")
    def test_a_vendor_that_echoes_them(
        self,
        case: VendorCase,
        auth: str,
        status: int,
        connections: Connections,
        sandbox: Sandbox,
        logs: Logs,
    ) -> None:
        conn_id = connections.add(case.name, auth=auth)
        given = sandbox.connection(case.name, auth)
        pairs = {("polaris", "key"): f"{given['password']}:"}
        pairs["narrative", "login"] = f"{given['login']}:{given['password']}"
        sent_encoded = base64.b64encode(pairs.get((case.name, auth), "").encode()).decode()
        secrets = {given["password"], sent_encoded} - {""}
        body = {"message": f"rejected: {' '.join(secrets)}"}
        sandbox.add_fault(Fault(status=status, body=body, times=None))
        hook = case.hook(conn_id)
        with pytest.raises((VendorError, JobNotFound)) as caught:
            hook.get_job(case.job_id)
        told = f"{caught.value!s} {caught.value!r} {hook.test_connection()} {logs.text}"
        for secret in secrets:
            assert secret not in told

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_an_exchanged_token_that_is_echoed(
        self, case: VendorCase, connections: Connections, recorder: Recorder
    ) -> None:
        extra = {"token_url": f"{recorder.url}/token"} if case is POLARIS else {}
        connections.add(case.name, auth="login", host=recorder.url, extra=extra)
        token = {"access_token": CANARY, "token": CANARY, "expires_in": 60}
        for path in ("/api/v0/oauth2/token", "/api/auth/token/", "/token", "/oauth/token"):
            recorder.answers[path] = token
        hook = case.hook()
        with pytest.raises(VendorUnavailable):
            hook.get_job("1")
        assert CANARY in recorder.requests[-1].headers["authorization"]
        recorder.answers[recorder.requests[-1].path] = f"no JSON object, but {CANARY}"
        with pytest.raises(VendorUnavailable) as caught:
            hook.get_job("1")
        assert CANARY not in f"{caught.value!s} {caught.value!r} {hook!r} {hook.settings!r}"

    @pytest.mark.usefixtures("one_try")
    def test_a_failed_request_does_not_show_them(
        self, connections: Connections, recorder: Recorder, logs: Logs
    ) -> None:
        recorder.__exit__()
        connections.add("polaris", host=recorder.url, password=CANARY)
        with pytest.raises(VendorUnavailable) as caught:
            POLARIS.hook().get_job("1")
        encoded = base64.b64encode(f"{CANARY}:".encode()).decode()
        told = f"{caught.value!r} {caught.value.__cause__!r} {logs.text}"
        assert CANARY not in told
        assert encoded not in told


class TestCertificates:
    @pytest.fixture(scope="class")
    @classmethod
    def pem(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        """A self-signed certificate for this machine, with its key."""
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
            )
            .sign(key, hashes.SHA256())
        )
        path = tmp_path_factory.mktemp("tls") / "both.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return str(path)

    @pytest.fixture
    def tls(self, pem: str) -> Iterator[Recorder]:
        with Recorder(pem) as running:
            running.answers["/jobs/1"] = {"job_id": "1", "state": "running"}
            yield running

    @pytest.mark.usefixtures("one_try")
    def test_untrusted(self, tls: Recorder, connections: Connections) -> None:
        connections.add("narrative", host=tls.url)
        with pytest.raises(VendorUnavailable, match=r"certificate is not trusted.*set its extra ca_bundle"):
            NARRATIVE.hook().get_job("1")
        assert tls.requests == []

    def test_trusted_by_ca_bundle(
        self, tls: Recorder, connections: Connections, pem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import certifi

        # The connection's own choice counts for more than the environment's.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        connections.add("narrative", host=tls.url, extra={"ca_bundle": pem})
        assert NARRATIVE.hook().get_job("1").state is JobState.RUNNING

    def test_trusted_by_the_environment(
        self, tls: Recorder, connections: Connections, pem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
        connections.add("narrative", host=tls.url)
        assert NARRATIVE.hook().get_job("1").state is JobState.RUNNING

    def test_netrc_does_not_replace_the_credentials_over_tls(
        self,
        tls: Recorder,
        connections: Connections,
        pem: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login somebody password {CANARY}\n")
        monkeypatch.setenv("NETRC", str(netrc))
        connections.add("narrative", host=tls.url, extra={"ca_bundle": pem})
        NARRATIVE.hook().get_job("1")
        assert tls.requests[0].headers["authorization"] == f"Bearer {CREDENTIALS['narrative'].key}"
