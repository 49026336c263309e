# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow learns about the package, and what it costs to learn it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module, resources
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import jsonschema
import pytest
from airflow.triggers import base as triggers

import airflow_provider_ingestjobs
from airflow_provider_ingestjobs import get_provider_info
from airflow_provider_ingestjobs.provider_info import provider_info
from support.vendors import VENDORS, VendorCase

INFO = get_provider_info()
SCHEMA = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())
each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)


def load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def modules_after(*codes: str) -> list[set[str]]:
    """Return what a fresh Python has imported after each of some pieces of code."""
    tell = "import sys, json; print('modules:' + json.dumps(sorted(sys.modules)))"
    script = "".join(f"{code}\n{tell}\n" for code in codes)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("modules:")]
    return [set(json.loads(line.removeprefix("modules:"))) for line in lines]


class TestInfo:
    def test_valid_against_airflows_schema(self) -> None:
        jsonschema.validate(INFO, SCHEMA)

    def test_the_entry_point(self) -> None:
        (found,) = [
            entry
            for entry in entry_points(group="apache_airflow_provider")
            if entry.value.startswith("airflow_provider_ingestjobs")
        ]
        assert found.load()() == INFO
        assert found.dist is not None
        assert found.dist.name == INFO["package-name"]

    def test_json(self) -> None:
        assert json.loads(json.dumps(INFO)) == INFO
        assert INFO["versions"] == [airflow_provider_ingestjobs.__version__]

    def test_every_module_and_class_is_there(self) -> None:
        for kind in ("hooks", "sensors", "operators", "triggers"):
            for entry in INFO[kind]:
                for module in entry["python-modules"]:
                    if module.endswith(".triggers.asset_event") and not hasattr(triggers, "BaseEventTrigger"):
                        continue  # Airflow 2 has no events to trigger by
                    assert import_module(module).__doc__, module
        for path in INFO["extra-links"]:
            assert load(path).name
        for path in INFO["cli"]:
            assert [command.name for command in load(path)()] == ["ingestjobs"]
        for row in INFO["connection-types"]:
            assert load(row["hook-class-name"]).conn_type == row["connection-type"]

    @each_vendor
    def test_every_vendor_is_named_everywhere(self, case: VendorCase) -> None:
        assert case.vendor in {row["integration-name"] for row in INFO["integrations"]}
        for kind in ("hooks", "sensors", "operators", "triggers"):
            found = [row for row in INFO[kind] if row["integration-name"] == case.vendor]
            assert found, kind
        sensor_modules = [
            module
            for row in INFO["sensors"]
            if row["integration-name"] == case.vendor
            for module in row["python-modules"]
        ]
        assert case.sensor.__module__ in sensor_modules

    def test_airflow_knows_the_setting(self) -> None:
        code = """
import os, tempfile
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
print("setting", repr(conf.get("ingestjobs", "workerless")))
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        assert "setting 'False'" in done.stdout

    def test_airflow_finds_it_without_a_warning(self) -> None:
        code = """
import logging, os, tempfile
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
print("provider", "airflow-provider-ingestjobs" in manager.providers)
infos = {name: info for name, info in manager.hooks.items() if info}
hooks = [name for name, info in infos.items() if "ingestjobs" in (info.hook_class_name or "")]
print("hooks", sorted(hooks))
print("links", [name for name in manager.extra_links_class_names if "ingestjobs" in name])
print("fields", [name for name in manager.connection_form_widgets if "amperity" in name])
print("behaviour", sorted(name for name in manager.field_behaviours if name in hooks))
"""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        conn_types = "['adverity', 'amperity', 'imply_polaris', 'narrative']"
        assert "provider True" in done.stdout
        assert f"hooks {conn_types}" in done.stdout
        links = [
            f"airflow_provider_ingestjobs.links.{name}" for name in ("IngestionJobLink", "VendorJobLink")
        ]
        assert f"links {links}" in done.stdout
        row = SCHEMA["properties"]["connection-types"]["items"]["properties"]
        # Airflow 3.0 and 3.1 show no provider's extras unless the FAB provider is installed beside them.
        if "conn-fields" in row or find_spec("flask_appbuilder"):
            assert "extra__amperity__tenant" in done.stdout
            assert f"behaviour {conn_types}" in done.stdout
        about_us = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "ingestjobs" in line and ("WARN" in line.upper() or "ERROR" in line.upper())
        ]
        assert about_us == []


class TestForms:
    def row(self, case: VendorCase) -> dict[str, Any]:
        rows: list[dict[str, Any]] = INFO["connection-types"]
        (row,) = [row for row in rows if row["connection-type"] == case.conn_type]
        return row

    @each_vendor
    def test_fields_are_the_extras_that_the_hook_knows(self, case: VendorCase) -> None:
        fields = self.row(case)["conn-fields"]
        assert fields.keys() == case.hook.vendor.all_extras.keys()
        assert {"connect_timeout", "read_timeout", "requests_per_second"} <= fields.keys()
        assert {"state_map", "ca_bundle"} <= fields.keys()
        for field in fields.values():
            assert field["label"]
            assert field["description"]
            jsonschema.Draft7Validator.check_schema(field["schema"])
            if "default" in field["schema"]:
                jsonschema.validate(field["schema"]["default"], field["schema"])

    @each_vendor
    def test_labels(self, case: VendorCase) -> None:
        behaviour = self.row(case)["ui-field-behaviour"]
        assert {"login", "password"} <= behaviour["relabeling"].keys()
        assert behaviour["placeholders"]["host"]

    @each_vendor
    def test_the_hooks_names_fit(self, case: VendorCase) -> None:
        hook, row = case.hook, self.row(case)
        assert hook.conn_name_attr == f"{case.conn_type}_conn_id"
        assert hook.default_conn_name == f"{case.conn_type}_default"
        assert hook.hook_name == row["hook-name"] == case.vendor
        assert hook.__init__.__code__.co_varnames[1] == hook.conn_name_attr

    @each_vendor
    def test_widgets_of_airflow_2(self, case: VendorCase) -> None:
        # Airflow 2 only asks hooks that define these themselves.
        assert "get_connection_form_widgets" in vars(case.hook)
        behaviour = case.hook.get_ui_field_behaviour()
        assert {"hidden_fields", "relabeling", "placeholders"} == behaviour.keys()
        assert behaviour["relabeling"] == self.row(case)["ui-field-behaviour"]["relabeling"]
        pytest.importorskip("flask_appbuilder", reason="Airflow 3 comes without it, and does not ask")
        widgets = case.hook.get_connection_form_widgets()
        assert widgets.keys() == case.hook.vendor.all_extras.keys()
        from wtforms import Form

        form = type("ConnectionForm", (Form,), widgets)()
        for name, extra in case.hook.vendor.all_extras.items():
            assert form[name].label.text == extra.label


class TestCost:
    def test_the_entry_point_imports_nothing_of_airflow(self) -> None:
        code = "from airflow_provider_ingestjobs import get_provider_info as info; info()"
        heavy = {"airflow", "requests", "pendulum", "urllib3"}
        assert not heavy & modules_after(code)[0]

    def test_dag_files_do_not_pay_for_http(self) -> None:
        try:
            import_module("airflow.sdk")
            baseline = "from airflow.sdk import DAG, BaseOperator, BaseSensorOperator"
            # Airflow 3.0 has the hook elsewhere.
            has_hook = hasattr(import_module("airflow.sdk"), "BaseHook")
            baseline += f"\nfrom {'airflow.sdk' if has_hook else 'airflow.hooks.base'} import BaseHook"
        except ImportError:
            baseline = (
                "from airflow import DAG\nfrom airflow.models import BaseOperator\n"
                "from airflow.sensors.base import BaseSensorOperator\nfrom airflow.hooks.base import BaseHook"
            )
        ours = "\n".join(
            f"import {module}"
            for kind in ("sensors", "operators")
            for row in INFO[kind]
            for module in row["python-modules"]
        )
        before, after = modules_after(baseline, ours)
        new = after - before
        ours_new = {name for name in new if name.startswith("airflow_provider_ingestjobs")}
        assert "airflow_provider_ingestjobs.sensors.amperity" in ours_new
        heavy = ("requests", "urllib3", "pendulum", "starlette", "uvicorn", "http.client", "ssl", "flask")
        assert [name for name in new if name.split(".")[0] in heavy or name in heavy] == []
        assert "airflow_provider_ingestjobs.hooks.http" not in ours_new
        assert "airflow_provider_ingestjobs.triggers.watch" not in ours_new

    def test_the_sandbox_needs_no_airflow(self) -> None:
        assert "airflow" not in modules_after("import airflow_provider_ingestjobs.sandbox")[0]


@pytest.mark.parametrize(
    ("hook", "modules"),
    [
        ("acme.hooks.jobs.AcmeHook", ["acme.hooks.jobs", "acme.sensors.jobs", "acme.operators.jobs"]),
        ("acme.hooks.AcmeHook", ["acme.hooks", "acme.sensors", "acme.operators"]),
        ("acme.hooks.hooks.AcmeHook", ["acme.hooks.hooks", "acme.sensors.hooks", "acme.operators.hooks"]),
        ("acme.AcmeHook", ["acme"]),
    ],
)
def test_the_modules_beside_a_hook(hook: str, modules: list[str]) -> None:
    row = replace(VENDORS[0].hook.vendor, hook=hook)
    info = provider_info("airflow-provider-ingestjobs", [row])
    named = [entry["python-modules"] for kind in ("hooks", "sensors", "operators") for entry in info[kind]]
    assert named == [[module] for module in modules]
