# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The one HTTP path to a vendor. Imported with the first request, so that DAG files never pay for it."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError
from urllib3.poolmanager import ProxyManager
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from airflow_provider_ingestjobs import __version__, clock
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.causes import check_proxy, describe_cause
from airflow_provider_ingestjobs.hooks.connection import Settings
from airflow_provider_ingestjobs.hooks.response import Response

#: Tries after the first, for answers and connection errors that pass; waits go on after that anyway.
RETRIES = 2
RETRY_STATUSES = (429, 502, 503, 504)
#: The longest a request sleeps because of one Retry-After, in seconds; longer pauses are up to the caller.
MAX_SLEEP = 30.0
#: Larger answers are not read: no job list is near this, and one answer must not fill a triggerer's memory.
MAX_BYTES = 64 * 1024 * 1024
#: The longest Retry-After that is passed on, in seconds.
MAX_RETRY_AFTER = 86_400.0

Params = Sequence[tuple[str, str]]


class RateLimiter:
    """The rate of requests to one account, which all threads and connections of this process share."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}
        self._next = 0.0
        self._lock = threading.Lock()

    def set_rate(self, conn_id: str, per_second: float) -> None:
        """Say what a connection may send at most; of several, the lowest counts.

        :param conn_id: the Airflow connection.
        :param per_second: requests a second.
        """
        with self._lock:
            self._rates[conn_id] = per_second

    def acquire(self) -> None:
        """Sleep until one more request may go."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + 1 / min(self._rates.values())
        if turn > now:
            time.sleep(turn - now)


@cache
def rate_limiter_of(account: str) -> RateLimiter:
    """Return an account's rate limiter, one object for every hook of this process.

    :param account: see :class:`~airflow_provider_ingestjobs.hooks.connection.Settings`.
    """
    return RateLimiter()


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, in seconds or as a date; ``None`` if it is neither.

    :param value: the header's value; ``None`` if the answer has no such header.
    """
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
        seconds = (moment - clock.now()).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - NaN


class CappedRetry(Retry):
    """urllib3's retry with a capped ``Retry-After``, and every request in the connection's rate and metrics.

    :param limiter: the connection's rate limiter, if it has one.
    :param count: called with ``requests`` for each request, and with ``throttled`` for each 429.
    :param args: see :class:`urllib3.util.retry.Retry`.
    :param kwargs: see :class:`urllib3.util.retry.Retry`.
    """

    def __init__(
        self, *args: Any, limiter: RateLimiter | None, count: Callable[[str], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._limiter = limiter
        self._count = count

    def new(self, **kwargs: Any) -> CappedRetry:
        return super().new(limiter=self._limiter, count=self._count, **kwargs)

    def take_turn(self) -> None:
        """Sleep until the rate lets one more request go, and count it."""
        if self._limiter:
            self._limiter.acquire()
        self._count("requests")

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == 429:
            self._count("throttled")
        return super().is_retry(method, status_code, has_retry_after)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> CappedRetry:
        asked_for = read_retry_after(response.headers.get("Retry-After")) if response is not None else None
        if asked_for is not None and asked_for > MAX_SLEEP:
            # Left to the waiter: a request that slept that long would hold up all others. urllib3 returns the
            # answer then.
            raise MaxRetryError(_pool, url, ResponseError("it asks for a longer pause"))
        if error is not None and not (
            self._is_connection_error(error) or self._is_method_retryable(method or "")
        ):
            # urllib3 asks for the method only where reading fails, and not of a TLS error.
            raise error
        retry = super().increment(method, url, response, error, _pool, _stacktrace)
        # urllib3 would read what is left of an answer that is tried again, however much that is.
        if response is not None:
            response.close()
        return retry

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        seconds = read_retry_after(response.headers.get("Retry-After"))
        return seconds if seconds is None else min(seconds, MAX_SLEEP)

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        super().sleep(response)
        self.take_turn()


class _ReaderWithDeadline(io.RawIOBase):
    """Reads within a deadline: a server that sends a byte now and then never trips a socket's timeout."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self.deadline: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the headers of the answer came too slowly")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ResponseWithDeadline(http.client.HTTPResponse):
    """Bounds the time until all headers of an answer have come, with interim answers before them."""

    fp: Any

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock
        self._reader = _ReaderWithDeadline(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        timeout = self._sock.gettimeout()
        self._reader.deadline = None if timeout is None else time.monotonic() + timeout
        super().begin()
        self._reader.deadline = None
        self._sock.settimeout(timeout)


class _Connection(HTTPConnection):
    response_class = _ResponseWithDeadline


class _TlsConnection(HTTPSConnection):
    response_class = _ResponseWithDeadline


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    max_retries: CappedRetry

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.max_retries.take_turn()
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        # SOCKS has pools of its own, which make their connections otherwise.
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _Pool, "https": _TlsPool}


def open_session(
    settings: Settings, exchange_url: str | None, count: Callable[[str], None]
) -> requests.Session:
    """Return a session with this package's retries, certificates and user agent; it sends no credentials.

    What changes something at the vendor is not sent again by itself: its answer may have been lost, and only
    who has asked can look what came of it.

    :param settings: the connection.
    :param exchange_url: where a token is asked for, which changes nothing; ``None`` where keys are sent.
    :param count: called with ``requests`` for each, also when sent again, and ``throttled`` for each 429.
    :raises VendorUnavailable: if the environment's proxy cannot be one.
    """
    urls = [settings.base_url, *([exchange_url] if exchange_url else [])]
    session = requests.Session()
    # What goes to this machine unencrypted must not take a detour over the environment's proxy.
    session.trust_env = not any(url.lower().startswith("http://") for url in urls)
    if session.trust_env:
        for url in urls:
            check_proxy(url)
    # A cookie may take precedence over the key, and a triggerer would gather them for days.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    # Without an auth of its own, requests would send what ~/.netrc has for the host.
    session.auth = _leave_as_is
    limiter = None
    if settings.requests_per_second:
        limiter = rate_limiter_of(settings.account)
        limiter.set_rate(settings.conn_id, settings.requests_per_second)
    retry = CappedRetry(
        total=RETRIES,
        redirect=False,
        allowed_methods={"GET"},
        status_forcelist=RETRY_STATUSES,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        raise_on_status=False,
        limiter=limiter,
        count=count,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(max_retries=retry))
    if exchange_url:
        session.mount(exchange_url, _Adapter(max_retries=retry.new(allowed_methods=None)))
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
    url_field: str = "host",
) -> Response:
    """Send one request and read its answer to the end.

    :param session: from :func:`open_session`.
    :param settings: the connection, for timeouts and certificates.
    :param method: the HTTP method.
    :param url: the absolute address.
    :param headers: such as ``Authorization``; kept out of the session so that nothing can print them.
    :param params: query parameters; a name may repeat.
    :param json_body: what to send as JSON.
    :param form: fields to send as a form.
    :param url_field: the connection's field that the address comes from, for errors.
    :raises VendorUnavailable: if no whole answer came.
    """
    answered: int | None = None
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
            verify=settings.ca_bundle or True,
            allow_redirects=False,
            stream=True,
        ) as response:
            answered = response.status_code
            return Response(response.status_code, response.headers, _read_body(response, settings))
    except (requests.RequestException, HTTPError, OSError) as error:
        cause = describe_cause(error, settings, url, url_field)
        raise VendorUnavailable(f"{method} {url} failed: {cause}", answered=answered) from None


def _read_body(response: requests.Response, settings: Settings) -> bytes:
    # A server that drips a byte now and then never trips the read timeout, so it bounds the whole body, too.
    deadline = time.monotonic() + settings.read_timeout
    body = bytearray()
    while piece := response.raw.read1(64 * 1024, decode_content=True):
        body += piece
        if len(body) > MAX_BYTES:
            raise VendorUnavailable(
                f"{response.url} sent more than {MAX_BYTES // 2**20} MiB: not read",
                answered=response.status_code,
            )
        if time.monotonic() > deadline:
            raise VendorUnavailable(
                f"{response.url} had not sent its answer after {settings.read_timeout:g} s",
                answered=response.status_code,
            )
    return bytes(body)


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
