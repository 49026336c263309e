# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What type checkers are told of our arguments is what our classes and Airflow's take."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_ingestjobs.airflow_compat import DAG, BaseOperator, BaseSensorOperator
from airflow_provider_ingestjobs.operators.base import CancelJobOperator, ListJobsOperator
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor
from airflow_provider_ingestjobs.task_arguments import (
    CancelArguments,
    ListArguments,
    SensorArguments,
    TaskArguments,
    WaitArguments,
)
from support.vendors import CANCELLING_VENDORS, VENDORS

#: The newest Airflow, whose arguments are listed: no more and no less.
NEWEST = "3.3."
#: What older versions take and the newest does not any more.
GONE = {"task_concurrency"}
#: What a vendor's class gives its base itself: all of them, or those whose vendor has such a thing.
FROM_VENDOR = {"filters", "failed_grace"}
VENDOR_CLASSES = [
    *(case.sensor for case in VENDORS),
    *(case.list_operator for case in VENDORS),
    *(case.cancel_operator for case in CANCELLING_VENDORS),
]


def arguments_of(task_class: type[Any]) -> set[str]:
    """Return the arguments that a class names itself."""
    parameters = list(inspect.signature(task_class.__init__).parameters.values())[1:]
    return {one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}


def own_arguments(arguments: type[Any], base: type[Any]) -> set[str]:
    """Return what a TypedDict has beyond the one that it extends."""
    return set(arguments.__annotations__) - set(base.__annotations__)


@pytest.mark.parametrize(
    ("task_class", "listed"),
    [
        (BaseOperator, set(TaskArguments.__annotations__)),
        (BaseSensorOperator, own_arguments(SensorArguments, TaskArguments)),
    ],
)
def test_what_airflow_takes_is_listed(task_class: type[Any], listed: set[str]) -> None:
    taken = arguments_of(task_class)
    if airflow_version.startswith(NEWEST):
        assert listed == taken
    else:
        assert taken - GONE <= listed


@pytest.mark.parametrize(
    ("task_class", "listed"),
    [
        (IngestJobSensor, own_arguments(WaitArguments, SensorArguments)),
        (CancelJobOperator, own_arguments(CancelArguments, TaskArguments)),
        (ListJobsOperator, own_arguments(ListArguments, TaskArguments)),
    ],
)
def test_what_our_bases_take_is_listed(task_class: type[Any], listed: set[str]) -> None:
    assert arguments_of(task_class) - FROM_VENDOR == listed


def test_jobs_are_resumed_only_where_the_vendor_documents_it() -> None:
    assert [case.name for case in VENDORS if "failed_grace" in arguments_of(case.sensor)] == ["amperity"]


@pytest.mark.parametrize("task_class", VENDOR_CLASSES)
def test_every_templated_argument_takes_an_upstream_task_s_result(task_class: type[Any]) -> None:
    selecting = {"job_id", *task_class.hook_class.vendor.filters}
    with DAG("dag", schedule=None):
        upstream = BaseOperator(task_id="upstream")
        for name in task_class.template_fields:
            arguments: dict[str, Any] = {"task_id": f"wait_by_{name}", name: upstream.output}
            if issubclass(task_class, CancelJobOperator):
                arguments.setdefault("job_id", "1")
            elif issubclass(task_class, IngestJobSensor) and name not in selecting:
                arguments[next(iter(task_class.hook_class.vendor.filters))] = "1"
            assert task_class(**arguments).upstream_task_ids == {"upstream"}
