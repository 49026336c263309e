# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which tasks the scheduler hands to the triggerer, and what it hands over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import DAG, STARTS_FROM_TRIGGER, BaseOperator
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor
from airflow_provider_ingestjobs.sensors.start_from_trigger import why_worker_starts
from airflow_provider_ingestjobs.workerless import why_worker_ends

if TYPE_CHECKING:
    from collections.abc import Callable

from_3_3 = pytest.mark.skipif(not STARTS_FROM_TRIGGER, reason="a worker starts every task here")
expects_warning = pytest.mark.filterwarnings("ignore:start_from_trigger needs Airflow 3.3")


def sensor(**arguments: Any) -> NarrativeJobSensor:
    """A sensor that is asked to need no worker."""
    flags = {"deferrable": True, "start_from_trigger": True, "end_from_trigger": True}
    return NarrativeJobSensor(**{"task_id": "wait", "job_id": "job-1", **flags, **arguments})


def polaris(**arguments: Any) -> PolarisJobSensor:
    """The same of Polaris."""
    return PolarisJobSensor(task_id="wait", deferrable=True, start_from_trigger=True, **arguments)


class HookOfAFunction:
    @staticmethod
    def sensor() -> NarrativeJobSensor:
        class Hook(NarrativeHook):
            pass

        class Sensor(NarrativeJobSensor):
            hook_class = Hook

        return Sensor(task_id="wait", job_id="1", deferrable=True, start_from_trigger=True)


class Polite(NarrativeJobSensor):
    def execute(self, context: Any) -> Any:
        return super().execute(context)


class Prefixing(NarrativeJobSensor):
    def render_template_fields(self, *args: Any, **kwargs: Any) -> None:
        self.job_id = f"prod-{self.job_id}"


class Upstream(BaseOperator):
    def __init__(self, *, value: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value


@from_3_3
class TestStart:
    def test_what_the_scheduler_is_handed(self) -> None:
        task = polaris(
            table_name=["A", "{{ var.value.table }}"],
            started_from=datetime(2026, 3, 1, tzinfo=UTC),
            project_id="{{ var.value.project }}",
            poke_interval=30,
            timeout=3600,
        )
        assert task.start_from_trigger
        arguments = task.start_trigger_args
        assert arguments is not None
        assert arguments.next_method == "execute_complete"
        assert arguments.timeout == timedelta(seconds=3600 + 120)
        assert json.loads(json.dumps(arguments.trigger_kwargs)) == {
            "target": {
                "filters": {"table_name": ["A", "{{ var.value.table }}"]},
                "moments": {"started_from": "2026-03-01T00:00:00+00:00"},
                "look_back": 86400.0,
                "min_jobs": 1,
                "settle": 0.0,
            },
            "conn_id": "imply_polaris_default",
            "hook_params": {"project_id": "{{ var.value.project }}"},
            "hook": "airflow_provider_ingestjobs.hooks.polaris.PolarisHook",
            "wait_time": 3600.0,
            "deferral_time": 3720.0,
            "wait": {"poll_interval": 30.0, "missing_grace": 300.0, "failed_grace": 0.0},
        }

    def test_a_whole_result_of_an_upstream_task(self) -> None:
        with DAG("dag", schedule=None):
            upstream: Any = Upstream(task_id="start")
            task = sensor(job_id=upstream.output)
        assert task.start_trigger_args is not None
        assert task.start_trigger_args.trigger_kwargs is not None
        target = task.start_trigger_args.trigger_kwargs["target"]
        assert target == {"job_id": {"ingestjobs.upstream": ["start", "return_value"]}}

    def test_an_execution_timeout_leaves_time_for_the_last_word(self) -> None:
        arguments = sensor(timeout=7200, execution_timeout=timedelta(hours=1)).start_trigger_args
        assert arguments is not None
        assert arguments.trigger_kwargs is not None
        assert (arguments.trigger_kwargs["wait_time"], arguments.trigger_kwargs["deferral_time"]) == (
            3540,
            3600,
        )

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: sensor(on_execute_callback=print), "on_execute_callback"),
            (lambda: sensor(pre_execute=print), "NarrativeJobSensor has its own pre_execute"),
            (lambda: Polite(task_id="wait", job_id="1"), "Polite has its own execute"),
            (lambda: sensor(params={"x": 1}), "checks its params"),
            (lambda: sensor(execution_timeout=timedelta(seconds=119)), "shorter than 120 seconds"),
            (lambda: sensor(render_template_as_native_obj=True), "native objects"),
            (HookOfAFunction.sensor, "define it in a module"),
            (lambda: Prefixing(task_id="wait", job_id="1"), "Prefixing has its own render_template_fields"),
        ],
    )
    def test_what_a_worker_starts(self, make: Callable[[], NarrativeJobSensor], reason: str) -> None:
        task = make()
        assert reason in why_worker_starts(task)
        assert (task.start_from_trigger, task.start_trigger_args) == (False, None)

    def test_a_part_of_an_upstream_result(self) -> None:
        with DAG("dag", schedule=None):
            upstream: Any = Upstream(task_id="start")
            task = sensor(job_id=upstream.output.map(str))
        assert "a task's whole result" in why_worker_starts(task)
        assert not task.start_from_trigger

    def test_templates_of_a_dag_that_become_objects(self) -> None:
        with DAG("dag", schedule=None, render_template_as_native_obj=True):
            task = sensor(job_id="{{ var.value.job }}")
        assert "native objects" in why_worker_starts(task)

    @pytest.mark.parametrize(
        ("param", "starts"),
        [({"default": 1}, True), ({"default": 1, "type": "integer"}, False), ({}, False)],
    )
    def test_params_of_the_dag(self, param: dict[str, Any], starts: bool) -> None:
        from airflow.sdk import Param

        with DAG("dag", schedule=None, params={"x": Param(**param)}):
            task = sensor(job_id="{{ params.x }}")
        assert task.start_from_trigger == starts

    @pytest.mark.parametrize(
        "own",
        [
            {"user_defined_macros": {"x": 1}},
            {"user_defined_filters": {"upper": str.lower}},
            {"jinja_environment_kwargs": {"variable_start_string": "<<"}},
        ],
    )
    def test_templates_of_the_dag_s_own(self, own: dict[str, Any]) -> None:
        with DAG("dag", schedule=None, **own):
            assert "macros, filters" in why_worker_starts(sensor())

    def test_queues_of_triggerers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__TRIGGERER__QUEUES_ENABLED", "True")
        assert "queues" in why_worker_starts(sensor())

    def test_a_mapped_task_is_started_by_a_worker(self) -> None:
        assert NarrativeJobSensor.start_from_trigger is False
        assert NarrativeJobSensor.start_trigger_args is None


class TestFlags:
    def test_by_default_workers_do_all(self) -> None:
        task = NarrativeJobSensor(task_id="wait", job_id="1", deferrable=True)
        assert (task.start_from_trigger, task.end_from_trigger) == (False, False)

    def test_the_setting_turns_both_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__INGESTJOBS__WORKERLESS", "True")
        task = NarrativeJobSensor(task_id="wait", job_id="1", deferrable=True)
        assert (task.start_from_trigger, task.end_from_trigger) == (STARTS_FROM_TRIGGER, True)
        own = NarrativeJobSensor(
            task_id="wait", job_id="1", deferrable=True, start_from_trigger=False, end_from_trigger=False
        )
        assert (own.start_from_trigger, own.end_from_trigger) == (False, False)

    @expects_warning
    def test_a_dag_s_default_args_turn_them_on(self) -> None:
        flags = {"start_from_trigger": True, "end_from_trigger": True, "deferrable": True}
        with DAG("dag", schedule=None, default_args=flags):
            task = NarrativeJobSensor(task_id="wait", job_id="1")
        assert (task.start_from_trigger, task.end_from_trigger) == (STARTS_FROM_TRIGGER, True)

    @pytest.mark.parametrize("name", ["start_from_trigger", "end_from_trigger"])
    def test_what_is_no_flag(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=f"{name}='no' cannot be used"):
            sensor(**{"start_from_trigger": False, "end_from_trigger": False, name: "no"})

    @pytest.mark.parametrize("name", ["start_from_trigger", "end_from_trigger"])
    def test_a_flag_that_would_do_nothing(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=rf"{name}=True cannot be used: give deferrable=True"):
            sensor(
                **{"start_from_trigger": False, "end_from_trigger": False, "deferrable": False, name: True}
            )

    @expects_warning
    def test_a_flag_of_the_whole_dag_does_nothing_for_a_task_in_a_worker(self) -> None:
        with DAG("dag", schedule=None, default_args={"start_from_trigger": True, "end_from_trigger": True}):
            task = NarrativeJobSensor(task_id="wait", job_id="1", deferrable=False)
        assert not task.start_from_trigger

    @pytest.mark.skipif(STARTS_FROM_TRIGGER, reason="it can be done here")
    def test_an_older_airflow_is_warned_of(self) -> None:
        with pytest.warns(UserWarning, match=r"needs Airflow 3\.3 or newer.*a worker starts the task"):
            assert not sensor().start_from_trigger


@expects_warning
class TestEnd:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"check": bool}, "a function"),
            ({"on_success_callback": print}, "on_success_callback"),
            ({"post_execute": print}, "NarrativeJobSensor has its own post_execute"),
            ({"map_index_template": "{{ task.job_id }}"}, "map_index_template"),
            ({"outlets": ["x"]}, "outlets"),
            ({"inlets": ["x"]}, "inlets"),
        ],
    )
    def test_what_a_worker_ends(self, arguments: dict[str, Any], reason: str) -> None:
        assert reason in why_worker_ends(sensor(**arguments))

    def test_a_task_is_mapped_over_the_result(self) -> None:
        with DAG("dag", schedule=None):
            task = sensor(job_id=["1", "2"])
            Upstream.partial(task_id="next").expand(value=task.output)
        assert why_worker_ends(task) == "a task is mapped over its result"
