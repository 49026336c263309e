# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Our four vendors pass the suite that every vendor must pass."""

from __future__ import annotations

from typing import Any

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import VENDORS
from airflow_provider_ingestjobs.sandbox.contract import ContractCase, ContractStart, VendorContract
from support.start_tasks import CASES
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VendorCase

PLAYED = {vendor.name: vendor for vendor in VENDORS}
#: Tests do not wait for Amperity's published rate.
EXTRA = {"requests_per_second": 10_000}

#: Those of what is started, where it is no job: Amperity's are workflow runs.
STARTED_WORDS = {
    "amperity": {
        JobState.PENDING: "scheduled",
        JobState.RUNNING: "running",
        JobState.SUCCEEDED: "succeeded",
        JobState.FAILED: "failed",
        JobState.CANCELLED: "canceled",
    }
}


def contract_case(vendor: VendorCase, **of_filters: Any) -> ContractCase:
    return ContractCase(
        hook=vendor.hook,
        sensor=vendor.sensor,
        sandbox_vendor=PLAYED[vendor.name],
        words=vendor.words,
        cancel_operator=vendor.cancel_operator,
        starts=[
            ContractStart(
                case.operator, case.arguments, case.path, case.returns_list, STARTED_WORDS.get(vendor.name)
            )
            for case in CASES
            if case.vendor is vendor
        ],
        list_path=vendor.requests["list"][1],
        extra=EXTRA,
        **of_filters,
    )


class TestAmperity(VendorContract):
    case = contract_case(
        AMPERITY,
        filters={"feed_id": "df-1"},
        matching={"tables": [{"feed_id": "df-1"}]},
        other={"tables": [{"feed_id": "df-2"}]},
    )


class TestAdverity(VendorContract):
    case = contract_case(
        ADVERITY,
        filters={"datastream_id": "218"},
        matching={"datastream_id": "218"},
        other={"datastream_id": "219"},
    )


class TestPolaris(VendorContract):
    case = contract_case(
        POLARIS,
        filters={"table_name": "Events"},
        matching={"target": {"type": "table", "tableName": "Events"}},
        other={"target": {"type": "table", "tableName": "Others"}},
    )


class TestNarrative(VendorContract):
    case = contract_case(
        NARRATIVE, filters={"dataset_id": "7"}, matching={"dataset_id": 7}, other={"dataset_id": 8}
    )
