# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A sensor of ``mode="reschedule"`` is a new process at each look: what that must not change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.airflow_compat import AirflowRescheduleException
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.sandbox.task_runs import DagRun, TaskInstance
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from support.task_runs import Outcome, reschedules_without_a_database, run_rescheduled

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.connections import Connections
    from support.logs import Logs

ENV = "AIRFLOW_CONN_AMPERITY_DEFAULT"
TYPO = '{"conn_type": "amperity", "password": "key", "host": "acme amperity"}'
FEED = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}


class Looks:
    """Runs a sensor whose connection is broken at its second look, and mended at its fourth, if at all."""

    def __init__(
        self, sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch, saved: str | None
    ) -> None:
        self._sandbox = sandbox
        self._connections = connections
        self._monkeypatch = monkeypatch
        self._saved = saved
        connections.add("amperity")
        self._job_id = sandbox.add_job("amperity", fields=FEED)

    def run(self, by: str, is_mended: bool, **arguments: Any) -> Outcome:
        what = {"job_id": self._job_id} if by == "job_id" else {"feed_id": "df-1"}
        looks = 0

        def make() -> AmperityJobSensor:
            nonlocal looks
            looks += 1
            if looks == 2:
                self._break()
            if looks == 4 and is_mended:
                self._connections.add("amperity")
                self._sandbox.set_state("amperity", self._job_id, "succeeded")
            given = {"poke_interval": 0.03, "timeout": 30, "deferrable": False, **what, **arguments}
            return AmperityJobSensor(task_id="wait", mode="reschedule", **given)

        return run_rescheduled(make, {"dag_run": DagRun()})

    def _break(self) -> None:
        if self._saved is None:
            self._monkeypatch.delenv(ENV)
        else:
            self._monkeypatch.setenv(ENV, self._saved)


@pytest.mark.parametrize("by", ["job_id", "feed_id"])
@pytest.mark.parametrize("saved", [None, TYPO], ids=["unreadable", "typo"])
class TestConnectionThatCannotBeReadAtALaterLook:
    @pytest.fixture
    def looks(
        self,
        saved: str | None,
        sandbox: Sandbox,
        connections: Connections,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Looks:
        return Looks(sandbox, connections, monkeypatch, saved)

    def test_the_wait_goes_on(self, looks: Looks, by: str, logs: Logs) -> None:
        outcome = looks.run(by, is_mended=True)
        assert outcome.error is None, outcome.error
        assert outcome.looks >= 4
        assert "cannot be read now, the wait goes on" in logs.text

    def test_the_timeout_tells_it(self, looks: Looks, by: str) -> None:
        outcome = looks.run(by, is_mended=False, timeout=1)
        assert "The last trouble: " in str(outcome.error)
        assert "amperity" in str(outcome.error)


def test_one_that_cannot_be_read_at_the_first_look_ends_it_at_once(sandbox: Sandbox) -> None:
    outcome = run_rescheduled(
        lambda: AmperityJobSensor(task_id="wait", job_id="isj-1", mode="reschedule", poke_interval=0.03)
    )
    assert isinstance(outcome.error, InvalidInput)
    assert outcome.looks == 1


def test_a_quick_next_look_waits_until_airflow_knows_that_this_one_is_over(
    sandbox: Sandbox, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise: "finished with state success, but the task instance's state attribute is queued".
    connections.add("amperity")
    job_id = sandbox.add_job("amperity")
    sensor = AmperityJobSensor(
        task_id="wait", job_id=job_id, mode="reschedule", poke_interval=1, deferrable=False
    )
    context: Any = {"ti": TaskInstance(), "dag_run": DagRun()}
    with reschedules_without_a_database():
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "5")
        began = datetime.now(UTC)
        with pytest.raises(AirflowRescheduleException) as again:
            sensor.execute(context)
    assert again.value.reschedule_date >= began + timedelta(seconds=10)
