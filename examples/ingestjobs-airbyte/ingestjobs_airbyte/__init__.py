# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airbyte's jobs for airflow-provider-ingestjobs."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's ``apache_airflow_provider`` entry point asks for; imports nothing of Airflow."""
    from airflow_provider_ingestjobs.provider_info import provider_info
    from ingestjobs_airbyte.vendors import AIRBYTE

    return provider_info("ingestjobs-airbyte", [AIRBYTE], name="Airbyte jobs")
