# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a sensor may be given, and what is said when the DAG is read if it is given something else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import DAG, BaseOperator
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.task_runs import DagRun, TaskInstance, defer, run_in_worker
from support.vendors import AMPERITY, CANCELLING_VENDORS, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)


class TestJobId:
    @each_vendor
    @pytest.mark.parametrize("job_id", ["", " ", "a/b", "a?b", "..", "a b"])
    def test_bad_ones_are_refused_when_the_dag_is_read(self, case: VendorCase, job_id: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            case.sensor(task_id="wait", job_id=job_id)
        assert str(caught.value).startswith(f"job_id={job_id!r} cannot be used: ")

    @each_vendor
    @pytest.mark.parametrize("job_id", [None, 1.5, b"1", {"id": 1}, True, -1.0, [None]])
    def test_what_is_no_id(self, case: VendorCase, job_id: Any) -> None:
        with pytest.raises(InvalidInput, match="job_id="):
            case.sensor(task_id="wait", job_id=job_id)

    @each_vendor
    def test_a_generator_is_none(self, case: VendorCase) -> None:
        with pytest.raises(InvalidInput, match="job_id="):
            case.sensor(task_id="wait", job_id=(str(number) for number in (1, 2)))

    @each_vendor
    @pytest.mark.parametrize("rendered", ["", "a/b", None, {"id": 1}, 1.5])
    def test_bad_ones_from_upstream(self, case: VendorCase, rendered: Any, sandbox: Sandbox) -> None:
        for deferrable in (False, True):
            sensor = case.sensor(task_id="wait", job_id="{{ ti.xcom_pull('x') }}", deferrable=deferrable)
            sensor.job_id = rendered
            with pytest.raises(InvalidInput, match="job_id"):
                sensor.execute({"ti": TaskInstance(), "dag_run": None})
        assert sandbox.requests() == []

    @each_vendor
    @pytest.mark.parametrize("job_id", [4711, [4711, 4712]])
    def test_a_number_is_an_id(
        self, case: VendorCase, job_id: Any, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        for number in (4711, 4712):
            sandbox.add_job(case.name, number, [(0, case.words[JobState.SUCCEEDED])])
        # As a task that is mapped over numbers is made when it runs.
        value = run_in_worker(lambda: case.sensor(task_id="wait", job_id=job_id)).value
        jobs = value if isinstance(value, list) else [value]
        assert [job["id"] for job in jobs] == ["4711", "4712"][: len(jobs)]

    @each_vendor
    def test_a_number_from_upstream_is_an_id(
        self, case: VendorCase, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.add_job(case.name, "4711", [(0, case.words[JobState.SUCCEEDED])])

        def make() -> Any:
            sensor = case.sensor(task_id="wait", job_id="{{ x }}")
            sensor.job_id = 4711
            return sensor

        assert run_in_worker(make).value["id"] == "4711"

    @each_vendor
    def test_templates(self, case: VendorCase) -> None:
        conn_id = f"{case.conn_type}_conn_id"
        sensor = case.sensor(task_id="wait", job_id="{{ params.a }}", **{conn_id: "{{ params.b }}"})
        sensor.render_template_fields({"params": {"a": "1", "b": "other"}})
        assert (sensor.job_id, sensor.conn_id) == ("1", "other")

    @each_vendor
    def test_upstream_results(self, case: VendorCase) -> None:
        with DAG("dag", schedule=None):
            upstream = BaseOperator(task_id="start")
            assert upstream.task_id in case.sensor(task_id="wait", job_id=upstream.output).upstream_task_ids
            sensor = case.sensor(task_id="wait_for_both", job_id=[upstream.output, "1"])
            assert upstream.task_id in sensor.upstream_task_ids
            case.cancel_operator and case.cancel_operator(task_id="stop", job_id=upstream.output)

    def test_the_project_is_a_template_too(self) -> None:
        sensor = POLARIS.sensor(task_id="wait", job_id="1", project_id="{{ params.p }}")
        sensor.render_template_fields({"params": {"p": "p-1"}})
        assert sensor.hook_params == {"project_id": "p-1"}
        assert POLARIS.sensor(task_id="wait2", job_id="1").hook_params == {}

    @pytest.mark.parametrize("given", ["warning", ["ok", "warning"]])
    def test_a_filter_by_a_word_that_no_job_has_is_refused(self, given: Any) -> None:
        with pytest.raises(InvalidInput, match=r"health_status='warning'.*use ok, warn, error"):
            POLARIS.sensor(task_id="wait", health_status=given)
        sensor = POLARIS.sensor(task_id="wait2", health_status="{{ params.health }}")
        sensor.render_template_fields({"params": {"health": "warning"}})
        with pytest.raises(InvalidInput, match=r"health_status='warning'.*use ok, warn, error"):
            sensor.poke({"dag_run": DagRun()})


class TestStates:
    @pytest.mark.parametrize("states", [["running"], ["succeeded", "pending"], ["unknown"], ["cancelling"]])
    def test_only_ends_can_be_expected(self, states: list[str]) -> None:
        with pytest.raises(InvalidInput, match=r"expected_states=.*name states that a job ends in"):
            AMPERITY.sensor(task_id="wait", job_id="1", expected_states=states)

    @pytest.mark.parametrize("states", [[], ["done"], "sucess"])  # codespell:ignore
    def test_words_that_are_no_states(self, states: Any) -> None:
        with pytest.raises(InvalidInput, match="expected_states="):
            AMPERITY.sensor(task_id="wait", job_id="1", expected_states=states)

    def test_a_single_word(self) -> None:
        sensor = AMPERITY.sensor(task_id="wait", job_id="1", expected_states="Skipped")
        assert sensor.expected_states == {JobState.SKIPPED}


class TestDurations:
    @pytest.mark.parametrize("name", ["missing_grace", "failed_grace"])
    @pytest.mark.parametrize("value", [-1, "soon", None, True, float("inf"), timedelta(-1)])
    def test_bad_grace(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidInput, match=f"{name}="):
            AMPERITY.sensor(task_id="wait", job_id="1", **{name: value})

    def test_as_the_trigger_gets_them(self, connections: Connections) -> None:
        connections.add("amperity")
        sensor = AMPERITY.sensor(
            task_id="wait",
            job_id="1",
            deferrable=True,
            poke_interval=timedelta(minutes=2),
            missing_grace=timedelta(minutes=1),
            failed_grace=timedelta(hours=2),
            exponential_backoff=True,
            max_wait=timedelta(minutes=10),
        )
        arguments = defer(sensor).serialize()[1]
        assert arguments["poll_interval"] == 120
        assert arguments["missing_grace"] == 60
        assert arguments["failed_grace"] == 7200
        assert arguments["max_poll_interval"] == 600


class TestCancelOnKill:
    @pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
    @pytest.mark.parametrize("asked", [False, True])
    def test_a_killed_task_cancels_only_where_asked(
        self, case: VendorCase, asked: bool, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        sandbox.cancel_delay = 0
        sandbox.add_job(case.name, case.job_id)
        case.sensor(task_id="wait", job_id=case.job_id, cancel_on_kill=asked).on_kill()
        state = case.hook().get_job(case.job_id).state
        assert state is (JobState.CANCELLED if asked else JobState.RUNNING)

    @pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
    def test_the_trigger_knows(self, case: VendorCase, connections: Connections) -> None:
        connections.add(case.name)
        for asked in (False, True):
            sensor = case.sensor(task_id="wait", job_id="1", cancel_on_kill=asked, deferrable=True)
            assert defer(sensor).serialize()[1]["cancel_on_kill"] is asked

    def test_narrative_cannot(self) -> None:
        with pytest.raises(InvalidInput, match=r"cancel_on_kill=True.*Narrative documents no way to cancel"):
            NARRATIVE.sensor(task_id="wait", job_id="1", cancel_on_kill=True)

    @pytest.mark.parametrize("case", CANCELLING_VENDORS, ids=str)
    def test_between_two_looks_there_is_nothing_to_kill(self, case: VendorCase) -> None:
        given = {"task_id": "wait", "job_id": "1", "cancel_on_kill": True, "mode": "reschedule"}
        with pytest.raises(InvalidInput) as caught:
            case.sensor(**given)
        said = str(caught.value)
        assert said.startswith("cancel_on_kill=True cannot be used: ")
        assert "mode='reschedule'" in said
        assert "use deferrable=True, or mode='poke'" in said

    @pytest.mark.parametrize(
        "given", [{"mode": "poke"}, {"mode": "reschedule", "deferrable": True}, {"deferrable": True}]
    )
    def test_otherwise_there_is(self, given: dict[str, Any]) -> None:
        assert POLARIS.sensor(task_id="wait", job_id="1", cancel_on_kill=True, **given).cancel_on_kill
        assert not POLARIS.sensor(task_id="plain", job_id="1", **given).cancel_on_kill

    def test_a_plain_sensor_is_rescheduled(self) -> None:
        assert POLARIS.sensor(task_id="wait", job_id="1", mode="reschedule").reschedule


class TestDefaults:
    @each_vendor
    def test_conn_id(self, case: VendorCase) -> None:
        assert case.sensor(task_id="wait", job_id="1").conn_id == f"{case.conn_type}_default"

    @each_vendor
    def test_not_deferred_unless_airflow_is_told_so(self, case: VendorCase) -> None:
        assert case.sensor(task_id="wait", job_id="1").deferrable is False

    @each_vendor
    def test_nothing_is_looked_up_while_the_dag_is_read(self, case: VendorCase, sandbox: Sandbox) -> None:
        sensor = case.sensor(task_id="wait", job_id="1", **{f"{case.conn_type}_conn_id": "nowhere"})
        assert sensor.hook.conn_id == "nowhere"
        assert sandbox.requests() == []


class TestWhatIsAboutASelection:
    @pytest.mark.parametrize(
        "given",
        [
            {"started_from": "2026-01-01"},
            {"started_to": "{{ data_interval_end }}"},
            {"min_jobs": 2},
            {"settle": timedelta(minutes=5)},
            {"latest_only": True},
            {"look_back": 3600},
        ],
        ids=str,
    )
    def test_is_refused_beside_job_id(self, given: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match=f"^{next(iter(given))}=.*leave it out beside job_id"):
            AMPERITY.sensor(task_id="wait", job_id="isj-1", **given)

    def test_what_the_dag_gives_all_its_tasks_is_not(self) -> None:
        given = {"settle": timedelta(minutes=5), "min_jobs": 3, "started_from": "2026-01-01"}
        with DAG("dag", schedule=None, default_args=given):
            assert AMPERITY.sensor(task_id="by_id", job_id="isj-1").job_id == "isj-1"
            assert AMPERITY.sensor(task_id="selecting", feed_id="df-1").settle == 300
            with pytest.raises(InvalidInput, match=r"^settle=60 .*beside job_id"):
                AMPERITY.sensor(task_id="wait", job_id="isj-1", settle=60)

    def test_its_defaults_are_not(self) -> None:
        given = {"min_jobs": 1, "settle": 0, "latest_only": False, "look_back": timedelta(days=1)}
        assert AMPERITY.sensor(task_id="wait", job_id="isj-1", started_from=None, **given).job_id == "isj-1"


class TestInterval:
    """Airflow's sensors have a ``poke_interval``, operators and triggers a ``poll_interval``."""

    def test_a_sensor_takes_the_other_name(self) -> None:
        sensor = AMPERITY.sensor(task_id="wait", job_id="isj-1", poll_interval=timedelta(seconds=7))
        assert sensor.poke_interval == 7

    def test_a_cancel_operator_does(self) -> None:
        assert AMPERITY.cancel_operator(task_id="stop", job_id="isj-1", poke_interval=7).poll_interval == 7

    def test_both_are_refused(self) -> None:
        said = r"poll_interval=7 cannot be used: it is the same as poke_interval=5: give one"
        with pytest.raises(InvalidInput, match=said):
            AMPERITY.sensor(task_id="wait", job_id="isj-1", poll_interval=7, poke_interval=5)
        with pytest.raises(InvalidInput, match=r"poke_interval=5.*the same as poll_interval=7"):
            AMPERITY.cancel_operator(task_id="stop", job_id="isj-1", poll_interval=7, poke_interval=5)


class TestFlags:
    """Any text counts as yes, ``"no"`` and ``"False"`` as well."""

    @pytest.mark.parametrize("value", ["no", "yes", 1, None], ids=repr)
    @pytest.mark.parametrize("name", ["deferrable", "include_raw", "cancel_on_kill", "latest_only"])
    def test_of_a_sensor(self, name: str, value: Any) -> None:
        target = {"feed_id": "df-1"} if name == "latest_only" else {"job_id": "isj-1"}
        with pytest.raises(InvalidInput, match=rf"^{name}={value!r} cannot be used: .*True or False"):
            AMPERITY.sensor(task_id="wait", **target, **{name: value})

    @pytest.mark.parametrize("name", ["deferrable", "wait_for_termination"])
    def test_of_a_cancel(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=rf"^{name}='no' cannot be used: give True or False"):
            AMPERITY.cancel_operator(task_id="stop", job_id="isj-1", **{name: "no"})

    def test_of_a_list(self) -> None:
        with pytest.raises(InvalidInput, match=r"^include_raw='no' cannot be used: give True or False"):
            AMPERITY.list_operator(task_id="list", include_raw="no")


class TestExpectedStates:
    @pytest.mark.parametrize(
        "given",
        [None, 7, "suceeded", ["succeeded", "sucess"], [None]],  # codespell:ignore
        ids=str,
    )
    def test_a_typo_is_told_the_states_that_it_may_be(self, given: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            AMPERITY.sensor(task_id="wait", job_id="isj-1", expected_states=given)
        said = str(caught.value)
        assert said.endswith("use one or more of succeeded, failed, cancelled, skipped")

    def test_a_state_that_no_job_ends_in(self) -> None:
        with pytest.raises(InvalidInput, match="ends in: succeeded, failed, cancelled, skipped"):
            AMPERITY.sensor(task_id="wait", job_id="isj-1", expected_states=["running"])

    def test_american_spelling(self) -> None:
        sensor = AMPERITY.sensor(task_id="wait", job_id="isj-1", expected_states=["canceled"])
        assert sensor.expected_states == {JobState.CANCELLED}
