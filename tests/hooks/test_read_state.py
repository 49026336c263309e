# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What is kept between two reads must not hide what a read has not seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks.reading import MAX_FAILURES, READS_WITHOUT_LISTS, BulkRead, ReadState
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.vendors import AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

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


@pytest.mark.usefixtures("one_try", "one_by_one")
def test_a_token_that_cannot_be_read_is_everybody_s_trouble(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("narrative", auth="login")
    sandbox.add_fault(Fault(path="/oauth/token", body="<html>", times=None))
    with pytest.raises(VendorUnavailable, match="not JSON") as caught:
        NARRATIVE.hook().read_jobs(["1", "2", "3"], ReadState())
    assert caught.value.wants_pause
    assert len(sandbox.requests()) == 1


class TestFewJobs:
    """As where two triggerers share a connection's waits: a list may cost less than two requests."""

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    @pytest.mark.parametrize("count", [2, 4])
    def test_a_list_that_has_them_is_read(
        self, case: VendorCase, count: int, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook, state = case.hook(connections.add(case.name)), ReadState()
        ids = [sandbox.add_job(case.name, str(number)) for number in range(count)]
        for _ in range(5):
            read = hook.read_jobs(ids, state)
            assert read.jobs.keys() | read.unchanged == set(ids)
        assert len(sandbox.requests()) == 5

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_a_single_job_is_read_by_its_id(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        hook = case.hook(connections.add(case.name))
        job_id = sandbox.add_job(case.name, case.job_id)
        hook.read_jobs([job_id], ReadState())
        assert all(job_id in request.path for request in sandbox.requests())

    @pytest.mark.parametrize("status", [None, 403])
    def test_a_list_that_lacks_them_is_left_alone(
        self, status: int | None, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        hook, state = POLARIS.hook(connections.add("polaris")), ReadState()
        ids = [sandbox.add_job("polaris", timeline=[(0, "completed")]) for _ in range(3)]
        if status:
            sandbox.add_fault(Fault(path="/jobs$", status=status, times=None))
        reads = 1 + READS_WITHOUT_LISTS + 1
        for _ in range(reads):
            assert hook.read_jobs(ids, state).jobs.keys() == set(ids)
        assert len(sandbox.requests()) == reads * len(ids) + 2
        assert logs.warnings == []

    def test_a_list_of_very_many_others_is_left_alone(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.reading.RECORDS_PER_REQUEST", 10)
        hook, state = AMPERITY.hook(connections.add("amperity")), ReadState()
        ids = [sandbox.add_job("amperity", str(number)) for number in range(45)]
        for wanted, requests in ((ids[:3], 1), (ids[:3], 3), (ids, 1)):
            before = len(sandbox.requests())
            hook.read_jobs(wanted, state)
            assert len(sandbox.requests()) - before == requests
