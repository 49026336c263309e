# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""XComs of a task whose trigger keeps them, as its worker would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_ingestjobs.hooks.for_triggers import answered


async def keep_xcom(ti: Any, key: str, value: Any) -> None:
    """Store an XCom of a task.

    Airflow's events that end a task take XComs, too, but it stores those as text: the tasks that pull them
    would get a JSON text where a worker's XCom is a dict.

    :param ti: the trigger's task instance.
    :param key: its key.
    :param value: JSON data.
    """
    await answered(_keep(key=key, value=value, **_of(ti)))


async def read_xcom(ti: Any, key: str) -> Any:
    """Return an XCom of a task; ``None`` if there is none (Airflow 3.3 and newer).

    :param ti: the trigger's task instance.
    :param key: its key.
    """
    return await answered(_read(key=key, **_of(ti)))


async def drop_xcoms(ti: Any, keys: Iterable[str]) -> None:
    """Delete XComs of a task (Airflow 3.3 and newer).

    :param ti: the trigger's task instance.
    :param keys: their keys; those that do not exist are left out.
    """
    for key in keys:
        await answered(_drop(key=key, **_of(ti)))


def _of(ti: Any) -> dict[str, Any]:
    return {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}


async def _keep(**xcom: Any) -> None:
    from airflow_provider_ingestjobs.airflow_compat import XCom

    store: Any = getattr(XCom, "aset", None) or sync_to_async(XCom.set)
    await store(**xcom)


async def _read(**xcom: Any) -> Any:
    from airflow_provider_ingestjobs.airflow_compat import XCom

    reader: Any = XCom
    return await reader.aget_one(**xcom)


async def _drop(**xcom: Any) -> None:
    from airflow.sdk.execution_time.comms import DeleteXCom
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    # Airflow's `XCom.delete` reads the XCom before, and logs an error where there is none.
    comms: Any = SUPERVISOR_COMMS
    await comms.asend(DeleteXCom(**xcom))
