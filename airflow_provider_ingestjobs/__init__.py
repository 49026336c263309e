# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Apache Airflow provider for vendor-run ingestion jobs: Amperity, Adverity, Imply Polaris and Narrative."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"], "exclusiveMinimum": 0},
    "count": {"type": ["integer", "null"], "minimum": 1},
    "mapping": {"type": ["string", "null"]},
}


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's ``apache_airflow_provider`` entry point asks for; imports nothing of Airflow."""
    from airflow_provider_ingestjobs.assets import ADDRESSES
    from airflow_provider_ingestjobs.connections import CONNECTION_TYPES, ConnectionType, Extra

    def conn_field(extra: Extra) -> dict[str, Any]:
        schema: dict[str, Any] = dict(_SCHEMAS[extra.kind])
        if extra.default is not None:
            schema["default"] = extra.default
        if extra.choices:
            schema["enum"] = list(extra.choices)
        return {"label": extra.label, "schema": schema, "description": extra.description}

    def connection_type(row: ConnectionType) -> dict[str, Any]:
        return {
            "connection-type": row.conn_type,
            "hook-class-name": row.hook,
            "hook-name": row.vendor,
            "conn-fields": {key: conn_field(extra) for key, extra in row.all_extras.items()},
            "ui-field-behaviour": {
                "hidden-fields": [],
                "relabeling": {"login": row.login, "password": row.password, "schema": "Scheme"},
                "placeholders": {"schema": "https", **row.placeholders},
            },
        }

    def modules(kind: str) -> list[dict[str, Any]]:
        return [
            {"integration-name": row.vendor, "python-modules": [f"{__name__}.{kind}.{row.module}"]}
            for row in CONNECTION_TYPES.values()
        ]

    asset_uris = [{"schemes": list(ADDRESSES), "handler": f"{__name__}.assets.check_uri"}]
    return {
        "package-name": "airflow-provider-ingestjobs",
        "name": "Ingestion jobs",
        "description": "Wait for, judge and stop ingestion jobs that Amperity, Adverity, Imply Polaris "
        "and Narrative run.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": row.vendor, "external-doc-url": row.doc_url, "tags": ["service"]}
            for row in CONNECTION_TYPES.values()
        ],
        "hooks": modules("hooks"),
        "sensors": modules("sensors"),
        "operators": modules("operators"),
        "triggers": [
            {
                "integration-name": row.vendor,
                "python-modules": [f"{__name__}.triggers.job", f"{__name__}.triggers.event"],
            }
            for row in CONNECTION_TYPES.values()
        ],
        "asset-uris": asset_uris,
        # What Airflow 2 calls them.
        "dataset-uris": asset_uris,
        "connection-types": [connection_type(row) for row in CONNECTION_TYPES.values()],
        "extra-links": [f"{__name__}.links.VendorJobLink"],
    }
