# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What tasks say of their waits, as users' databases keep it; and that every wait says it, in every mode."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.links import PAGE_XCOM_KEY, page_address
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sandbox.task_runs import TaskInstance
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY, WaitRecord
from support.connections import Connections
from support.task_runs import run_deferred, run_in_worker, run_rescheduled
from support.vendors import CANCELLING_VENDORS, VENDORS, VendorCase

WAIT_AS_KEPT = {
    "hook": "airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
    "conn_type": "imply_polaris",
    "conn_id": "imply_polaris_default",
    "hook_params": {"project_id": "p-1"},
    "job_ids": ["j-1", "j-2"],
    "started_at": "2026-03-01T04:02:54.433000+00:00",
    "deadline": "2026-03-02T04:02:54.433000+00:00",
    "is_single": False,
    "by": "0b7bd0ea1d9c71ff",
}
SELECTION_WAIT_AS_KEPT = {
    **{key: value for key, value in WAIT_AS_KEPT.items() if key not in ("job_ids", "by")},
    "selection": {
        "filters": {"table_name": ["Sales", "Stores"]},
        "started_from": "2026-03-01T00:00:00+00:00",
        "started_to": "2026-03-02T00:00:00+00:00",
        "min_jobs": 2,
        "settle": 30.0,
        "latest_only": True,
    },
}
WAIT = WaitRecord(
    hook="airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
    conn_type="imply_polaris",
    conn_id="imply_polaris_default",
    hook_params={"project_id": "p-1"},
    target=["j-1", "j-2"],
    started_at=datetime(2026, 3, 1, 4, 2, 54, 433000, UTC),
    deadline=datetime(2026, 3, 2, 4, 2, 54, 433000, UTC),
    by="0b7bd0ea1d9c71ff",
)
SELECTION_WAIT = replace(
    WAIT,
    by=None,
    target=Selection(
        filters=(("table_name", ("Sales", "Stores")),),
        started_from=datetime(2026, 3, 1, tzinfo=UTC),
        started_to=datetime(2026, 3, 2, tzinfo=UTC),
        min_jobs=2,
        settle=30.0,
        latest_only=True,
    ),
)


class RunTaskInstance(NamedTuple):
    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@pytest.mark.parametrize(("wait", "kept"), [(WAIT, WAIT_AS_KEPT), (SELECTION_WAIT, SELECTION_WAIT_AS_KEPT)])
def test_what_a_task_waits_for(wait: WaitRecord, kept: dict[str, Any]) -> None:
    assert wait.to_dict() == kept
    assert WaitRecord.from_dict(kept) == wait
    assert WaitRecord.from_dict({**kept, "newer": 1}) == wait


def test_the_address_on_the_page() -> None:
    ti = RunTaskInstance("nightly", "manual__2026-03-01T04:02:54+00:00", "wait for it", 3)
    assert page_address(ti) == (
        "plugin/ingestjobs?dag_id=nightly&run_id=manual__2026-03-01T04%3A02%3A54%2B00%3A00"
        "&task_id=wait+for+it&map_index=3"
    )


MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "deferred": (run_deferred, {"deferrable": True}),
    "poked": (run_in_worker, {"deferrable": False}),
    "rescheduled": (run_rescheduled, {"deferrable": False, "mode": "reschedule"}),
}
WAITING = [pytest.param(case, case.sensor, id=f"{case}-wait") for case in VENDORS]
STOPPING = [pytest.param(case, case.cancel_operator, id=f"{case}-stop") for case in CANCELLING_VENDORS]


@pytest.mark.parametrize("mode", ["deferred", "poked", "rescheduled"])
@pytest.mark.parametrize(("case", "task_class"), [*WAITING, *STOPPING])
def test_every_wait_says_what_for(
    mode: str, case: VendorCase, task_class: Any, sandbox: Sandbox, connections: Connections
) -> None:
    if mode == "rescheduled" and task_class is not case.sensor:
        return
    connections.add(case.name)
    running = (0, case.words[JobState.RUNNING])
    sandbox.add_job(case.name, case.job_id, [running, (0.3, case.words[JobState.SUCCEEDED])])
    run, arguments = MODES[mode]
    given = {"task_id": "task", "job_id": case.job_id, "timeout": 600, "poke_interval": 0.1, **arguments}
    outcome = run(lambda: task_class(**given))
    assert outcome.error is None
    wait = WaitRecord.from_dict(outcome.xcoms[WAIT_XCOM_KEY])
    assert wait.target == [case.job_id]
    vendor = case.sensor.hook_class.vendor
    assert (wait.conn_id, wait.conn_type) == (vendor.default_conn_id, vendor.conn_type)
    assert (wait.deadline - wait.started_at).total_seconds() == 600
    assert (outcome.xcoms.get(PAGE_XCOM_KEY) == page_address(TaskInstance())) == HAS_PLUGIN_PAGES
