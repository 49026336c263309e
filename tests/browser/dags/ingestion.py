# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What waits while the page is looked at, in every way of waiting; the run's conf names the jobs."""

from __future__ import annotations

from airflow_provider_ingestjobs.airflow_compat import DAG
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor

#: Longer than any test.
HOURS = 4 * 3600

with DAG("customer_360", schedule=None, catchup=False, params={"order_history": "", "failed": ""}):
    AmperityJobSensor(
        task_id="wait_for_members",
        table_name="Loyalty members",
        look_back=7 * 24 * 3600,
        poke_interval=5,
        timeout=HOURS,
        deferrable=True,
    )
    AmperityJobSensor(
        task_id="wait_for_order_history",
        job_id="{{ params.order_history }}",
        poke_interval=5,
        timeout=HOURS,
        cancel_on_kill=True,
        deferrable=True,
    )
    AmperityJobSensor(
        task_id="wait_for_transactions",
        job_id="{{ params.failed }}",
        poke_interval=5,
        timeout=HOURS,
        deferrable=True,
    )

with DAG("ad_spend", schedule=None, catchup=False, params={"fetch": ""}):
    AdverityJobSensor(
        task_id="wait_for_fetch",
        job_id="{{ params.fetch }}",
        # Seldom: it is to be seen between two looks.
        poke_interval=60,
        timeout=HOURS,
        mode="reschedule",
        deferrable=False,
    )

with DAG("clickstream", schedule=None, catchup=False):
    PolarisJobSensor.partial(
        task_id="wait_for_load", poke_interval=5, timeout=HOURS, mode="poke", deferrable=False
    ).expand(job_id=["3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f2001", "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f2002"])

with DAG("audiences", schedule=None, catchup=False, params={"view": ""}):
    NarrativeJobSensor(
        task_id="wait_for_view", job_id="{{ params.view }}", poke_interval=5, timeout=HOURS, deferrable=True
    )

with DAG("partner_feeds", schedule=None, catchup=False):
    AmperityJobSensor.partial(
        task_id="wait_for_feed",
        amperity_conn_id="amperity_eu",
        poke_interval=30,
        timeout=HOURS,
        deferrable=True,
    ).expand(job_id=["isj-feed-000"])
