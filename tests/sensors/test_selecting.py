# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Sensors that wait for several jobs, or for jobs that somebody else starts; the same in both modes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pendulum
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_ingestjobs.airflow_compat import DAG, TaskDeferred
from airflow_provider_ingestjobs.errors import InvalidInput, PermissionDenied
from airflow_provider_ingestjobs.exceptions import JobCancelled, JobFailed, JobNotFound, WaitTimeout
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.sandbox.task_runs import TaskInstance
from support.task_runs import Outcome, run_deferred, run_in_worker, run_rescheduled
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

AIRFLOW_2 = airflow_version.startswith("2.")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FEED = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}
#: What each vendor's jobs are selected by, and the fields of a job that this selects.
SELECTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "amperity": ({"feed_id": "df-1"}, FEED),
    "adverity": ({"datastream_id": 42}, {"datastream_id": 42}),
    "polaris": ({"table_name": "Events"}, {"target": {"type": "table", "tableName": "Events"}}),
    "narrative": ({"dataset_id": 10674}, {"dataset_id": 10674}),
}


def dag_run(
    start: datetime | None = None,
    end: datetime | None = None,
    logical_date: datetime | None = None,
    asked_at: datetime | None = None,
    began: datetime | None = None,
) -> Any:
    """Return a DAG run as a task finds it in its context, of the class that this Airflow has there.

    :param asked_at: when it was asked for: what Airflow 2 calls ``queued_at`` and Airflow 3 ``run_after``.
    """
    began = began or datetime.now(UTC)
    if AIRFLOW_2:
        from airflow.models.dagrun import DagRun as DagRun2

        run = DagRun2(
            "dag",
            "run",
            execution_date=logical_date,  # type: ignore[call-arg]  # what Airflow 2 calls it
            start_date=began,
            run_type="manual",
        )
        run.data_interval_start, run.data_interval_end, run.queued_at = start, end, asked_at or began
        return run
    from airflow.sdk.api.datamodels._generated import DagRun

    fields: dict[str, Any] = {
        **dict.fromkeys(DagRun.model_fields),
        "dag_id": "dag",
        "run_id": "run",
        "logical_date": logical_date,
        "data_interval_start": start,
        "data_interval_end": end,
        "run_after": asked_at or began,
        "start_date": began,
        "run_type": "manual",
        "state": "running",
        "consumed_asset_events": [],
    }
    return DagRun(**{name: value for name, value in fields.items() if name in DagRun.model_fields})


class InRun:
    """A task in a DAG run: its context and rendered templates, before what :mod:`task_runs` does with it."""

    def __init__(self, task: Any, run: Any, **context: Any) -> None:
        self._task = task
        self._context = {"dag_run": run, **context}

    def _rendered(self, context: dict[str, Any]) -> Any:
        context.update(self._context)
        self._task.render_template_fields(context)
        return self._task

    def execute(self, context: Any) -> Any:
        return self._rendered(context).execute(context)

    def resume_execution(self, method: str, kwargs: Any, context: Any) -> Any:
        return self._rendered(context).resume_execution(method, kwargs, context)


Wait = Callable[..., Outcome]


@pytest.fixture(params=["poke", "deferred"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.02)
    return str(request.param)


@pytest.fixture
def wait(mode: str) -> Wait:
    """Run a vendor's sensor to its end.

    :param run: the DAG run; by default one without a data interval.
    :param context: what templates may ask for.
    :param native: let templates render to what upstream tasks returned, not to its text.
    """

    def wait(
        case: VendorCase,
        run: Any = None,
        context: dict[str, Any] | None = None,
        native: bool = False,
        **arguments: Any,
    ) -> Outcome:
        run = run or dag_run()
        given = {"task_id": "wait", "poke_interval": 0.1, "timeout": 15, "deferrable": mode == "deferred"}

        def make() -> InRun:
            dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
            return InRun(case.sensor(**{**given, "dag": dag, **arguments}), run, **context or {})

        return (run_deferred if mode == "deferred" else run_in_worker)(make)

    return wait


@pytest.fixture
def amperity(connections: Connections) -> None:
    connections.add("amperity", extra={"requests_per_second": 1000})


def ids(outcome: Outcome) -> list[str]:
    assert outcome.error is None, outcome.error
    return [job["id"] for job in outcome.value]


def ran(sandbox: Sandbox, started: datetime, word: str = "succeeded", **fields: Any) -> str:
    """Add an Amperity job that ran for five seconds at some time."""
    begin = started.timestamp() - time.time()
    return sandbox.add_job(
        "amperity", timeline=[(begin, "running"), (begin + 5, word)], fields=fields or FEED
    )


class TestArguments:
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_neither_a_job_nor_a_selection(self, case: VendorCase) -> None:
        with pytest.raises(
            InvalidInput, match=rf"job_id=None .*select jobs by {next(iter(case.hook.vendor.filters))}"
        ):
            case.sensor(task_id="wait")

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_both(self, case: VendorCase) -> None:
        noun = next(iter(case.hook.vendor.filters))
        with pytest.raises(InvalidInput, match=f"either job_id or {noun}, not both"):
            case.sensor(task_id="wait", job_id=case.job_id, **{noun: "x"})

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            ({"job_id": []}, "job_id"),
            ({"job_id": ["isj-1", ""]}, "job_id"),
            ({"job_id": ["isj-1", "a/b"]}, "job_id"),
            ({"job_id": {"isj-1"}}, "job_id"),
            ({"feed_id": ""}, "feed_id"),
            ({"feed_id": []}, "feed_id"),
            ({"feed_id": "x", "min_jobs": 0}, "min_jobs"),
            ({"feed_id": "x", "min_jobs": True}, "min_jobs"),
            ({"feed_id": "x", "settle": -1}, "settle"),
            ({"feed_id": "x", "look_back": "1d"}, "look_back"),
            ({"feed_id": "x", "started_from": datetime(2026, 1, 1)}, "started_from.*no time zone"),
            ({"feed_id": "x", "started_to": "2026-01-01T00:00"}, "started_to.*no time zone"),
            (
                {
                    "feed_id": "x",
                    "started_from": "2026-01-02",
                    "started_to": datetime(2026, 1, 1, tzinfo=UTC),
                },
                "started_to.*must be after",
            ),
            ({"feed_id": "x", "started_from": "2026-01-02", "started_to": date(2026, 1, 1)}, "must be after"),
            ({"feed_id": ["x", None]}, "feed_id.*it is empty"),
            ({"feed_id": "None"}, "feed_id.*it is empty"),
            ({"job_id": "None"}, "job_id.*it is empty"),
            ({"feed_id": "x", "started_to": "tomorrow"}, "started_to.*write it like"),
            ({"feed_id": "x", "cancel_on_kill": True}, "cancel_on_kill.*never cancelled"),
            ({"feed_id": "x", "expected_states": ["running"]}, "expected_states"),
        ],
    )
    def test_what_cannot_be_is_an_error_in_the_dag(self, arguments: dict[str, Any], names: str) -> None:
        with pytest.raises(InvalidInput, match=names):
            AMPERITY.sensor(task_id="wait", **arguments)


@pytest.mark.usefixtures("amperity")
class TestSeveralJobs:
    def test_a_list_in_its_order(self, sandbox: Sandbox, wait: Wait) -> None:
        job_ids = [
            sandbox.add_job("amperity", timeline=[(0, "running"), (seconds, "succeeded")])
            for seconds in (0.3, 0.0, 0.6)
        ]
        assert ids(wait(AMPERITY, job_id=job_ids)) == job_ids

    def test_a_list_of_one_stays_a_list(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")])
        assert ids(wait(AMPERITY, job_id=[job_id])) == [job_id]

    def test_from_an_upstream_task(self, sandbox: Sandbox, connections: Connections, wait: Wait) -> None:
        connections.add("adverity")
        job_ids = [sandbox.add_job("adverity", timeline=[(0, "Success")]) for _ in range(2)]
        upstream = {"upstream": {"ids": [int(job_id) for job_id in job_ids], "one": int(job_ids[0])}}
        several = wait(ADVERITY, job_id="{{ upstream.ids }}", context=upstream, native=True)
        assert ids(several) == job_ids
        one = wait(ADVERITY, job_id="{{ upstream.one }}", context=upstream, native=True)
        assert one.value["id"] == job_ids[0]

    @pytest.mark.parametrize("nothing", [[], None, ""])
    def test_nothing_from_an_upstream_task_is_said(self, wait: Wait, nothing: Any) -> None:
        arguments = {"context": {"nothing": nothing}, "native": True}
        for noun in ("job_id", "feed_id"):
            outcome = wait(AMPERITY, **{noun: "{{ nothing }}"}, **arguments)
            assert isinstance(outcome.error, InvalidInput)
            assert (outcome.error.field, outcome.deferred) == (noun, False)

    def test_a_noun_that_renders_to_nothing_does_not_widen_the_selection(self, wait: Wait) -> None:
        outcome = wait(
            AMPERITY,
            feed_id="{{ nothing }}",
            table_name="Customers",
            context={"nothing": None},
            native=True,
        )
        assert isinstance(outcome.error, InvalidInput)
        assert outcome.error.field == "feed_id"

    def test_one_bad_end_fails_all_but_only_after_all_have_ended(self, sandbox: Sandbox, wait: Wait) -> None:
        bad = sandbox.add_job("amperity", timeline=[(0, "failed")], failure="No such bucket")
        good = sandbox.add_job("amperity", timeline=[(0, "running"), (0.4, "succeeded")])
        outcome = wait(AMPERITY, job_id=[bad, good])
        assert isinstance(outcome.error, JobFailed)
        assert bad in str(outcome.error)
        assert "No such bucket" in str(outcome.error)
        assert good not in str(outcome.error)

    def test_all_cancelled_is_cancelled_and_some_is_failed(self, sandbox: Sandbox, wait: Wait) -> None:
        words = ("canceled", "canceled", "failed", "succeeded")
        a, b, failed, good = (sandbox.add_job("amperity", timeline=[(0, word)]) for word in words)
        assert isinstance(wait(AMPERITY, job_id=[a, good, b]).error, JobCancelled)
        assert isinstance(wait(AMPERITY, job_id=[a, failed]).error, JobFailed)

    def test_expected_states_hold_for_each(self, sandbox: Sandbox, wait: Wait) -> None:
        job_ids = [sandbox.add_job("amperity", timeline=[(0, word)]) for word in ("succeeded", "skipped")]
        assert isinstance(wait(AMPERITY, job_id=job_ids).error, JobFailed)
        outcome = wait(AMPERITY, job_id=job_ids, expected_states=("succeeded", "skipped"))
        assert [job["state"] for job in outcome.value] == ["succeeded", "skipped"]

    def test_one_that_does_not_exist_is_said_though_another_runs(self, sandbox: Sandbox, wait: Wait) -> None:
        running = sandbox.add_job("amperity")
        outcome = wait(AMPERITY, job_id=[running, "isj-nowhere"], missing_grace=0.3, timeout=5)
        assert isinstance(outcome.error, JobNotFound)
        assert "isj-nowhere" in str(outcome.error)

    def test_many_take_one_list(self, sandbox: Sandbox, wait: Wait) -> None:
        job_ids = [sandbox.add_job("amperity", timeline=[(0, "succeeded")]) for _ in range(40)]
        assert ids(wait(AMPERITY, job_id=job_ids)) == job_ids
        assert len(sandbox.requests("amperity")) <= 2


@pytest.mark.usefixtures("amperity")
class TestWindow:
    """Which jobs are looked for, by the run and the arguments."""

    def test_by_default_the_data_interval(self, sandbox: Sandbox, wait: Wait) -> None:
        start = datetime(2026, 2, 3, tzinfo=UTC)
        inside = [ran(sandbox, start + HOUR / 3600), ran(sandbox, start + DAY - HOUR / 1800)]
        ran(sandbox, start - HOUR / 3600)
        ran(sandbox, start + DAY)
        run = dag_run(start, start + DAY, logical_date=start)
        assert ids(wait(AMPERITY, run, feed_id="df-1")) == inside

    @pytest.mark.parametrize(
        ("day", "hours"),
        [((2026, 3, 29), 23), ((2025, 10, 26), 25), ((2026, 3, 28), 24)],
        ids=["spring", "autumn", "plain"],
    )
    def test_a_day_of_the_dag_s_time_zone(
        self, sandbox: Sandbox, wait: Wait, day: tuple[int, int, int], hours: int
    ) -> None:
        start = pendulum.datetime(*day, tz="Europe/Berlin")
        end = start.add(days=1)
        assert (end - start).total_hours() == hours
        second = timedelta(seconds=1)
        last = ran(sandbox, start + hours * HOUR - second)
        ran(sandbox, start + hours * HOUR)
        ran(sandbox, start - second)
        first = ran(sandbox, start + second)
        assert ids(wait(AMPERITY, dag_run(start, end, start), feed_id="df-1")) == [first, last]
        given = {"started_from": str(start), "started_to": end.isoformat()}
        assert ids(wait(AMPERITY, feed_id="df-1", **given)) == [first, last]

    def test_a_backfill_of_months_ago_asks_for_seven_days_at_a_time(
        self, sandbox: Sandbox, mode: str, wait: Wait
    ) -> None:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        moments = [start + timedelta(days=number, seconds=1) for number in (0, 6, 7, 20, 30)]
        job_ids = [ran(sandbox, moment) for moment in moments]
        ran(sandbox, start + 31 * DAY)
        run = dag_run(start, start + 31 * DAY, logical_date=start)
        assert ids(wait(AMPERITY, run, feed_id="df-1")) == job_ids
        windows = [parse_qs(request.query) for request in sandbox.requests("amperity")]
        assert len(windows) == 5
        assert windows[0]["created_from"] == ["2026-01-01T00:00:00Z"]
        assert windows[-1]["created_to"] == ["2026-02-01T00:00:00Z"]

    @pytest.mark.parametrize("kind", ["aware", "text", "template"])
    def test_given_as(self, sandbox: Sandbox, wait: Wait, kind: str) -> None:
        start = datetime(2026, 2, 3, tzinfo=UTC)
        mine = ran(sandbox, start + HOUR)
        ran(sandbox, start - HOUR)
        ran(sandbox, start + 3 * HOUR)
        given: dict[str, dict[str, Any]] = {
            "aware": {"started_from": start, "started_to": start + 2 * HOUR},
            "text": {"started_from": "2026-02-03T01:00:00+01:00", "started_to": "2026-02-03T02:00:00Z"},
            "template": {
                "started_from": "{{ data_interval_start }}",
                "started_to": "{{ data_interval_start.add(hours=2) }}",
            },
        }
        context = {"data_interval_start": pendulum.instance(start)}
        assert ids(wait(AMPERITY, context=context, feed_id="df-1", **given[kind])) == [mine]

    def test_one_end_given_the_other_by_the_run(self, sandbox: Sandbox, wait: Wait) -> None:
        start = datetime(2026, 2, 3, tzinfo=UTC)
        job_ids = [ran(sandbox, start - HOUR), ran(sandbox, start + HOUR)]
        ran(sandbox, start + DAY + HOUR)
        run = dag_run(start, start + DAY, logical_date=start)
        assert ids(wait(AMPERITY, run, feed_id="df-1", started_from=start - DAY)) == job_ids

    @pytest.mark.parametrize(
        ("start", "end", "said"),
        [
            ("2026-02-03T00:00", "2026-02-04T00:00:00Z", "started_from='2026-02-03T00:00'.*no time zone"),
            ("2026-02-03T00:00:00Z", "20260204T000000", "started_to.*no time zone"),
            ("2026-02-03T00:00:00Z", "", "started_to=''.*it is empty"),
            ("None", "2026-02-04T00:00:00Z", "started_from='None'.*it is empty"),
            ("2026-02-04T00:00:00Z", "2026-02-03T00:00:00Z", "must be after started_from=2026-02-04"),
            ("2026-02-03T00:00:00Z", "2026-02-03T01:00:00+01:00", "must be after"),
        ],
        ids=["naive", "naive and short", "empty", "none", "inverted", "empty window"],
    )
    def test_what_a_template_must_not_render_to(self, wait: Wait, start: str, end: str, said: str) -> None:
        context = {"start": start, "end": end}
        window = {"started_from": "{{ start }}", "started_to": "{{ end }}"}
        outcome = wait(AMPERITY, context=context, feed_id="df-1", **window)
        assert isinstance(outcome.error, InvalidInput)
        assert not outcome.deferred
        with pytest.raises(InvalidInput, match=said):
            raise outcome.error

    @pytest.mark.parametrize("interval", ["none", "of no length"])
    def test_a_run_without_an_interval_looks_back_from_its_logical_date(
        self, sandbox: Sandbox, wait: Wait, interval: str
    ) -> None:
        logical_date = datetime.now(UTC) - 3 * HOUR
        job_ids = [ran(sandbox, logical_date - HOUR / 2), ran(sandbox, logical_date + 2 * HOUR)]
        ran(sandbox, logical_date - 2 * HOUR)
        moment = None if interval == "none" else logical_date
        run = dag_run(moment, moment, logical_date=logical_date)
        assert ids(wait(AMPERITY, run, feed_id="df-1", look_back=HOUR)) == job_ids
        assert len(ids(wait(AMPERITY, run, feed_id="df-1"))) == 3

    def test_a_run_without_a_logical_date_looks_back_from_when_it_was_asked_for(
        self, sandbox: Sandbox, wait: Wait
    ) -> None:
        asked_at = datetime.now(UTC) - 3 * HOUR
        mine = ran(sandbox, asked_at - HOUR / 2)
        ran(sandbox, asked_at - 2 * HOUR)
        run = dag_run(asked_at=asked_at)
        assert ids(wait(AMPERITY, run, feed_id="df-1", look_back=HOUR)) == [mine]

    def test_such_a_run_also_waits_for_jobs_that_start_later(self, sandbox: Sandbox, wait: Wait) -> None:
        started = [(0.5, "running"), (0.6, "succeeded")]
        mine = sandbox.add_job("amperity", timeline=started, fields=FEED)
        assert ids(wait(AMPERITY, feed_id="df-1", look_back=0)) == [mine]


@pytest.mark.usefixtures("amperity")
class TestEnough:
    """How many jobs there must be, and for how long others may still come."""

    def test_min_jobs(self, sandbox: Sandbox, wait: Wait) -> None:
        early = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=FEED)
        late = sandbox.add_job("amperity", timeline=[(0.5, "succeeded")], fields=FEED)
        assert ids(wait(AMPERITY, feed_id="df-1")) == [early]
        sandbox.remove_job("amperity", late)
        late = sandbox.add_job("amperity", timeline=[(0.5, "succeeded")], fields=FEED)
        assert ids(wait(AMPERITY, feed_id="df-1", min_jobs=2)) == [early, late]

    def test_all_that_match_must_end(self, sandbox: Sandbox, wait: Wait) -> None:
        done = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=FEED)
        slow = sandbox.add_job("amperity", timeline=[(0, "running"), (0.5, "succeeded")], fields=FEED)
        outcome = wait(AMPERITY, feed_id="df-1")
        assert ids(outcome) == [done, slow]
        assert {job["state"] for job in outcome.value} == {"succeeded"}

    def test_settle_takes_in_a_late_starter(self, sandbox: Sandbox, wait: Wait) -> None:
        early = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=FEED)
        late = sandbox.add_job("amperity", timeline=[(0.3, "running"), (0.5, "succeeded")], fields=FEED)
        # Too late for the first one's end, but not for the second one's.
        later = sandbox.add_job("amperity", timeline=[(0.85, "running"), (0.9, "succeeded")], fields=FEED)
        assert ids(wait(AMPERITY, feed_id="df-1", settle=0.8)) == [early, late, later]

    def test_settle_is_over_once_it_has_passed(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = ran(sandbox, datetime.now(UTC) - HOUR)
        assert ids(wait(AMPERITY, feed_id="df-1", settle=timedelta(minutes=50))) == [job_id]
        assert len(sandbox.requests("amperity")) == 1

    def test_settle_of_a_job_without_an_end_is_no_endless_wait(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        # What never ran has no end at Adverity, nor any other time of its last change.
        connections.add("adverity")
        fields = {"datastream_id": 7, "job_start": None, "job_end": None}
        job_id = sandbox.add_job("adverity", timeline=[(-60, "Discarded")], fields=fields)
        outcome = wait(ADVERITY, datastream_id=7, settle=0.5, timeout=3, expected_states=["cancelled"])
        assert ids(outcome) == [job_id]
        # Until then it settles from when the end was first seen: five looks, of two requests each.
        assert len(sandbox.requests("adverity")) < 25

    def test_latest_only_lets_a_rerun_stand_for_what_failed(self, sandbox: Sandbox, wait: Wait) -> None:
        now = datetime.now(UTC)
        tables = {name: [{"feed_id": "df-1", "table_name": name}] for name in ("A", "B")}
        ran(sandbox, now - 3 * HOUR, "failed", tables=tables["A"])
        other = ran(sandbox, now - 2 * HOUR, tables=tables["B"])
        rerun = ran(sandbox, now - HOUR, tables=tables["A"])
        assert isinstance(wait(AMPERITY, feed_id="df-1").error, JobFailed)
        assert ids(wait(AMPERITY, feed_id="df-1", latest_only=True)) == [other, rerun]

    def test_jobs_outside_the_selection_do_not_matter(self, sandbox: Sandbox, wait: Wait) -> None:
        now = datetime.now(UTC)
        mine = ran(sandbox, now - HOUR)
        ran(sandbox, now - HOUR, "failed", tables=[{"feed_id": "df-2"}])
        ran(sandbox, now - 2 * DAY, "failed")
        sandbox.add_job("amperity", timeline=[(0, "running")], fields={"tables": [{"feed_id": "df-3"}]})
        assert ids(wait(AMPERITY, feed_id="df-1")) == [mine]

    def test_soft_fail_skips_with_the_reason(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = ran(sandbox, datetime.now(UTC) - HOUR, "failed")
        outcome = wait(AMPERITY, feed_id="df-1", soft_fail=True)
        assert outcome.skipped
        assert job_id in str(outcome.error)
        assert "failed" in str(outcome.error)

    def test_include_raw(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = ran(sandbox, datetime.now(UTC) - HOUR)
        (job,) = wait(AMPERITY, feed_id="df-1", include_raw=True).value
        assert job["raw"]["id"] == job_id


@pytest.mark.usefixtures("amperity")
class TestTooLate:
    def run(self) -> Any:
        start = datetime(2026, 2, 3, tzinfo=UTC)
        return dag_run(start, start + DAY, logical_date=start, began=datetime.now(UTC))

    def test_a_window_that_is_over_and_has_too_few_jobs(self, sandbox: Sandbox, wait: Wait) -> None:
        ran(sandbox, datetime(2026, 2, 3, 12, tzinfo=UTC))
        outcome = wait(AMPERITY, self.run(), feed_id="df-1", min_jobs=2, missing_grace=0.5, timeout=60)
        assert isinstance(outcome.error, JobNotFound)
        assert "Only 1 of at least 2 jobs with feed_id='df-1'" in str(outcome.error)
        assert "2026-02-03T00:00:00+00:00 and 2026-02-04T00:00:00+00:00" in str(outcome.error)
        # Not before the grace is over.
        assert len(sandbox.requests("amperity")) >= 2

    def test_the_grace_is_for_jobs_that_are_listed_late(self, sandbox: Sandbox, wait: Wait) -> None:
        started_at = "2026-02-03T12:00:00Z"
        late = {"tables": [{"feed_id": "df-1", "started_at": started_at}]}
        # The vendor's list shows it by its start, but only from half a second from now on.
        job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")], fields=late)
        sandbox.add_fault(Fault(vendor="amperity", body={"data": []}, times=3))
        listed = {
            "data": [
                {
                    "id": job_id,
                    "workflow_id": "wf",
                    "tables": [{**late["tables"][0], "state": "succeeded", "ended_at": started_at}],
                }
            ]
        }
        sandbox.add_fault(Fault(vendor="amperity", body=listed, times=None))
        assert ids(wait(AMPERITY, self.run(), feed_id="df-1", missing_grace=5)) == [job_id]

    def test_soft_fail_skips(self, wait: Wait) -> None:
        outcome = wait(AMPERITY, self.run(), feed_id="df-1", missing_grace=0, soft_fail=True)
        assert outcome.skipped
        assert "Only 0 of at least 1" in str(outcome.error)

    def test_while_the_window_is_open_only_the_timeout_ends_the_wait(self, wait: Wait) -> None:
        outcome = wait(AMPERITY, feed_id="df-1", timeout=0.5)
        assert isinstance(outcome.error, WaitTimeout)
        assert "feed_id='df-1'" in str(outcome.error)

    @pytest.mark.usefixtures("one_try")
    def test_a_vendor_that_is_down_is_not_without_jobs(self, sandbox: Sandbox, wait: Wait) -> None:
        job_id = ran(sandbox, datetime(2026, 2, 3, 12, tzinfo=UTC))
        sandbox.add_fault(Fault(vendor="amperity", status=503, times=3))
        outcome = wait(AMPERITY, self.run(), feed_id="df-1", missing_grace=0)
        assert ids(outcome) == [job_id]

    def test_refused_credentials_end_it_at_once(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        connections.add("amperity", password="wrong")
        outcome = wait(AMPERITY, feed_id="df-1", soft_fail=True)
        assert not outcome.skipped
        assert "401" in str(outcome.error)


class TestOtherVendors:
    def test_adverity_s_running_and_past_jobs(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        connections.add("adverity")
        fields = {"datastream_id": 42}
        past = sandbox.add_job("adverity", timeline=[(-60, "Running"), (-30, "Success")], fields=fields)
        running = sandbox.add_job("adverity", timeline=[(0, "Running"), (0.5, "Success")], fields=fields)
        sandbox.add_job("adverity", timeline=[(0, "Failed")], fields={"datastream_id": 43})
        outcome = wait(ADVERITY, datastream_id=42, checks={"max_issues": 0})
        assert ids(outcome) == [past, running]

    def test_adverity_s_issues_count_though_its_lists_do_not_show_them(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        connections.add("adverity")
        timeline = [(0, "Failed")]
        job_id = sandbox.add_job(
            "adverity", timeline=timeline, failure="No quota", fields={"datastream_id": 42}
        )
        fails = wait(ADVERITY, datastream_id=42)
        assert "No quota" in str(fails.error)
        outcome = wait(ADVERITY, datastream_id=42, expected_states=["failed"], checks={"max_issues": 0})
        assert f"Adverity job {job_id}: max_issues=0 is exceeded: 1 issues" in str(outcome.error)

    def test_polaris_by_table_with_its_counts(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        connections.add("imply_polaris")
        fields = {"target": {"type": "table", "tableName": "Clicks"}}
        rows = {"read": 5}
        mine = sandbox.add_job("polaris", timeline=[(0, "completed")], fields=fields, rows=rows)
        sandbox.add_job("polaris", timeline=[(0, "failed")])
        outcome = wait(POLARIS, table_name="Clicks", checks={"min_rows": 5})
        assert ids(outcome) == [mine]
        assert "5 read" in str(wait(POLARIS, table_name="Clicks", checks={"min_rows": 6}).error)

    def test_polaris_by_project(self, sandbox: Sandbox, connections: Connections, wait: Wait) -> None:
        connections.add("imply_polaris")
        mine = sandbox.add_job("polaris", timeline=[(0, "completed")], fields={"project_id": "p2"})
        sandbox.add_job("polaris", timeline=[(0, "failed")])
        assert ids(wait(POLARIS, job_type="batch", project_id="p2")) == [mine]

    @pytest.mark.parametrize("dataset_id", [10674, "10674", "{{ 10674 }}", [10674, 1]])
    def test_narrative_s_data_set(
        self, sandbox: Sandbox, connections: Connections, wait: Wait, dataset_id: Any
    ) -> None:
        connections.add("narrative")
        mine = sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"dataset_id": 10674})
        sandbox.add_job("narrative", timeline=[(0, "failed")], fields={"dataset_id": 106})
        assert ids(wait(NARRATIVE, dataset_id=dataset_id)) == [mine]

    def test_narrative_s_tags_and_types(self, sandbox: Sandbox, connections: Connections, wait: Wait) -> None:
        connections.add("narrative")
        rows = [("nql-forecast", ["eu"]), ("materialize-view", ["eu"]), ("nql-forecast", ["us"])]
        jobs = [
            sandbox.add_job("narrative", timeline=[(0, "completed")], fields={"type": kind, "tags": tags})
            for kind, tags in rows
        ]
        assert ids(wait(NARRATIVE, tags="eu")) == jobs[:2]
        assert ids(wait(NARRATIVE, tags=["eu", "us"], job_type=["nql-forecast", "x"])) == [jobs[0], jobs[2]]


@pytest.mark.usefixtures("amperity")
class TestReschedule:
    def sensor(self, run: Any, **more: Any) -> InRun:
        given = {
            "task_id": "wait",
            "mode": "reschedule",
            "poke_interval": 0.2,
            "timeout": 15,
            "feed_id": "df-1",
        }
        return InRun(AMPERITY.sensor(**{**given, **more}), run)

    def test_it_finds_them_in_a_later_look(self, sandbox: Sandbox) -> None:
        job_id = sandbox.add_job("amperity", timeline=[(0, "running"), (0.5, "succeeded")], fields=FEED)
        run = dag_run()
        outcome = run_rescheduled(lambda: self.sensor(run))
        assert ids(outcome) == [job_id]
        assert outcome.looks > 1

    def test_a_hopeless_window_ends_though_nothing_is_kept_between_looks(self) -> None:
        start = datetime(2026, 2, 3, tzinfo=UTC)
        run = dag_run(start, start + DAY, logical_date=start)
        outcome = run_rescheduled(lambda: self.sensor(run, missing_grace=0.7))
        assert isinstance(outcome.error, JobNotFound)
        assert outcome.looks > 1


def test_what_a_deferred_selection_waits_for_is_fixed_when_it_defers(
    sandbox: Sandbox, connections: Connections
) -> None:
    connections.add("amperity", extra={"requests_per_second": 1000})
    sensor = AMPERITY.sensor(
        task_id="wait", feed_id=["b", "a"], min_jobs=2, settle=30, deferrable=True, timeout=60
    )
    logical_date = datetime.now(UTC) - HOUR
    with pytest.raises(TaskDeferred) as deferral:
        InRun(sensor, dag_run(logical_date=logical_date)).execute({"ti": TaskInstance()})
    _, arguments = deferral.value.trigger.serialize()
    selection = json.loads(json.dumps(arguments))["selection"]
    assert selection["filters"] == {"feed_id": ["a", "b"]}
    assert (selection["min_jobs"], selection["settle"], selection["latest_only"]) == (2, 30, False)
    assert datetime.fromisoformat(selection["started_from"]) == logical_date - DAY
    assert datetime.fromisoformat(selection["started_to"]) == logical_date + DAY


def test_states_are_in_one_vocabulary_for_every_vendor(
    sandbox: Sandbox, connections: Connections, wait: Wait
) -> None:
    selected: dict[str, dict[str, Any]] = {
        "amperity": {"table_name": "Customers"},
        "adverity": {"datastream_id": 42},
        "polaris": {"table_name": "Events"},
        "narrative": {"job_type": "materialize-view"},
    }
    for case in VENDORS:
        connections.add(case.name, extra={"requests_per_second": 1000})
        sandbox.add_job(case.name, timeline=[(0, case.words[JobState.CANCELLED])])
        outcome = wait(case, **selected[case.name])
        assert isinstance(outcome.error, JobCancelled), case
        (job,) = wait(case, expected_states=["cancelled"], **selected[case.name]).value
        assert (job["vendor"], job["state"]) == (case.vendor, "cancelled")


class TestListsThatLackJobs:
    """What was seen is waited for, whatever a list lacks for a while."""

    @pytest.fixture(params=VENDORS, ids=str)
    def case(self, request: pytest.FixtureRequest, connections: Connections) -> VendorCase:
        case: VendorCase = request.param
        connections.add(case.name, extra={"requests_per_second": 1000})
        return case

    @staticmethod
    def add_job(sandbox: Sandbox, case: VendorCase, *later: tuple[float, JobState]) -> str:
        """Add a job that runs, and that only the first look finds in the vendor's lists."""
        timeline = [(-60, JobState.RUNNING), *later]
        job_id = sandbox.add_job(
            case.name,
            timeline=[(seconds, case.words[state]) for seconds, state in timeline],
            fields=SELECTED[case.name][1],
        )
        method, path = case.requests["list"]
        lists_a_look = 2 if case is ADVERITY else 1
        sandbox.add_fault(
            Fault(case.name, method, path, body=case.page([]), times=None, status=200, skip=lists_a_look)
        )
        return job_id

    def test_a_job_that_was_seen_is_read_by_its_id(
        self, sandbox: Sandbox, case: VendorCase, wait: Wait
    ) -> None:
        job_id = self.add_job(sandbox, case, (0.5, JobState.FAILED))
        outcome = wait(case, **SELECTED[case.name][0])
        assert isinstance(outcome.error, JobFailed)
        assert job_id in str(outcome.error)

    def test_what_has_ended_still_counts(self, sandbox: Sandbox, case: VendorCase, wait: Wait) -> None:
        running = self.add_job(sandbox, case, (1.0, JobState.SUCCEEDED))
        failed = sandbox.add_job(
            case.name,
            timeline=[(-60, case.words[JobState.RUNNING]), (-30, case.words[JobState.FAILED])],
            fields=SELECTED[case.name][1],
        )
        outcome = wait(case, **SELECTED[case.name][0])
        assert isinstance(outcome.error, JobFailed)
        assert failed in str(outcome.error)
        assert running not in str(outcome.error)

    def test_one_that_has_failed_may_have_been_resumed(
        self, sandbox: Sandbox, connections: Connections, wait: Wait
    ) -> None:
        connections.add("amperity", extra={"requests_per_second": 1000})
        job_id = self.add_job(
            sandbox, AMPERITY, (-30, JobState.FAILED), (0.8, JobState.RUNNING), (1.6, JobState.SUCCEEDED)
        )
        outcome = wait(AMPERITY, failed_grace=60, **SELECTED["amperity"][0])
        assert outcome.error is None
        assert [(job["id"], job["state"]) for job in outcome.value] == [(job_id, "succeeded")]

    def test_one_that_the_vendor_does_not_know_any_more(
        self, sandbox: Sandbox, case: VendorCase, wait: Wait
    ) -> None:
        job_id = self.add_job(sandbox, case)
        sandbox.add_fault(Fault(case.name, "GET", case.job_path, status=404, times=None))
        outcome = wait(case, missing_grace=0.5, timeout=10, **SELECTED[case.name][0])
        assert isinstance(outcome.error, JobNotFound)
        assert f"job '{job_id}' had not ended, and the vendor does not know it any more." in str(
            outcome.error
        )

    def test_one_that_cannot_be_read_is_waited_for(
        self, sandbox: Sandbox, case: VendorCase, wait: Wait
    ) -> None:
        job_id = self.add_job(sandbox, case)
        sandbox.add_fault(Fault(case.name, "GET", case.job_path, status=500, times=None))
        outcome = wait(case, timeout=1, **SELECTED[case.name][0])
        assert isinstance(outcome.error, WaitTimeout)
        assert f"{job_id} running" in str(outcome.error)
        assert "The last trouble: " in str(outcome.error)

    def test_one_that_may_not_be_read_ends_the_wait_and_is_no_skip(
        self, sandbox: Sandbox, case: VendorCase, wait: Wait
    ) -> None:
        self.add_job(sandbox, case)
        sandbox.add_fault(Fault(case.name, "GET", case.job_path, status=403, times=None))
        outcome = wait(case, soft_fail=True, **SELECTED[case.name][0])
        assert isinstance(outcome.error, PermissionDenied)
