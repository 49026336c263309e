# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the suite is told of a vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import JobState
    from airflow_provider_ingestjobs.operators.base import CancelJobOperator
    from airflow_provider_ingestjobs.operators.start import StartJobOperator
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi
    from airflow_provider_ingestjobs.sensors.base import IngestJobSensor


@dataclass(frozen=True)
class ContractStart:
    """A job that an operator of the vendor's starts.

    :param operator: the operator.
    :param arguments: what it starts. Where the vendor's lists tell a job from others only with some of them,
        those are to be among them: after a lost answer the job must be found.
    :param path: a regular expression of the path of the ``POST`` that starts it, and of no other one.
    :param returns_list: whether the operator returns a list.
    :param words: the vendor's word for each state of what is started, where those of the case are for others.
    """

    operator: type[StartJobOperator[Any]]
    arguments: Mapping[str, Any]
    path: str
    returns_list: bool = False
    words: Mapping[JobState, str] | None = None

    def __str__(self) -> str:
        return self.operator.__name__


@dataclass(frozen=True)
class ContractCase:
    """What the suite needs to know of a vendor.

    :param hook: the vendor's hook; its ``vendor`` is the vendor's row.
    :param sensor: the vendor's sensor.
    :param sandbox_vendor: what plays the vendor in a ``Sandbox``.
    :param words: the vendor's word for each state it has: running, succeeded and failed at least.
    :param cancel_operator: the vendor's operator, where its row says that it cancels.
    :param starts: a start of each kind, where the vendor has operators that start jobs.
    :param job_ids: returns a job's id in the vendor's format, by a number from 1 on; where left out, the
        sandbox makes them.
    :param filters: one filter of the sensor and its value, such as ``{"feed_id": "df-1"}``, where the row has
        filters.
    :param matching: the ``fields`` of ``Sandbox.add_job`` that make a job match it.
    :param other: the ``fields`` of a job that does not match.
    :param list_path: a regular expression of the path of the vendor's list, and of no other request: where
        given, waits must go on while it is refused.
    :param extra: extras of the connection for these tests, such as a higher ``requests_per_second``.
    """

    hook: type[IngestJobHook]
    sensor: type[IngestJobSensor[Any]]
    sandbox_vendor: type[VendorApi]
    words: Mapping[JobState, str]
    cancel_operator: type[CancelJobOperator[Any]] | None = None
    starts: Sequence[ContractStart] = ()
    job_ids: Callable[[int], str] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    matching: Mapping[str, Any] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)
    list_path: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.hook.vendor.name
