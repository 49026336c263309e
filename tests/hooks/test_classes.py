# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Hooks of somebody else's: plain subclasses of ours, and vendors of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.exceptions import InvalidInput, UnexpectedError
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.for_triggers import class_path, hook_class_from
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.provider_info import provider_info
from airflow_provider_ingestjobs.sandbox import Sandbox
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.vendors import Vendor
from support.task_runs import defer, run_deferred, run_in_worker
from support.vendors import NARRATIVE, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.connections import Connections
    from support.logs import Logs
    from support.task_runs import Outcome

pytestmark = pytest.mark.usefixtures("quick_watch", "one_try")
each_run = pytest.mark.parametrize("run", [run_in_worker, run_deferred])
OTHER = Vendor(conn_type="other", name="Other", hook="other_package.hooks.other.OtherHook", doc_url="")


class RenamingHook(NarrativeHook):
    """What a user may write: one method is another."""

    def to_job(self, record: Mapping[str, Any]) -> Job:
        return super().to_job({**record, "type": "renamed"})


class RenamingSensor(NarrativeJobSensor):
    hook_class = RenamingHook


class Holder:
    class InnerHook(NarrativeHook):
        pass


class BrokenHook(NarrativeHook):
    def to_job(self, record: Mapping[str, Any]) -> Job:
        return self.divide(record, 0)

    def divide(self, record: Mapping[str, Any], number: int) -> Job:
        return super().to_job({**record, "type": 1 / number})


class BrokenSensor(NarrativeJobSensor):
    hook_class = BrokenHook


class TestSubclasses:
    @each_run
    def test_a_user_s_hook_is_used_in_every_mode(
        self, run: Callable[..., Outcome], sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id, [(0, "completed")])
        deferrable = run is run_deferred
        outcome = run(lambda: RenamingSensor(task_id="wait", job_id=NARRATIVE.job_id, deferrable=deferrable))
        assert outcome.value["name"] == "renamed"
        assert outcome.deferred is deferrable

    def test_the_trigger_carries_its_class_path(self, connections: Connections) -> None:
        connections.add("narrative")
        sensor = RenamingSensor(task_id="wait", job_id=NARRATIVE.job_id, deferrable=True)
        path = defer(sensor).serialize()[1]["hook"]
        assert path.endswith("test_classes.RenamingHook")
        assert hook_class_from(path) is RenamingHook

    def test_what_no_other_process_can_import_is_refused_before_the_task_defers(
        self, connections: Connections
    ) -> None:
        connections.add("narrative")

        class LocalHook(NarrativeHook):
            pass

        class LocalSensor(NarrativeJobSensor):
            hook_class = LocalHook

        with pytest.raises(InvalidInput, match=r"hook='.*LocalHook'.*module that the triggerer can import"):
            defer(LocalSensor(task_id="wait", job_id=NARRATIVE.job_id, deferrable=True))

    @pytest.mark.parametrize("module", ["unusual_prefix_1a2b_my_dag", "__main__"])
    def test_a_dag_file_is_no_such_module(self, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(RenamingHook, "__module__", module)
        with pytest.raises(InvalidInput, match="triggerer can import"):
            class_path(RenamingHook)

    def test_nor_is_a_class_in_a_class(self) -> None:
        with pytest.raises(InvalidInput, match="triggerer can import"):
            class_path(Holder.InnerHook)

    def test_a_module_that_cannot_be_imported_says_why(self) -> None:
        with pytest.raises(InvalidInput, match=r"hook='no_such_package.Hook'.*No module named 'no_such"):
            hook_class_from("no_such_package.Hook")

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_ours_are_found_by_their_class_paths(self, case: VendorCase) -> None:
        assert class_path(case.hook) == case.hook.vendor.hook
        assert hook_class_from(case.hook.vendor.hook) is case.hook


class TestBugs:
    def test_a_deferred_task_logs_the_traceback_and_fails_by_name(
        self, sandbox: Sandbox, connections: Connections, logs: Logs
    ) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        outcome = run_deferred(
            lambda: BrokenSensor(task_id="wait", job_id=NARRATIVE.job_id, deferrable=True, soft_fail=True)
        )
        # Never a skip: nothing is known of the job.
        assert type(outcome.error) is UnexpectedError
        assert str(outcome.error) == "ZeroDivisionError: division by zero"
        assert "in divide" in logs.tracebacks

    def test_a_poking_task_fails_with_the_traceback(self, sandbox: Sandbox, connections: Connections) -> None:
        connections.add("narrative")
        sandbox.add_job("narrative", NARRATIVE.job_id)
        outcome = run_in_worker(lambda: BrokenSensor(task_id="wait", job_id=NARRATIVE.job_id))
        assert isinstance(outcome.error, ZeroDivisionError)


class TestVendors:
    def test_a_hook_that_lacks_what_it_must_define_is_refused_when_it_is_made(self) -> None:
        with pytest.raises(TypeError, match="OtherHook must define get_record, to_job, ping, send_cancel"):

            class OtherHook(IngestJobHook, vendor=OTHER):
                pass

    def test_a_filter_asks_for_lists(self) -> None:
        row = Vendor(conn_type="o", name="O", hook="", doc_url="", filters={"a": "a"}, cancels=False)
        with pytest.raises(TypeError, match="must define get_record, to_job, ping, list_jobs, list_window"):

            class OtherHook(IngestJobHook, vendor=row):
                pass

    @pytest.mark.parametrize(
        ("words", "said"),
        [({}, "in `states`"), ({"In Progress": JobState.RUNNING}, "write 'In Progress' as 'in_progress'")],
    )
    def test_its_words_are_checked(self, words: dict[str, JobState], said: str) -> None:
        with pytest.raises(TypeError, match=said):

            class OtherHook(NarrativeHook, vendor=NarrativeHook.vendor):
                states = words

    def test_the_provider_info_of_another_package_is_one_call(self) -> None:
        info = provider_info("pytest", [OTHER])
        assert info["package-name"] == "pytest"
        assert info["versions"] == [pytest.__version__]
        (connection_type,) = info["connection-types"]
        assert connection_type["hook-class-name"] == OTHER.hook
        assert info["sensors"] == [
            {"integration-name": "Other", "python-modules": ["other_package.sensors.other"]}
        ]
        assert info["asset-uris"][0]["schemes"] == ["other"]
