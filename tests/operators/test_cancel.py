# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Cancel operators: idempotent, confirmed, refused; blocking and deferred alike."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import AirflowException, AirflowFailException
from airflow_provider_ingestjobs.errors import AuthenticationFailed, CancelRefused, InvalidInput
from airflow_provider_ingestjobs.exceptions import CancelNotConfirmed, JobNotFound
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.task_runs import Outcome, TaskInstance, run_deferred, run_in_worker
from support.vendors import ADVERITY, AMPERITY, CANCELLING_VENDORS, POLARIS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.connections import Connections
    from support.logs import Logs

    RunOperator = Callable[..., Outcome]

MODES: dict[str, tuple[Callable[[Callable[[], Any]], Outcome], bool]] = {
    "blocking": (run_in_worker, False),
    "deferred": (run_deferred, True),
}
each_vendor = pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def run(
    sandbox: Sandbox, connections: Connections, quick_watch: None, monkeypatch: pytest.MonkeyPatch
) -> RunOperator:
    """Run a vendor's cancel operator to its end in a mode."""
    monkeypatch.setattr("airflow_provider_ingestjobs.operators.base.MIN_INTERVAL", 0.02)

    def run_operator(case: VendorCase, mode: str, **arguments: Any) -> Outcome:
        runner, deferrable = MODES[mode]
        given = {"poll_interval": 0.03, "timeout": 10, "job_id": case.job_id, **arguments}
        return runner(lambda: case.cancel_operator(task_id="stop", deferrable=deferrable, **given))

    return run_operator


class TestStopping:
    @each_vendor
    @each_mode
    def test_it_waits_for_the_end(
        self, case: VendorCase, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0.12
        sandbox.add_job(case.name, case.job_id)
        outcome = run(case, mode)
        assert outcome.error is None
        assert outcome.deferred == (mode == "deferred")
        job = Job.from_dict(outcome.value)
        assert (job.id, job.state) == (case.job_id, JobState.CANCELLED)
        # Adverity: "If a job is cancelled manually, it is discarded."
        assert job.vendor_state == ("Discarded" if case is ADVERITY else "canceled")

    @each_vendor
    def test_the_same_xcom_in_both_modes(
        self, case: VendorCase, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0.12
        values = []
        for mode in MODES:
            sandbox.add_job(
                case.name, case.job_id, fields={"workflow_id": "wf-1"} if case is AMPERITY else None
            )
            values.append(run(case, mode).value)
            sandbox.remove_job(case.name, case.job_id)
        blocking, deferred = values
        assert blocking.keys() == deferred.keys()
        assert "raw" not in blocking
        for same in ("id", "state", "vendor_state", "vendor", "target", "rows"):
            assert blocking[same] == deferred[same], same

    @each_vendor
    @each_mode
    def test_or_not(
        self, case: VendorCase, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 60
        sandbox.add_job(case.name, case.job_id)
        outcome = run(case, mode, wait_for_termination=False)
        assert not outcome.deferred
        assert outcome.value["state"] == ("running" if case is ADVERITY else "cancelling")

    @each_vendor
    @each_mode
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
    def test_an_ended_job_is_a_success_that_says_so(
        self,
        case: VendorCase,
        mode: str,
        state: JobState,
        run: RunOperator,
        sandbox: Sandbox,
        connections: Connections,
        logs: Logs,
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id, [(0, case.words[state])])
        outcome = run(case, mode)
        assert not outcome.deferred
        assert outcome.value["state"] == state.value
        assert any("was not cancelled, it had ended before" in text for text in logs.warnings)
        assert {request.method for request in sandbox.requests()} == {"GET"}

    @each_vendor
    @each_mode
    def test_twice(
        self, case: VendorCase, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)
        assert run(case, mode).value["state"] == run(case, mode).value["state"] == "cancelled"

    @each_vendor
    @each_mode
    def test_a_job_that_ends_otherwise_meanwhile(
        self, case: VendorCase, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0.12
        sandbox.add_job(case.name, case.job_id, cancel_state=case.words[JobState.SUCCEEDED])
        assert run(case, mode).value["state"] == "succeeded"

    @each_mode
    def test_amperity_stops_the_whole_workflow(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("amperity")
        for job_id in ("isj-1", "isj-2"):
            sandbox.add_job("amperity", job_id, fields={"workflow_id": "wf-1"})
        assert run(AMPERITY, mode, job_id="isj-1").value["details"]["workflow_id"] == "wf-1"
        assert ("POST", "/api/workflow/runs/wf-1/stop") in [(r.method, r.path) for r in sandbox.requests()]
        assert AMPERITY.hook().get_job("isj-2").state is JobState.CANCELLED

    @each_mode
    def test_polaris_in_the_operators_project(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris", extra={"project_id": None})
        sandbox.add_job("polaris", POLARIS.job_id, fields={"project_id": "p-1"})
        assert run(POLARIS, mode, project_id="p-1").value["state"] == "cancelled"
        assert {r.path.rpartition("/jobs/")[0] for r in sandbox.requests()} == {"/v1/projects/p-1"}

    @each_mode
    def test_the_link_to_a_page_for_people(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("adverity")
        page = "https://acme.datatap.adverity.com/ads/42/emea/"
        stream = {"id": 42, "absolute_url": page}
        sandbox.add_job("adverity", ADVERITY.job_id, [(0, "Running")], fields={"datastream": stream})
        assert run(ADVERITY, mode).vendor_link == page


class TestNotStopping:
    @each_mode
    def test_adverity_past_its_fetch_stage(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("adverity")
        sandbox.add_job("adverity", ADVERITY.job_id, [(0, "Running")], fields={"stage": "load"})
        outcome = run(ADVERITY, mode)
        assert type(outcome.error) is CancelRefused
        said = str(outcome.error)
        assert "Adverity job 4711 was not cancelled, it is running (vendor says 'Running')" in said
        assert "Adverity only stops jobs in their fetch stage" in said
        assert "Only jobs in the fetch stage can be stopped." in said

    @each_mode
    def test_amperity_without_a_workflow(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("amperity")
        record = {"id": AMPERITY.job_id, "tables": [{"state": "running"}], "workflow_id": None}
        sandbox.add_fault(Fault(body=record, times=None))
        outcome = run(AMPERITY, mode)
        assert type(outcome.error) is CancelRefused
        assert "Amperity stops workflows, and this job names none" in str(outcome.error)

    @each_vendor
    @each_mode
    def test_unknown(self, case: VendorCase, mode: str, run: RunOperator, connections: Connections) -> None:
        connections.add(case.name)
        outcome = run(case, mode, job_id="404")
        assert type(outcome.error) is JobNotFound

    @each_vendor
    @each_mode
    def test_refused_credentials(
        self, case: VendorCase, mode: str, run: RunOperator, connections: Connections
    ) -> None:
        connections.add(case.name, password="wrong")
        assert type(run(case, mode).error) is AuthenticationFailed

    @each_vendor
    @each_mode
    def test_time_is_up(
        self, case: VendorCase, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 60
        sandbox.add_job(case.name, case.job_id)
        outcome = run(case, mode, timeout=0.12)
        assert type(outcome.error) is CancelNotConfirmed
        assert f"{case.vendor} job {case.job_id}" in str(outcome.error)
        # Unlike a failed job, this may be mended by a retry.
        assert isinstance(outcome.error, AirflowException)
        assert not isinstance(outcome.error, AirflowFailException)

    @each_vendor
    @each_mode
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [503, 404])
    def test_trouble_after_the_request_was_taken(
        self,
        case: VendorCase,
        mode: str,
        status: int,
        run: RunOperator,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0.12
        sandbox.add_job(case.name, case.job_id)
        cancel_job = case.hook.cancel_job

        def then_trouble(hook: Any, job_id: str) -> Any:
            job = cancel_job(hook, job_id)
            sandbox.add_fault(Fault(path=case.job_path, status=status, times=2))
            return job

        monkeypatch.setattr(case.hook, "cancel_job", then_trouble)
        outcome = run(case, mode)
        assert outcome.error is None
        assert outcome.value["state"] == "cancelled"

    @each_vendor
    @each_mode
    @pytest.mark.usefixtures("one_try")
    @pytest.mark.parametrize("status", [503, 404])
    def test_trouble_in_the_look_right_behind_the_request(
        self,
        case: VendorCase,
        mode: str,
        status: int,
        run: RunOperator,
        sandbox: Sandbox,
        connections: Connections,
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0.12
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="GET", path=case.job_path, status=status, skip=1, times=2))
        outcome = run(case, mode)
        assert outcome.error is None
        assert outcome.value["state"] == "cancelled"

    @each_vendor
    @pytest.mark.usefixtures("one_try")
    def test_it_need_not_wait_through_that(
        self, case: VendorCase, run: RunOperator, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, case.job_id)
        sandbox.add_fault(Fault(method="GET", path=case.job_path, status=503, skip=1, times=None))
        outcome = run(case, "blocking", wait_for_termination=False)
        assert outcome.error is None
        assert outcome.value["id"] == case.job_id
        assert any("was asked to stop, but cannot be read now" in text for text in logs.warnings)

    @each_mode
    def test_details_that_do_not_come_in_time_are_left_out(
        self, mode: str, run: RunOperator, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("polaris", extra={"read_timeout": 2})
        sandbox.cancel_delay = 0.12
        sandbox.add_job("polaris", POLARIS.job_id)
        sandbox.add_fault(Fault(path="/metrics$", delay=3, times=None))
        outcome = run(POLARIS, mode, timeout=1)
        assert outcome.error is None
        assert outcome.value["state"] == "cancelled"
        without = f"The task goes on without the details of Imply Polaris job {POLARIS.job_id}"
        assert any(without in text for text in logs.warnings)

    @each_mode
    def test_a_job_that_is_gone_for_good_after_the_request(
        self,
        mode: str,
        run: RunOperator,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connections.add("polaris")
        sandbox.cancel_delay = 60
        sandbox.add_job("polaris", POLARIS.job_id)
        cancel_job = POLARIS.hook.cancel_job

        def then_gone(hook: Any, job_id: str) -> Any:
            job = cancel_job(hook, job_id)
            sandbox.remove_job("polaris", job_id)
            return job

        monkeypatch.setattr(POLARIS.hook, "cancel_job", then_gone)
        assert type(run(POLARIS, mode, missing_grace=0.3).error) is JobNotFound


class TestArguments:
    @each_vendor
    def test_templates(self, case: VendorCase) -> None:
        conn_id = f"{case.conn_type}_conn_id"
        operator = case.cancel_operator(
            task_id="stop", job_id="{{ params.a }}", **{conn_id: "{{ params.b }}"}
        )
        operator.render_template_fields({"params": {"a": "1", "b": "other"}})
        assert (operator.job_id, operator.conn_id) == ("1", "other")
        assert ("project_id" in operator.template_fields) == (case is POLARIS)

    @each_vendor
    @pytest.mark.parametrize("job_id", ["", " ", "a/b", "a?b", None, 1.5, ["1"]])
    def test_bad_ids_are_refused_when_the_dag_is_read(self, case: VendorCase, job_id: Any) -> None:
        with pytest.raises(InvalidInput, match="job_id="):
            case.cancel_operator(task_id="stop", job_id=job_id)

    @each_vendor
    @pytest.mark.parametrize("rendered", ["", "None/x", None])
    def test_bad_ids_from_upstream(self, case: VendorCase, rendered: Any, sandbox: Sandbox) -> None:
        operator = case.cancel_operator(task_id="stop", job_id="{{ x }}")
        operator.job_id = rendered
        with pytest.raises(InvalidInput, match="job_id="):
            operator.execute({"ti": TaskInstance()})

    @pytest.mark.parametrize("name", ["poll_interval", "timeout"])
    @pytest.mark.parametrize("value", [-1, "soon", None, True, float("inf"), float("nan"), timedelta(-1)])
    def test_bad_durations(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidInput, match=f"{name}=.*give seconds, or a timedelta"):
            AMPERITY.cancel_operator(task_id="stop", job_id="1", **{name: value})

    def test_durations(self) -> None:
        operator = AMPERITY.cancel_operator(
            task_id="stop", job_id="1", poll_interval=timedelta(minutes=1), timeout=90
        )
        assert (operator.poll_interval, operator.timeout) == (60.0, 90.0)
        assert AMPERITY.cancel_operator(task_id="stop", job_id="1").wait_for_termination

    def test_no_interval_is_no_busy_loop(
        self, run: RunOperator, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("polaris")
        sandbox.cancel_delay = 0.5
        sandbox.add_job("polaris", POLARIS.job_id)
        began = time.monotonic()
        assert run(POLARIS, "blocking", poll_interval=0).value["state"] == "cancelled"
        assert len(sandbox.requests()) <= 4 + 60 * (time.monotonic() - began)

    def test_narrative_has_no_cancel_operator(self) -> None:
        from airflow_provider_ingestjobs.operators import narrative

        assert not [name for name in dir(narrative) if "Cancel" in name]
