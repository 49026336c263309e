# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A user's plain subclasses of the vendor's hook and sensor are used in every mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab, each_mode
from airflow_provider_ingestjobs.sandbox.task_runs import defer

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.job import Job

NAME = "as we call it"


def own_classes(lab: Lab) -> tuple[type[Any], type[Any]]:
    """Return a hook that gives jobs a name of its own, and a sensor that uses it.

    :param lab: the vendor.
    """
    vendors_hook: Any = lab.case.hook
    vendors_sensor: Any = lab.case.sensor

    class OwnHook(vendors_hook):  # type: ignore[misc]
        def to_job(self, record: Mapping[str, Any]) -> Job:
            job: Job = super().to_job(record)
            return replace(job, name=NAME)

    class OwnSensor(vendors_sensor):  # type: ignore[misc]
        hook_class = OwnHook

    return OwnHook, OwnSensor


class OwnClassTests(ContractTests):
    """Users' subclasses."""

    def test_a_subclass_of_the_hook_needs_nothing_else(self, lab: Lab) -> None:
        hook, _ = own_classes(lab)
        job_id = lab.add_job(JobState.SUCCEEDED)
        assert hook(lab.row.default_conn_id).get_job(job_id).name == NAME
        assert hook.vendor is lab.row

    @each_mode
    def test_a_subclass_is_used_in_every_mode(self, lab: Lab, mode: str) -> None:
        hook, sensor = own_classes(lab)
        lab.importable(hook)
        job_id = lab.add_job(JobState.RUNNING, JobState.SUCCEEDED, starts="first_read")
        outcome = lab.wait(mode, sensor=sensor, job_id=job_id)
        assert outcome.error is None
        assert outcome.value["name"] == NAME

    def test_the_trigger_carries_its_class_path(self, lab: Lab) -> None:
        hook, sensor = own_classes(lab)
        lab.importable(hook)
        _, arguments = defer(lab.sensor("deferred", sensor=sensor, job_id="1")).serialize()
        assert arguments["hook"] == f"{hook.__module__}.{hook.__name__}"

    def test_one_that_the_triggerer_cannot_import_is_refused_before_the_wait(self, lab: Lab) -> None:
        _, sensor = own_classes(lab)
        outcome = lab.wait("deferred", sensor=sensor, job_id="1")
        assert type(outcome.error) is InvalidInput
        assert "OwnHook" in str(outcome.error)
