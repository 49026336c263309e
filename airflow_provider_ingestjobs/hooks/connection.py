# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A connection as its hook uses it: every field checked, every default filled in."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_ingestjobs.errors import InvalidInput, NoConnection
from airflow_provider_ingestjobs.job import JobState, normalise_word
from airflow_provider_ingestjobs.vendors import COMMON_EXTRAS, VENDORS, Extra, Vendor

log = logging.getLogger(__name__)

#: One of another vendor is refused; one of any other type, such as ``http``, may have all that is needed.
_VENDORS_TYPES = frozenset(vendor.conn_type for vendor in VENDORS)


class AirflowConnection(Protocol):
    """The part of Airflow's ``Connection`` that is read here, alike in every Airflow version."""

    conn_type: str | None
    host: str | None
    login: str | None
    password: str | None
    schema: str | None
    port: int | None


@dataclass(frozen=True)
class Settings:
    """A connection, checked and ready to use.

    :param conn_id: Airflow's id of it, for messages.
    :param base_url: scheme, host and port, without a trailing slash.
    :param login: client id or user name; ``None`` where the password is a token.
    :param password: token, key, secret or password.
    :param state_map: vendor words, normalised, that the user mapped.
    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for an answer's headers, and again for all of its body.
    :param requests_per_second: the most that one process sends to the account; ``None``: no limit.
    :param account: whose requests these are: connections with the same one share a rate.
    :param ca_bundle: path of the certificates to trust; ``None``: the usual ones.
    :param extras: the vendor's own extras, with defaults filled in.
    """

    conn_id: str
    base_url: str
    login: str | None
    password: str = field(repr=False)
    state_map: Mapping[str, JobState]
    connect_timeout: float
    read_timeout: float
    requests_per_second: float | None
    account: str
    ca_bundle: str | None
    extras: Mapping[str, Any] = field(repr=False)

    @property
    def timeout(self) -> tuple[float, float]:
        """Connect and read timeout in seconds, as ``requests`` takes them."""
        return self.connect_timeout, self.read_timeout


def read_connection(
    vendor: Vendor, conn_id: str, connection: AirflowConnection, extra: Mapping[str, Any]
) -> Settings:
    """Check a connection and return what it says.

    :param vendor: the vendor that it must fit.
    :param conn_id: its id, for messages.
    :param connection: Airflow's connection.
    :param extra: its extras, already read from JSON.
    :raises InvalidInput: naming the field, its value (never a secret) and the fix.
    """
    unknown = sorted(extra.keys() - vendor.all_extras.keys())
    for key in unknown:
        log.warning(
            "Connection %r has an extra %r that %s does not know: it is ignored. Known: %s.",
            conn_id,
            key,
            vendor.hook.rpartition(".")[2],
            ", ".join(vendor.all_extras),
        )
    if connection.conn_type in _VENDORS_TYPES - {vendor.conn_type}:
        fix = f"use a connection of type {vendor.conn_type!r}"
        raise InvalidInput(f"connection {conn_id!r}: type", connection.conn_type, fix)
    try:
        return _settings(vendor, conn_id, connection, extra)
    except InvalidInput as error:
        if error.value not in (None, ""):
            raise
        # Something is missing, which may be there by another name.
        hints = [f"its extra {', '.join(map(repr, unknown))} is not known"] if unknown else []
        if connection.conn_type != vendor.conn_type:
            hints.append(f"its type is {connection.conn_type!r}, not {vendor.conn_type!r}")
        raise InvalidInput(error.field, error.value, "; ".join([error.fix, *hints])) from None


def no_connection(vendor: Vendor, conn_id: str) -> NoConnection:
    """Return the error for a connection that Airflow does not have.

    :param vendor: whose connection it should be.
    :param conn_id: its id.
    """
    return NoConnection(
        vendor.conn_name_attr,
        conn_id,
        f"create this connection in Airflow, with type {vendor.conn_type!r}. If it is there: workers and "
        "triggerers must all see it, in their environment or secrets backend, and that backend must answer",
    )


def check_url(field_name: str, url: str) -> str:
    """Return scheme, host, port and path of an address that credentials may be sent to.

    :param field_name: what the user called it, for the error.
    :param url: ``https://…``, or ``http://`` to a loopback host.
    :raises InvalidInput: for any other scheme, user info, query, fragment or malformed host.
    """
    # What stands before or behind the host may be a secret.
    shown = re.split(r"[?#]", url.rpartition("@")[2])[0]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInput(field_name, shown, "write a host name, with :port if it needs one") from None
    if "@" in url or re.search(r"[\s\\\x00-\x1f]", url) or parts.query or parts.fragment:
        raise InvalidInput(field_name, shown, "leave out user, password, query, fragment and white space")
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(field_name, shown, "use https://, or http:// to this machine")
    if not _is_host(host):
        raise InvalidInput(field_name, shown, "write a host name such as api.example.com")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidInput(
            field_name, shown, f"use https://{host}: credentials only leave this machine encrypted"
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{parts.path}"


def _settings(
    vendor: Vendor, conn_id: str, connection: AirflowConnection, extra: Mapping[str, Any]
) -> Settings:
    def name(field_name: str) -> str:
        return f"connection {conn_id!r}: {field_name}"

    if not connection.password:
        raise InvalidInput(
            name("password"),
            connection.password,
            f"enter a token or key alone, or a login and its secret ({vendor.password})",
        )
    if connection.password != connection.password.strip():
        fix = "it begins or ends with a line break or white space: enter the secret alone"
        raise InvalidInput(name("password"), "***", fix)
    if not connection.login:
        _check_header_value(name("password"), connection.password)
    values = {
        key: _read_extra(name(f"extra {key}"), row, extra.get(key)) for key, row in vendor.all_extras.items()
    }
    if values["ca_bundle"] and not Path(values["ca_bundle"]).exists():
        raise InvalidInput(
            name("extra ca_bundle"), values["ca_bundle"], "there is no such file on this machine"
        )
    base_url = _base_url(name, vendor, connection)
    account = [conn_id] if vendor.account is None else [str(values[key]) for key in vendor.account]
    return Settings(
        conn_id=conn_id,
        base_url=base_url,
        login=connection.login or None,
        password=connection.password,
        state_map=_state_map(name("extra state_map"), values["state_map"] or {}),
        connect_timeout=values["connect_timeout"],
        read_timeout=values["read_timeout"],
        requests_per_second=values["requests_per_second"],
        account=" ".join([vendor.conn_type, base_url, *account]),
        ca_bundle=values["ca_bundle"],
        extras={key: value for key, value in values.items() if key not in COMMON_EXTRAS},
    )


def _base_url(name: Callable[[str], str], vendor: Vendor, connection: AirflowConnection) -> str:
    host = (connection.host or vendor.host).strip()
    if not host.strip("/"):
        raise InvalidInput(
            name("host"),
            connection.host,
            f"enter the host, such as {vendor.placeholders.get('host', 'api.example.com')}",
        )
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    url = check_url(name("host"), host).rstrip("/")
    if urlsplit(url).path:
        raise InvalidInput(name("host"), host.rpartition("@")[2], "leave out the path: the hook adds it")
    if urlsplit(url).port or not connection.port:
        return url
    if not 0 < connection.port < 65536:
        raise InvalidInput(name("port"), connection.port, "enter a port from 1 to 65535, or none")
    return f"{url}:{connection.port}"


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", host))
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_extra(field_name: str, row: Extra, value: Any) -> Any:
    if value is None or value == "":
        if row.required:
            raise InvalidInput(field_name, value, f"it is required: {row.description}")
        return row.default
    if row.type in ("number", "count"):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        if isinstance(value, bool) or not 0 < number < float("inf"):
            raise InvalidInput(field_name, value, "enter a number above zero")
        if row.type == "number":
            return number
        if not number.is_integer():
            raise InvalidInput(field_name, value, "enter a whole number")
        return int(number)
    if row.type == "mapping":
        return _read_mapping(field_name, value)
    if not isinstance(value, str):
        raise InvalidInput(field_name, value, "enter text")
    if row.choices and value not in row.choices:
        raise InvalidInput(field_name, value, f"use one of {', '.join(row.choices)}")
    _check_header_value(field_name, value)
    return value


def _read_mapping(field_name: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidInput(field_name, value, "enter a JSON object") from None
    if not isinstance(value, Mapping):
        raise InvalidInput(field_name, value, "enter a JSON object")
    return value


def _state_map(field_name: str, words: Mapping[str, Any]) -> dict[str, JobState]:
    mapped = {}
    for word, state in words.items():
        try:
            mapped[normalise_word(word)] = JobState(normalise_word(str(state)))
        except ValueError:
            fix = f"map {word!r} to one of {', '.join(JobState)}"
            raise InvalidInput(field_name, {word: state}, fix) from None
    return mapped


def _check_header_value(field_name: str, value: str) -> None:
    # The value is kept out of the error: it may be the secret itself.
    if not value.isascii() or not value.isprintable():
        raise InvalidInput(
            field_name, "***", "it has a line break or a character that no HTTP header can carry"
        )
