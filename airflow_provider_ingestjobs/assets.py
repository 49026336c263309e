# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Assets that vendors' jobs load: their addresses, and what a task reports of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.vendors import VENDORS, Vendor

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow_provider_ingestjobs.job import Job


#: What the two parts of an asset's address are, by scheme: ``amperity://acme/df-5L6d1veh``.
ADDRESSES = {row.scheme: row.asset for row in VENDORS}


def check_uri(uri: SplitResult) -> SplitResult:
    """Return an asset's address, if it names what a vendor's job loads; called while a DAG is read.

    :param uri: the address, split.
    :raises ValueError: saying what the address must look like.
    """
    # The table does not have the schemes of vendors in other packages.
    owner, target = ADDRESSES.get(uri.scheme, Vendor.asset)
    if not uri.netloc or not uri.path.strip("/"):
        raise ValueError(f"{uri.geturl()!r} is not an asset here: write {uri.scheme}://<{owner}>/<{target}>")
    return uri


def add_to_outlet_events(context: Any, outlets: Sequence[Any], jobs: Sequence[Job]) -> None:
    """Add a summary of the jobs to the events of the task's outlets, for the DAGs that they start.

    :param context: the task's context.
    :param outlets: the task's outlets.
    :param jobs: the ended jobs.
    """
    events = context.get("outlet_events") if outlets else None
    if events is None:
        return
    kept = ("vendor", "id", "state", "target", "ended_at", "rows", "url")
    summary = [{name: value for name, value in job.to_dict().items() if name in kept} for job in jobs]
    for outlet in outlets:
        try:
            event = events[outlet]
        except TypeError:
            # What is no asset, such as OpenLineage's ``File``, has no events.
            continue
        event.extra = {**(event.extra or {}), "ingest_jobs": summary}
