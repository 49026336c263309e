# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A wait that begins and ends in the triggerer; Airflow's part is played here, and real end to end."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from pydantic import BaseModel

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import STARTS_FROM_TRIGGER
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.links import XCOM_KEY
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor
from airflow_provider_ingestjobs.triggers import detail_reads, ending, start
from airflow_provider_ingestjobs.triggers.ending import WorkerNeeded
from airflow_provider_ingestjobs.triggers.rendering import render
from airflow_provider_ingestjobs.triggers.start import StartTrigger
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY, WaitRecord
from support.task_runs import DagRun, TaskInstance, in_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.connections import Connections
    from support.logs import Logs

pytestmark = [
    pytest.mark.skipif(not STARTS_FROM_TRIGGER, reason="a worker starts every task here"),
    pytest.mark.usefixtures("quick_watch", "one_try"),
]

FLAGS: dict[str, Any] = {
    "task_id": "wait",
    "deferrable": True,
    "start_from_trigger": True,
    "end_from_trigger": True,
}


class RunningTaskInstance(TaskInstance):
    """A task instance as a trigger has it, whose upstream task has left a job's id."""

    task = None

    def __init__(self, upstream: Any = None, try_number: int = 1) -> None:
        super().__init__()
        self.try_number = try_number
        self._upstream = upstream

    def xcom_pull(self, task_ids: str, map_indexes: Any = "all", **kwargs: Any) -> Any:
        assert map_indexes is None, "Airflow would not answer"
        return self._upstream


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The task's XComs, with what an earlier try has left; and no OpenLineage."""
    xcoms: dict[str, Any] = {"return_value": "of an earlier try"}

    async def keep(ti: Any, key: str, value: Any) -> None:
        xcoms[key] = json.loads(json.dumps(value))

    async def drop(ti: Any, keys: tuple[str, ...]) -> None:
        for key in keys:
            xcoms.pop(key, None)

    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.base.keep_xcom", keep)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.start.keep_xcom", keep)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.start.drop_xcoms", drop)

    async def read(ti: Any, key: str) -> Any:
        return xcoms.get(key)

    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.start.read_xcom", read)
    monkeypatch.setattr(ending, "find_spec", lambda name: None)
    return xcoms


def handed_over(
    sensor: NarrativeJobSensor | PolarisJobSensor,
    ti: RunningTaskInstance | None = None,
    deferred_at: datetime | None = None,
) -> StartTrigger:
    """The trigger of a task that the scheduler has deferred, as the triggerer makes it."""
    arguments = sensor.start_trigger_args
    assert arguments is not None
    trigger = StartTrigger(**json.loads(json.dumps(arguments.trigger_kwargs)))
    ti = ti or RunningTaskInstance()
    trigger.task_instance = ti  # type: ignore[assignment]
    trigger.trigger_id = 1
    assert arguments.timeout is not None
    trigger.timeout_after = (deferred_at or clock.now()) + min(
        arguments.timeout, sensor.execution_timeout or arguments.timeout
    )
    trigger.render_template_fields({"ti": ti, "dag_run": DagRun(), "params": {"job": "job-1"}})  # type: ignore
    return trigger


def fired(trigger: StartTrigger) -> TriggerEvent:
    """The trigger's one event."""

    async def run() -> TriggerEvent:
        (event,) = [event async for event in trigger.run()]
        return event

    return in_time(run())


@pytest.fixture
def job_id(sandbox: Sandbox, connections: Connections) -> str:
    """A job that has ended well."""
    connections.add("narrative")
    connections.add("polaris")
    return sandbox.add_job("narrative", timeline=[(0, "completed")], rows={"inserted": 5})


class TestBegin:
    @pytest.mark.parametrize("upstream", [False, True])
    def test_it_waits_for_what_the_template_says(
        self, upstream: bool, job_id: str, kept: dict[str, Any], logs: Logs
    ) -> None:
        given = "{{ ti.xcom_pull(task_ids='start') }}" if upstream else job_id
        trigger = handed_over(NarrativeJobSensor(job_id=given, **FLAGS), RunningTaskInstance(job_id))
        assert isinstance(fired(trigger), TaskSuccessEvent)
        assert (kept["return_value"]["id"], kept["return_value"]["state"]) == (job_id, "succeeded")
        assert f"Waiting for Narrative job {job_id} until" in logs.text

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ("{{ nobody }}", "'nobody' is undefined"),
            ("job-{{ params.nothing }}", "has no attribute 'nothing'"),
            ("{{ own_macro() }}", "'own_macro' is undefined"),
            ("{{ 'x' | own_filter }}", "No filter named 'own_filter'"),
            ("{{ ti.xcom_pull(task_ids='nobody') }}", "cannot read the result of 'nobody'"),
            ("a/{{ params.job }}", "job_id='a/job-1' cannot be used"),
            ("{{ '' }}", "job_id='' cannot be used"),
            ("{{ triggering_asset_events }}", "'triggering_asset_events' is undefined"),
        ],
    )
    def test_a_worker_says_what_is_wrong(self, given: str, reason: str, job_id: str, logs: Logs) -> None:
        sensor = NarrativeJobSensor(job_id=given, **FLAGS)
        event = fired(handed_over(sensor))
        assert event.payload["status"] == "start"
        assert reason in event.payload["message"]
        assert "The task starts in a worker" in logs.text

    @pytest.mark.parametrize(
        "template",
        ["{{ dag_run.clear_number }}", "{{ ti.max_tries }}", "{{ dag_run.consumed_asset_events }}"],
    )
    def test_what_airflow_has_not_told_of_the_run_is_left_to_a_worker(
        self, template: str, job_id: str
    ) -> None:
        class Told(BaseModel):
            run_id: str
            clear_number: int = 0
            max_tries: int = 0
            consumed_asset_events: list[str] = []

        run = Told(run_id="r")
        trigger = handed_over(NarrativeJobSensor(job_id=job_id, **FLAGS))
        context: Any = {"ti": run, "dag_run": run}
        assert render("{{ dag_run.run_id }}{{ ti.run_id }}", trigger, context) == "rr"
        with pytest.raises(WorkerNeeded, match="does not know the run's"):
            render(template, trigger, context)

    def test_a_worker_begins_the_wait_as_if_it_had_lasted_since_then(self, job_id: str) -> None:
        from airflow_provider_ingestjobs.airflow_compat import TaskDeferred

        sensor = NarrativeJobSensor(job_id=job_id, timeout=600, **FLAGS)
        ti = TaskInstance()
        ti.start_date = datetime.now(UTC) - timedelta(seconds=500)
        event = {"status": "start", "message": "so", "began": ti.start_date.isoformat()}
        with pytest.raises(TaskDeferred) as deferral:
            sensor.execute_complete({"ti": ti}, event)  # type: ignore[typeddict-item]
        trigger: Any = deferral.value.trigger
        assert trigger.deadline == (ti.start_date + timedelta(seconds=600)).isoformat()
        assert deferral.value.timeout is not None
        assert timedelta(seconds=200) < deferral.value.timeout < timedelta(seconds=221)

    def test_a_worker_that_begins_the_wait_after_its_time_has_a_last_look(self, job_id: str) -> None:
        from airflow_provider_ingestjobs.airflow_compat import TaskDeferred

        sensor = NarrativeJobSensor(job_id=job_id, timeout=600, **FLAGS)
        ti = TaskInstance()
        ti.start_date = datetime.now(UTC) - timedelta(hours=1)
        event = {"status": "start", "message": "so", "began": ti.start_date.isoformat()}
        with pytest.raises(TaskDeferred) as deferral:
            sensor.execute_complete({"ti": ti}, event)  # type: ignore[typeddict-item]
        assert deferral.value.timeout == timedelta(minutes=2)
        # A wait that had not begun has all its time.
        del event["began"]
        with pytest.raises(TaskDeferred) as deferral:
            sensor.execute_complete({"ti": ti}, event)  # type: ignore[typeddict-item]
        assert deferral.value.timeout is not None
        assert timedelta(seconds=719) < deferral.value.timeout <= timedelta(seconds=720)

    def test_bad_input_is_no_skip(self) -> None:
        sensor = NarrativeJobSensor(job_id="1", never_fail=True, **FLAGS)
        sensor.job_id = ""
        event = {"event": {"status": "start", "message": "so"}}
        with pytest.raises(InvalidInput):
            sensor.resume_execution("execute_complete", event, {"ti": TaskInstance()})  # type: ignore[typeddict-item]

    def test_a_question_that_airflow_does_not_answer(
        self, job_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(start, "MAX_RENDER_TIME", 0.05)
        ti = RunningTaskInstance()

        def render(*_: Any) -> Any:
            import greenback

            return greenback.await_(never())

        monkeypatch.setattr(start, "render", render)

        async def run() -> TriggerEvent:
            import greenback

            await greenback.ensure_portal()
            (event,) = [event async for event in handed_over(sensor, ti).run()]
            return event

        sensor = NarrativeJobSensor(job_id=job_id, **FLAGS)
        assert in_time(run()).payload["status"] == "start"

    def test_after_a_restart_it_waits_for_what_it_began_to_wait_for(
        self, sandbox: Sandbox, connections: Connections, kept: dict[str, Any]
    ) -> None:
        connections.add("narrative")
        first, second = (sandbox.add_job("narrative", timeline=[(0, "running")]) for _ in range(2))
        sensor = NarrativeJobSensor(job_id="{{ ti.xcom_pull(task_ids='start') }}", **FLAGS)
        deferred_at = clock.now() - timedelta(minutes=2)
        begun = [
            in_time(handed_over(sensor, RunningTaskInstance(upstream), deferred_at)._begin())
            for upstream in (first, second)
        ]
        assert [getattr(one, "job_ids", None) for one in begun] == [[first], [first]]
        wait = WaitRecord.from_dict(kept[WAIT_XCOM_KEY])
        assert (wait.target, wait.started_at) == ([first], deferred_at)
        assert wait.by
        # A later try is another wait.
        later = in_time(handed_over(sensor, RunningTaskInstance(second))._begin())
        assert getattr(later, "job_ids", None) == [second]

    def test_the_deadline_is_the_same_after_a_restart(self, job_id: str) -> None:
        deferred_at = clock.now() - timedelta(hours=2)
        sensor = NarrativeJobSensor(job_id=job_id, timeout=3600 * 5, **FLAGS)
        triggers = [handed_over(sensor, deferred_at=deferred_at) for _ in range(2)]
        begun = [in_time(trigger._begin()) for trigger in triggers]
        assert {one.started_at for one in begun} == {deferred_at.isoformat()}
        assert {one.deadline for one in begun} == {(deferred_at + timedelta(hours=5)).isoformat()}

    def test_an_execution_timeout_ends_the_wait_a_moment_before_airflow_would(self, job_id: str) -> None:
        sensor = NarrativeJobSensor(
            job_id=job_id, timeout=7200, execution_timeout=timedelta(minutes=10), **FLAGS
        )
        deferred_at = clock.now()
        begun = in_time(handed_over(sensor, deferred_at=deferred_at)._begin())
        assert begun.started_at == deferred_at.isoformat()
        assert begun.deadline == (deferred_at + timedelta(minutes=9)).isoformat()

    def test_a_missing_connection_fails_at_once(self, sandbox: Sandbox) -> None:
        event = fired(handed_over(NarrativeJobSensor(job_id="1", narrative_conn_id="nobody", **FLAGS)))
        assert event.payload["status"] == "start"
        assert "narrative_conn_id='nobody' cannot be used" in event.payload["message"]

    def test_a_connection_that_is_missing_later_does_not_end_the_wait(
        self, job_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sensor = NarrativeJobSensor(job_id=job_id, **FLAGS)
        deferred_at = clock.now() - timedelta(minutes=5)
        in_time(handed_over(sensor, deferred_at=deferred_at)._begin())
        monkeypatch.delenv("AIRFLOW_CONN_NARRATIVE_DEFAULT")
        assert in_time(handed_over(sensor, deferred_at=deferred_at)._begin()).conn_id == "narrative_default"

    def test_airflow_that_cannot_answer_is_asked_again(
        self, job_id: str, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch, logs: Logs
    ) -> None:
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse

        failures = iter([AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))] * 2)

        class Troubled(RunningTaskInstance):
            def xcom_pull(self, task_ids: str, map_indexes: Any = "all", **kwargs: Any) -> Any:
                for error in failures:
                    raise error
                return job_id

        monkeypatch.setattr(start, "RETRY_PAUSES", (0.01, 0.01, 0.01))
        sensor = NarrativeJobSensor(job_id="{{ ti.xcom_pull(task_ids='start') }}", **FLAGS)
        assert isinstance(fired(handed_over(sensor, Troubled())), TaskSuccessEvent)
        assert logs.text.count("The wait cannot begin now") == 2

    def test_what_another_release_has_written(self, job_id: str) -> None:
        sensor = NarrativeJobSensor(job_id=job_id, **FLAGS)
        arguments = sensor.start_trigger_args
        assert arguments is not None
        trigger = StartTrigger(**{**(arguments.trigger_kwargs or {}), "later": 1})
        ti = RunningTaskInstance()
        trigger.timeout_after = clock.now() + timedelta(days=8)
        trigger.render_template_fields({"ti": ti, "dag_run": DagRun()})  # type: ignore
        assert fired(trigger).payload == {
            "status": "start",
            "message": "another release has written its later",
        }

    @pytest.mark.parametrize("try_number", [1, 2])
    def test_what_an_earlier_try_has_left_goes(
        self, try_number: int, sandbox: Sandbox, connections: Connections, kept: dict[str, Any]
    ) -> None:
        connections.add("narrative")
        running = sandbox.add_job("narrative", timeline=[(0, "running")])
        sensor = NarrativeJobSensor(job_id=running, **FLAGS)
        in_time(handed_over(sensor, RunningTaskInstance(try_number=try_number))._begin())
        assert ("return_value" in kept) == (try_number == 1)

    def test_a_kill_can_tell_a_move_from_a_clear(
        self, sandbox: Sandbox, connections: Connections, kept: dict[str, Any]
    ) -> None:
        connections.add("polaris")
        running = sandbox.add_job("polaris", timeline=[(0, "running")])
        sensor = PolarisJobSensor(job_id=running, cancel_on_kill=True, **FLAGS)
        deferred_at = clock.now() - timedelta(minutes=2)
        begun: Any = in_time(handed_over(sensor, deferred_at=deferred_at)._begin())
        # Nobody else has begun a wait yet, a triggerer has taken this one over, and a later try waits.
        assert begun._is_taken_over(kept[WAIT_XCOM_KEY]) is None
        in_time(handed_over(sensor, deferred_at=deferred_at)._begin())
        assert begun._is_taken_over(kept[WAIT_XCOM_KEY]) is True
        in_time(handed_over(sensor)._begin())
        assert begun._is_taken_over(kept[WAIT_XCOM_KEY]) is False
        assert begun._is_taken_over(None) is False
        assert XCOM_KEY not in kept


class TestEnd:
    @pytest.mark.parametrize(
        ("hinder", "reason"),
        [
            (lambda patch: patch.setattr(ending, "find_spec", find_spec), "OpenLineage"),
            (lambda patch: patch.setattr(ending, "OWN_XCOM_BACKENDS", ()), "keeps XComs by"),
            (lambda patch: patch.setattr(ending, "MAX_RESULT", 10), "its result has"),
        ],
    )
    def test_a_worker_ends_what_it_alone_can(
        self,
        hinder: Callable[[Any], None],
        reason: str,
        job_id: str,
        monkeypatch: pytest.MonkeyPatch,
        logs: Logs,
    ) -> None:
        trigger = in_time(handed_over(NarrativeJobSensor(job_id=job_id, **FLAGS))._begin())
        monkeypatch.setattr(ending, "find_spec", lambda name: None)
        hinder(monkeypatch)
        if reason == "OpenLineage" and find_spec("airflow.providers.openlineage") is None:
            pytest.skip("OpenLineage is not installed")

        async def run() -> TriggerEvent:
            (event,) = [event async for event in trigger.run()]
            return event

        assert in_time(run()).payload["status"] == "ended"
        assert reason in logs.text

    @pytest.mark.parametrize("needed", [False, True])
    def test_details_that_take_too_long_are_left_to_a_worker(
        self,
        needed: bool,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
        logs: Logs,
    ) -> None:
        connections.add("polaris")
        monkeypatch.setattr(detail_reads, "MAX_SECONDS", 0.2)
        sandbox.add_fault(Fault(vendor="polaris", path="/metrics$", delay=1, times=None))
        job = sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 200, "errors": 0})
        checks = {"min_rows": 1} if needed else None
        event = fired(handed_over(PolarisJobSensor(job_id=job, checks=checks, **FLAGS)))
        assert event.payload["status"] == "ended"
        assert "The task goes on in a worker: TimeoutError" in logs.text

    def test_the_details_of_many_are_read_by_few_threads(
        self, sandbox: Sandbox, connections: Connections, kept: dict[str, Any]
    ) -> None:
        connections.add("polaris")
        jobs = [
            sandbox.add_job("polaris", timeline=[(0, "completed")], rows={"read": 200, "errors": 0})
            for _ in range(20)
        ]
        sandbox.add_fault(Fault(vendor="polaris", path="/metrics$", delay=0.05, times=None))
        checks = {"min_rows": 1}

        async def run() -> list[TriggerEvent]:
            triggers = [handed_over(PolarisJobSensor(job_id=job, checks=checks, **FLAGS)) for job in jobs]
            return await asyncio.gather(*(anext(trigger.run()) for trigger in triggers))

        assert {type(event) for event in in_time(run())} == {TaskSuccessEvent}
        asked = [request for request in sandbox.requests("polaris") if request.path.endswith("/metrics")]
        assert len(asked) == len(jobs)
        assert kept["return_value"]["rows"]["read"] == 200
