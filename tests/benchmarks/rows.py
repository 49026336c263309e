# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The table's rows: how each vendor's jobs are named, and which trigger waits for one."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from support.vendors import BY_NAME

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

#: The vendor of examples/ingestjobs-airbyte, by its connection type: the peer has its name.
EXAMPLE = "airbyte_jobs"
OURS = (*BY_NAME, EXAMPLE)
PEERS = ("airbyte", "dbt_cloud", "databricks")
#: The rows whose vendor is the sandbox: the peer and the example ask the same server.
IN_SANDBOX = (*OURS, "airbyte")
HOOKS = {
    **{name: case.hook_path for name, case in BY_NAME.items()},
    EXAMPLE: "ingestjobs_airbyte.hooks.airbyte.AirbyteJobsHook",
}
CONNECTIONS = {
    **{name: case.default_conn_id for name, case in BY_NAME.items()},
    EXAMPLE: f"{EXAMPLE}_default",
}
#: Jobs of the vendor that nobody waits for.
OTHER_JOBS = 500
#: Airbyte's trigger makes an HTTP client with its own certificates for each wait, 60 ms of CPU and 1.6 MB,
#: and asks with a blocking call on the event loop. More waits than this are not run, but scaled.
MOST_AIRBYTE = 200


def job_id_of(row: str, number: int) -> str:
    """Return the id of a row's n-th job, in its vendor's format."""
    if row == "amperity":
        return f"isj-20261101-{number:05d}-bench0"
    if row in ("polaris", "narrative"):
        return str(uuid.UUID(int=number + 1))
    return str(1_000_000 + number)


def peer_environment(url: str) -> dict[str, str]:
    """Return the peers' connections to a server."""
    from ingestjobs_airbyte.sandbox import Airbyte

    host = url.removeprefix("http://")
    port = int(host.rpartition(":")[2])
    connections = {
        "airbyte": {
            "conn_type": "airbyte",
            "host": f"{url}{Airbyte.api_path}",
            "login": Airbyte.credentials.login,
            "password": Airbyte.credentials.password,
        },
        "dbt_cloud": {"conn_type": "dbt_cloud", "host": host, "login": "1", "password": "bench"},
        "databricks": {
            "conn_type": "databricks",
            "schema": "http",
            "host": "127.0.0.1",
            "port": port,
            "password": "bench",
        },
    }
    return {f"AIRFLOW_CONN_{name.upper()}_DEFAULT": json.dumps(value) for name, value in connections.items()}


def trigger_for(row: str, number: int, interval: float) -> BaseTrigger:
    """Return a trigger that waits for a row's n-th job, as the row's operator would defer it."""
    job_id = job_id_of(row, number)
    if row == "airbyte":
        from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger

        airbyte: BaseTrigger = AirbyteSyncTrigger(
            int(job_id), "airbyte_default", time.time() + 86_400, interval
        )
        return airbyte
    if row == "dbt_cloud":
        from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

        dbt_cloud: BaseTrigger = DbtCloudRunJobTrigger(
            "dbt_cloud_default", int(job_id), time.time() + 86_400, interval, None
        )
        return dbt_cloud
    if row == "databricks":
        from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

        databricks: BaseTrigger = DatabricksExecutionTrigger(
            int(job_id), "databricks_default", polling_period_seconds=int(interval)
        )
        return databricks

    from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger

    now = datetime.now(UTC)
    return IngestJobTrigger(
        hook=HOOKS[row],
        conn_id=CONNECTIONS[row],
        job_ids=[job_id],
        poll_interval=interval,
        started_at=now.isoformat(),
        deadline=(now + timedelta(days=1)).isoformat(),
    )


def ended_well(row: str, payload: object) -> bool:
    """Whether a trigger's event says that the job has succeeded."""
    text = json.dumps(payload)
    if row == "databricks":
        return "SUCCESS" in text
    return '"status": "success"' in text or '"state": "succeeded"' in text


def speak_plain_http() -> None:
    """Let dbt Cloud's hook, which only knows https, ask over http as everybody else does here."""
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook

    original = DbtCloudHook.get_request_url_params

    def over_http(*args: object, **kwargs: object) -> tuple[str, dict[str, object]]:
        url, params = original(*args, **kwargs)
        return url.replace("https://", "http://", 1), params

    DbtCloudHook.get_request_url_params = staticmethod(over_http)
    original_conn = DbtCloudHook.get_conn

    def conn_over_http(hook: Any, *args: object, **kwargs: object) -> object:
        session = original_conn(hook, *args, **kwargs)
        hook.base_url = hook.base_url.replace("https://", "http://", 1)
        return session

    DbtCloudHook.get_conn = conn_over_http
