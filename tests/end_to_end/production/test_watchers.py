# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that end start a DAG once, whichever triggerer has its watcher, and though none has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.watched import end_a_job, list_requests, started_by, wait_until_started

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.production_instance import ProductionInstance

pytestmark = pytest.mark.end_to_end


@pytest.mark.long
def test_each_job_starts_its_dag_once(airflow: ProductionInstance, sandbox: Sandbox) -> None:
    airflow.wait_for(lambda: len(list_requests(sandbox)) > 2, 60, what="the watchers to poll")
    jobs: dict[int, list[str]] = {number: started_by(airflow, number) for number in (1, 2)}
    for number in (1, 2):
        jobs[number].append(end_a_job(sandbox, number))
        wait_until_started(airflow, number, jobs[number])
    triggerers = airflow.of_kind("triggerer")
    for name in triggerers:
        airflow.terminate(name)
    for number in (1, 2):
        jobs[number].append(end_a_job(sandbox, number))
    for name in triggerers:
        airflow.start(name)
    for number in (1, 2):
        wait_until_started(airflow, number, jobs[number])
    # The second one takes over what the first one had.
    airflow.kill("triggerer")
    for number in (1, 2):
        jobs[number].append(end_a_job(sandbox, number))
        wait_until_started(airflow, number, jobs[number])
