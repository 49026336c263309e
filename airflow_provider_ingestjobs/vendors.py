# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The vendors: every fact about one that is not code stands on its row.

It imports nothing of Airflow, as Airflow reads it while it looks for providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Extra:
    """One key of a connection's extras.

    :param label: its name in the form.
    :param description: what it does.
    :param type: ``text``, ``number`` (positive), ``count`` (positive, whole) or ``mapping`` (a JSON object).
    :param default: what holds when it is absent.
    :param choices: the only values it may have, if there are such.
    :param required: whether a hook refuses to work without it.
    """

    label: str
    description: str
    type: Literal["text", "number", "count", "mapping"] = "text"
    default: str | float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


COMMON_EXTRAS = {
    "connect_timeout": Extra("Connect timeout (s)", "Seconds to wait for a connection.", "number", 10),
    "read_timeout": Extra(
        "Read timeout (s)", "Seconds to wait for an answer's headers, and again for its body.", "number", 60
    ),
    "requests_per_second": Extra(
        "Requests per second", "Limit for one Airflow process, over all its waits.", "number"
    ),
    "state_map": Extra(
        "State map (JSON)",
        'States of vendor words that this release does not know: {"word": "succeeded"}.',
        "mapping",
    ),
    "ca_bundle": Extra("CA bundle", "Path of the certificates to trust instead of the usual ones."),
}


@dataclass(frozen=True)
class Levels:
    """Words of a vendor that can be compared.

    :param key: the key of the job's details that has the word.
    :param words: the words, from the best to the worst.
    :param reason: the key that has the vendor's word on why, if it gives one.
    """

    key: str
    words: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Vendor:
    """One vendor. Its hook is the code, this row is everything else.

    A vendor has three names: ``conn_type`` is its id in Airflow (``imply_polaris``; also the tag of metrics,
    and with ``-`` for ``_`` the scheme of its assets' addresses), ``name`` is what people read
    (``Imply Polaris``; also in a job's dict), ``module`` is what its modules are called (``polaris``).

    :param conn_type: Airflow's connection type.
    :param name: the vendor's name, also the integration's and the form's title.
    :param hook: class path of the hook.
    :param doc_url: the vendor's API documentation.
    :param filters: what jobs can be selected by: for each filter the key of :attr:`Job.details` that has a
        job's value or list of values; ``None`` where no record has it, so that only the vendor can judge.
    :param window: the moments of a job that a selection's window is about; one of them in the window is
        enough, so that a job that is created in it and starts behind it does not leave the selection. Name
        those alone by which the vendor's list can be read as far back as the window goes.
    :param counts: which of :class:`~airflow_provider_ingestjobs.job.RowCounts` the vendor gives.
    :param limits: checks of its own beyond those of rows: for each ``max_…`` the key of the job's details
        that has the number.
    :param levels: checks of its own by words: for each ``max_…`` the words from the best to the worst.
    :param asset: what the two parts of an asset's address are, for error texts, such as tenant and feed id.
    :param reads: the keys of a job's details that name what it read, for OpenLineage.
    :param writes: the keys of a job's details that name what it wrote.
    :param host: the host to use where the connection names none; empty if it must name one.
    :param placeholders: what the form shows in its empty fields.
    :param login: the form's label of the login field.
    :param password: the form's label of the password field.
    :param extras: this vendor's extras, before the common ones.
    :param account: the extras that, with the host, name the account whose rate of requests a vendor limits;
        ``None`` where only the credentials tell: then each connection has a rate of its own.
    :param cancels: whether the vendor documents a way to stop a job, so that there is a cancel operator.
    :param stops: what stops with a job, where that is more than the job; with keys of the job's details.
    """

    conn_type: str
    name: str
    hook: str
    doc_url: str
    filters: Mapping[str, str | None] = field(default_factory=dict)
    window: tuple[str, ...] = ("created_at", "started_at")
    counts: frozenset[str] = frozenset()
    limits: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, Levels] = field(default_factory=dict)
    asset: tuple[str, str] = ("owner", "target")
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    host: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    login: str = "Client id (leave empty for a token)"
    password: str = "Token, or client secret"  # noqa: S105 - a label
    extras: Mapping[str, Extra] = field(default_factory=dict)
    account: tuple[str, ...] | None = None
    cancels: bool = True
    stops: str = ""

    @property
    def module(self) -> str:
        """The name of this vendor's module among the hooks, sensors and operators."""
        return self.hook.split(".")[-2]

    def words_of(self, name: str) -> tuple[str, ...]:
        """Return all words that a filter can have; none where any text may be one.

        :param name: the filter's name.
        """
        key = self.filters[name]
        return next((levels.words for levels in self.levels.values() if levels.key == key), ())

    def what_stops(self, job_id: str, details: Mapping[str, Any]) -> str:
        """Return what stops where a job is cancelled, for people who are asked whether it should.

        :param job_id: the vendor's id of it.
        :param details: the job's details.
        """
        name = f"{self.name} job {job_id}"
        try:
            return f"{name}, and with it {self.stops.format_map(details)}" if self.stops else name
        except KeyError:
            return name

    @property
    def conn_name_attr(self) -> str:
        """The argument of its hook, sensors and operators that takes the connection's id."""
        return f"{self.conn_type}_conn_id"

    @property
    def default_conn_id(self) -> str:
        """The connection that is used where none is named."""
        return f"{self.conn_type}_default"

    @property
    def scheme(self) -> str:
        """The scheme of its assets' addresses."""
        return self.conn_type.replace("_", "-")

    @property
    def all_extras(self) -> dict[str, Extra]:
        """This vendor's extras and the common ones; a vendor's own replaces a common one of the same name."""
        return {**self.extras, **COMMON_EXTRAS, **self.extras}


AMPERITY = Vendor(
    conn_type="amperity",
    account=("tenant",),
    name="Amperity",
    # https://docs.amperity.com/api/, stop workflow
    stops="the whole workflow {workflow_id} with everything in it",
    hook="airflow_provider_ingestjobs.hooks.amperity.AmperityHook",
    doc_url="https://docs.amperity.com/api/",
    filters={"feed_id": "feed_ids", "table_name": "table_names", "workflow_id": "workflow_id"},
    counts=frozenset({"read", "inserted", "updated", "rejected", "errors"}),
    asset=("tenant", "feed id or table name"),
    reads=("feed_ids",),
    writes=("table_names",),
    host="app.amperity.com",
    placeholders={
        # https://docs.amperity.com/api/base_url.html
        "host": "app.amperity.com; Australia: app-aws-apse2.amperity.com; Azure: <tenant>.amperity.com",
        "tenant": "acme",
    },
    extras={
        "tenant": Extra("Tenant", "Tenant id, sent with every request.", required=True),
        "api_version": Extra("API version", "Version header of every request.", default="2024-04-01"),
        "token_url": Extra(
            "Token URL",
            "Where client credentials are exchanged, if not at the host's /api/v0/oauth2/token: the token "
            "endpoint that Amperity shows with them.",
        ),
        # https://docs.amperity.com/api/, rate limits
        "requests_per_second": replace(COMMON_EXTRAS["requests_per_second"], default=10),
    },
)
ADVERITY = Vendor(
    conn_type="adverity",
    account=(),
    name="Adverity",
    hook="airflow_provider_ingestjobs.hooks.adverity.AdverityHook",
    doc_url="https://docs.adverity.com/guides/management-api/",
    filters={"datastream_id": "datastream_id"},
    limits={"max_issues": "issues"},
    asset=("instance's host", "datastream id"),
    reads=("datastream_id",),
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
        "page_size": Extra("Page size", "Jobs to ask for in one page of a list.", "count", default=1000),
    },
)
IMPLY_POLARIS = Vendor(
    conn_type="imply_polaris",
    account=(),
    name="Imply Polaris",
    hook="airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
    doc_url="https://docs.imply.io/api/polaris/api-reference",
    filters={"table_name": "table_name", "job_type": "job_type", "health_status": "health_status"},
    window=("created_at",),
    counts=frozenset({"read", "inserted", "errors"}),
    levels={"max_health": Levels("health_status", ("ok", "warn", "error"), reason="health_code")},
    asset=("project id", "table name"),
    writes=("table_name",),
    placeholders={"host": "ORG.REGION.CLOUD.api.imply.io"},
    password="API key, token, or client secret",  # noqa: S106 - a label
    extras={
        "project_id": Extra(
            "Project id",
            "Needed: Imply has announced the end of addresses without one, which projects from before "
            "2023-09-29 may still have.",
        ),
        "auth_scheme": Extra(
            "Key scheme",
            "Basic sends base64(key:), Basic-raw the key as it is, Bearer an OAuth access token.",
            default="Basic",
            choices=("Basic", "Basic-raw", "Bearer"),
        ),
        "token_url": Extra("Token URL", "Where client credentials are exchanged, if not id.imply.io."),
    },
)
NARRATIVE = Vendor(
    conn_type="narrative",
    name="Narrative",
    hook="airflow_provider_ingestjobs.hooks.narrative.NarrativeHook",
    doc_url="https://docs.narrative.io/",
    # A job's record does not have its tags.
    filters={
        "dataset_id": "dataset_id",
        "data_plane_id": "data_plane_id",
        "job_type": "job_type",
        "tags": None,
    },
    window=("created_at",),
    # Of materialised views.
    counts=frozenset({"inserted"}),
    asset=("company or host", "data set id"),
    writes=("dataset_id",),
    host="api.narrative.io",
    placeholders={"host": "api.narrative.io"},
    login="Client id (leave empty for an API key)",
    password="API key, or client secret",  # noqa: S106 - a label
    cancels=False,
)

#: The vendors of this package, in the order in which they are listed.
VENDORS = (AMPERITY, ADVERITY, IMPLY_POLARIS, NARRATIVE)
