# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a deferred task waits on: its arguments, its one event, and how a task reads that."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    IngestJobsError,
    InvalidInput,
    VendorError,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.triggers.base import jobs_from_event
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from support.task_runs import defer, fire, in_time, killed, revived, until
from support.vendors import AMPERITY, CANCELLING_VENDORS, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

pytestmark = pytest.mark.usefixtures("quick_watch", "one_try")
each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
CANARY = "canary-6f1c9e7a"


def trigger_of(
    case: VendorCase, timeout: float = 10.0, began: float = 0.0, **changes: Any
) -> IngestJobTrigger:
    """Return a trigger whose wait began so many seconds ago."""
    started_at = datetime.now(UTC) - timedelta(seconds=began)
    arguments = {
        "hook": case.hook.vendor.hook,
        "conn_id": f"{case.conn_type}_default",
        "job_ids": [case.job_id],
        "poll_interval": 0.05,
        "started_at": started_at.isoformat(),
        "deadline": (started_at + timedelta(seconds=timeout)).isoformat(),
        **changes,
    }
    return IngestJobTrigger(**arguments)


class TestArguments:
    @each_vendor
    def test_json_without_a_secret(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name, auth="login", password=CANARY)
        sensor = case.sensor(task_id="wait", job_id=case.job_id, deferrable=True, timeout=60)
        path, arguments = defer(sensor).serialize()
        assert path == "airflow_provider_ingestjobs.triggers.job.IngestJobTrigger"
        written = json.dumps(arguments)
        assert CANARY not in written
        assert "login" not in written
        assert arguments["hook"] == f"{case.hook.__module__}.{case.hook.__name__}"
        assert revived(defer(sensor)).serialize()[1].keys() == arguments.keys()

    @each_vendor
    def test_round_trip(self, case: VendorCase) -> None:
        trigger = trigger_of(case, cancel_on_kill=True, hook_params={"project_id": "p"}, missing_grace=7.5)
        assert revived(trigger).serialize() == trigger.serialize()

    @each_vendor
    def test_times_are_absolute(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name)
        before = datetime.now(UTC)
        sensor = case.sensor(task_id="wait", job_id=case.job_id, deferrable=True, timeout=3600)
        arguments = defer(sensor).serialize()[1]
        started_at = datetime.fromisoformat(arguments["started_at"])
        assert started_at.tzinfo is not None
        assert before <= started_at <= datetime.now(UTC)
        assert datetime.fromisoformat(arguments["deadline"]) - started_at == timedelta(hours=1)

    def test_the_project_comes_along(self, connections: Connections) -> None:
        connections.add("polaris")
        sensor = POLARIS.sensor(task_id="wait", job_id="1", project_id="p-1", deferrable=True)
        assert defer(sensor).serialize()[1]["hook_params"] == {"project_id": "p-1"}

    @pytest.mark.parametrize(
        "path", ["", "os", "os.path", "no.such.Hook", "builtins.dict", "airflow_provider_ingestjobs.job.Job"]
    )
    def test_only_hooks_are_imported(self, path: str) -> None:
        with pytest.raises(
            InvalidInput,
            match=r"name the class path of an IngestJobHook|give the class of an IngestJobHook, or its",
        ):
            hook_class_from(path)

    @each_vendor
    def test_hooks_are_found(self, case: VendorCase) -> None:
        assert hook_class_from(case.hook.vendor.hook) is case.hook


class TestEvents:
    @each_vendor
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_ended(
        self, case: VendorCase, state: JobState, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        steps = [(0, case.words[JobState.RUNNING]), (0.1, case.words[state])]
        sandbox.add_job(case.name, case.job_id, steps)
        event = in_time(fire(trigger_of(case)))
        assert event["status"] == "ended"
        (job,) = jobs_from_event(event)
        assert (job.id, job.state, job.raw) == (case.job_id, state, None)

    def test_airflow_logs_no_whole_jobs(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(NARRATIVE.name)
        sandbox.add_job(NARRATIVE.name, NARRATIVE.job_id, [(0, NARRATIVE.words[JobState.FAILED])])

        async def what_airflow_logs() -> list[str]:
            return [repr(event) async for event in trigger_of(NARRATIVE).run()]

        assert in_time(what_airflow_logs()) == ["TriggerEvent<ended, 1 job>"]

    @each_vendor
    def test_time_is_up(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)
        with pytest.raises(WaitTimeout, match=r"had not ended after.*running"):
            jobs_from_event(in_time(fire(trigger_of(case, timeout=0.2))))

    @each_vendor
    def test_the_last_look_at_the_deadline(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)

        async def scenario() -> Any:
            waiting = asyncio.ensure_future(fire(trigger_of(case, timeout=0.5, poll_interval=600)))
            await until(sandbox.requests)
            sandbox.set_state(case.name, case.job_id, case.words[JobState.SUCCEEDED])
            return await waiting

        (job,) = jobs_from_event(in_time(scenario()))
        assert job.state is JobState.SUCCEEDED

    @each_vendor
    @pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED])
    def test_revived_after_the_deadline(
        self, case: VendorCase, state: JobState, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[state])])
        event = in_time(fire(trigger_of(case, timeout=60, began=3600)))
        if state is JobState.SUCCEEDED:
            assert jobs_from_event(event)[0].state is state
        else:
            with pytest.raises(WaitTimeout, match="after 1 hour"):
                jobs_from_event(event)

    def test_the_timeout_says_what_stood_in_the_way(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.base.LAST_LOOK_TIMEOUT", 0.2)
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        sandbox.add_fault(Fault(status=503, times=None))
        with pytest.raises(WaitTimeout, match=r"never seen.*The last trouble: Narrative answered 503"):
            jobs_from_event(in_time(fire(trigger_of(NARRATIVE, timeout=0.3))))

    @each_vendor
    def test_never_found(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name)
        with pytest.raises(JobNotFound, match=case.job_id):
            jobs_from_event(in_time(fire(trigger_of(case, missing_grace=0.2))))

    @each_vendor
    def test_the_grace_goes_on_over_a_restart(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name)
        with pytest.raises(JobNotFound, match=r"has not known .* for 1 hour"):
            jobs_from_event(in_time(fire(trigger_of(case, timeout=7200, began=3600, missing_grace=600))))

    def test_a_job_that_vanishes_has_a_grace_of_its_own(
        self, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> Any:
            long_ago = trigger_of(NARRATIVE, timeout=7200, began=3600, missing_grace=0.5)
            waiting = asyncio.ensure_future(fire(long_ago))
            await until(sandbox.requests)
            sandbox.remove_job("narrative", NARRATIVE.job_id)
            await until(lambda: any(request.status == 404 for request in sandbox.requests()))
            assert not waiting.done()
            sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "completed")])
            return await waiting

        assert jobs_from_event(in_time(scenario()))[0].state is JobState.SUCCEEDED

    @each_vendor
    def test_refused_credentials(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name, password=CANARY)
        event = in_time(fire(trigger_of(case)))
        assert CANARY not in json.dumps(event)
        with pytest.raises(AuthenticationFailed, match="401: token rejected"):
            jobs_from_event(event)

    @each_vendor
    def test_refused_request(self, case: VendorCase, sandbox: Sandbox, connections: Connections) -> None:
        connections.add(case.name)
        sandbox.add_fault(Fault(status=422, times=None))
        with pytest.raises(VendorError, match="422"):
            jobs_from_event(in_time(fire(trigger_of(case))))

    @each_vendor
    def test_no_connection(self, case: VendorCase, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.current_hook.MISSING_GRACE", 0.0)
        with pytest.raises(IngestJobsError, match="conn_id='nowhere' cannot be used: create this connection"):
            jobs_from_event(in_time(fire(trigger_of(case, conn_id="nowhere"))))

    def test_in_the_task_s_own_process_no_event_is_held(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As in dag.test(): nothing there resumes the task before its process has ended.
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "600")
        connections.add("amperity")
        sandbox.add_job("amperity", "a", [(0, "succeeded")])
        assert jobs_from_event(in_time(fire(trigger_of(AMPERITY, job_ids=["a"]))))

    def test_several_jobs(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("amperity")
        sandbox.add_job("amperity", "a", [(0, "running"), (0.3, "succeeded")])
        sandbox.add_job("amperity", "b", [(0, "failed")])
        jobs = jobs_from_event(in_time(fire(trigger_of(AMPERITY, job_ids=["a", "b"]))))
        assert [(job.id, job.state.value) for job in jobs] == [("a", "succeeded"), ("b", "failed")]

    def test_a_cancelled_trigger_leaves_the_watch(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)

        async def scenario() -> None:
            waiting = asyncio.ensure_future(fire(trigger_of(NARRATIVE)))
            await until(sandbox.requests)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await until(lambda: not [t for t in asyncio.all_tasks() if "Watch._run" in repr(t.get_coro())])

        in_time(scenario())

    @pytest.mark.parametrize(
        "event",
        [
            None,
            "ended",
            {},
            {"status": "ended"},
            {"status": "ended", "jobs": []},
            {"status": "ended", "jobs": [{}]},
            {"status": "ended", "jobs": None},
            {"status": "success"},
            {"status": "ended", "jobs": [Job("x", "1", JobState.RUNNING, "running").to_dict()]},
            {"status": "ended", "jobs": [Job("x", "1", JobState.UNKNOWN, "?").to_dict()]},
        ],
    )
    def test_an_event_nobody_understands_is_no_success(self, event: Any) -> None:
        with pytest.raises(IngestJobsError, match="does not say how the job ended"):
            jobs_from_event(event)

    def test_an_error_nobody_knows_is_still_an_error(self) -> None:
        with pytest.raises(IngestJobsError, match="something new"):
            jobs_from_event({"status": "error", "error": "Unheard", "message": "something new"})


class TestOnKill:
    @pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
    def test_the_job_is_cancelled_where_asked_for(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0
        sandbox.add_job(case.name, case.job_id)
        in_time(killed(revived(trigger_of(case, cancel_on_kill=True))))
        assert case.hook().get_job(case.job_id).state is JobState.CANCELLED

    @each_vendor
    def test_a_plain_sensor_cancels_nothing(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)
        in_time(killed(revived(trigger_of(case))))
        assert sandbox.requests() == []
