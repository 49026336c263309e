# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Apache Airflow provider for vendor-run ingestion jobs."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's ``apache_airflow_provider`` entry point asks for; imports nothing of Airflow."""
    from airflow_provider_ingestjobs.provider_info import CLI, CONFIG, provider_info
    from airflow_provider_ingestjobs.vendors import VENDORS

    info = provider_info("airflow-provider-ingestjobs", VENDORS, name="Ingestion jobs")
    # What is the package's own, not its vendors': a package that brings further vendors has none of it.
    return {**info, "config": CONFIG, "cli": CLI}
