# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is kept between two reads must not hide what a read has not seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.reading import MAX_FAILURES, BulkRead, ReadState
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.vendors import NARRATIVE, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

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


def test_a_job_that_was_not_looked_at_is_not_known_behind_a_later_cut_off() -> None:
    jobs = dict.fromkeys(("1", "2", "3"), JOB)
    memory = ReadState(jobs=dict(jobs))
    memory.keep(BulkRead(jobs={"1": JOB}))
    assert memory.jobs == jobs
    memory.keep(BulkRead(jobs={"1": JOB}, unchanged={"2"}, changed_until=NOW))
    assert memory.jobs.keys() == {"1", "2"}


def test_a_job_that_nobody_awaits_any_more_is_forgotten() -> None:
    memory = ReadState(
        jobs={"1": JOB, "2": JOB},
        listed={"1": (0, JOB), "2": (0, JOB)},
        asked_at={"1": 0, "2": 0},
        seen_at={"1": 0, "2": 0},
    )
    memory.forget_all_but({"2"})
    assert memory == ReadState(jobs={"2": JOB}, listed={"2": (0, JOB)}, asked_at={"2": 0}, seen_at={"2": 0})


@pytest.mark.parametrize("case", VENDORS, ids=str)
@pytest.mark.parametrize("fault", [{"status": 500}, {"body": "<html>"}])
@pytest.mark.usefixtures("one_try")
def test_a_vendor_that_fails_over_everything_is_asked_a_few_times_only(
    case: VendorCase, fault: dict[str, Any], sandbox: Sandbox, connections: Connections
) -> None:
    connections.add(case.name)
    sandbox.add_fault(Fault(times=None, **fault))
    for state in (None, ReadState()):
        with pytest.raises(VendorUnavailable):
            case.hook().read_jobs([str(number) for number in range(50)], state)
    assert len(sandbox.requests()) <= 2 * (1 + MAX_FAILURES + 1)


@pytest.mark.usefixtures("one_try")
def test_a_token_that_cannot_be_read_is_everybody_s_trouble(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("narrative", auth="login")
    sandbox.add_fault(Fault(path="/oauth/token", body="<html>", times=None))
    with pytest.raises(VendorUnavailable, match="not JSON") as caught:
        NARRATIVE.hook().read_jobs(["1", "2", "3"], ReadState())
    assert caught.value.wants_pause
    assert len(sandbox.requests()) == 1
