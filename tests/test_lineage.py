# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What OpenLineage is told of the jobs that a task waited for."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

pytest.importorskip("airflow.providers.openlineage", reason="the OpenLineage provider is not installed")

from airflow.providers.openlineage.extractors.base import DefaultExtractor

from airflow_provider_ingestjobs.sandbox.task_runs import TaskInstance
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.connections import Connections


def context() -> Context:
    now = datetime.now(UTC)
    run = SimpleNamespace(data_interval_start=None, data_interval_end=None, logical_date=now, start_date=now)
    return cast("Context", {"dag_run": run, "ti": TaskInstance()})


def extract(sensor: AmperityJobSensor) -> OperatorLineage[Any, Any] | None:
    return DefaultExtractor(sensor).extract_on_complete(SimpleNamespace())


def test_a_finished_wait_tells_openlineage_what_was_read_and_written(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("amperity")
    job_id = sandbox.add_job(
        "amperity",
        timeline=[(0, "succeeded")],
        rows={"read": 1000, "inserted": 400, "updated": 200, "rejected": 200, "errors": 200},
        fields={"tables": [{"feed_id": "df-1", "table_name": "Customers"}]},
    )
    sensor = AmperityJobSensor(task_id="wait", job_id=job_id)
    sensor.execute(context())

    lineage = extract(sensor)

    assert lineage is not None
    host = sandbox.url.partition("://")[2]
    assert [(one.namespace, one.name) for one in lineage.inputs] == [(f"amperity://{host}", "df-1")]
    (output,) = lineage.outputs
    assert (output.namespace, output.name) == (f"amperity://{host}", "Customers")
    assert output.outputFacets["outputStatistics"].rowCount == 600
    (told,) = lineage.run_facets["ingestJobs"].jobs
    assert (told["id"], told["state"], told["rows"]["rejected"]) == (job_id, "succeeded", 200)


def test_counts_of_a_job_with_several_tables_are_not_given_to_any_one_of_them(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("amperity")
    tables = [{"feed_id": "df-1", "table_name": "Customers"}, {"feed_id": "df-2", "table_name": "Orders"}]
    job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields={"tables": tables})
    sensor = AmperityJobSensor(task_id="wait", job_id=job_id)
    sensor.execute(context())

    lineage = extract(sensor)

    assert lineage is not None
    outputs = {output.name: output.outputFacets for output in lineage.outputs}
    assert outputs == {"Customers": {}, "Orders": {}}


def test_a_wait_that_has_not_ended_tells_openlineage_nothing() -> None:
    lineage = extract(AmperityJobSensor(task_id="wait", job_id="isj-1"))

    assert not (lineage and lineage.run_facets)
