# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow's database keeps of this package, to the letter, and what another release may have kept.

While a deployment rolls, one release reads what another has written, in both directions. A change here breaks
the tasks that are deferred at that moment: rather add a field, and read its absence.
"""

from __future__ import annotations

import json
import logging
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import TaskDeferred
from airflow_provider_ingestjobs.exceptions import (
    AuthenticationFailed,
    IngestJobsError,
    InvalidInput,
    JobNotFound,
    PermissionDenied,
    Throttled,
    UnexpectedError,
    VendorError,
    WaitTimeout,
)
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.links import PAGE_XCOM_KEY, XCOM_KEY
from airflow_provider_ingestjobs.selection import Selection
from airflow_provider_ingestjobs.sensors.start_from_trigger import is_start
from airflow_provider_ingestjobs.starts.adverity import Fetch
from airflow_provider_ingestjobs.starts.amperity import WorkflowRun
from airflow_provider_ingestjobs.starts.memory import Memory, StartRecord
from airflow_provider_ingestjobs.starts.narrative import Query, Refresh
from airflow_provider_ingestjobs.starts.polaris import PolarisJob, mark_of
from airflow_provider_ingestjobs.starts.request import digest_of
from airflow_provider_ingestjobs.triggers.base import (
    event_of_error,
    event_of_jobs,
    event_of_start,
    jobs_from_event,
    start_from_event,
)
from airflow_provider_ingestjobs.triggers.ending import Ending, WorkerNeeded
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger
from airflow_provider_ingestjobs.triggers.start import StartTrigger
from airflow_provider_ingestjobs.triggers.telling import WATCH_XCOM_KEY
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY
from airflow_provider_ingestjobs.wait_target import WaitTarget
from support.start_tasks import FETCH, StartedTask, StateStore
from support.task_runs import TaskInstance, fire, in_time, revived

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from airflow_provider_ingestjobs.starts.request import StartRequest
    from support.connections import Connections

START = datetime(2026, 3, 1, 4, 2, 54, 433000, UTC)

JOB = Job(
    vendor="Amperity",
    id="isj-1",
    state=JobState.SUCCEEDED,
    vendor_state="succeeded",
    name="df-1",
    target="My table",
    started_at=START,
    ended_at=START.replace(second=57),
    rows=RowCounts(read=10, inserted=4, updated=2, rejected=2, errors=2),
    details={"workflow_id": "wf-1", "feed_ids": ["df-1"], "table_names": ["My table"]},
)
JOB_AS_KEPT: dict[str, Any] = {
    "vendor": "Amperity",
    "id": "isj-1",
    "state": "succeeded",
    "vendor_state": "succeeded",
    "name": "df-1",
    "target": "My table",
    "created_at": None,
    "started_at": "2026-03-01T04:02:54.433000+00:00",
    "ended_at": "2026-03-01T04:02:57.433000+00:00",
    "updated_at": None,
    "rows": {"read": 10, "inserted": 4, "updated": 2, "rejected": 2, "errors": 2},
    "failure": None,
    "progress": None,
    "url": None,
    "details": {"workflow_id": "wf-1", "feed_ids": ["df-1"], "table_names": ["My table"]},
    "duration": 3.0,
}
ARGUMENTS_AS_KEPT: dict[str, Any] = {
    "hook": "airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
    "conn_id": "imply_polaris_default",
    "poll_interval": 60.0,
    "started_at": "2026-03-01T00:00:00+00:00",
    "deadline": "2026-03-08T00:00:00+00:00",
    "max_poll_interval": None,
    "missing_grace": 300.0,
    "hook_params": {"project_id": "p-1"},
}
JOB_TRIGGER_AS_KEPT: tuple[str, dict[str, Any]] = (
    "airflow_provider_ingestjobs.triggers.job.IngestJobTrigger",
    {"job_ids": ["1", "2"], "cancel_on_kill": True, **ARGUMENTS_AS_KEPT},
)
SELECTION_AS_KEPT: dict[str, Any] = {
    "filters": {"table_name": ["A", "B"]},
    "started_from": "2026-03-01T00:00:00+00:00",
    "started_to": "2026-03-02T00:00:00+00:00",
    "min_jobs": 2,
    "settle": 60.0,
    "latest_only": True,
}
SELECTION_TRIGGER_AS_KEPT: tuple[str, dict[str, Any]] = (
    "airflow_provider_ingestjobs.triggers.selection.JobSelectionTrigger",
    {"selection": SELECTION_AS_KEPT, **ARGUMENTS_AS_KEPT},
)


class TestTriggers:
    @pytest.mark.parametrize("kept", [JOB_TRIGGER_AS_KEPT, SELECTION_TRIGGER_AS_KEPT])
    def test_class_path_and_arguments(self, kept: tuple[str, dict[str, Any]]) -> None:
        trigger_class = IngestJobTrigger if "job_ids" in kept[1] else JobSelectionTrigger
        trigger = trigger_class(**deepcopy(kept[1]))
        assert trigger.serialize() == kept
        assert revived(trigger).serialize() == kept

    @pytest.mark.parametrize("kept", [JOB_TRIGGER_AS_KEPT, SELECTION_TRIGGER_AS_KEPT])
    @pytest.mark.parametrize(
        "end",
        [
            {
                "expected_states": ["succeeded"],
                "checks": {"min_rows": 1.0},
                "returns": "job",
                "include_raw": False,
            },
            {"worker": "its check is a function"},
        ],
    )
    def test_how_a_task_ends_without_a_worker(
        self, kept: tuple[str, dict[str, Any]], end: dict[str, Any]
    ) -> None:
        trigger_class = IngestJobTrigger if "job_ids" in kept[1] else JobSelectionTrigger
        trigger = trigger_class(**deepcopy(kept[1]), end=deepcopy(end))
        assert trigger.serialize() == (kept[0], {**kept[1], "end": end})
        assert revived(trigger).serialize() == trigger.serialize()

    def test_an_end_of_a_newer_release_is_left_to_a_worker(self) -> None:
        ours: dict[str, Any] = {"expected_states": ["succeeded"], "returns": "job", "include_raw": False}
        Ending(PolarisHook.vendor, **ours)
        for newer in ({**ours, "outlets": []}, {**ours, "returns": "summary"}):
            with pytest.raises(WorkerNeeded):
                Ending(PolarisHook.vendor, **newer)

    def test_a_start_in_the_triggerer_without_what_is_not_used(self) -> None:
        target: dict[str, Any] = {"job_id": "{{ params.job }}"}
        kept: tuple[str, dict[str, Any]] = (
            "airflow_provider_ingestjobs.triggers.start.StartTrigger",
            {
                "target": target,
                "conn_id": "narrative_default",
                "hook_params": {},
                "hook": "airflow_provider_ingestjobs.hooks.narrative.NarrativeHook",
                "wait_time": 604800.0,
                "deferral_time": 604920.0,
                "end": {"expected_states": ["succeeded"], "returns": "job"},
                "wait": {"poll_interval": 60.0, "missing_grace": 300.0, "failed_grace": 0.0},
            },
        )
        begun = StartTrigger(**deepcopy(kept[1]))
        assert begun.serialize() == (kept[0], {**kept[1], "cancel_on_kill": False})
        assert vars(WaitTarget(**target)) == {
            "job_id": "{{ params.job }}",
            "filters": {},
            "moments": {},
            "look_back": 0.0,
            "min_jobs": 1,
            "settle": 0.0,
            "latest_only": False,
        }

    def test_a_start_in_the_triggerer(self) -> None:
        kept: tuple[str, dict[str, Any]] = (
            "airflow_provider_ingestjobs.triggers.start.StartTrigger",
            {
                "target": {
                    "job_id": ["1", "{{ params.job }}", {"ingestjobs.upstream": ["start", "return_value"]}],
                    "filters": {},
                    "moments": {},
                    "look_back": 86400.0,
                    "min_jobs": 1,
                    "settle": 0.0,
                    "latest_only": False,
                },
                "conn_id": "imply_polaris_default",
                "hook_params": {"project_id": "{{ var.value.project }}"},
                "hook": "airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
                "wait_time": 3600.0,
                "deferral_time": 3720.0,
                "cancel_on_kill": True,
                "end": None,
                "wait": {
                    "poll_interval": 60.0,
                    "max_poll_interval": None,
                    "missing_grace": 300.0,
                    "failed_grace": 0.0,
                },
            },
        )
        assert revived(StartTrigger(**deepcopy(kept[1]))).serialize() == kept

    def test_the_selection(self) -> None:
        assert Selection.from_dict(SELECTION_AS_KEPT).to_dict() == SELECTION_AS_KEPT

    @pytest.mark.parametrize("kept", [JOB_TRIGGER_AS_KEPT, SELECTION_TRIGGER_AS_KEPT])
    def test_an_argument_of_a_newer_release_is_left_out(self, kept: tuple[str, dict[str, Any]]) -> None:
        trigger_class = IngestJobTrigger if "job_ids" in kept[1] else JobSelectionTrigger
        assert trigger_class(**deepcopy(kept[1]), max_failures=3).serialize() == kept

    @pytest.mark.parametrize("kept", [JOB_TRIGGER_AS_KEPT, SELECTION_TRIGGER_AS_KEPT])
    def test_what_few_tasks_use_is_kept_for_those_alone(self, kept: tuple[str, dict[str, Any]]) -> None:
        trigger_class = IngestJobTrigger if "job_ids" in kept[1] else JobSelectionTrigger
        patient = trigger_class(**deepcopy(kept[1]), failed_grace=600.0)
        assert patient.serialize() == (kept[0], {**kept[1], "failed_grace": 600.0})
        assert revived(patient).serialize() == patient.serialize()
        assert trigger_class(**deepcopy(kept[1]), failed_grace=0.0).serialize() == kept

    def test_arguments_that_an_older_release_did_not_write_have_their_defaults(self) -> None:
        path, kept = deepcopy(JOB_TRIGGER_AS_KEPT)
        later: dict[str, Any] = {
            "cancel_on_kill": False,
            "max_poll_interval": None,
            "missing_grace": 300.0,
            "hook_params": {},
        }
        for name in later:
            del kept[name]
        assert IngestJobTrigger(**kept).serialize() == (path, {**kept, **later})

    def test_a_field_of_a_newer_release_s_selection_is_left_out(self) -> None:
        newer = {**SELECTION_AS_KEPT, "max_jobs": 500}
        assert Selection.from_dict(newer).to_dict() == SELECTION_AS_KEPT

    def test_the_watcher(self) -> None:
        base = pytest.importorskip("airflow.triggers.base")
        if not hasattr(base, "BaseEventTrigger"):
            pytest.skip("Airflow 2 has no watchers")
        from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
        from airflow_provider_ingestjobs.triggers.event import IngestJobEventTrigger

        trigger = IngestJobEventTrigger(hook=AmperityHook, filters={"feed_id": "df-1"}, states=["failed"])
        assert trigger.serialize() == (
            "airflow_provider_ingestjobs.triggers.asset_event.IngestJobEventTrigger",
            {
                "hook": "airflow_provider_ingestjobs.hooks.amperity.AmperityHook",
                "conn_id": "amperity_default",
                "filters": {"feed_id": "df-1"},
                "states": ["failed"],
                "poll_interval": 60.0,
                "look_back": 86400.0,
                "hook_params": {},
            },
        )
        kept_under = "ingestjobs.told?hook=amperity&conn_id=amperity_default&feed_id=df-1&states=failed"
        assert trigger._store_key == kept_under
        assert trigger._store_key_of_0_1_0 == "ingestjobs.told?feed_id=df-1&states=failed"

    def test_what_a_watcher_has_told(self) -> None:
        from airflow_provider_ingestjobs.triggers.told import Told

        told = Told(since=START.timestamp(), jobs={"isj-1": START.timestamp()}, looked_from=1772251374.5)
        kept = {"since": 1772337774.433, "looked_from": 1772251374.5, "jobs": {"isj-1": 1772337774}}
        assert told.to_dict() == kept
        assert Told.from_kept({**kept, "by": "a newer release"}, START) == Told(
            1772337774.433, {"isj-1": 1772337774.0}, 1772251374.5
        )
        # 0.1.0 kept ids alone.
        assert Told.from_kept(["isj-1", "isj-2"], START) == Told(
            None, dict.fromkeys(["isj-1", "isj-2"], START.timestamp())
        )
        for odd in (None, "isj-1", 5, {}, {"since": "x", "jobs": {}}, {"since": 5, "jobs": ["isj-1"]}):
            assert Told.from_kept(odd, START) is None


class TestEvents:
    def test_a_start(self) -> None:
        event = {"status": "start", "message": "a template failed"}
        assert event_of_start("a template failed") == event
        began = "2026-03-01T00:00:00+00:00"
        assert event_of_start("a template failed", began) == {**event, "began": began}
        assert start_from_event({**event, "began": began}) == START.replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        assert start_from_event(event) is None
        assert is_start(event)
        assert not any(map(is_start, ({"status": "ended"}, None, "start", {})))
        # A release that does not know it never takes it for a success.
        with pytest.raises(IngestJobsError, match="does not say how the job ended"):
            jobs_from_event(event)

    def test_jobs(self) -> None:
        event = event_of_jobs([JOB])
        assert event == {"status": "ended", "jobs": [JOB_AS_KEPT]}
        assert event_of_jobs([JOB], "2026-07-01T10:00:00+00:00") == {
            **event,
            "deadline": "2026-07-01T10:00:00+00:00",
        }
        assert jobs_from_event(json.loads(json.dumps(event))) == [JOB]

    def test_counts_and_fields_of_a_newer_release_fail_no_task(self) -> None:
        newer = deepcopy(JOB_AS_KEPT)
        newer["rows"]["skipped"] = 7
        newer["attempts"] = 2
        assert jobs_from_event({"status": "ended", "jobs": [newer], "watch": {"polls": 3}}) == [JOB]

    def test_what_an_older_release_did_not_write_is_not_known(self) -> None:
        older = {name: JOB_AS_KEPT[name] for name in ("vendor", "id", "state", "vendor_state")}
        (job,) = jobs_from_event({"status": "ended", "jobs": [older]})
        assert (job.id, job.rows, job.details) == ("isj-1", RowCounts(), {})

    @pytest.mark.parametrize(
        ("error", "event"),
        [
            (
                PermissionDenied("403: no", status=403, request_id="r-1", retry_after=1.5),
                {
                    "status": "error",
                    "error": "PermissionDenied",
                    "message": "403: no",
                    "http_status": 403,
                    "request_id": "r-1",
                    "retry_after": 1.5,
                },
            ),
            (
                InvalidInput("conn_id", "x", "create it"),
                {
                    "status": "error",
                    "error": "InvalidInput",
                    "message": "conn_id='x' cannot be used: create it",
                    "field": "conn_id",
                    "value": "x",
                    "fix": "create it",
                },
            ),
            (JobNotFound("gone"), {"status": "error", "error": "JobNotFound", "message": "gone"}),
            (WaitTimeout("late"), {"status": "timeout", "error": "WaitTimeout", "message": "late"}),
        ],
    )
    def test_errors(self, error: IngestJobsError, event: dict[str, Any]) -> None:
        assert event_of_error(error) == event

    @pytest.mark.parametrize(
        "error",
        [
            AuthenticationFailed("401", status=401, request_id="r"),
            PermissionDenied("403", status=403),
            Throttled("429", status=429, retry_after=7.0),
            VendorError("400", status=400),
            InvalidInput("host", "h", "enter it"),
            JobNotFound("gone"),
            UnexpectedError("KeyError: 'x'"),
            WaitTimeout("late"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_an_error_arrives_as_its_own_class_with_all_its_parts(self, error: IngestJobsError) -> None:
        with pytest.raises(IngestJobsError) as arrived:
            jobs_from_event(json.loads(json.dumps(event_of_error(error))))
        assert type(arrived.value) is type(error)
        assert str(arrived.value) == str(error)
        assert vars(arrived.value) == vars(error)

    def test_a_user_s_own_error_arrives_as_the_one_it_is_a_kind_of(self) -> None:
        class QuotaExceeded(Throttled):
            pass

        with pytest.raises(Throttled) as arrived:
            jobs_from_event(event_of_error(QuotaExceeded("quota", status=429, retry_after=60)))
        assert type(arrived.value) is Throttled
        assert arrived.value.retry_after == 60

    def test_an_error_class_of_a_newer_release_is_still_an_error(self) -> None:
        with pytest.raises(IngestJobsError, match="too much"):
            jobs_from_event({"status": "error", "error": "QuotaExceeded", "message": "too much"})

    def test_what_cannot_be_json_is_told_as_text(self) -> None:
        event = event_of_error(InvalidInput("job_id", {1, 2}, "write it as text"))
        assert json.loads(json.dumps(event))["value"] == "{1, 2}"


class TestXComs:
    def test_what_a_task_returns(self) -> None:
        assert JOB.to_dict() == JOB_AS_KEPT
        assert Job.from_dict(JOB_AS_KEPT) == JOB

    def test_the_keys(self) -> None:
        assert (XCOM_KEY, PAGE_XCOM_KEY) == ("_link_VendorJobLink", "_link_IngestionJobLink")
        assert (WAIT_XCOM_KEY, WATCH_XCOM_KEY) == ("_ingestjobs_wait", "_ingestjobs_watch")


#: Of a start whose job is known; that of another one, before it, too.
START_AS_KEPT = """{
    "request": "0b7bd0ea1d9c71ff",
    "attempted_at": "2026-03-01T04:02:54.433000+00:00",
    "sent_at": "2026-03-01T04:02:57.433000+00:00",
    "try_number": 2,
    "max_tries": 3,
    "job_ids": ["7301104", "7301105"],
    "earlier": ["7301100"],
    "is_taken": false,
    "is_told": true
}"""
START_RECORD = StartRecord(
    request="0b7bd0ea1d9c71ff",
    attempted_at="2026-03-01T04:02:54.433000+00:00",
    sent_at="2026-03-01T04:02:57.433000+00:00",
    try_number=2,
    max_tries=3,
    job_ids=("7301104", "7301105"),
    earlier=("7301100",),
    is_told=True,
)
NO_HOOK: Any = None


class TestStarts:
    """A start that is misread is made a second time."""

    def memory(self, kept: str | None = None) -> tuple[Memory, StateStore]:
        store = StateStore()
        if kept is not None:
            store.kept["ingestjobs_start"] = kept
        context: Any = {"ti": TaskInstance(), "task_state_store": store}
        return Memory(context, logging.getLogger(__name__)), store

    def test_the_record(self) -> None:
        memory, store = self.memory()
        memory.write(START_RECORD)
        assert {key: json.loads(kept) for key, kept in store.kept.items()} == {
            "ingestjobs_start": json.loads(START_AS_KEPT)
        }
        assert StartRecord.from_dict(json.loads(START_AS_KEPT)) == START_RECORD
        assert self.memory(START_AS_KEPT)[0].read() == START_RECORD

    def test_a_field_of_a_newer_release_is_left_out(self) -> None:
        newer = {**json.loads(START_AS_KEPT), "sends": 2, "vendor": {"name": "Adverity"}}
        assert StartRecord.from_dict(newer) == START_RECORD

    def test_what_a_release_did_not_write_is_not_known(self) -> None:
        kept = json.loads(START_AS_KEPT)
        for name in ("job_ids", "earlier", "is_taken", "is_told"):
            del kept[name]
        expected = replace(START_RECORD, job_ids=(), earlier=(), is_told=False)
        assert StartRecord.from_dict(kept) == expected

    @pytest.mark.parametrize(
        "broken",
        [
            {"attempted_at": "yesterday"},
            {"sent_at": "2026-03-01T04:02:57"},
            {"try_number": None},
            {"job_ids": 7301104},
        ],
    )
    def test_what_cannot_be_read_is_never_taken_for_nothing(self, broken: dict[str, Any]) -> None:
        memory, _ = self.memory(json.dumps({**json.loads(START_AS_KEPT), **broken}))
        with pytest.raises(ValueError, match="ingestjobs_start"):
            memory.read()

    def test_nothing_is_kept_before_the_first_start(self) -> None:
        assert self.memory()[0].read() is None

    def test_the_deferral(self, sandbox: Sandbox, connections: Connections, quick_watch: None) -> None:
        connections.add("adverity")
        sandbox.plan_start("adverity", [(0, "Running"), (0.05, "Success")])
        given = {"task_id": "start", "deferrable": True, "poll_interval": 0.03, **FETCH.arguments}
        started = StartedTask(lambda: FETCH.operator(**given))
        task, _, context = started.process()
        with pytest.raises(TaskDeferred) as deferral:
            task.execute(context)
        (job_id,) = sandbox.started_ids("adverity")
        kept = f'{{"job_ids": ["{job_id}"], "try_number": 1}}'
        assert deferral.value.method_name == "execute_complete"
        assert deferral.value.kwargs == json.loads(kept)
        event = in_time(fire(deferral.value.trigger))
        task, _, context = started.process()
        (job,) = task.resume_execution("execute_complete", {**json.loads(kept), "event": event}, context)
        assert job["id"] == job_id

    @pytest.mark.parametrize(
        ("request_", "content", "digest"),
        [
            (
                Fetch(NO_HOOK, "218", "2026-01-01", "2026-01-02", False, None),
                ["218", "2026-01-01", "2026-01-02", False, None],
                "adac35c8057e2587",
            ),
            (
                WorkflowRun(NO_HOOK, "cg-1", "2026-01-01T00:00:00Z", None, "full", "Daily"),
                ["cg-1", "2026-01-01T00:00:00Z", None, "full"],
                "cc33f5d850e2663d",
            ),
            (
                PolarisJob(NO_HOOK, {"type": "sql", "query": "SELECT 1"}, "dag.task 0"),
                {"type": "sql", "query": "/* Airflow dag.task 0 */ SELECT 1"},
                "44ff8ce394503736",
            ),
            (
                PolarisJob(NO_HOOK, {"type": "batch", "target": {"tableName": "Clicks"}}, "dag.task 0"),
                {"target": {"tableName": "Clicks"}, "type": "batch"},
                "d95d65ea84af872b",
            ),
            (Query(NO_HOOK, "SELECT 1", None), ["SELECT 1", None], "8b71de51b1ca73cc"),
            (Refresh(NO_HOOK, "7", "full"), ["7", "full"], "f4dc266976495727"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_tells_a_request_from_another_one(
        self, request_: StartRequest, content: Any, digest: str
    ) -> None:
        assert request_.content == content
        assert digest_of(request_) == digest

    def test_the_mark_that_a_query_carries(self) -> None:
        context: Any = {"ti": TaskInstance()}
        assert mark_of(context) == "dag.task d8966c33a8c603ea"
