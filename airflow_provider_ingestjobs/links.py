# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Extra links from a task to its job: at its vendor, and on the page in Airflow's own UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES, BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import TaskInstanceKey

#: The XCom that keeps the vendor's address.
XCOM_KEY = "_link_VendorJobLink"
#: The XCom that keeps the page's.
PAGE_XCOM_KEY = "_link_IngestionJobLink"
#: The page's address in Airflow's UI, relative to its base, which a worker need not know.
PAGE = "plugin/ingestjobs"


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


class IngestionJobLink(BaseOperatorLink):
    """A button that opens the task's wait on the page "Ingestion jobs", from the wait's beginning on."""

    name = "Ingestion job"

    @property
    def xcom_key(self) -> str:
        """The XCom key that the address is kept under."""
        return PAGE_XCOM_KEY

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the page's address for a task, relative to the base of Airflow's UI.

        :param operator: the task.
        :param ti_key: which run of it.
        """
        return page_address(ti_key)


def page_address(ti: Any) -> str:
    """Return the page's address for a task, relative to the base of Airflow's UI.

    :param ti: the task's instance, or its key.
    """
    task = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
    return f"{PAGE}?{urlencode(task)}"


#: What tasks link to where their vendor has no addresses of jobs.
PAGE_LINKS: tuple[BaseOperatorLink, ...] = (IngestionJobLink(),) if HAS_PLUGIN_PAGES else ()
#: What tasks link to.
JOB_LINKS: tuple[BaseOperatorLink, ...] = (VendorJobLink(), *PAGE_LINKS)
