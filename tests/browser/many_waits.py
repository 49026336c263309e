# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Thousands of tasks that wait, put straight into Airflow's database: as tasks leave it, but none has run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from support.airflow_client import AirflowInstanceError

if TYPE_CHECKING:
    from support.airflow_instance import AirflowInstance

#: Run with Airflow's settings: makes copies of a deferred task, each with a wait of its own.
COPY = """
import json, sys
from uuid import uuid4
from airflow.models import DagRun, TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import insert, select, update

dag_id, run_id, key, states = json.load(sys.stdin)
tasks, xcoms = TaskInstance.__table__, XComModel.__table__
with create_session() as session:
    def only(table):
        query = select(table).where(table.c.dag_id == dag_id, table.c.run_id == run_id)
        query = query.where(table.c.key == key) if table is xcoms else query
        return dict(session.execute(query).mappings().one())

    task, wait = only(tasks), only(xcoms)
    value = XComModel.deserialize_value(type("Row", (), wait))
    copies, waits = [], []
    for index, (state, job_id) in enumerate(states, 1):
        copies.append({**task, "id": uuid4(), "map_index": index, "state": state, "trigger_id": None})
        waits.append({**wait, "map_index": index, "value": {**value, "job_ids": [job_id]}})
    session.execute(insert(tasks), copies)
    session.execute(insert(xcoms), waits)
    # As if it was over: the scheduler need not look at all of them again and again.
    run = update(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    session.execute(run.values(state="success"))
"""


def copy_wait(
    airflow: AirflowInstance, dag_id: str, run_id: str, key: str, states: list[tuple[str, str]]
) -> None:
    """Copy the one task instance of a run, which waits.

    :param airflow: the Airflow.
    :param dag_id: the DAG, whose only task is mapped.
    :param run_id: the run.
    :param key: of the XCom that has what the task says of its wait.
    :param states: of each copy, its state and the job that it waits for.
    """
    done = subprocess.run(
        [sys.executable, "-c", COPY],
        env=airflow.env,
        cwd=airflow.home,
        input=json.dumps([dag_id, run_id, key, states]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise AirflowInstanceError(f"the waits cannot be copied:\n{done.stderr[-3000:]}")
