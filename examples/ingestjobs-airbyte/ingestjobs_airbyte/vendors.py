# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airbyte's row: every fact about it that is not code. It imports nothing of Airflow."""

from __future__ import annotations

from airflow_provider_ingestjobs.vendors import Extra, Vendor

AIRBYTE = Vendor(
    # Airflow's own provider has the type "airbyte", whose connections keep the API's path in the host.
    conn_type="airbyte_jobs",
    name="Airbyte",
    hook="ingestjobs_airbyte.hooks.airbyte.AirbyteJobsHook",
    doc_url="https://reference.airbyte.com/reference/getjob",
    filters={"connection_id": "connection_id", "job_type": "job_type"},
    # Airbyte documents no more of rowsSynced than its name. A sync may replace rows that were there before,
    # so they are not all new at the target.
    counts=frozenset({"read"}),
    asset=("host", "connection id"),
    host="api.airbyte.com",
    placeholders={"host": "api.airbyte.com, or your own Airbyte's"},
    password="Access token, or client secret",  # noqa: S106 - a label
    extras={
        "api_path": Extra(
            "API path",
            "Where the public API is: /v1 at Airbyte Cloud, /api/public/v1 at an Airbyte of your own.",
            default="/v1",
        ),
    },
)
