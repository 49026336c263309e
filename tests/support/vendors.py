# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The four vendors side by side: the one table of what tests and benchmarks know of them.

It imports nothing of the package but the states, so that a process that only plays a vendor stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from airflow_provider_ingestjobs.job import JobState

PACKAGE = "airflow_provider_ingestjobs"


@dataclass(frozen=True)
class VendorCase:
    """One vendor.

    :param name: the sandbox's name of it, and that of its modules.
    :param vendor: its name as users see it.
    :param conn_type: Airflow's connection type.
    :param class_prefix: what the names of its classes begin with.
    :param cancels: whether it documents a way to stop a job.
    :param words: the vendor's word for each state it has.
    :param job_id: a job id in the vendor's format.
    :param other_id: another one.
    :param id_field: the field of a record that has the job's id.
    :param state_field: the field that has its state; Amperity has one in each of the field's tables.
    :param token_field: the field of an answer to a login that has the token.
    :param requests: method, and regular expression of the path, of each operation's request.
    :param page: puts records into the envelope of the vendor's list, as its only page.
    """

    name: str
    vendor: str
    conn_type: str
    class_prefix: str
    cancels: bool
    words: Mapping[JobState, str]
    job_id: str
    other_id: str
    id_field: str
    state_field: str
    token_field: str
    requests: Mapping[str, tuple[str, str]]
    page: Callable[[list[Any]], dict[str, Any]]

    @property
    def hook(self) -> Any:
        return getattr(import_module(f"{PACKAGE}.hooks.{self.name}"), f"{self.class_prefix}Hook")

    @property
    def hook_path(self) -> str:
        return f"{PACKAGE}.hooks.{self.name}.{self.class_prefix}Hook"

    @property
    def sensor(self) -> Any:
        return getattr(import_module(f"{PACKAGE}.sensors.{self.name}"), f"{self.class_prefix}JobSensor")

    @property
    def list_operator(self) -> Any:
        module = import_module(f"{PACKAGE}.operators.{self.name}")
        return getattr(module, f"{self.class_prefix}ListJobsOperator")

    @property
    def cancel_operator(self) -> Any:
        """The operator, or ``None`` where the vendor cancels nothing."""
        if not self.cancels:
            return None
        module = import_module(f"{PACKAGE}.operators.{self.name}")
        return getattr(module, f"{self.class_prefix}CancelJobOperator")

    @property
    def default_conn_id(self) -> str:
        return f"{self.conn_type}_default"

    @property
    def job_path(self) -> str:
        """A regular expression of the path of a single job."""
        return self.requests["get"][1]

    def __str__(self) -> str:
        return self.name


AMPERITY = VendorCase(
    name="amperity",
    vendor="Amperity",
    conn_type="amperity",
    class_prefix="Amperity",
    cancels=True,
    words={
        JobState.PENDING: "scheduled",
        JobState.RUNNING: "running",
        JobState.CANCELLING: "stopping",
        JobState.SUCCEEDED: "succeeded",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "canceled",
        JobState.SKIPPED: "skipped",
    },
    job_id="isj-20240701-48815-6dcXdk",
    other_id="isj-20240701-00002-other2",
    id_field="id",
    state_field="tables",
    token_field="access_token",
    requests={
        "get": ("GET", r"^/api/ingest/jobs/."),
        "list": ("GET", r"^/api/ingest/jobs$"),
        "cancel": ("POST", r"/stop$"),
        "token": ("POST", r"/oauth2/token$"),
    },
    page=lambda records: {"data": records, "next_token": "unusable"},
)
ADVERITY = VendorCase(
    name="adverity",
    vendor="Adverity",
    conn_type="adverity",
    class_prefix="Adverity",
    cancels=True,
    words={
        JobState.PENDING: "Scheduled",
        JobState.RUNNING: "Running",
        JobState.SUCCEEDED: "Success",
        JobState.FAILED: "Failed",
        JobState.CANCELLED: "Cancelled",
    },
    job_id="4711",
    other_id="4712",
    id_field="id",
    state_field="state_label",
    token_field="token",
    requests={
        "get": ("GET", r"^/api/jobs/\d+/$"),
        "list": ("GET", r"^/api/jobs/$"),
        "cancel": ("POST", r"/stop/$"),
        "token": ("POST", r"^/api/auth/token/$"),
    },
    page=lambda records: {"count": len(records), "next": None, "previous": None, "results": records},
)
POLARIS = VendorCase(
    name="polaris",
    vendor="Imply Polaris",
    conn_type="imply_polaris",
    class_prefix="Polaris",
    cancels=True,
    words={
        JobState.PENDING: "pending",
        JobState.RUNNING: "running",
        JobState.SUCCEEDED: "completed",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "canceled",
    },
    job_id="efb35e3e-406e-4127-ad2e-280fede4f431",
    other_id="other",
    id_field="id",
    state_field="executionStatus",
    token_field="access_token",
    requests={
        "get": ("GET", r"/jobs/[^/]+$"),
        "list": ("GET", r"/jobs$"),
        "cancel": ("POST", r"/jobs/[^/]+/status$"),
        "token": ("POST", r"/token$"),
    },
    page=lambda records: {"values": records},
)
NARRATIVE = VendorCase(
    name="narrative",
    vendor="Narrative",
    conn_type="narrative",
    class_prefix="Narrative",
    cancels=False,
    words={
        JobState.PENDING: "pending",
        JobState.RUNNING: "running",
        JobState.CANCELLING: "pending_cancellation",
        JobState.SUCCEEDED: "completed",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "cancelled",
    },
    job_id="2a5b9ad7-dc8f-47bb-8e62-843a38f8054c",
    other_id="other",
    id_field="job_id",
    state_field="state",
    token_field="access_token",
    requests={
        "get": ("GET", r"^/jobs/."),
        "list": ("GET", r"^/jobs$"),
        "cancel": ("DELETE", r"^no such request$"),
        "token": ("POST", r"^/oauth/token$"),
    },
    page=lambda records: {"current_page": 1, "total_records": len(records), "records": records},
)
VENDORS = (AMPERITY, ADVERITY, POLARIS, NARRATIVE)
CANCELLING_VENDORS = tuple(case for case in VENDORS if case.cancels)
BY_NAME = {case.name: case for case in VENDORS}


def words_for(state: JobState) -> dict[str, str]:
    """Return each vendor's word for a state, by the vendor's name, where it has one."""
    return {case.name: case.words[state] for case in VENDORS if state in case.words}
