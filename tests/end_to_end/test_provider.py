# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a real Airflow knows of the provider: its info, its connection forms and its example DAGs."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3
from support.vendors import BY_NAME, VENDORS

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.airflow_instance import AirflowInstance

pytestmark = pytest.mark.end_to_end

PACKAGE = "airflow-provider-ingestjobs"


def test_provider_info(airflow: AirflowInstance) -> None:
    """Airflow's own command line shows the provider, without a warning that concerns it."""
    commands = {
        name: ("providers", name, *arguments)
        for name, arguments in {"get": (PACKAGE, "--full"), "hooks": (), "links": ()}.items()
    }
    with ThreadPoolExecutor(2) as pool:
        answers = dict(
            zip(
                commands,
                pool.map(lambda c: airflow.cli(*c, "--output", "json"), commands.values()),
                strict=True,
            )
        )
    for name, answer in answers.items():
        assert answer.returncode == 0, answer.stderr
        said = (answer.stdout + answer.stderr).splitlines()
        ours = [line for line in said if "ingestjobs" in line.lower().replace("-", "").replace("_", "")]
        assert not [line for line in ours if "warn" in line.lower() or "error" in line.lower()], name
    assert PACKAGE in answers["get"].stdout
    for vendor in VENDORS:
        assert vendor.conn_type in answers["hooks"].stdout
    assert "airflow_provider_ingestjobs.links." in answers["links"].stdout


def form_fields(airflow: AirflowInstance) -> dict[str, Collection[str]]:
    """The extra fields of the UI's form for a new connection, by the connection's type."""
    if not AIRFLOW_3:
        page = airflow.read("GET", "connection/add", root="").text
        return {
            vendor.conn_type: re.findall(rf'name="extra__{vendor.conn_type}__(\w+)"', page)
            for vendor in VENDORS
        }
    forms = airflow.api("GET", "connections/hook_meta", root="ui")
    return {form["connection_type"]: form["extra_fields"] for form in forms}


def test_connection_forms(airflow: AirflowInstance) -> None:
    """The UI's form for a new connection knows our types and their extra fields."""
    forms = form_fields(airflow)
    if airflow_version.startswith("3.0.") and find_spec("wtforms") is None:
        # This Airflow shows extra fields only where the FAB provider is installed, too.
        assert not any(forms[vendor.conn_type] for vendor in VENDORS)
        return
    for vendor in VENDORS:
        assert "read_timeout" in forms[vendor.conn_type]
    assert "tenant" in forms["amperity"]
    assert "project_id" in forms["imply_polaris"]


@pytest.mark.parametrize("vendor", BY_NAME)
def test_the_form_s_test_button(vendor: str, airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """It says whether the vendor takes the credentials, and if not, why."""
    fields = {**sandbox.connection(vendor)}
    fields["connection_id"] = fields.pop("conn_id")
    fields["extra"] = json.dumps(fields.get("extra") or {})
    answer = airflow.api("POST", "connections/test", json=fields)
    assert answer["status"], answer["message"]
    assert BY_NAME[vendor].vendor in answer["message"]
    answer = airflow.api("POST", "connections/test", json={**fields, "password": "not-the-secret"})
    assert not answer["status"]
    assert "401" in answer["message"]


def test_example_dags_parse(airflow: AirflowInstance) -> None:
    """No DAG file has an import error, and all examples are there."""
    assert airflow.import_errors() == {}
    assert {
        "example_amperity",
        "example_adverity",
        "example_imply_polaris",
        "example_narrative",
        "example_all_vendors",
        "example_selection",
        "example_checks",
        "example_without_workers",
        "example_start_adverity",
        "example_start_amperity",
        "example_start_imply_polaris",
        "example_start_narrative",
        *(["example_asset_watcher"] if AIRFLOW_3 else []),
    } <= set(airflow.dag_ids())
