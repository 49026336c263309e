# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is kept between two reads must not hide what a read has not seen."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.reading import BulkRead, ReadState
from airflow_provider_ingestjobs.job import Job, JobState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
JOB = Job(vendor="Narrative", id="1", state=JobState.RUNNING, vendor_state="running")


def test_a_read_that_was_broken_off_has_not_seen_all_changes() -> None:
    memory = ReadState()
    trouble = VendorUnavailable("503")
    memory.keep(BulkRead(jobs={"1": JOB}, stopped_by=trouble, changed_until=NOW, full_scan=True))
    assert memory.jobs == {"1": JOB}
    assert memory.changed_until is None
    assert memory.full_scan_at is None
    memory.keep(BulkRead(changed_until=NOW, full_scan=True))
    assert memory.changed_until == NOW
    assert memory.full_scan_at is not None


def test_a_job_that_could_not_be_read_is_not_known() -> None:
    memory = ReadState(jobs={"1": JOB, "2": JOB, "3": JOB})
    memory.keep(BulkRead(missing={"1"}, errors={"2": VendorUnavailable("500")}))
    assert memory.jobs.keys() == {"3"}


def test_a_job_that_nobody_awaits_any_more_is_forgotten() -> None:
    memory = ReadState(
        jobs={"1": JOB, "2": JOB},
        listed={"1": (0, JOB), "2": (0, JOB)},
        asked_at={"1": 0, "2": 0},
        seen_at={"1": 0, "2": 0},
    )
    memory.forget_all_but({"2"})
    assert memory == ReadState(jobs={"2": JOB}, listed={"2": (0, JOB)}, asked_at={"2": 0}, seen_at={"2": 0})
