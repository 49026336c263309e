# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The four vendors side by side, for tests of what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.operators.adverity import AdverityCancelJobOperator
from airflow_provider_ingestjobs.operators.amperity import AmperityCancelJobOperator
from airflow_provider_ingestjobs.operators.polaris import PolarisCancelJobOperator
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor


@dataclass(frozen=True)
class VendorCase:
    """One vendor.

    :param name: the sandbox's name of it.
    :param words: the vendor's word for each state it has.
    :param job_path: a regular expression of the path of a single job.
    :param job_id: a job id in the vendor's format.
    """

    name: str
    vendor: str
    hook: Any
    sensor: Any
    cancel_operator: Any
    words: dict[JobState, str]
    job_path: str
    job_id: str

    @property
    def conn_type(self) -> str:
        conn_type: str = self.hook.conn_type
        return conn_type

    def __str__(self) -> str:
        return self.name


AMPERITY = VendorCase(
    "amperity",
    "Amperity",
    AmperityHook,
    AmperityJobSensor,
    AmperityCancelJobOperator,
    {
        JobState.PENDING: "scheduled",
        JobState.RUNNING: "running",
        JobState.CANCELLING: "stopping",
        JobState.SUCCEEDED: "succeeded",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "canceled",
        JobState.SKIPPED: "skipped",
    },
    r"^/api/ingest/jobs/",
    "isj-20240701-48815-6dcXdk",
)
ADVERITY = VendorCase(
    "adverity",
    "Adverity",
    AdverityHook,
    AdverityJobSensor,
    AdverityCancelJobOperator,
    {
        JobState.PENDING: "Scheduled",
        JobState.RUNNING: "Running",
        JobState.SUCCEEDED: "Success",
        JobState.FAILED: "Failed",
        JobState.CANCELLED: "Cancelled",
    },
    r"^/api/jobs/\d+/$",
    "4711",
)
POLARIS = VendorCase(
    "polaris",
    "Imply Polaris",
    PolarisHook,
    PolarisJobSensor,
    PolarisCancelJobOperator,
    {
        JobState.PENDING: "pending",
        JobState.RUNNING: "running",
        JobState.CANCELLING: "canceling",
        JobState.SUCCEEDED: "completed",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "canceled",
    },
    r"/jobs/[^/]+$",
    "efb35e3e-406e-4127-ad2e-280fede4f431",
)
NARRATIVE = VendorCase(
    "narrative",
    "Narrative",
    NarrativeHook,
    NarrativeJobSensor,
    None,
    {
        JobState.PENDING: "pending",
        JobState.RUNNING: "running",
        JobState.CANCELLING: "pending_cancellation",
        JobState.SUCCEEDED: "completed",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "cancelled",
    },
    r"^/jobs/",
    "2a5b9ad7-dc8f-47bb-8e62-843a38f8054c",
)
VENDORS = (AMPERITY, ADVERITY, POLARIS, NARRATIVE)
CANCELLING_VENDORS = tuple(case for case in VENDORS if case.cancel_operator)
