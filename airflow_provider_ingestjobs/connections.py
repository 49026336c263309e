# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The connection types: one table for the form in Airflow's UI and for what a hook accepts.

It imports nothing of Airflow, as Airflow reads it while it looks for providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Extra:
    """One key of a connection's extras.

    :param label: its name in the form.
    :param description: what it does.
    :param kind: ``text``, ``number`` (positive), ``count`` (positive, whole) or ``mapping`` (a JSON object).
    :param default: what holds when it is absent.
    :param choices: the only values it may have, if there are such.
    :param required: whether a hook refuses to work without it.
    """

    label: str
    description: str
    kind: str = "text"
    default: str | float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


COMMON_EXTRAS = {
    "connect_timeout": Extra("Connect timeout (s)", "Seconds to wait for a connection.", "number", 10),
    "read_timeout": Extra("Read timeout (s)", "Seconds to wait for an answer.", "number", 60),
    "requests_per_second": Extra(
        "Requests per second", "The most this Airflow process sends, over all its waits.", "number"
    ),
    "state_map": Extra(
        "State map (JSON)", 'Vendor words this release does not know: {"word": "succeeded"}.', "mapping"
    ),
    "ca_bundle": Extra("CA bundle", "Path of the certificates to trust instead of the usual ones."),
}


@dataclass(frozen=True)
class ConnectionType:
    """One vendor's connection.

    :param conn_type: Airflow's connection type.
    :param vendor: the vendor's name, also the integration's and the form's title.
    :param hook: class path of the hook.
    :param doc_url: the vendor's API documentation.
    :param host: the host that holds where the connection gives none; empty if one is required.
    :param placeholders: what the form shows in its empty fields.
    :param login: the form's label of the login field.
    :param password: the form's label of the password field.
    :param extras: this vendor's extras, before the common ones.
    :param cancels: whether the vendor documents a way to stop a job, so that there is a cancel operator.
    """

    conn_type: str
    vendor: str
    hook: str
    doc_url: str
    host: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    login: str = "Client id (leave empty for a token)"
    password: str = "Token, or client secret"  # noqa: S105 - a label
    extras: Mapping[str, Extra] = field(default_factory=dict)
    cancels: bool = True

    @property
    def module(self) -> str:
        """The name of this vendor's module among the hooks, sensors and operators."""
        return self.hook.split(".")[-2]

    @property
    def default_conn_id(self) -> str:
        return f"{self.conn_type}_default"

    @property
    def all_extras(self) -> dict[str, Extra]:
        """This vendor's extras and the common ones; a vendor's row of the same name holds."""
        return {**self.extras, **COMMON_EXTRAS, **self.extras}


CONNECTION_TYPES = {
    row.conn_type: row
    for row in (
        ConnectionType(
            conn_type="amperity",
            vendor="Amperity",
            hook="airflow_provider_ingestjobs.hooks.amperity.AmperityHook",
            doc_url="https://docs.amperity.com/api/",
            host="app.amperity.com",
            placeholders={"host": "app.amperity.com, or <tenant>.amperity.com", "tenant": "acme"},
            extras={
                "tenant": Extra("Tenant", "Tenant id, sent with every request.", required=True),
                "api_version": Extra("API version", "Version header of every request.", default="2024-04-01"),
                # https://docs.amperity.com/api/, rate limits
                "requests_per_second": replace(COMMON_EXTRAS["requests_per_second"], default=10),
            },
        ),
        ConnectionType(
            conn_type="adverity",
            vendor="Adverity",
            hook="airflow_provider_ingestjobs.hooks.adverity.AdverityHook",
            doc_url="https://docs.adverity.com/guides/management-api/",
            placeholders={"host": "acme.datatap.adverity.com"},
            login="User name (leave empty for a key)",
            password="Key, or the user's password",  # noqa: S106 - a label
            extras={
                "auth_scheme": Extra(
                    "Key scheme",
                    "Bearer for a key made in Adverity's UI, Token for one made by its API.",
                    default="Bearer",
                    choices=("Bearer", "Token"),
                ),
                "page_size": Extra(
                    "Page size", "Jobs to ask for in one page of a list.", "count", default=1000
                ),
            },
        ),
        ConnectionType(
            conn_type="imply_polaris",
            vendor="Imply Polaris",
            hook="airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
            doc_url="https://docs.imply.io/polaris/api-manage-job",
            placeholders={"host": "ORG.REGION.CLOUD.api.imply.io"},
            password="API key, token, or client secret",  # noqa: S106 - a label
            extras={
                "project_id": Extra("Project id", "Absent: the project-less addresses of old projects."),
                "auth_scheme": Extra(
                    "Key scheme",
                    "Basic sends base64(key:), Basic-raw the key as it is, Bearer an OAuth access token.",
                    default="Basic",
                    choices=("Basic", "Basic-raw", "Bearer"),
                ),
                "token_url": Extra(
                    "Token URL", "Where client credentials are exchanged, if not id.imply.io."
                ),
            },
        ),
        ConnectionType(
            conn_type="narrative",
            vendor="Narrative",
            hook="airflow_provider_ingestjobs.hooks.narrative.NarrativeHook",
            doc_url="https://docs.narrative.io/",
            host="api.narrative.io",
            placeholders={"host": "api.narrative.io"},
            login="Client id (leave empty for an API key)",
            password="API key, or client secret",  # noqa: S106 - a label
            cancels=False,
        ),
    )
}
