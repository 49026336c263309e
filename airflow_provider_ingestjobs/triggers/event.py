# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where DAGs import the trigger of an ``AssetWatcher`` from."""

from __future__ import annotations

from airflow_provider_ingestjobs.triggers.asset_event import IngestJobEventTrigger

__all__ = ["IngestJobEventTrigger"]
