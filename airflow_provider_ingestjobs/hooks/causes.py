# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Why no answer came, in words that name what to check."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.connection import Settings

PROXY_VARIABLES = ("HTTPS_PROXY", "ALL_PROXY")
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def describe_cause(error: Exception, settings: Settings, url: str, url_field: str) -> str:
    """Return why a request got no whole answer.

    :param error: what was raised while it was sent.
    :param settings: the connection.
    :param url: where it went.
    :param url_field: the connection's field that the address comes from.
    """
    reason = _root_of(error)
    is_over_socks = url.startswith("https://") and (_proxy_of(url) or "").startswith("socks")
    if isinstance(error, requests.exceptions.ProxyError) or (
        # urllib3 has no error of its own for these.
        is_over_socks and isinstance(error, requests.exceptions.ConnectionError)
    ):
        return _describe_proxy(reason, url)
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the server's certificate is not trusted ({_last_words(str(error))}): check the connection's "
            f"{url_field}, or set its extra ca_bundle"
        )
    if isinstance(reason, NameResolutionError | socket.gaierror):
        host = urlsplit(url).hostname
        return f"the name of host={host!r} cannot be resolved: check the connection's {url_field}"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {settings.connect_timeout:g} s"
    if isinstance(reason, ReadTimeoutError | TimeoutError):
        return f"no answer within {settings.read_timeout:g} s"
    return f"{type(error).__name__}: {_last_words(str(error))}"


def check_proxy(url: str) -> None:
    """Refuse a proxy of the environment that cannot be one.

    Its address may have a password, which the errors of the libraries below repeat.

    :param url: an address that is asked over it.
    :raises VendorUnavailable: if its address is malformed.
    """
    proxy = _proxy_of(url)
    if proxy is None:
        return
    try:
        parts = urlsplit(proxy)
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or parts.scheme not in PROXY_SCHEMES:
        raise VendorUnavailable(
            f"the proxy in this machine's environment cannot be used: write {' or '.join(PROXY_VARIABLES)} "
            "like http://user:password@proxy.example.com:3128, with the special characters of user and "
            "password percent-encoded"
        )


def _describe_proxy(reason: Any, url: str) -> str:
    host = urlsplit(_proxy_of(url) or "").hostname
    cause = getattr(reason, "original_error", reason)
    check = f"check {' or '.join(PROXY_VARIABLES)} in this machine's environment"
    if isinstance(cause, NameResolutionError):
        return f"the name of the proxy {host!r} cannot be resolved: {check}"
    return f"the proxy {host!r} does not let it through ({_last_words(str(cause))}): {check}"


def _proxy_of(url: str) -> str | None:
    proxy = select_proxy(url, get_environ_proxies(url))
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _root_of(error: Exception) -> Any:
    """Return the urllib3 error behind one of requests', such as a ``NameResolutionError``."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", None) or (inner if isinstance(inner, Exception) else error)


def _last_words(text: str) -> str:
    return text.rpartition("Caused by")[2][-200:].strip(" ()'\"") or "no details"
