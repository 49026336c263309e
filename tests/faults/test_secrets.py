# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Nobody is let in: no secret comes out, credentials go nowhere else, and a vendor's texts stay texts."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import traceback
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

import pytest

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    IngestJobsError,
    InvalidInput,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.exceptions import JobFailed
from airflow_provider_ingestjobs.hooks.connection import check_url
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.hooks.records import MAX_UNKNOWN_WORDS
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from support.fault_servers import closed_port_url
from support.task_runs import TaskInstance, fire, in_time, revived
from support.vendors import CANCELLING_VENDORS, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.recorder import Recorder

INJECTED = "first\r\n2026-01-01 00:00:00 ERROR root forged\u2028line\x1b[31m\x85\u202e"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.0)


@pytest.fixture
def recorder(elsewhere: Recorder) -> Recorder:
    """One server for all tests: they are many."""
    elsewhere.answers.clear()
    return elsewhere


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that any logger says, at DEBUG."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    names = [None, *(name for name in logging.root.manager.loggerDict if name.split(".")[0] in LOUD)]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    yield text
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.removeHandler(handler)


LOUD = ("urllib3", "requests", "airflow", "airflow_provider_ingestjobs", "task")


def canaries(sandbox: Sandbox, case: VendorCase) -> set[str]:
    """Return every secret that a vendor is sent or sends, in every form."""
    known = CREDENTIALS[case.name]
    secrets = {known.key, known.password, *sandbox._vendor(case.name).tokens}
    secrets |= {
        base64.b64encode(pair.encode()).decode()
        for pair in (f"{known.key}:", f"{known.login}:{known.password}")
    }
    return {form for secret in secrets for form in (secret, quote_plus(secret), quote(secret, safe=""))}


def echo_of(hook: Any, with_token: bool = True) -> str:
    """Return all that a vendor has been sent by a hook, as it may say it back."""
    headers = [*hook.token_request().headers.values()]
    if with_token or not hook.settings.login:
        headers.append(hook.client._authorization())
    form = hook.token_request().form
    secrets = [header.rpartition(" ")[2] for header in headers] + [hook.settings.password]
    return f"{' '.join(secrets)} {' '.join(headers)} {urlencode(form)} {json.dumps(dict(form))}"


def assert_no_secret(secrets: set[str], *texts: Any) -> None:
    for text in texts:
        shown = text if isinstance(text, str) else repr(text)
        for secret in secrets:
            assert secret not in shown, f"{secret} in {shown[:2000]}"


def shown(error: BaseException) -> list[str]:
    """Return an error as people and logs get to see it, Airflow's task log among them."""
    texts = [str(error), repr(error), "".join(traceback.format_exception(error))]
    with suppress(ImportError):
        from structlog.tracebacks import ExceptionDictTransformer

        # As airflow/sdk/log.py has it.
        transform = ExceptionDictTransformer(use_rich=False, show_locals=False)
        texts.append(json.dumps(transform((type(error), error, error.__traceback__)), default=repr))
    return texts


def sensor_of(case: VendorCase, conn_id: str, job_id: str, **more: Any) -> Any:
    arguments = {"deferrable": False, "poke_interval": 0.05, "timeout": 60, **more}
    return case.sensor(task_id="wait", job_id=job_id, **{case.hook.conn_name_attr: conn_id}, **arguments)


def operations(case: VendorCase, hook: Any, job_id: str) -> Iterator[Callable[[], Any]]:
    yield lambda: hook.get_job(job_id).to_dict(include_raw=True)
    yield lambda: [job.to_dict(include_raw=True) for job in hook.list_jobs()]
    yield lambda: hook.get_jobs([job_id, *(f"{number}" for number in range(1, 7))])
    yield hook.test_connection
    yield lambda: hook.cancel_job(job_id)


def troubles(echo: str) -> Iterator[dict[str, Any]]:
    yield {"status": 400, "body": {"message": f"do not know {echo}", "detail": echo, "error": echo}}
    yield {"status": 401, "body": {"errors": {"token": [echo]}, "error_description": echo}}
    yield {"status": 403, "body": f"<html>{echo}</html>"}
    yield {"status": 500, "body": echo, "headers": {"X-Request-Id": echo}}
    yield {"status": 500, "body": {"request_id": echo, "trace_id": echo}}
    yield {"status": 302, "body": echo, "headers": {"Location": f"https://evil.example/?{echo[:100]}"}}
    yield {"body": f"not JSON, but {echo}"}
    yield {"body": f'{{"access_token": "{echo}'}
    yield {"body": echo * 20}
    yield {"drop": "mid_body"}


@pytest.mark.parametrize("auth", ["key", "login"])
@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_a_whole_run_shows_no_secret(
    case: VendorCase, auth: str, sandbox: Sandbox, connections: Any, logged: io.StringIO, capfd: Any
) -> None:
    """Everything a run says, returns, stores or raises, with good and bad answers, and bad ones that echo."""
    quick = {"requests_per_second": 10_000}
    conn_id = connections.add(case.name, auth, extra=quick)
    job_id = sandbox.add_job(
        case.name, case.job_id, timeline=[(0, case.words[JobState.FAILED])], failure="because"
    )
    hooks = [case.hook(conn_id), case.hook(conn_id)]
    for operate in operations(case, hooks[0], job_id):
        with suppress(IngestJobsError):
            assert_no_secret(canaries(sandbox, case), operate())
    for hook in hooks:
        for number in range(10):
            # After a 401 there is a new token to echo.
            trouble = next(islice(troubles(echo_of(hook)), number, None))
            sandbox.add_fault(Fault(vendor=case.name, times=None, **trouble))
            secrets = canaries(sandbox, case)
            for operate in operations(case, hook, job_id):
                try:
                    assert_no_secret(secrets, operate())
                except IngestJobsError as error:
                    assert_no_secret(secrets, *shown(error))
            assert_no_secret(secrets, *map(repr, things_of(hook)))
            sandbox.clear_faults()
            hook.get_job(job_id)
    connections.add(case.name, auth, conn_id="nobody", host=closed_port_url(), extra={"token_url": None})
    with pytest.raises(VendorUnavailable) as caught:
        case.hook("nobody").get_job(job_id)
    secrets = canaries(sandbox, case)
    assert_no_secret(secrets, *shown(caught.value))
    run_tasks(case, conn_id, job_id, sandbox)
    secrets |= canaries(sandbox, case)
    assert_no_secret(secrets, logged.getvalue(), *capfd.readouterr())
    assert_no_secret(secrets, [repr(request) for request in sandbox.requests()])
    issued = sandbox._vendor(case.name).tokens
    assert not [token for token in issued if token in json.dumps(sandbox.describe())]


def things_of(hook: Any) -> list[Any]:
    return [
        hook,
        hook.settings,
        hook.token_request(),
        hook.get_conn(),
        dict(hook.get_conn().headers),
        hook.get_conn().auth,
        hook.get_conn().cookies,
    ]


def run_tasks(case: VendorCase, conn_id: str, job_id: str, sandbox: Sandbox) -> None:
    for deferrable in (False, True):
        sensor = sensor_of(case, conn_id, job_id, deferrable=deferrable)
        ti = TaskInstance()
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - it fails or defers
            sensor.execute({"ti": ti})
        fields = {name: getattr(sensor, name) for name in sensor.template_fields}
        assert_no_secret(
            canaries(sandbox, case), *shown(caught.value), repr(sensor), repr(vars(sensor)), fields, ti.xcoms
        )
    began = datetime.now(UTC) - timedelta(seconds=30)
    arguments = sensor.trigger_arguments(began, timedelta(seconds=90), poll_interval=0.05, missing_grace=300)
    trigger = IngestJobTrigger(job_ids=[job_id], **arguments)
    assert_no_secret(canaries(sandbox, case), trigger.serialize(), repr(trigger), repr(revived(trigger)))
    event = in_time(fire(trigger))
    assert_no_secret(canaries(sandbox, case), event)
    with pytest.raises(JobFailed) as failed:
        sensor.execute_complete({"ti": ti}, event)
    assert_no_secret(canaries(sandbox, case), *shown(failed.value))
    sandbox.add_fault(Fault(vendor=case.name, status=403, body=echo_of(sensor.hook, False), times=None))
    event = in_time(fire(trigger))
    sandbox.clear_faults()
    # Where a token is asked for, it is the login that is refused.
    assert event["error"] == ("AuthenticationFailed" if sensor.hook.settings.login else "PermissionDenied")
    assert_no_secret(canaries(sandbox, case), event)
    if case.cancel_operator:
        operator = case.cancel_operator(
            task_id="stop", job_id=job_id, **{case.hook.conn_name_attr: conn_id}, deferrable=False
        )
        assert_no_secret(canaries(sandbox, case), operator.execute({"ti": ti}), repr(operator), ti.xcoms)


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_half_a_token_is_not_shown(case: VendorCase, sandbox: Sandbox, connections: Any) -> None:
    """A token's answer that breaks off has the token in it."""
    conn_id = connections.add(case.name, "login")
    method, path = case.requests["token"]
    half = f'{{"{case.token_field}": "new-secret-token", "expi'
    sandbox.add_fault(Fault(vendor=case.name, method=method, path=path, body=half))
    with pytest.raises(VendorUnavailable, match="not JSON") as caught:
        case.hook(conn_id).get_job(case.job_id)
    assert all("new-secret" not in text for text in shown(caught.value))


def test_half_a_secret_at_the_cut_is_not_shown(sandbox: Sandbox, connections: Any) -> None:
    """What is cut off a long text must not leave the first half of a secret, which no search finds."""
    key = "k" + "0123456789" * 40
    conn_id = connections.add("narrative", password=key)
    for padding in range(0, 1300, 7):
        text = "x" * padding + key * 10
        shown_text = NARRATIVE.hook(conn_id).client.redact(text.encode())
        assert "k012" not in shown_text
        assert "k012" not in NARRATIVE.hook(conn_id).client.redact(text)


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_a_failure_text_that_echoes_the_key(case: VendorCase, sandbox: Sandbox, connections: Any) -> None:
    conn_id = connections.add(case.name)
    key = CREDENTIALS[case.name].key
    job_id = sandbox.add_job(
        case.name,
        case.job_id,
        timeline=[(0, case.words[JobState.FAILED])],
        failure=f"cannot log in with {key}",
    )
    job = case.hook(conn_id).get_job(job_id)
    assert key not in repr(job)
    assert key not in json.dumps(job.to_dict())


# ---------------------------------------------------------------------- hosts

GOOD_HOSTS = {
    "api.example.com": "https://api.example.com",
    " api.example.com/ ": "https://api.example.com",
    "API.Example.COM": "https://api.example.com",
    "https://api.example.com:8443": "https://api.example.com:8443",
    "http://localhost:8099": "http://localhost:8099",
    "http://127.0.0.1:8099": "http://127.0.0.1:8099",
    "http://127.8.9.10": "http://127.8.9.10",
    "http://[::1]:8099": "http://[::1]:8099",
    "https://[2001:db8::1]": "https://[2001:db8::1]",
}
BAD_HOSTS = (
    "https://user@api.example.com",
    "https://user:hunter2@api.example.com",
    "api.example.com@evil.example",
    "https://api.example.com\\@evil.example",
    "https://api.example.com\\.evil.example",
    "https://evil.example/api.example.com",
    "api.example.com/../x",
    "api.example.com/v1",
    "https://api.example.com?token=hunter2",
    "https://api.example.com#hunter2",
    "https:///api.example.com",
    "https://",
    "//api.example.com",
    "ftp://api.example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://127.0.0.1",
    "unix:///run/docker.sock",
    "api.example.com evil.example",
    "api.example.com\tevil.example",
    "api.example\n.com",
    "api.example.com\r\nHost: evil.example",
    "api\x00.example.com",
    "http://api.example.com",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost.",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://0.0.0.0",
    "http://[::]",
    "http://[::ffff:10.0.0.1]",
    "http://[2001:db8::1]",
    "http://10.0.0.1",
    "http://169.254.169.254",
    "http://localhost@evil.example",
    "http://evil.example#localhost",
    "http://evil.example?localhost",
    "https://аpi.example.com",  # noqa: RUF001 - a Cyrillic first letter
    "https://api.exa\u00admple.com",
    "https://api\u3002example.com",
    "http://ⓛocalhost",
    "https://℀.example.com",
    "https://[::1",
    "https://api.example.com:port",
    "https://api.example.com:99999",
    "https://api..example.com",
    "https://-api.example.com",
    "https://.example.com",
    "https://api.example.com:443:443",
    "https://%61pi.example.com",
    "https://api.example.com%2eevil.example",
    "https://api.example.com;evil.example",
    "https://" + "a" * 64 + ".example.com",
)


def connection(**fields: Any) -> Any:
    given = {
        "conn_type": "http",
        "host": None,
        "login": None,
        "password": "hunter2",
        "schema": None,
        "port": None,
    }
    return SimpleNamespace(**{**given, **fields})


def read(case: VendorCase, **fields: Any) -> Any:
    return case.hook.read_settings("c", connection(**fields), {"tenant": "acme"})


@pytest.mark.parametrize(("host", "url"), GOOD_HOSTS.items(), ids=map(repr, GOOD_HOSTS))
def test_hosts_that_may_get_credentials(host: str, url: str) -> None:
    for case in VENDORS:
        assert read(case, host=host).base_url == url


@pytest.mark.parametrize("host", BAD_HOSTS, ids=map(repr, BAD_HOSTS))
def test_hosts_that_may_not(host: str) -> None:
    for case in VENDORS:
        with pytest.raises(InvalidInput) as caught:
            read(case, host=host)
        assert "host" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "schema",
    ["http", "ftp", "javascript", "https://evil.example/", "https://evil.example#", "http://localhost/"],
)
def test_a_schema_field_cannot_lead_elsewhere(schema: str) -> None:
    with pytest.raises(InvalidInput, match="host"):
        read(POLARIS, host="api.example.com", schema=schema)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(InvalidInput):
        read(POLARIS, host="api.example.com", port=port)


@pytest.mark.parametrize(
    "token_url",
    [host for host in BAD_HOSTS if "://" in host and "/api.example.com" not in host.partition("://")[2]],
    ids=repr,
)
def test_token_addresses_that_may_not(token_url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PolarisHook.read_settings(
            "c", connection(host="o.api.imply.io", login="id"), {"token_url": f"{token_url}"}
        )
    assert "hunter2" not in str(caught.value)


def test_a_secret_to_this_machine_takes_no_proxy(
    monkeypatch: pytest.MonkeyPatch, recorder: Any, connections: Any
) -> None:
    """A token address on this machine is not encrypted: the environment's proxy must not get to see it."""
    monkeypatch.setenv("http_proxy", recorder.url)
    conn_id = connections.add(
        "polaris",
        "login",
        host="https://vendor.invalid",
        extra={"token_url": f"{closed_port_url()}/token", "connect_timeout": 1},
    )
    with pytest.raises(VendorUnavailable):
        PolarisHook(conn_id).get_job("1")
    assert not recorder.requests


def test_the_unknown_host_is_named(connections: Any) -> None:
    conn_id = connections.add("polaris", "login", extra={"token_url": "https://id.vendor.invalid/token"})
    with pytest.raises(VendorUnavailable, match=r"host='id\.vendor\.invalid' cannot be resolved.*token_url"):
        PolarisHook(conn_id).get_job("1")


@pytest.mark.parametrize("value", ["v\r\nX-Evil: 1", "v\nX", "vö", "v\x00"])
@pytest.mark.parametrize("field", ["password", "tenant", "api_version"])
def test_no_header_can_be_injected(field: str, value: str) -> None:
    extra = {"tenant": "acme", **({} if field == "password" else {field: value})}
    password = value if field == "password" else "hunter2"
    with pytest.raises(InvalidInput, match=field) as caught:
        VENDORS[0].hook.read_settings("c", connection(password=password), extra)
    assert value not in str(caught.value)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "tök\u0113n", "\ud800", "a\x00", "", None, 5, ["a"], {}])
def test_no_header_can_be_injected_by_a_token(token: Any, sandbox: Sandbox, connections: Any) -> None:
    conn_id = connections.add("narrative", "login")
    sandbox.add_fault(Fault(path="/oauth/token", body=json.dumps({"access_token": token}), times=None))
    with pytest.raises(VendorUnavailable, match="sent no access_token"):
        NARRATIVE.hook(conn_id).get_job("1")


@pytest.mark.parametrize("life", ["1" * 400, "-1", "1e400", "NaN", "true", '"3600"', "null", "0"])
def test_absurd_token_lives(life: str, sandbox: Sandbox, connections: Any) -> None:
    conn_id = connections.add("narrative", "login")
    token = sandbox._vendor("narrative").issue_token()
    body = f'{{"access_token": "{token}", "access_token_expires_in": {life}}}'
    job_id = sandbox.add_job("narrative", NARRATIVE.job_id)
    sandbox.add_fault(Fault(path="/oauth/token", body=body))
    hook = NARRATIVE.hook(conn_id)
    if life == "NaN":
        with pytest.raises(VendorUnavailable, match="not JSON"):
            hook.get_job(job_id)
    else:
        assert hook.get_job(job_id).id == job_id
        hook.get_job(job_id)
        # It is used until it is refused.
        assert [request.path for request in sandbox.requests()].count("/oauth/token") == 1


def test_cookies_are_neither_kept_nor_sent(sandbox: Sandbox, connections: Any) -> None:
    hook = NARRATIVE.hook(connections.add("narrative"))
    job_id = sandbox.add_job("narrative", NARRATIVE.job_id)
    for number in range(3):
        sandbox.add_fault(Fault(headers={"Set-Cookie": f"sessionid{number}=evil; Path=/"}))
        hook.get_job(job_id)
    assert len(hook.get_conn().cookies) == 0


# ---------------------------------------------------------------------- ids and filters

ODD_IDS = (
    "..",
    ".",
    "../../v1/projects",
    "a/b",
    "a\\b",
    "a?view=verbose",
    "a#b",
    "a%2fb",
    "a&b=c",
    "a b",
    "a\r\nHost: evil",
    "a\x00",
    "a\u2028b",
    "",
    " ",
    "x" * 300,
)


@pytest.mark.parametrize("job_id", ODD_IDS, ids=repr)
@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_job_ids_cannot_change_a_request(
    case: VendorCase, job_id: str, recorder: Any, connections: Any
) -> None:
    hook = case.hook(connections.add(case.name, host=recorder.url))
    calls = [hook.get_job, hook.cancel_job, lambda one: hook.get_jobs([one])]
    calls += [getattr(hook, name) for name in ("get_imported", "get_metrics") if hasattr(hook, name)]
    for call in calls:
        if call == hook.cancel_job and case not in CANCELLING_VENDORS:
            continue
        with pytest.raises(InvalidInput):
            call(job_id)
    assert not recorder.requests


@pytest.mark.parametrize("odd", [one for one in ODD_IDS if one not in ("", " ")], ids=repr)
def test_other_ids_cannot_change_a_path(odd: str, recorder: Any, connections: Any) -> None:
    """Workflows are from Amperity's answers, projects from templates: they are one part of a path, if any."""
    amperity = VENDORS[0].hook(connections.add("amperity", host=recorder.url))
    polaris_conn_id = connections.add("polaris", host=recorder.url)
    for call, prefix, suffix in (
        (lambda: amperity.get_workflow(odd), "/api/workflow/runs/", ""),
        (lambda: amperity.stop_workflow(odd), "/api/workflow/runs/", "/stop"),
        (lambda: PolarisHook(polaris_conn_id, odd).get_job("1"), "/v1/projects/", "/jobs/1"),
        (lambda: list(PolarisHook(polaris_conn_id, odd).list_jobs()), "/v1/projects/", "/jobs"),
    ):
        recorder.requests.clear()
        with suppress(InvalidInput, VendorError):
            call()
        if odd in (".", ".."):
            assert not recorder.requests
            continue
        (request,) = recorder.requests
        path = request.path.partition("?")[0]
        assert re.fullmatch(rf"{prefix}[^/?#]+{suffix}", path), path


@pytest.mark.parametrize(
    "odd", ["a&state=completed", "a#b", "a=b", "../x", "a b+c%20", "ä\u2028", "a\r\nHost: evil"]
)
def test_filters_cannot_change_a_query(odd: str, recorder: Any, connections: Any) -> None:
    recorder.answers.update({"/jobs": {"records": []}, "/api/jobs/": {"next": None, "results": []}})
    list(
        NARRATIVE.hook(connections.add("narrative", host=recorder.url)).list_jobs(
            job_type=odd, tags=[odd, odd]
        )
    )
    list(VENDORS[1].hook(connections.add("adverity", host=recorder.url)).list_jobs(datastream_id=odd))
    narrative, adverity = (parse_qsl(urlsplit(request.path).query) for request in recorder.requests)
    assert [value for name, value in narrative if name in ("type", "tag")] == [odd] * 3
    assert {name for name, _ in narrative} == {"type", "tag", "order_by", "per_page", "offset"}
    assert adverity[0] == ("datastream_id", odd)
    assert {urlsplit(request.path).path for request in recorder.requests} == {"/jobs", "/api/jobs/"}


# ---------------------------------------------------------------------- a vendor's texts


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_a_vendor_cannot_write_log_lines(
    case: VendorCase, sandbox: Sandbox, connections: Any, logged: io.StringIO
) -> None:
    """Failure texts, states and error messages stay on one line, without escape sequences."""
    conn_id = connections.add(case.name)
    job_id = sandbox.add_job(
        case.name, case.job_id, timeline=[(0, case.words[JobState.FAILED])], failure=INJECTED * 200
    )
    sensor = sensor_of(case, conn_id, job_id)
    with pytest.raises(JobFailed) as caught:
        sensor.poke({"ti": TaskInstance()})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000
    hook = case.hook(conn_id)
    job = hook.get_job(job_id)
    assert job.failure is None or job.failure.isprintable()
    sandbox.set_state(case.name, job_id, INJECTED * 50)
    job = hook.get_job(job_id)
    assert job.state is JobState.UNKNOWN
    assert job.describe().isprintable()
    assert len(job.describe()) < 1000
    for status in (400, 500, 403, 200):
        for content in (INJECTED, json.dumps({"message": INJECTED, "request_id": INJECTED})):
            sandbox.add_fault(Fault(vendor=case.name, body=content, status=status))
            with pytest.raises(VendorError) as refused:
                hook.get_job(job_id)
            assert str(refused.value).isprintable()
    assert not [
        line for line in re.split("[\n\r\x85\u2028]", logged.getvalue()) if line.startswith("2026-01-01")
    ]
    assert "\x1b" not in logged.getvalue()


@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_a_vendor_cannot_write_log_lines_with_ids(
    case: VendorCase, sandbox: Sandbox, connections: Any
) -> None:
    """The ids of listed jobs come from the vendor, and stand in logs and errors."""
    hook = case.hook(connections.add(case.name))
    sandbox.add_job(case.name, case.job_id, timeline=[(0, case.words[JobState.RUNNING])])
    record = dict(hook.get_job(case.job_id).raw)
    for odd in (INJECTED, "", "x" * 1000, "\u202e123"):
        with pytest.raises(VendorUnavailable) as caught:
            hook.records.job({**record, case.id_field: odd})
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://evil.example/", '"><script>', "data:text/html,x"]
)
@pytest.mark.parametrize("case", VENDORS, ids=str)
def test_links_are_built_here(case: VendorCase, url: str, sandbox: Sandbox, connections: Any) -> None:
    """The address of a job in a vendor's record is never shown as a link."""
    hook = case.hook(connections.add(case.name))
    job_id = sandbox.add_job(
        case.name, case.job_id, timeline=[(0, case.words[JobState.RUNNING])], fields={"url": url}
    )
    job = hook.get_job(job_id)
    for link in (job.url, hook.job_url(job_id), hook.job_url('"><script>alert(1)</script>')):
        if link is not None:
            assert link.startswith(f"{sandbox.url}/")
            assert not set(link) & set("\"<>' ")


def test_unknown_words_do_not_fill_memory_and_log(sandbox: Sandbox, connections: Any, caplog: Any) -> None:
    hook = NARRATIVE.hook(connections.add("narrative"))
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            assert hook.words.state_of(f"word {number}" + "x" * 1000) is JobState.UNKNOWN
    told = [record for record in caplog.records if "not known here" in record.getMessage()]
    assert len(told) <= MAX_UNKNOWN_WORDS
    assert len(hook.words._unknown) <= MAX_UNKNOWN_WORDS


def test_settings_are_checked_with_the_name_of_the_key() -> None:
    """Every extra that cannot be used is named, and never by showing a secret."""
    for key, value in {
        "connect_timeout": "soon",
        "read_timeout": -1,
        "requests_per_second": "NaN",
        "state_map": '{"done": "well"}',
        "ca_bundle": "/no/such/file",
    }.items():
        for case in VENDORS:
            with pytest.raises(InvalidInput, match=key) as caught:
                case.hook.read_settings("c", connection(host="api.example.com"), {"tenant": "t", key: value})
            assert "hunter2" not in str(caught.value)


def test_a_vanished_ca_bundle_is_passing_trouble(tmp_path: Any, connections: Any) -> None:
    """Requests raises a bare OSError for it, which no wait would survive."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    conn_id = connections.add("narrative", host="https://127.0.0.1:1", extra={"ca_bundle": str(bundle)})
    hook = NARRATIVE.hook(conn_id)
    assert hook.settings
    bundle.unlink()
    with pytest.raises(VendorUnavailable):
        hook.get_job("1")


def test_refusals_of_a_token_are_not_taken_for_missing_jobs(sandbox: Sandbox, connections: Any) -> None:
    """A wrong realm or host answers 404: the job is not what is unknown."""
    for case in VENDORS:
        conn_id = connections.add(case.name, "login")
        method, path = case.requests["token"]
        sandbox.add_fault(Fault(vendor=case.name, method=method, path=path, status=404))
        with pytest.raises(AuthenticationFailed, match="answered 404"):
            case.hook(conn_id).get_job(case.job_id)


def test_check_url_returns_no_more_than_it_checked() -> None:
    assert (
        check_url("url", "https://id.example.com/realms/a/token") == "https://id.example.com/realms/a/token"
    )
