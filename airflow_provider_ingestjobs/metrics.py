# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The tags of this package's metrics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.vendors import Vendor

# Airflow drops a StatsD metric whose tag has any other character; its ids of connections may have them.
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_./-]")


def tags_of(vendor: Vendor, conn_id: str, **more: object) -> dict[str, str]:
    """Return the tags that every metric about a connection has.

    :param vendor: the vendor.
    :param conn_id: the Airflow connection.
    :param more: what else tells its jobs from others, such as a Polaris project.
    """
    tags = {"vendor": vendor.conn_type, "connection": conn_id, **more}
    return {name: _NOT_IN_TAGS.sub("_", str(value)) for name, value in tags.items()}
