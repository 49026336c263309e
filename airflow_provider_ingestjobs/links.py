# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Extra links from a task to its job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import TaskInstanceKey

#: The XCom that keeps the address.
XCOM_KEY = "_link_VendorJobLink"


class VendorJobLink(BaseOperatorLink):
    """A button that opens the job at its vendor.

    With a vendor that documents no address of a job the button stays off.
    """

    name = "Vendor job"

    @property
    def xcom_key(self) -> str:
        """The XCom key that the address is kept under."""
        return XCOM_KEY

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address that the task has stored, or an empty text.

        :param operator: the task.
        :param ti_key: which run of it.
        """
        # The task's own process asks, too, at its end: there Airflow logs what it does not find as an error.
        known: str | None = getattr(operator, "job_link", None)
        if known is not None:
            return known
        from airflow_provider_ingestjobs.airflow_compat import XCom

        return XCom.get_value(ti_key=ti_key, key=XCOM_KEY) or ""
