# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A week of jobs in the sandbox, as a marketing team's vendors might have run them, trouble included."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.job import JobState
from support.vendors import BY_NAME

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

MEMBERS, TRANSACTIONS, STORES = "Loyalty members", "POS transactions", "Stores"
ORDER_HISTORY = "Order history 2015-2025"

#: Members, of which there are about 48,000 a time: once there were only these.
FAR_OFF, FAR_OFF_ROWS = "isj-48701-Loyal1", 512
#: Members with many rows that were rejected.
BAD_ROWS, REJECTED = "isj-48702-Loyal1", 6203
#: Transactions, whose load takes about a quarter of an hour, and once took these.
SLOW, SLOW_HOURS = "isj-48703-Pos002", 3
FAILED = "isj-48704-Pos002"
FAILURE = 'Required field "transaction_id" is missing in part0.avro.'
#: What Adverity says of a failed fetch: a browser must show it, and not obey it.
HOSTILE = """The report is <img src=x onerror="document.title='obeyed'"> empty."""
#: They run until somebody stops them.
RUNNING_MEMBERS, RUNNING_HISTORY = "isj-48901-Loyal1", "isj-48902-Hist03"
TO_CANCEL, SEALED = "isj-48903-Store5", "isj-48904-Store5"
FETCH, VIEW = "7301999", "2a5b9ad7-dc8f-47bb-8e62-843a38f82001"
LOADS = ("3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f2001", "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f2002")
#: A page shows 50 jobs; so many tables of Amperity's are loaded in the week, and more than in a page.
PAGE_SIZE = 50
FEEDS = {
    MEMBERS: "df-5L6d1veh",
    TRANSACTIONS: "df-2kQ8sTzw",
    STORES: "df-4WqZp8Lk",
    ORDER_HISTORY: "df-9fLm3Pxa",
}


def add_week(sandbox: Sandbox) -> None:
    """Fill the sandbox.

    :param sandbox: without jobs.
    """
    random = Random(15)
    _add_amperity(sandbox, random)
    _add_adverity(sandbox, random)
    _add_polaris(sandbox, random)
    _add_narrative(sandbox, random)


def add_table_load(  # one line for each job of Amperity's
    sandbox: Sandbox,
    job_id: str,
    table: str,
    ago: float,
    duration: float | None,
    state: JobState = JobState.SUCCEEDED,
    **options: Any,
) -> None:
    """Add a job of Amperity's.

    :param sandbox: where.
    :param job_id: its id.
    :param table: what it loads.
    :param ago: how many seconds ago it began.
    :param duration: how many seconds it took; None if it still runs.
    :param state: how it has ended.
    :param options: see ``Sandbox.add_job``.
    """
    fields = {
        "workflow_id": f"wf-{job_id.removeprefix('isj-')}",
        "tables": [{"table_name": table, "feed_id": FEEDS[table]}],
    }
    _add(sandbox, "amperity", job_id, ago, duration, state, fields=fields, **options)


def _add(
    sandbox: Sandbox,
    vendor: str,
    job_id: str,
    ago: float,
    duration: float | None,
    state: JobState = JobState.SUCCEEDED,
    **options: Any,
) -> None:
    words = BY_NAME[vendor].words
    timeline: list[tuple[float, Any]] = [(-ago - 20, words[JobState.PENDING])]
    timeline.append((-ago, {"state": words[JobState.RUNNING], "progress": 0.43}))
    if duration is not None:
        timeline.append((duration - ago, words[state]))
    sandbox.add_job(vendor, job_id, timeline, **options)


def _read(random: Random, usual: int, rejected: int = 0) -> dict[str, int]:
    read = round(usual * random.uniform(0.95, 1.05))
    updated = round((read - rejected) * 0.7)
    return {
        "read": read,
        "inserted": read - rejected - updated,
        "updated": updated,
        "rejected": rejected,
        "errors": 0,
    }


def _add_amperity(sandbox: Sandbox, random: Random) -> None:
    numbers = count(48815)
    for hours in range(4, 24 * 7 - 2, 4):
        ago, duration = hours * HOUR + 10 * MINUTE, random.uniform(8, 11) * MINUTE
        job_id, rows = f"isj-{next(numbers)}-Loyal1", _read(random, 48_000)
        if hours == 48:
            job_id, rows = FAR_OFF, _read(Random(1), FAR_OFF_ROWS)
            rows["read"] = FAR_OFF_ROWS
        if hours == 20:
            job_id, rows = BAD_ROWS, _read(random, 48_000, REJECTED)
        add_table_load(sandbox, job_id, MEMBERS, ago, duration, rows=rows)
    for hours in range(6, 24 * 7 - 2, 6):
        ago, duration = hours * HOUR, random.uniform(14, 17) * MINUTE
        job_id, state, rows = f"isj-{next(numbers)}-Pos002", JobState.SUCCEEDED, _read(random, 9_000)
        failure = None
        if hours == 12:
            job_id, state, failure = FAILED, JobState.FAILED, FAILURE
            rows = {"read": 1200, "inserted": 0, "updated": 0, "rejected": 0, "errors": 1200}
        if hours == 72:
            job_id, duration = SLOW, SLOW_HOURS * HOUR
        add_table_load(sandbox, job_id, TRANSACTIONS, ago, duration, state, rows=rows, failure=failure)
    for days in range(1, 6):
        rows = {"read": 812 + days, "inserted": 0, "updated": 812 + days, "rejected": 0, "errors": 0}
        add_table_load(
            sandbox, f"isj-{next(numbers)}-Store5", STORES, days * DAY + HOUR, 2 * MINUTE, rows=rows
        )
    add_table_load(sandbox, RUNNING_MEMBERS, MEMBERS, 6 * MINUTE, None, rows=_read(random, 48_000))
    add_table_load(sandbox, RUNNING_HISTORY, ORDER_HISTORY, 5 * HOUR, None, rows=_read(random, 9_000_000))
    add_table_load(sandbox, TO_CANCEL, STORES, 90, None, rows=_read(random, 812))
    add_table_load(sandbox, SEALED, STORES, 60, None, rows=_read(random, 812))


def _add_adverity(sandbox: Sandbox, random: Random) -> None:
    streams = {219: "Meta Ads - EMEA", 220: "DV360 - EMEA", 221: "Google Ads - EMEA"}
    numbers = count(7301100)
    for number, name in streams.items():
        stream = {"id": number, "stack_id": 12, "name": name, "slug": f"stream-{number}"}
        page = f"https://acme.datatap.adverity.com/ads/{number}/emea/"
        fields = {"datastream": {**stream, "absolute_url": page}}
        for hours in range(6, 24 * 7 - 2, 12):
            failed = (number, hours) == (220, 30)
            _add(
                sandbox,
                "adverity",
                str(next(numbers)),
                hours * HOUR + number * MINUTE,
                random.uniform(3, 5) * MINUTE,
                JobState.FAILED if failed else JobState.SUCCEEDED,
                failure=HOSTILE if failed else None,
                fields=fields,
            )
        if number == 219:
            _add(sandbox, "adverity", FETCH, 3 * MINUTE, None, fields=fields)


def _add_polaris(sandbox: Sandbox, random: Random) -> None:
    numbers = count(1)
    for table, usual in (("Clickstream", 1_200_000), ("Sensor readings", 86_000)):
        fields = {"target": {"type": "table", "tableName": table}}
        for hours in range(3, 24 * 7 - 2, 6):
            rows = {"read": round(usual * random.uniform(0.9, 1.1)), "errors": random.randrange(3)}
            job_id = f"3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1{next(numbers):03}"
            _add(
                sandbox,
                "polaris",
                job_id,
                hours * HOUR,
                random.uniform(6, 9) * MINUTE,
                fields=fields,
                rows=rows,
            )
    for job_id in LOADS:
        fields = {"target": {"type": "table", "tableName": "Clickstream"}}
        _add(sandbox, "polaris", job_id, 4 * MINUTE, None, fields=fields, rows={"read": 1_200_000})


def _add_narrative(sandbox: Sandbox, random: Random) -> None:
    numbers = count(1)
    for dataset in (10736, 10737):
        for hours in range(5, 24 * 7 - 2, 24):
            job_id = f"2a5b9ad7-dc8f-47bb-8e62-843a38f81{next(numbers):03}"
            _add(
                sandbox,
                "narrative",
                job_id,
                hours * HOUR,
                random.uniform(20, 30) * MINUTE,
                fields={"dataset_id": dataset, "tags": ["nightly"]},
                rows={"inserted": round(48_210 * random.uniform(0.97, 1.03))},
            )
    _add(sandbox, "narrative", VIEW, 7 * MINUTE, None, fields={"dataset_id": 10738})
