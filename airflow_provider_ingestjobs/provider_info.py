# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow's ``apache_airflow_provider`` entry point asks for, made from vendors' rows.

It imports nothing of Airflow, as Airflow reads it while it looks for providers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import metadata
from typing import Any

from airflow_provider_ingestjobs.vendors import Extra, Vendor

HERE = __name__.rpartition(".")[0]
#: What checks the addresses of vendors' assets; it also marks the providers that bring vendors.
ASSET_HANDLER = f"{HERE}.assets.check_uri"
SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"], "exclusiveMinimum": 0},
    "count": {"type": ["integer", "null"], "minimum": 1},
    "mapping": {"type": ["string", "null"]},
}
#: What returns the commands of this package; Airflow before 3.2 does not ask for them.
CLI = [f"{HERE}.cli.definition.get_cli_commands"]
#: The settings of this package, as Airflow documents and reads them.
CONFIG: dict[str, Any] = {
    "ingestjobs": {
        "description": "Settings of the provider for vendor-run ingestion jobs.",
        "options": {
            "workerless": {
                "description": (
                    "Whether deferrable sensors start and end in the triggerer, without a worker, where they "
                    "can. A sensor's own start_from_trigger and end_from_trigger come before this.\n"
                ),
                "type": "boolean",
                "version_added": "0.2.0",
                "example": None,
                "default": "False",
            },
            "task_tab": {
                "description": (
                    'Whether each task instance has a tab "Ingestion job" (Airflow 3.1.1 and newer). Airflow '
                    "up to 3.3 cannot keep it to the tasks of this package.\n"
                ),
                "type": "boolean",
                "version_added": "0.2.0",
                "example": None,
                "default": "False",
            },
            "connections": {
                "description": (
                    "Ids of further connections, separated by commas, that the page and the command line "
                    "list. Those of the database and of environment variables are there anyway; secrets "
                    "backends cannot be asked for a list.\n"
                ),
                "type": "string",
                "version_added": "0.2.0",
                "example": "amperity_prod, adverity_prod",
                "default": "",
            },
        },
    }
}


def provider_info(package: str, vendors: Sequence[Vendor], name: str | None = None) -> dict[str, Any]:
    """Return the provider info of a distribution that brings vendors.

    A distribution's entry point is a function that returns it::

        def get_provider_info():
            return provider_info("ingestjobs-airbyte", [AIRBYTE])

    :param package: the distribution's name; version and summary come from its metadata.
    :param vendors: the vendors that it brings.
    :param name: what Airflow calls the provider; the distribution's name if left out.
    """
    about = metadata(package)
    asset_uris = [{"schemes": [row.scheme for row in vendors], "handler": ASSET_HANDLER}]
    return {
        "package-name": package,
        "name": name or package,
        "description": about["Summary"] or "",
        "versions": [about["Version"]],
        "integrations": [
            {"integration-name": row.name, "external-doc-url": row.doc_url, "tags": ["service"]}
            for row in vendors
        ],
        "hooks": _modules(vendors, "hooks"),
        "sensors": _modules(vendors, "sensors"),
        "operators": _modules(vendors, "operators"),
        "triggers": [
            {
                "integration-name": row.name,
                "python-modules": [
                    f"{HERE}.triggers.{module}" for module in ("job", "selection", "start", "asset_event")
                ],
            }
            for row in vendors
        ],
        "asset-uris": asset_uris,
        # What Airflow 2 calls them.
        "dataset-uris": asset_uris,
        "connection-types": [_connection_type(row) for row in vendors],
        "extra-links": [f"{HERE}.links.VendorJobLink", f"{HERE}.links.IngestionJobLink"],
    }


def ui_field_behaviour(vendor: Vendor) -> dict[str, Any]:
    """Return the labels and placeholders of the connection form.

    :param vendor: whose form it is.
    """
    return {
        "hidden-fields": [],
        "relabeling": {"login": vendor.login, "password": vendor.password, "schema": "Scheme"},
        "placeholders": {"schema": "https", **vendor.placeholders},
    }


def _connection_type(vendor: Vendor) -> dict[str, Any]:
    return {
        "connection-type": vendor.conn_type,
        "hook-class-name": vendor.hook,
        "hook-name": vendor.name,
        "conn-fields": {key: _conn_field(extra) for key, extra in vendor.all_extras.items()},
        "ui-field-behaviour": ui_field_behaviour(vendor),
    }


def _conn_field(extra: Extra) -> dict[str, Any]:
    schema: dict[str, Any] = dict(SCHEMAS[extra.type])
    if extra.default is not None:
        schema["default"] = extra.default
    if extra.choices:
        schema["enum"] = list(extra.choices)
    return {"label": extra.label, "schema": schema, "description": extra.description}


def _modules(vendors: Sequence[Vendor], kind: str) -> list[dict[str, Any]]:
    """Return the vendors' modules of a kind, as far as where the hook is tells them."""
    return [
        {"integration-name": row.name, "python-modules": [_beside(row.hook, kind)]}
        for row in vendors
        if kind == "hooks" or ".hooks." in row.hook
    ]


def _beside(hook: str, kind: str) -> str:
    """Return the module of a kind beside a hook's: ``x.sensors.y`` for ``x.hooks.y``, else ``x.sensors``."""
    package, in_hooks, rest = hook.partition(".hooks.")
    if not in_hooks:
        return hook.rpartition(".")[0]
    return ".".join(filter(None, (package, kind, rest.rpartition(".")[0])))
