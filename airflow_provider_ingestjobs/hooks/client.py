# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One connection in use: its session, its token, what a status means, and what must not be shown of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    PermissionDenied,
    Throttled,
    Unreadable,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.metrics import tags_of

if TYPE_CHECKING:
    import requests

    from airflow_provider_ingestjobs.hooks.connection import Settings
    from airflow_provider_ingestjobs.hooks.http import Params
    from airflow_provider_ingestjobs.hooks.response import Response
    from airflow_provider_ingestjobs.vendors import Vendor

#: A token is replaced this many seconds before it expires, or at half its life if that is shorter.
TOKEN_MARGIN = 60.0
#: The longest life of a token that is believed, in seconds; any other is used until it is refused.
MAX_TOKEN_LIFE = 1e9
#: The most characters of a vendor's own words in an error.
MAX_DETAIL_LENGTH = 300
#: Where vendors' error bodies say what was wrong.
DETAIL_FIELDS = ("message", "detail", "error", "error_description", "errors")


@dataclass(frozen=True)
class TokenRequest:
    """How a vendor exchanges login and password for a token.

    :param url: where; absolute.
    :param form: the form fields, for a vendor that takes a form.
    :param json_body: what to send as JSON, for a vendor that takes JSON.
    :param headers: more headers.
    :param token_field: the answer's field with the token.
    :param expires_field: the answer's field with its life in seconds.
    :param scheme: the word before the token in ``Authorization``.
    :param url_field: the connection's field that the address comes from, for errors.
    """

    url: str
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json_body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_field: str = "access_token"  # noqa: S105 - a field's name
    expires_field: str = "expires_in"
    scheme: str = "Bearer"
    url_field: str = "host"


@dataclass(frozen=True)
class Credentials:
    """What a connection authenticates with: a key that is sent as it is, or a token to be asked for.

    :param authorization: the ``Authorization`` header of a key; ``None`` where a token is asked for.
    :param token_request: how to ask for a token; ``None`` where a key is sent.
    :param headers: further headers of every request.
    """

    authorization: str | None = field(default=None, repr=False)
    token_request: TokenRequest | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Client:
    """Talks to one vendor on one connection; threads may share it, and then share its token.

    :param vendor: the vendor.
    :param settings: the checked connection.
    :param credentials: what it authenticates with.
    :param mask: hides a new token from Airflow's logs; ``None`` in threads that must not talk to Airflow.
    """

    def __init__(
        self,
        vendor: Vendor,
        settings: Settings,
        credentials: Credentials,
        mask: Callable[[str], None] | None = None,
    ) -> None:
        self._vendor = vendor
        self._settings = settings
        self._credentials = credentials
        self._mask = mask
        self._session: requests.Session | None = None
        self._session_lock = threading.Lock()
        self._token: tuple[str, float] | None = None
        self._token_lock = threading.Lock()

    @property
    def session(self) -> requests.Session:
        """The HTTP session; credentials go with each request and are not in it."""
        from airflow_provider_ingestjobs.hooks.http import open_session

        with self._session_lock:
            if self._session is None:
                token_request = self._credentials.token_request
                exchange_url = token_request.url if token_request else None
                self._session = open_session(self._settings, exchange_url, self._count)
            return self._session

    def request(self, method: str, path: str, *, params: Params = (), json_body: Any = None) -> Any:
        """Send a request with the connection's credentials and return the answer's JSON.

        Only a GET is sent again where the vendor is in passing trouble.

        :param method: the HTTP method.
        :param path: from the host on; ids in it must be percent-encoded.
        :param params: query parameters; a name may repeat.
        :param json_body: what to send as JSON.
        :returns: the answer's JSON; ``None`` for an empty body.
        :raises AuthenticationFailed: for 401 (after one new token, where tokens are exchanged).
        :raises PermissionDenied: for 403.
        :raises VendorUnavailable: for passing trouble.
        :raises VendorError: for everything else but success.
        """
        response = self._send_with_fresh_token(method, path, params, json_body)
        self._check(method, path, response)
        try:
            return response.json() if response.body.strip() else None
        except ValueError:
            raise self._no_json(method, path, response) from None

    def request_list(
        self,
        path: str,
        key: str,
        *,
        params: Params = (),
        others: dict[str, Any] | None = None,
        or_bare: bool = False,
    ) -> Iterator[Any]:
        """Send a request for a list, and return its records one by one.

        A long list that is held whole makes Python's garbage collector run over all objects more often, which
        stops all threads.

        :param path: from the host on.
        :param key: the answer's field that has the list.
        :param params: query parameters; a name may repeat.
        :param others: filled with the answer's other fields; complete once all records are taken.
        :param or_bare: whether the answer may also be the list itself.
        :raises VendorError: as :meth:`request` does, but only while the records are taken.
        """
        response = self._send_with_fresh_token("GET", path, params)
        self._check("GET", path, response)
        try:
            yield from response.records(key, others, or_bare)
        except json.JSONDecodeError:
            raise self._no_json("GET", path, response) from None
        except ValueError as error:
            raise Unreadable(
                f"{self._vendor.name} sent a job list that is not a JSON array: {error}",
                status=response.status,
            ) from None

    def redact(self, text: str | bytes, max_length: int = MAX_DETAIL_LENGTH) -> str:
        """Return a vendor's text on one line, without this connection's secrets in it.

        :param text: what the vendor sent.
        :param max_length: the most characters to keep.
        """
        secrets = sorted(self._secrets(), key=len, reverse=True)
        enough = 4 * max_length + len(secrets[0])
        is_cut = len(text) > enough
        text = text[:enough] if isinstance(text, str) else text[:enough].decode("utf-8", "replace")
        for secret in secrets:
            text = text.replace(secret, "***")
        if is_cut:
            # A secret cut in two at the end would survive the replacement.
            text = text[: -len(secrets[0])]
        # No line breaks of any kind, no escape sequences, nothing that turns the writing direction.
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return (text if len(text) <= max_length else f"{text[:max_length]}…") or "(nothing)"

    # ------------------------------------------------------------------ sending

    def _send_with_fresh_token(
        self, method: str, path: str, params: Params, json_body: Any = None
    ) -> Response:
        authorization = self._authorization()
        response = self._send(method, path, params, json_body, authorization)
        if response.status == 401 and self._credentials.token_request is not None:
            self._expire(authorization)
            response = self._send(method, path, params, json_body, self._authorization())
        return response

    def _send(self, method: str, path: str, params: Params, json_body: Any, authorization: str) -> Response:
        from airflow_provider_ingestjobs.hooks.http import send

        return send(
            self.session,
            self._settings,
            method,
            self._settings.base_url + path,
            headers={"Authorization": authorization, **self._credentials.headers},
            params=params,
            json_body=json_body,
        )

    def _count(self, name: str) -> None:
        from airflow_provider_ingestjobs.airflow_compat import Stats

        Stats.incr(f"ingestjobs.{name}", tags=tags_of(self._vendor, self._settings.conn_id))

    # ------------------------------------------------------------------ the token

    def _authorization(self) -> str:
        if self._credentials.token_request is None:
            return self._credentials.authorization or ""
        # Threads that find the token expired share one exchange.
        with self._token_lock:
            if self._token is None or self._token[1] <= clock.monotonic():
                self._token = self._exchange(self._credentials.token_request)
            return self._token[0]

    def _expire(self, authorization: str) -> None:
        with self._token_lock:
            if self._token is not None and self._token[0] == authorization:
                # Keep the rejected token: the vendor may echo it in an error, and redact() must know it.
                self._token = (authorization, float("-inf"))

    def _exchange(self, ask: TokenRequest) -> tuple[str, float]:
        from airflow_provider_ingestjobs.hooks.http import send

        response = send(
            self.session,
            self._settings,
            "POST",
            ask.url,
            headers=ask.headers,
            form=ask.form,
            json_body=ask.json_body,
            url_field=ask.url_field,
        )
        if 400 <= response.status < 500 and response.status not in (408, 425, 429):
            # A 404 of the token's address as well: it must not look like a job that is not there.
            detail, request_id = self._error_detail(response)
            raise AuthenticationFailed(
                f"401: got no token for connection {self._settings.conn_id!r}, check {self._what_proves()}. "
                f"{ask.url} answered {response.status}: {detail}",
                status=401,
                request_id=request_id,
            )
        self._check("POST", ask.url, response)
        try:
            data = response.json()
        except ValueError:
            # The body is kept out of the error: it may have the token. It is not Unreadable, which would be
            # one job's trouble: without a token there is nothing else to ask.
            raise VendorUnavailable(f"{ask.url} answered with something that is not JSON") from None
        token = data.get(ask.token_field) if isinstance(data, Mapping) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise VendorUnavailable(f"{ask.url} sent no {ask.token_field}")
        if self._mask is not None:
            self._mask(token)
        life = data.get(ask.expires_field)
        if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < MAX_TOKEN_LIFE:
            life = float("inf")
        return f"{ask.scheme} {token}", clock.monotonic() + max(life - TOKEN_MARGIN, life / 2)

    # ------------------------------------------------------------------ errors

    def _what_proves(self) -> str:
        """Return the fields of the connection that the vendor has refused."""
        return "login and password" if self._settings.login else "password"

    def _check(self, method: str, path: str, response: Response) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        from airflow_provider_ingestjobs.hooks.http import read_retry_after

        detail, request_id = self._error_detail(response)
        message = f"{self._vendor.name} answered {status} to {method} {path}: {detail}"
        named = f", request id {request_id}" if request_id else ""
        message += f" (connection {self._settings.conn_id!r}{named})"
        error: type[VendorError] = VendorError
        if status == 401:
            error = AuthenticationFailed
            message = f"401: token rejected, check {self._what_proves()}. {message}"
        elif status == 403:
            error, message = PermissionDenied, f"403: not permitted with these credentials. {message}"
        elif 300 <= status < 400:
            message += ". Redirects are not followed: check the connection's host"
        elif status == 429:
            error = Throttled
        elif status in (408, 425) or status >= 500:
            error = VendorUnavailable
        retry_after = read_retry_after(response.headers.get("Retry-After"))
        raise error(message, status=status, request_id=request_id, retry_after=retry_after)

    def _no_json(self, method: str, path: str, response: Response) -> Unreadable:
        return Unreadable(
            f"{self._vendor.name} answered {method} {path} with something that is not JSON: "
            f"{self.redact(response.body)}",
            status=response.status,
        )

    def _error_detail(self, response: Response) -> tuple[str, str | None]:
        """Return the vendor's own words and its id of the request."""
        try:
            data = response.json()
        except ValueError:
            data = None
        if not isinstance(data, Mapping):
            data = {}
        words = [str(data[key]) for key in DETAIL_FIELDS if data.get(key)]
        header = response.headers.get("X-Request-Id")
        request_id = data.get("request_id") or data.get("trace_id") or header
        text = self.redact(": ".join(words)) if words else self.redact(response.body)
        return text, self.redact(str(request_id)) if request_id else None

    def _secrets(self) -> Iterator[str]:
        """Yield what this connection authenticates with, in every form in which it is sent."""
        ask = self._credentials.token_request
        sent = [self._token[0]] if self._token else []
        sent.append(self._credentials.authorization or "")
        sent.append(ask.headers.get("Authorization", "") if ask else "")
        yield from filter(None, (header.partition(" ")[2] for header in sent))
        password = self._settings.password
        yield from {password, quote_plus(password), quote(password, safe=""), json.dumps(password)[1:-1]}
