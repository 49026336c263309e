# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Many waits and selections with few requests, and never a wrong end because of a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from clock import START

from airflow_provider_ingestjobs.errors import InvalidInput, Unreadable, VendorUnavailable
from airflow_provider_ingestjobs.hooks.reading import ReadState
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from ingestjobs_airbyte.sandbox import Airbyte

if TYPE_CHECKING:
    from collections.abc import Callable

    from clock import Clock

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
    from airflow_provider_ingestjobs.sandbox.vendor import Call
    from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook

CONNECTION = "9924bcd0-99be-453d-ba47-c2c9766f7da5"
ANOTHER = "18dccc91-0ab1-4f72-9ed7-0b8fc27c5826"
LIST = r"/jobs$"


def asked(sandbox: Sandbox) -> list[str]:
    """Return what was asked since the last call: a job's id, or a list's filters."""
    requests = sandbox.requests()
    new = requests[getattr(sandbox, "seen", 0) :]
    sandbox.seen = len(requests)  # type: ignore[attr-defined]
    said = []
    for request in new:
        query = parse_qs(request.query)
        filters = [query[name][0] for name in ("status", "connectionId", "jobType") if name in query]
        changes = ["changes"] if "updatedAtStart" in query else []
        last = request.path.rpartition("/")[2]
        said.append(last if last != "jobs" else " ".join(["list", *filters, *changes]))
    return said


def states(jobs: dict[str, Any]) -> dict[str, JobState]:
    return {job_id: job.state for job_id, job in jobs.items()}


def add_jobs(sandbox: Sandbox, clock: Clock, count: int, word: str = "running") -> list[str]:
    ids = []
    for _ in range(count):
        ids.append(sandbox.add_job("airbyte", timeline=[(0, word)]))
        clock.advance(1)
    return ids


def test_waits_for_recent_jobs_take_one_request(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    ids = add_jobs(sandbox, clock, 60)
    assert states(hook.get_jobs(ids)) == dict.fromkeys(ids, JobState.RUNNING)
    assert asked(sandbox) == ["list"]


def test_jobs_that_run_for_long_are_found_among_those_that_run(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    wanted = add_jobs(sandbox, clock, 150)
    add_jobs(sandbox, clock, 300, "succeeded")
    assert states(hook.get_jobs(wanted)) == dict.fromkeys(wanted, JobState.RUNNING)
    assert asked(sandbox) == ["list", "list running", "list running"]


def test_those_that_wait_are_found_too_and_a_few_that_ended_long_ago_by_id(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    ended = add_jobs(sandbox, clock, 3, "failed")
    incomplete = add_jobs(sandbox, clock, 20, "incomplete")
    pending = add_jobs(sandbox, clock, 20, "pending")
    add_jobs(sandbox, clock, 100, "succeeded")
    found = states(hook.get_jobs([*ended, *incomplete, *pending]))
    assert found == {
        **dict.fromkeys(ended, JobState.FAILED),
        **dict.fromkeys(incomplete, JobState.RUNNING),
        **dict.fromkeys(pending, JobState.PENDING),
    }
    lists, by_id = asked(sandbox)[:4], {"list", "list running", "list incomplete", "list pending"}
    assert set(lists) == by_id


def test_many_that_ended_long_ago_are_read_by_the_page(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    wanted = add_jobs(sandbox, clock, 150, "succeeded")
    add_jobs(sandbox, clock, 100, "succeeded")
    assert len(hook.get_jobs(wanted)) == 150
    assert len(asked(sandbox)) < 60


def test_a_further_read_asks_for_changes_alone(sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook) -> None:
    wanted = add_jobs(sandbox, clock, 250)
    state = ReadState()
    hook.read_jobs(wanted, state)
    asked(sandbox)
    clock.advance(600)
    sandbox.set_state("airbyte", wanted[0], "succeeded")
    sandbox.set_state("airbyte", wanted[7], "incomplete")
    # The first list of changes goes back to when the newest known job was created.
    read = hook.read_jobs(wanted, state)
    assert read.jobs[wanted[0]].state is JobState.SUCCEEDED
    assert read.jobs[wanted[7]].vendor_state == "incomplete"
    assert read.jobs.keys() | read.unchanged == set(wanted)
    assert not read.jobs.keys() & read.unchanged
    asked(sandbox)
    clock.advance(600)
    read = hook.read_jobs(wanted, state)
    assert asked(sandbox) == ["list changes"]
    assert read.jobs.keys() | read.unchanged == set(wanted)
    sandbox.set_state("airbyte", wanted[249], "failed")
    assert hook.read_jobs(wanted, state).jobs[wanted[249]].state is JobState.FAILED
    assert asked(sandbox) == ["list changes"]


def test_jobs_that_were_first_read_in_a_look_of_their_own_are_among_the_changes(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    """As the shared poll does it: waits that join later are first looked at alone."""
    first, later = add_jobs(sandbox, clock, 10), add_jobs(sandbox, clock, 10)
    state = ReadState()
    hook.read_jobs(first, state)
    state.jobs.update(hook.read_jobs(later, ReadState()).jobs)
    asked(sandbox)
    sandbox.set_state("airbyte", later[0], "succeeded")
    read = hook.read_jobs([*first, *later], state)
    assert asked(sandbox) == ["list changes"]
    assert read.jobs[later[0]].state is JobState.SUCCEEDED


def test_many_that_were_never_read_before_are_looked_for_in_lists(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    """As the shared poll does it, if its time comes while many waits join."""
    wanted = add_jobs(sandbox, clock, 150)
    clock.advance(600)
    add_jobs(sandbox, clock, 120, "succeeded")
    state = ReadState()
    hook.read_jobs(wanted[:10], state)
    asked(sandbox)
    read = hook.read_jobs(wanted, state)
    assert read.jobs.keys() | read.unchanged == set(wanted)
    assert asked(sandbox) == ["list changes", "list changes", "list running", "list running"]


def test_a_server_whose_clock_is_wrong_hides_no_change(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook
) -> None:
    for skew in (-86_400, 86_400):
        clock.now = datetime.now(UTC).timestamp() + skew
        sandbox.reset()
        wanted = [sandbox.add_job("airbyte", timeline=[(0, "running")]) for _ in range(6)]
        state = ReadState()
        hook.read_jobs(wanted, state)
        for job_id in wanted:
            clock.advance(1)
            sandbox.set_state("airbyte", job_id, "succeeded")
            assert hook.read_jobs(wanted, state).jobs[job_id].state is JobState.SUCCEEDED


def test_a_scan_from_time_to_time_does_not_rely_on_changes(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = add_jobs(sandbox, clock, 6)
    state = ReadState()
    hook.read_jobs(wanted, state)
    monkeypatch.setattr("ingestjobs_airbyte.hooks.airbyte.FULL_SCAN_EVERY", -1.0)
    asked(sandbox)
    assert not hook.read_jobs(wanted, state).unchanged
    assert asked(sandbox) == ["list"]


class OlderAirbyte(Airbyte):
    """One of before 2026: it does not know "queued", and lists syncs and resets unless asked otherwise."""

    def matcher(self, call: Call) -> Callable[[SandboxJob], bool]:
        matches = super().matcher(call)
        known = (call.query.get("jobType"),) if "jobType" in call.query else ("sync", "reset")
        return lambda job: job.fields["jobType"] in known and matches(job)


def test_a_job_that_no_list_shows_is_read_by_id_each_time(
    clock: Clock, connect: Callable[..., AirbyteJobsHook]
) -> None:
    with Sandbox(vendors=[OlderAirbyte], clock=clock) as sandbox:
        hook = connect(sandbox=sandbox)
        wanted = add_jobs(sandbox, clock, 6)
        refresh = sandbox.add_job("airbyte", timeline=[(0, "running")], fields={"jobType": "refresh"})
        state = ReadState()
        assert hook.read_jobs([*wanted, refresh], state).jobs[refresh].state is JobState.RUNNING
        sandbox.set_state("airbyte", refresh, "succeeded")
        assert hook.read_jobs([*wanted, refresh], state).jobs[refresh].state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path=LIST, status=403, times=None),
        Fault(path=LIST, status=400, times=None),
        Fault(path=LIST, status=500, times=None),
        Fault(path=LIST, body="{", times=None),
        Fault(path=LIST, body='{"data": {}}', times=None),
    ],
)
@pytest.mark.parametrize("good_reads", [0, 1])
def test_a_list_that_is_no_use_ends_no_wait(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, fault: Fault, good_reads: int
) -> None:
    wanted = add_jobs(sandbox, clock, 6)
    state = ReadState()
    for _ in range(good_reads):
        hook.read_jobs(wanted, state)
    sandbox.add_fault(fault)
    for word, expected in (("incomplete", JobState.RUNNING), ("succeeded", JobState.SUCCEEDED)):
        for job_id in wanted:
            sandbox.set_state("airbyte", job_id, word)
        found = hook.read_jobs(wanted, state)
        assert states(found.jobs) == dict.fromkeys(wanted, expected)


def test_a_server_that_wants_a_pause_gets_one(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)
    wanted = add_jobs(sandbox, clock, 6)
    sandbox.add_fault(Fault(status=429))
    with pytest.raises(VendorUnavailable):
        hook.read_jobs(wanted, ReadState())
    assert asked(sandbox) == ["list"]


def test_where_the_list_does_not_answer_in_time_single_jobs_may(
    sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.RETRIES", 0)
    wanted = add_jobs(sandbox, clock, 6)
    sandbox.add_fault(Fault(status=504))
    assert set(hook.read_jobs(wanted, ReadState()).jobs) == set(wanted)
    assert asked(sandbox).count("list") == 1


def test_the_list_of_jobs(sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook) -> None:
    ids = add_jobs(sandbox, clock, 250)
    assert [job.id for job in hook.list_jobs()] == ids[::-1]
    assert [job.id for job in hook.list_jobs(order_by="createdAt|ASC", per_page=7)] == ids
    middle = datetime.fromtimestamp(START + 100, UTC)
    assert len(list(hook.list_jobs(created_from=middle))) == 150
    assert not list(hook.list_jobs(status="failed"))
    own = sandbox.add_job("airbyte", fields={"connectionId": CONNECTION, "jobType": "clear"})
    assert [job.id for job in hook.list_jobs(connection_id=CONNECTION)] == [own]
    assert [job.id for job in hook.list_jobs(job_type="clear")] == [own]


@pytest.mark.parametrize(
    "wrong", [{"order_by": "jobId|ASC"}, {"per_page": 101}, {"created_from": "2026-01-01T00:00"}]
)
def test_what_the_list_does_not_take(hook: AirbyteJobsHook, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        hook.list_jobs(**wrong)


def test_a_list_that_repeats_a_page_is_no_list(sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook) -> None:
    add_jobs(sandbox, clock, 3)
    page = [{"jobId": 1, "status": "running"}, {"jobId": 2, "status": "running"}]
    sandbox.add_fault(Fault(path=LIST, status=200, body={"data": page, "next": "again"}, times=None))
    with pytest.raises(Unreadable, match="does not end"):
        list(hook.list_jobs(per_page=2))


def test_selections_by_connection_and_type(sandbox: Sandbox, clock: Clock, hook: AirbyteJobsHook) -> None:
    fields = [
        {"connectionId": CONNECTION, "jobType": "sync"},
        {"connectionId": CONNECTION, "jobType": "clear"},
        {"connectionId": ANOTHER, "jobType": "sync"},
    ]
    ids = [sandbox.add_job("airbyte", timeline=[(0, "succeeded")], fields=dict(one)) for one in fields]
    clock.advance(7200)
    sandbox.add_job("airbyte", fields={"connectionId": CONNECTION})
    start = datetime.fromtimestamp(START, UTC) - timedelta(minutes=1)

    def picked(**filters: Any) -> list[str]:
        selection = Selection(freeze_filters(filters), start, start + timedelta(hours=1))
        return [job.id for job in hook.select_jobs([selection])[selection].jobs]

    assert picked(connection_id=CONNECTION) == ids[:2]
    assert picked(connection_id=CONNECTION, job_type="sync") == ids[:1]
    assert picked(connection_id=[CONNECTION, ANOTHER], job_type="sync") == [ids[0], ids[2]]
    assert asked(sandbox) == [f"list {CONNECTION}", f"list {CONNECTION} sync", "list sync"]
