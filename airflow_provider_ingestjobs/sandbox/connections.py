# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airflow connections that work against the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi


def connection(vendor: VendorApi, auth: str, url: str) -> dict[str, Any]:
    """Return the arguments of an Airflow Connection to a vendor.

    :param vendor: the vendor.
    :param auth: ``"key"`` for the password alone, ``"login"`` for login and password.
    :param url: the base URL.
    """
    if auth not in ("key", "login"):
        raise ValueError(f"auth must be 'key' or 'login', not {auth!r}")
    credentials = vendor.credentials
    return {
        "conn_id": f"{vendor.conn_type}_default",
        "conn_type": vendor.conn_type,
        "host": url,
        "login": credentials.login if auth == "login" else None,
        "password": credentials.password if auth == "login" else credentials.key,
        "extra": vendor.connection_extra(url, auth),
    }


def connection_variables(vendors: Iterable[VendorApi], url: str) -> dict[str, str]:
    """Return the environment variables that give Airflow the default connection of each vendor.

    :param vendors: the vendors.
    :param url: the base URL.
    """
    variables = {}
    for vendor in vendors:
        arguments = connection(vendor, "key", url)
        name = f"AIRFLOW_CONN_{arguments.pop('conn_id').upper()}"
        variables[name] = json.dumps(
            {key: value for key, value in arguments.items() if value not in (None, {})}
        )
    return variables
