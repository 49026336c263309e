# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Why no answer came, in words that name what to check."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from airflow_provider_ingestjobs.hooks.connection import Settings


def describe_cause(error: Exception, settings: Settings, url: str, url_field: str) -> str:
    """Return why a request got no whole answer.

    :param error: what was raised while it was sent.
    :param settings: the connection.
    :param url: where it went.
    :param url_field: the connection's field that the address comes from.
    """
    reason = _root_of(error)
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


def _root_of(error: Exception) -> Any:
    """Return the urllib3 error behind one of requests', such as a ``NameResolutionError``."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", None) or (inner if isinstance(inner, Exception) else error)


def _last_words(text: str) -> str:
    return text.rpartition("Caused by")[2][-200:].strip(" ()'\"") or "no details"
