# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is kept between two reads must not hide what a read has not seen."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_ingestjobs.exceptions import VendorUnavailable
from airflow_provider_ingestjobs.hooks.base import JobsRead, Memory
from airflow_provider_ingestjobs.job import Job, JobState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
JOB = Job(vendor="Narrative", id="1", state=JobState.RUNNING, vendor_state="running")


def test_an_interrupted_read_has_not_seen_all_changes() -> None:
    memory = Memory()
    trouble = VendorUnavailable("503")
    memory.keep(JobsRead(jobs={"1": JOB}, interrupted=trouble, changed_until=NOW, swept=True))
    assert memory.jobs == {"1": JOB}
    assert memory.changed_until is None
    assert memory.swept_at is None
    memory.keep(JobsRead(changed_until=NOW, swept=True))
    assert memory.changed_until == NOW
    assert memory.swept_at is not None


def test_a_job_that_could_not_be_read_is_not_known() -> None:
    memory = Memory(jobs={"1": JOB, "2": JOB, "3": JOB})
    memory.keep(JobsRead(missing={"1"}, troubles={"2": VendorUnavailable("500")}))
    assert memory.jobs.keys() == {"3"}


def test_who_is_not_awaited_any_more_is_forgotten() -> None:
    memory = Memory(
        jobs={"1": JOB, "2": JOB}, listed={"1": (0, JOB), "2": (0, JOB)}, read_at={"1": 0, "2": 0}
    )
    memory.forget_all_but({"2"})
    assert memory == Memory(jobs={"2": JOB}, listed={"2": (0, JOB)}, read_at={"2": 0})
