# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The suite that every vendor passes, ours and those of other packages.

It needs pytest, Airflow and the extra ``sandbox``. A vendor's own tests say what they test::

    from airflow_provider_ingestjobs.sandbox.contract import ContractCase, VendorContract


    class TestAcme(VendorContract):
        case = ContractCase(
            hook=AcmeHook,
            sensor=AcmeJobSensor,
            sandbox_vendor=Acme,
            words={JobState.RUNNING: "working", JobState.SUCCEEDED: "done", JobState.FAILED: "failed"},
        )
"""

from __future__ import annotations

import pytest

TOPICS = (
    "cancelling",
    "ends",
    "lab",
    "own_classes",
    "reading",
    "row",
    "secrecy",
    "selecting",
    "sharing",
    "start_lab",
    "starting",
    "states",
    "trouble",
)
# Before they are imported: then their asserts explain themselves.
pytest.register_assert_rewrite(*(f"{__name__}.{topic}" for topic in TOPICS))

from airflow_provider_ingestjobs.sandbox.contract.cancelling import CancelTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.case import ContractCase, ContractStart  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.ends import EndTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.own_classes import OwnClassTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.reading import ReadingTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.row import RowTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.secrecy import SecrecyTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.selecting import SelectionTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.sharing import SharingTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.starting import StartTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.states import StateTests  # noqa: E402
from airflow_provider_ingestjobs.sandbox.contract.trouble import TroubleTests  # noqa: E402


class VendorContract(
    RowTests,
    StateTests,
    ReadingTests,
    EndTests,
    TroubleTests,
    SharingTests,
    SelectionTests,
    CancelTests,
    StartTests,
    OwnClassTests,
    SecrecyTests,
):
    """All tests of a vendor; a subclass whose name begins with ``Test`` runs them.

    Its ``case`` is a :class:`ContractCase`.
    """


__all__ = ["ContractCase", "ContractStart", "VendorContract"]
