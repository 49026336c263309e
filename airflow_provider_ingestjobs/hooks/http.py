# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The one HTTP path to a vendor. Imported when a hook first talks, so that DAG files never pay for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from airflow_provider_ingestjobs import __version__
from airflow_provider_ingestjobs.exceptions import VendorUnavailable
from airflow_provider_ingestjobs.hooks.settings import Settings

#: Tries after the first, for answers and connection errors that pass; waits go on after that anyway.
RETRIES = 2
RETRY_STATUSES = (429, 502, 503, 504)
#: The longest a request sleeps because of one Retry-After, in seconds; what is longer is left to the waiter.
LONGEST_SLEEP = 30.0
#: Larger answers are not read: no job list is near this, and a triggerer must not be filled up by one.
MOST_BYTES = 64 * 1024 * 1024

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A vendor's answer, read to its end.

    :param body: the decoded bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        :raises ValueError: if it is none, or nested too deep to read.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


class Pace:
    """A rate that all threads of this process share: :meth:`acquire` sleeps until the next request may go.

    :param per_second: requests a second.
    """

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def acquire(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            time.sleep(turn - now)


@cache
def pace_of(conn_id: str, base_url: str, per_second: float) -> Pace:
    """Return the pace of a connection, one object for every hook on it in this process."""
    return Pace(per_second)


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, in seconds or as a date; ``None`` if it is neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 - NaN


class PoliteRetry(Retry):
    """urllib3's retry with a capped ``Retry-After``, and every retry counted in the connection's pace."""

    pace: Pace | None = None

    def new(self, **kwargs: Any) -> PoliteRetry:
        retry = super().new(**kwargs)
        retry.pace = self.pace
        return retry

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> PoliteRetry:
        retry = super().increment(method, url, response, error, _pool, _stacktrace)
        # urllib3 would read what is left of an answer that is tried again, however much that is.
        if response is not None:
            response.close()
        return retry

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        seconds = read_retry_after(response.headers.get("Retry-After"))
        return seconds if seconds is None else min(seconds, LONGEST_SLEEP)

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        super().sleep(response)
        if self.pace:
            self.pace.acquire()


def open_session(settings: Settings) -> requests.Session:
    """Return a session with this package's retries, certificates and user agent; it sends no credentials."""
    session = requests.Session()
    # What goes to this machine unencrypted must not take a detour over the environment's proxy.
    session.trust_env = settings.base_url.startswith("https://")
    # Without an auth of its own, requests would send what ~/.netrc has for the host.
    session.auth = _leave_as_is
    per_second = settings.extra["requests_per_second"]
    retry = PoliteRetry(
        total=RETRIES,
        redirect=False,
        allowed_methods=None,
        status_forcelist=RETRY_STATUSES,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        raise_on_status=False,
    )
    retry.pace = pace_of(settings.conn_id, settings.base_url, per_second) if per_second else None
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.headers["User-Agent"] = (
        f"airflow-provider-ingestjobs/{__version__} apache-airflow/{version('apache-airflow')}"
    )
    session.headers["Accept"] = "application/json"
    return session


def send(
    session: requests.Session,
    settings: Settings,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Params = (),
    json_body: Any = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read its answer to the end.

    :param session: from :func:`open_session`.
    :param settings: the connection, for timeouts and pace.
    :param headers: such as ``Authorization``; kept out of the session so that nothing can print them.
    :param params: query parameters; a name may repeat.
    :raises VendorUnavailable: if no whole answer came.
    """
    per_second = settings.extra["requests_per_second"]
    if per_second:
        pace_of(settings.conn_id, settings.base_url, per_second).acquire()
    try:
        with session.request(
            method,
            url,
            headers=dict(headers or {}),
            params=list(params),
            json=json_body,
            data=form,
            timeout=settings.timeout,
            # Given with each request: REQUESTS_CA_BUNDLE would win over the session's.
            verify=settings.extra["ca_bundle"] or True,
            allow_redirects=False,
            stream=True,
        ) as response:
            return Answer(response.status_code, response.headers, _read_body(response, settings))
    except (requests.RequestException, HTTPError) as error:
        raise VendorUnavailable(f"{method} {url} failed: {_cause(error, settings)}") from None


def _read_body(response: requests.Response, settings: Settings) -> bytes:
    # A server that drips a byte now and then never trips the read timeout: the whole body has it, too.
    deadline = time.monotonic() + settings.timeout[1]
    body = bytearray()
    while piece := response.raw.read1(64 * 1024, decode_content=True):
        body += piece
        if len(body) > MOST_BYTES:
            raise VendorUnavailable(f"{response.url} sent more than {MOST_BYTES // 2**20} MiB: not read")
        if time.monotonic() > deadline:
            raise VendorUnavailable(f"{response.url} had not sent its answer after {settings.timeout[1]:g} s")
    return bytes(body)


def _cause(error: Exception, settings: Settings) -> str:
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the server's certificate is not trusted ({_last_words(text)}): check the connection's host, "
            "or set its extra ca_bundle"
        )
    if "NameResolutionError" in text or "getaddrinfo" in text:
        host = settings.base_url.partition("://")[2]
        return f"the name of host={host!r} is not known: check the connection's host"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {settings.timeout[0]:g} s"
    if isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in text:
        return f"no answer within {settings.timeout[1]:g} s"
    return f"{type(error).__name__}: {_last_words(text)}"


def _last_words(text: str) -> str:
    return text.rpartition("Caused by")[2][-200:].strip(" ()'\"") or "no details"


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
