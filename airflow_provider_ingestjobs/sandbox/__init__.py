# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A local stand-in for Amperity, Adverity, Imply Polaris, Narrative or vendors of your own, to test DAGs.

It needs the extra ``sandbox`` and no Airflow. In a test::

    with Sandbox() as sandbox:
        sandbox.add_job("amperity", "isj-1", timeline=[(0, "running"), (2, "succeeded")])
        ...

A vendor of your own is a subclass of ``sandbox.vendor.VendorApi``: ``Sandbox(vendors=[MyVendor])``.

From the command line: ``python -m airflow_provider_ingestjobs.sandbox --port 8099 --demo``.
"""

from __future__ import annotations

from airflow_provider_ingestjobs.sandbox.fault import Fault
from airflow_provider_ingestjobs.sandbox.job_store import Timeline
from airflow_provider_ingestjobs.sandbox.sandbox import VENDORS, RecordedRequest, Sandbox
from airflow_provider_ingestjobs.sandbox.spoil import Response
from airflow_provider_ingestjobs.sandbox.vendor import Credentials

#: The one key, login and password each of these vendors accepts.
CREDENTIALS: dict[str, Credentials] = {vendor.name: vendor.credentials for vendor in VENDORS}

__all__ = [
    "CREDENTIALS",
    "VENDORS",
    "Credentials",
    "Fault",
    "RecordedRequest",
    "Response",
    "Sandbox",
    "Timeline",
]
