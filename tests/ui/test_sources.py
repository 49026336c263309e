# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What an address or a forged XCom names is looked at before anything is imported or asked."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from airflow_provider_ingestjobs import catalogue
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.amperity_workflow import AmperityWorkflowHook
from airflow_provider_ingestjobs.hooks.for_triggers import class_path
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.ui.sources import HOOK, Source, Sources
from airflow_provider_ingestjobs.wait_record import WaitRecord
from support.connections import Connections


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_in_database", lambda types: iter(()))


def source(conn_id: str, **params: Any) -> Source:
    return asyncio.run(Sources().get(conn_id, params))


def record(**changes: Any) -> WaitRecord:
    data = {
        "hook": class_path(AmperityHook),
        "conn_type": "amperity",
        "conn_id": "amperity_default",
        "hook_params": {},
        "job_ids": ["isj-1"],
        "started_at": "2026-03-01T00:00:00+00:00",
        "deadline": "2026-03-02T00:00:00+00:00",
    }
    return WaitRecord.from_dict({**data, **changes})


def test_a_connection_and_its_hook(connections: Connections) -> None:
    connections.add("amperity")
    found = source("amperity_default")
    assert (found.hook_class, found.name, found.all_params) == (AmperityHook, "amperity_default", {})


def test_what_a_vendor_starts_may_be_read_by_another_hook_of_its(connections: Connections) -> None:
    connections.add("amperity")
    found = asyncio.run(Sources().of(record(hook=class_path(AmperityWorkflowHook))))
    assert found.hook_class is AmperityWorkflowHook
    # The page names it by that, and gets the same.
    assert source("amperity_default", **found.all_params).hook_class is AmperityWorkflowHook


@pytest.mark.parametrize(
    "path",
    [
        "antigravity.fly",
        "airflow_provider_ingestjobs.sandbox.Sandbox",
        class_path(PolarisHook),
        "airflow_provider_ingestjobs.hooks.amperity.nothing",
        "",
        7,
    ],
)
def test_nothing_else_is_imported(path: Any, connections: Connections) -> None:
    connections.add("amperity")
    assert source("amperity_default", **{HOOK: path}).hook_class is AmperityHook
    assert "antigravity" not in sys.modules


def test_the_connection_tells_its_type_not_the_record(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEBSITE", "http://somebody:secret@example.com")
    with pytest.raises(InvalidInput, match="type='http'"):
        asyncio.run(Sources().of(record(conn_id="website")))


@pytest.mark.parametrize("params", [{"planet": "Mars"}, {"project_id": 7}])
def test_arguments_that_no_hook_takes(params: dict[str, Any], connections: Connections) -> None:
    connections.add("polaris")
    with pytest.raises(InvalidInput, match="project_id"):
        source("imply_polaris_default", **params)


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": "2026-03-01T00:00:00"},
        {"deadline": None},
        {"job_ids": None},
        {"selection": {"filters": []}},
        {"selection": {"filters": {}, "started_from": "2026-03-01T00:00:00+00:00"}},
        {"hook_params": ["project_id"]},
    ],
)
def test_a_record_that_nobody_wrote_so(changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        record(**changes)


def test_connections_of_the_environment_are_told_by_their_variables_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "AIRFLOW_CONN_LOADS": "imply-polaris://host",
        "AIRFLOW_CONN_ADS": '{"conn_type": "adverity"}',
        "AIRFLOW_CONN_WEBSITE": "http://x",
        "AIRFLOW_CONN_BROKEN": "{",
        "AIRFLOW_CONN__TEAM___SHARED": "amperity://x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(catalogue, "find_connection", lambda conn_id: pytest.fail("asks a secrets backend"))
    known = [(one.conn_id, one.conn_type) for one in catalogue.list_connections()]
    assert known == [("ads", "adverity"), ("loads", "imply_polaris")]
