# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The task's own process knows its link: Airflow 3 asks there, and logs a missing XCom as an error."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.links import VendorJobLink
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sandbox.task_runs import DagRun
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from support.connections import Connections
from support.task_runs import run_in_worker
from support.vendors import CANCELLING_VENDORS, VENDORS, VendorCase

NO_LOOK_UP: Any = None
#: The page is there from Airflow 3.1.1 on.
ON_PAGE = ["Ingestion job"] if HAS_PLUGIN_PAGES else []


WAITING = [pytest.param(case, case.sensor, id=f"{case}-wait") for case in VENDORS]
STOPPING = [pytest.param(case, case.cancel_operator, id=f"{case}-stop") for case in CANCELLING_VENDORS]


@pytest.mark.parametrize(("case", "task_class"), [*WAITING, *STOPPING])
def test_of_a_single_job(
    case: VendorCase, task_class: Any, sandbox: Sandbox, connections: Connections
) -> None:
    connections.add(case.name)
    sandbox.add_job(case.name, case.job_id, [(0, case.words[JobState.SUCCEEDED])])
    task = task_class(task_id="task", job_id=case.job_id, deferrable=False)
    outcome = run_in_worker(lambda: task)
    assert outcome.error is None
    assert VendorJobLink().get_link(task, ti_key=NO_LOOK_UP) == outcome.vendor_link


@pytest.mark.parametrize(("case", "task_class"), [*WAITING, *STOPPING])
def test_no_button_where_no_page_is_documented(case: VendorCase, task_class: Any) -> None:
    links = task_class(task_id="task", job_id=case.job_id).operator_extra_links
    at_vendor = [] if case.name in ("amperity", "polaris") else ["Vendor job"]
    assert [link.name for link in links] == [*at_vendor, *ON_PAGE]


def test_of_a_wait_that_has_none(sandbox: Sandbox, connections: Connections) -> None:
    connections.add("amperity")
    feed = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}
    sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=feed)
    sensor = AmperityJobSensor(task_id="wait", feed_id="df-1", settle=0, deferrable=False)
    assert run_in_worker(lambda: sensor, {"dag_run": DagRun()}).error is None
    assert VendorJobLink().get_link(sensor, ti_key=NO_LOOK_UP) == ""
