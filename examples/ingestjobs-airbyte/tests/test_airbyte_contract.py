# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What every vendor of airflow-provider-ingestjobs passes."""

from __future__ import annotations

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract import ContractCase, VendorContract
from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook
from ingestjobs_airbyte.operators.airbyte import AirbyteCancelJobOperator
from ingestjobs_airbyte.sandbox import Airbyte
from ingestjobs_airbyte.sensors.airbyte import AirbyteJobsSensor

CONNECTION = "9924bcd0-99be-453d-ba47-c2c9766f7da5"
ANOTHER = "18dccc91-0ab1-4f72-9ed7-0b8fc27c5826"


class TestAirbyte(VendorContract):
    case = ContractCase(
        hook=AirbyteJobsHook,
        sensor=AirbyteJobsSensor,
        sandbox_vendor=Airbyte,
        words={
            JobState.PENDING: "pending",
            JobState.RUNNING: "running",
            JobState.SUCCEEDED: "succeeded",
            JobState.FAILED: "failed",
            JobState.CANCELLED: "cancelled",
        },
        cancel_operator=AirbyteCancelJobOperator,
        job_ids=lambda number: str(10_000 + number),
        filters={"connection_id": CONNECTION},
        matching={"connectionId": CONNECTION},
        other={"connectionId": ANOTHER},
        list_path=r"/jobs$",
    )
