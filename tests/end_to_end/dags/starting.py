# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every vendor's job, started by a task with one retry; two wait for it in the triggerer, two in a worker."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_ingestjobs.airflow_compat import DAG
from airflow_provider_ingestjobs.operators.adverity import AdverityFetchOperator
from airflow_provider_ingestjobs.operators.amperity import AmperityRunWorkflowOperator
from airflow_provider_ingestjobs.operators.narrative import NarrativeRefreshViewOperator
from airflow_provider_ingestjobs.operators.polaris import PolarisRunJobOperator

with DAG(
    "starting",
    schedule=None,
    catchup=False,
    default_args={
        "retries": 1,
        "retry_delay": timedelta(0),
        "poll_interval": 1,
        "timeout": 120,
        "listing_delay": 5,
    },
) as starting:
    AdverityFetchOperator(
        task_id="adverity",
        datastream_id=301,
        range_start="{{ '2026-01-01' }}",
        range_end="2026-01-02",
        deferrable=True,
    )
    AmperityRunWorkflowOperator(task_id="amperity", config_id="cg-starting", workflow_name="Group starting")
    PolarisRunJobOperator(
        task_id="polaris",
        spec={"type": "sql", "query": "INSERT INTO t SELECT * FROM raw"},
        deferrable=True,
    )
    NarrativeRefreshViewOperator(task_id="narrative", dataset_id=301, refresh_type="full")
