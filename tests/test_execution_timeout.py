# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A deferred wait keeps to the task's ``execution_timeout``, which Airflow 3 itself forgets meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, WaitTimeout
from airflow_provider_ingestjobs.operators.adverity import AdverityCancelJobOperator
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from support.connections import Connections
from support.task_runs import Outcome, run_deferred

LIMIT = timedelta(seconds=1)


@pytest.fixture
def job_id(sandbox: Sandbox, connections: Connections, quick_watch: None) -> str:
    connections.add("adverity")
    return sandbox.add_job("adverity", timeline=[(0, "Running")])


def wait(job_id: str, *, soft_fail: bool) -> Outcome:
    return run_deferred(
        lambda: AdverityJobSensor(
            task_id="wait", job_id=job_id, deferrable=True, soft_fail=soft_fail, execution_timeout=LIMIT
        )
    )


def test_a_sensor_says_how_its_job_stood(job_id: str) -> None:
    outcome = wait(job_id, soft_fail=False)
    assert type(outcome.error) is WaitTimeout
    assert f"Adverity job {job_id} " in str(outcome.error)


def test_a_sensor_with_soft_fail_skips(job_id: str) -> None:
    assert wait(job_id, soft_fail=True).skipped


def test_a_cancel_operator_says_that_the_job_was_asked_to_stop(job_id: str, sandbox: Sandbox) -> None:
    sandbox.cancel_delay = 30
    outcome = run_deferred(
        lambda: AdverityCancelJobOperator(
            task_id="stop", job_id=job_id, deferrable=True, poll_interval=0.1, execution_timeout=LIMIT
        )
    )
    assert type(outcome.error) is CancelNotConfirmed
    assert "It was asked to stop." in str(outcome.error)
