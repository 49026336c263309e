# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Tasks that start jobs, and whose processes are killed at the worst of times.

A task whose file ``hold/<task id>.<stage>`` exists stays at that stage of its request; with ``.held`` added,
the file tells that it is there.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ingestjobs.operators.adverity import AdverityFetchOperator
from airflow_provider_ingestjobs.operators.amperity import AmperityRunWorkflowOperator
from airflow_provider_ingestjobs.operators.narrative import NarrativeRunQueryOperator
from airflow_provider_ingestjobs.operators.polaris import PolarisRunJobOperator

HOLD = Path(os.environ.get("AIRFLOW_HOME", ".")) / "hold"
SOURCE = {
    "type": "uploaded",
    "fileList": ["clicks.json"],
    "formatSettings": {"format": "nd-json"},
    "inputSchema": [{"name": "at", "dataType": "string"}],
}
MAPPINGS = [{"columnName": "__time", "expression": "TIME_PARSE(at)"}]


class HeldRequest:
    """A request to start a job, which a file holds up before it is sent or before its answer is known."""

    def __init__(self, request: Any, task_id: str) -> None:
        self._request = request
        self._task_id = task_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def __str__(self) -> str:
        return str(self._request)

    def send(self) -> list[str]:
        """Start the job."""
        self._hold("before_the_request")
        job_ids: list[str] = self._request.send()
        self._hold("before_the_store")
        return job_ids

    def _hold(self, stage: str) -> None:
        file = HOLD / f"{self._task_id}.{stage}"
        while file.exists():
            file.with_name(f"{file.name}.held").touch()
            time.sleep(0.2)


class Held:
    """An operator whose request may be held up."""

    def start_request(self, context: Any) -> Any:
        """Return what to start."""
        return HeldRequest(super().start_request(context), context["ti"].task_id)  # type: ignore[misc]


class Fetch(Held, AdverityFetchOperator):
    """Starts a fetch."""


class RunWorkflow(Held, AmperityRunWorkflowOperator):
    """Starts a workflow run."""


class RunJob(Held, PolarisRunJobOperator):
    """Starts an ingestion job."""


class RunQuery(Held, NarrativeRunQueryOperator):
    """Starts a query."""


with DAG(
    "starts",
    schedule=None,
    catchup=False,
    max_active_tasks=100,
    default_args={
        "retries": 1,
        "retry_delay": timedelta(0),
        "poll_interval": 1,
        "timeout": 240,
        "listing_delay": 8,
    },
) as starts:
    for number, mode in enumerate(("blocking", "deferred"), 1):
        way: dict[str, Any] = {"deferrable": mode == "deferred"}
        Fetch(
            task_id=f"adverity_{mode}",
            datastream_id=100 + number,
            range_start="2026-01-01",
            range_end="2026-01-02",
            **way,
        )
        RunWorkflow(task_id=f"amperity_{mode}", config_id=f"cg-{mode}", workflow_name=f"Group {mode}", **way)
        RunJob(
            task_id=f"polaris_{mode}",
            spec={
                "type": "batch",
                "source": SOURCE,
                "mappings": MAPPINGS,
                "target": {"type": "table", "tableName": f"Clicks {mode}"},
            },
            **way,
        )
        RunQuery(
            task_id=f"narrative_{mode}", nql=f"CREATE MATERIALIZED VIEW clicks_{mode} AS SELECT 1", **way
        )

with DAG(
    "starts_cleared",
    schedule=None,
    catchup=False,
    default_args={"poll_interval": 1, "timeout": 240, "listing_delay": 8, "deferrable": True},
) as starts_cleared:
    AdverityFetchOperator(
        task_id="adverity", datastream_id=201, range_start="2026-01-01", range_end="2026-01-02"
    )
    AmperityRunWorkflowOperator(task_id="amperity", config_id="cg-cleared", workflow_name="Group cleared")
    PolarisRunJobOperator(
        task_id="polaris",
        spec={
            "type": "batch",
            "source": SOURCE,
            "mappings": MAPPINGS,
            "target": {"type": "table", "tableName": "Clicks cleared"},
        },
    )
