# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The tables of an ingest job of the sandbox's Amperity, and the ids of what it has."""

from __future__ import annotations

import hashlib
import secrets
import string
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox.job_store import ROW_COUNTS
from airflow_provider_ingestjobs.sandbox.vendor import iso

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

_ALPHABET = string.ascii_letters + string.digits


def new_table(job: SandboxJob, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a further table of a job.

    :param job: the job.
    :param fields: the table's own fields; a ``state`` there stays whatever the job's is.
    """
    own = dict(fields)
    pinned = own.pop("state", None)
    number = len(job.parts) + 1
    own.setdefault("table_name", "Customers" if number == 1 else f"Customers {number}")
    own.setdefault("feed_id", _feed_id(job.id, number))
    return {
        "fields": own,
        "pinned": pinned,
        "state": None,
        "started_at": None,
        "ended_at": None,
        # Whether the table came to its own end, and was not cut short by a cancel.
        "complete": False,
    }


def table_record(job: SandboxJob, part: dict[str, Any]) -> dict[str, Any]:
    """Return IngestFeedDetails.

    :param job: the job, as of now.
    :param part: the table.
    """
    counts = job.rows_now(part["complete"])
    record: dict[str, Any] = {name: counts.get(name, 0) for name in ROW_COUNTS}
    record.update(feed_id=None, table_name=None, state=part["state"], job_id=job.id)
    # Their schema requires both times, silent on a table that has not got there: left out until known.
    for name in ("started_at", "ended_at"):
        if part[name] is not None:
            record[name] = iso(part[name])
    record.update(part["fields"])
    if "files" not in record:
        name, read, errors = "part0.avro", record["read"], record["errors"]
        day = time.strftime("%Y%m%d", time.gmtime(job.created_at))
        file_id = f"cb-{day}-{job.number:05d}-SF3Uz/{name}"
        record["files"] = [{"file_id": file_id, "name": name, "read": read, "errors": errors}] if read else []
    return record


def vendor_id(prefix: str, number: int, now: float) -> str:
    """Return an id such as isj-20240701-48815-6dcXdk.

    :param prefix: what it is the id of.
    :param number: a number that nothing else with the prefix has.
    :param now: seconds since the epoch.
    """
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    return f"{prefix}-{time.strftime('%Y%m%d', time.gmtime(now))}-{number:05d}-{letters}"


def _feed_id(job_id: str, table: int) -> str:
    # Not by chance: a table that comes later is made once for reads by id, and once for lists that lag.
    digest = hashlib.sha256(f"{job_id}/{table}".encode()).digest()
    return "df-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:8])
