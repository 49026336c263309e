# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The one HTTP path to a vendor. Imported when a hook first talks, so that DAG files never pay for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from airflow_provider_ingestjobs import __version__
from airflow_provider_ingestjobs.exceptions import VendorUnavailable
from airflow_provider_ingestjobs.hooks.answer import Answer
from airflow_provider_ingestjobs.hooks.settings import Settings

#: Tries after the first, for answers and connection errors that pass; waits go on after that anyway.
RETRIES = 2
RETRY_STATUSES = (429, 502, 503, 504)
#: The longest a request sleeps because of one Retry-After, in seconds; what is longer is left to the waiter.
LONGEST_SLEEP = 30.0
#: Larger answers are not read: no job list is near this, and a triggerer must not be filled up by one.
MOST_BYTES = 64 * 1024 * 1024

Params = Sequence[tuple[str, str]]


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
    """urllib3's retry with a capped ``Retry-After``, and every request in the connection's pace and metrics.

    Set ``count`` before use, see :func:`open_session`.
    """

    pace: Pace | None = None
    count: Callable[[str], None]

    def new(self, **kwargs: Any) -> PoliteRetry:
        retry = super().new(**kwargs)
        retry.pace, retry.count = self.pace, self.count
        return retry

    def take_turn(self) -> None:
        """Sleep until the pace lets one more request go, and count it."""
        if self.pace:
            self.pace.acquire()
        self.count("requests")

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> PoliteRetry:
        if response is not None and response.status == 429:
            self.count("throttled")
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
        self.take_turn()


class BoundedConnection(HTTPConnection):
    """Bounds the whole time in which an answer's head comes.

    A server that sends a byte of it now and then, or interim answers for ever, trips no socket's timeout.
    """

    def getresponse(self) -> Any:
        late = threading.Event()
        sock, seconds = self.sock, self.timeout

        def give_up() -> None:
            late.set()
            with suppress(OSError):
                # Not the method of a TLS socket, which another thread is reading from.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

        timer = threading.Timer(seconds if isinstance(seconds, int | float) else 60.0, give_up)
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except Exception:
            if not late.is_set():
                raise
        finally:
            timer.cancel()
        if late.is_set():
            # Python takes a head that breaks off for a whole one.
            raise TimeoutError("the head of the answer came too slowly")
        return response


class BoundedTlsConnection(BoundedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = BoundedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = BoundedTlsConnection


class _Adapter(HTTPAdapter):
    max_retries: PoliteRetry

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.max_retries.take_turn()
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _Pool, "https": _TlsPool}


def open_session(settings: Settings, count: Callable[[str], None]) -> requests.Session:
    """Return a session with this package's retries, certificates and user agent; it sends no credentials.

    :param count: called with ``requests`` for each, also when sent again, and ``throttled`` for each 429.
    """
    session = requests.Session()
    # What goes to this machine unencrypted must not take a detour over the environment's proxy.
    urls = (settings.base_url, settings.extra.get("token_url") or "")
    session.trust_env = not any(url.lower().startswith("http://") for url in urls)
    # A cookie may take precedence over the key, and a triggerer would gather them for days.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
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
    retry.count = count
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(max_retries=retry))
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
    :param settings: the connection, for timeouts.
    :param headers: such as ``Authorization``; kept out of the session so that nothing can print them.
    :param params: query parameters; a name may repeat.
    :raises VendorUnavailable: if no whole answer came.
    """
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
    except (requests.RequestException, HTTPError, OSError) as error:
        raise VendorUnavailable(f"{method} {url} failed: {_cause(error, settings, url)}") from None


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


def _cause(error: Exception, settings: Settings, url: str) -> str:
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the server's certificate is not trusted ({_last_words(text)}): check the connection's host, "
            "or set its extra ca_bundle"
        )
    if "NameResolutionError" in text or "getaddrinfo" in text:
        field_name = "host" if url.startswith(settings.base_url) else "host and token_url"
        return (
            f"the name of host={urlsplit(url).hostname!r} is not known: check the connection's {field_name}"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {settings.timeout[0]:g} s"
    if isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in text:
        return f"no answer within {settings.timeout[1]:g} s"
    return f"{type(error).__name__}: {_last_words(text)}"


def _last_words(text: str) -> str:
    return text.rpartition("Caused by")[2][-200:].strip(" ()'\"") or "no details"


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
