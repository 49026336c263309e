# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The vendor's row, the classes that it must agree with, and what a connection proves itself with."""

from __future__ import annotations

import json
from importlib import import_module, resources
from pkgutil import resolve_name
from typing import Any

from airflow_provider_ingestjobs.errors import AuthenticationFailed
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.provider_info import provider_info
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab, each_mode

#: Any installed distribution will do.
PACKAGE = "airflow-provider-ingestjobs"


class RowTests(ContractTests):
    """The vendor's row, its classes and its credentials."""

    def test_airflow_can_read_what_it_is_told_of_the_vendor(self) -> None:
        import jsonschema

        row = self.case.hook.vendor
        info = json.loads(json.dumps(provider_info(PACKAGE, [row])))
        schema = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())
        jsonschema.validate(info, schema)
        (connection_type,) = info["connection-types"]
        assert connection_type["connection-type"] == row.conn_type
        assert resolve_name(connection_type["hook-class-name"]) is self.case.hook
        modules = {
            kind: [path for entry in info[kind] for path in entry["python-modules"]]
            for kind in ("hooks", "sensors", "operators")
        }
        for path in (path for paths in modules.values() for path in paths):
            import_module(path)
        assert self.case.hook.__module__ in modules["hooks"]
        assert self.case.sensor.__module__ in (modules["sensors"] or [self.case.sensor.__module__])

    def test_the_classes_agree_with_the_row(self, lab: Lab) -> None:
        case, row = self.case, lab.row
        hook = case.hook
        assert case.sandbox_vendor.conn_type == row.conn_type
        assert (hook.conn_type, hook.hook_name) == (row.conn_type, row.name)
        assert (hook.conn_name_attr, hook.default_conn_name) == (row.conn_name_attr, row.default_conn_id)
        tasks: list[Any] = [case.sensor, *([case.cancel_operator] if case.cancel_operator else [])]
        for task in tasks:
            assert task.hook_class is hook
            assert row.conn_name_attr in task.template_fields
            made = task(task_id="task", job_id="1")
            assert (made.conn_id, type(made.hook)) == (row.default_conn_id, hook)
            named = task(task_id="task", job_id="1", **{row.conn_name_attr: "another"})
            assert (named.conn_id, named.hook.conn_id) == ("another", "another")

    def test_airflow_can_make_the_hook_from_a_connection(self, lab: Lab) -> None:
        """The button "Test" in Airflow's UI names the argument that takes the connection's id."""
        hook = self.case.hook(**{lab.row.conn_name_attr: "another"})
        assert hook.conn_id == "another"

    def test_each_filter_of_the_row_is_one_of_the_sensors(self, lab: Lab) -> None:
        sensor: Any = self.case.sensor
        for name in lab.row.filters:
            assert name in sensor.template_fields
            value = next(iter(lab.row.words_of(name)), "1")
            assert sensor(task_id="wait", **{name: value}).filters[name] == value

    def test_the_documented_credentials_work(self, lab: Lab) -> None:
        for auth in lab.auths:
            works, said = lab.hook(auth).test_connection()
            assert works, said
            assert lab.requests()[-1].status == 200

    def test_wrong_credentials_are_told_by_the_connection_test(self, lab: Lab) -> None:
        for auth in lab.auths:
            works, said = lab.hook(auth, password="wrong-password").test_connection()  # noqa: S106
            assert not works
            assert "401" in said
            assert "wrong-password" not in said

    @each_mode
    def test_wrong_credentials_fail_the_task_and_never_skip_it(self, lab: Lab, mode: str) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED)
        for auth in lab.auths:
            lab.connect(auth, password="wrong-password")  # noqa: S106
            outcome = lab.wait(mode, job_id=job_id, soft_fail=True)
            assert type(outcome.error) is AuthenticationFailed
            assert outcome.error.status == 401
            assert not outcome.skipped
