# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The commands that only look: connections, test, list and get."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.utils import yaml

from airflow_provider_ingestjobs.cli.output import MAX_FAILURE, on_one_line
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from support.command_line import Run
from support.vendors import NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

each_vendor = pytest.mark.parametrize("case", VENDORS, ids=str)
each_output = pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
HOUR = 3600.0
CUSTOMERS = {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}
ORDERS = {"tables": [{"feed_id": "df-2", "table_name": "Orders"}]}


def ran(sandbox: Sandbox, vendor: VendorCase | str, hours_ago: float, state: str, **arguments: Any) -> str:
    """Add a job that started so many hours ago and ran for a minute."""
    began = -hours_ago * HOUR
    timeline = [(began, "running"), (began + 60, state)]
    return sandbox.add_job(str(vendor), timeline=timeline, **arguments)


class TestConnections:
    @pytest.fixture(autouse=True)
    def database(self) -> Iterator[None]:
        """The one table that is asked for, with the one that it refers to."""
        from airflow import settings
        from airflow.models.base import Base
        from airflow.models.connection import Connection
        from airflow.utils.session import create_session

        tables = [table for name, table in Base.metadata.tables.items() if name in ("connection", "team")]
        Base.metadata.create_all(settings.engine, tables)
        with create_session() as session:
            session.add(Connection(conn_id="of_database", conn_type="adverity", password="secret-1"))
            session.add(Connection(conn_id="of_others", conn_type="http"))
        yield
        Base.metadata.drop_all(settings.engine, tables)

    def test_those_of_the_vendors(self, run: Run, connections: Connections) -> None:
        connections.add("amperity", conn_id="of_environment")
        done = run("connections", "-o", "json")
        assert done.code == 0
        assert {"conn_id": "of_database", "conn_type": "adverity"} in done.data
        assert {"conn_id": "of_environment", "conn_type": "amperity"} in done.data
        assert {row["conn_type"] for row in done.data} <= {case.conn_type for case in VENDORS}

    @each_output
    def test_every_form(self, output: str, run: Run) -> None:
        done = run("connections", "--output", output)
        assert (done.code, done.err) == (0, "")
        assert "of_database" in done.out
        assert "secret-1" not in done.out

    def test_a_connection_of_the_database_is_used(self, run: Run, sandbox: Sandbox) -> None:
        from airflow.models.connection import Connection
        from airflow.utils.session import create_session

        fields = {**sandbox.connection("narrative"), "conn_id": "narrative_of_database", "extra": None}
        with create_session() as session:
            session.add(Connection(**fields))
        sandbox.add_job("narrative", NARRATIVE.job_id)
        done = run("get", "narrative_of_database", NARRATIVE.job_id, "-o", "json")
        assert (done.code, done.err) == (0, "")
        assert done.data["id"] == NARRATIVE.job_id


class TestTest:
    @each_vendor
    def test_it_works(self, case: VendorCase, run: Run, connections: Connections) -> None:
        conn_id = connections.add(case.name)
        done = run("test", conn_id, "-o", "json")
        assert (done.code, done.err) == (0, "")
        (row,) = done.data
        assert (row["conn_id"], row["conn_type"], row["works"]) == (conn_id, case.conn_type, True)
        assert case.vendor in row["message"]

    @each_vendor
    def test_credentials_that_are_refused(self, case: VendorCase, run: Run, connections: Connections) -> None:
        conn_id = connections.add(case.name, password="wrong-secret")
        done = run("test", conn_id)
        assert done.code == 4
        assert "401" in done.out
        assert "wrong-secret" not in done.out + done.err

    def test_a_field_that_is_missing(self, run: Run, connections: Connections) -> None:
        conn_id = connections.add("amperity", extra={"tenant": None})
        done = run("test", conn_id)
        assert done.code == 4
        assert "extra tenant" in done.out
        assert "it is required" in done.out

    def test_one_that_is_not_there(self, run: Run) -> None:
        done = run("test", "nowhere")
        assert (done.code, done.out) == (2, "")
        assert done.err == "conn_id='nowhere' cannot be used: create that connection, or name another one\n"

    def test_one_of_another_type(self, run: Run, connections: Connections) -> None:
        connections.write("web", {"conn_type": "http", "host": "example.com"})
        done = run("test", "web")
        assert (done.code, done.out) == (2, "")
        assert "connection 'web': type='http' cannot be used" in done.err
        assert "imply_polaris" in done.err


class TestList:
    @each_vendor
    @each_output
    def test_every_form(
        self, case: VendorCase, output: str, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        job_id = sandbox.add_job(case.name, timeline=[(-60, case.words[JobState.RUNNING])])
        done = run("list", case.default_conn_id, "-o", output)
        assert (done.code, done.err) == (0, "")
        assert job_id in done.out
        if output in ("json", "yaml"):
            (job,) = yaml.safe_load(done.out)
            assert Job.from_dict(job).state is JobState.RUNNING
            assert job.keys() == Job.from_dict(job).to_dict().keys()
        else:
            assert done.out.split()[:8:1][0] == "id"
            assert "running" in done.out

    @pytest.fixture
    def amperity(self, connections: Connections) -> str:
        return connections.add("amperity")

    def test_the_newest_first(self, amperity: str, run: Run, sandbox: Sandbox) -> None:
        ids = [ran(sandbox, "amperity", hours, "succeeded") for hours in (1, 3, 2)]
        done = run("list", amperity, "-o", "json")
        assert [job["id"] for job in done.data] == [ids[0], ids[2], ids[1]]

    def test_filters(self, amperity: str, run: Run, sandbox: Sandbox) -> None:
        one = ran(sandbox, "amperity", 1, "succeeded", fields=CUSTOMERS)
        two = ran(sandbox, "amperity", 2, "failed", fields=ORDERS)
        ran(sandbox, "amperity", 3, "failed")

        def listed(*arguments: str) -> list[str]:
            return [job["id"] for job in run("list", amperity, "-o", "json", *arguments).data]

        assert listed("--filter", "feed_id=df-1") == [one]
        assert listed("--filter", "feed_id=df-1", "--filter", "feed_id=df-2") == [one, two]
        assert listed("--filter", "feed_id=df-1", "--filter", "table_name=Orders") == []
        assert listed("--filter", "feed_id=df-2", "--state", "Failed, canceled") == [two]
        assert listed("--filter", "feed_id=df-2", "--state", "running", "--state", "pending") == []

    def test_what_only_the_vendor_can_judge(
        self, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        conn_id = connections.add("narrative")
        tagged = sandbox.add_job("narrative", fields={"tags": ["daily"]})
        sandbox.add_job("narrative", fields={"tags": ["weekly"]})
        done = run("list", conn_id, "--filter", "tags=daily", "-o", "json")
        assert [job["id"] for job in done.data] == [tagged]

    def test_windows(self, amperity: str, run: Run, sandbox: Sandbox) -> None:
        now = datetime.now(UTC)
        recent, older, oldest = (ran(sandbox, "amperity", hours, "succeeded") for hours in (1, 20, 60))

        def listed(*arguments: str) -> list[str]:
            return [job["id"] for job in run("list", amperity, "-o", "json", *arguments).data]

        assert listed() == [recent, older]
        assert listed("--look-back", "3d") == [recent, older, oldest]
        assert listed("--look-back", "1h30m") == [recent]
        assert listed("--look-back", "7200") == [recent]
        before = (now - timedelta(hours=10)).isoformat()
        assert listed("--started-to", before) == [older]
        assert listed("--started-from", before) == [recent]
        assert listed("--started-from", (now - timedelta(hours=70)).isoformat(), "--started-to", before) == [
            older,
            oldest,
        ]
        assert (
            listed("--started-from", (now + timedelta(hours=1)).isoformat(), "--started-to", "2999-01-01")
            == []
        )

    def test_more_than_the_limit(self, amperity: str, run: Run, sandbox: Sandbox) -> None:
        ids = [ran(sandbox, "amperity", hours, "succeeded") for hours in (1, 2, 3)]
        done = run("list", amperity, "--limit", 2, "-o", "json")
        assert [job["id"] for job in done.data] == ids[:2]
        assert done.err == "1 more are not shown: raise --limit, or narrow the window or the filters.\n"
        assert run("list", amperity, "--limit", 3, "-o", "json").err == ""

    def test_the_columns(self, amperity: str, run: Run, sandbox: Sandbox) -> None:
        rows = {"read": 10, "inserted": 7, "errors": 3}
        ran(sandbox, "amperity", 1, "failed", rows=rows, fields=CUSTOMERS)
        sandbox.add_job("amperity", timeline=[(-61, "running")])
        done = run("list", amperity, "-o", "plain")
        header, running, failed = done.out.splitlines()
        assert header.split() == ["id", "state", "target", "started", "took", "rows", "bad", "failure"]
        assert running.split()[1] == "running"
        assert "0:01:0" in running
        assert "+" in running
        assert " failed " in failed
        assert " Customers " in failed
        assert " 0:01:00 " in failed
        assert "10" in failed.split()
        assert "3" in failed.split()

    @pytest.mark.parametrize("output", ["table", "plain"])
    def test_what_the_vendor_says(
        self, output: str, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        conn_id = connections.add("narrative")
        ran(
            sandbox, "narrative", 1, "failed", failure="[/bold] no\n\x1b[31m such column " + "x" * MAX_FAILURE
        )
        done = run("list", conn_id, "-o", output)
        assert done.code == 0
        assert "[/bold] no" in done.out
        assert "x…" in done.out
        assert "\x1b" not in done.out

    def test_none(self, amperity: str, run: Run) -> None:
        assert run("list", amperity, "-o", "json").data == []
        assert run("list", amperity).out.strip() == "No data found"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["--filter", "feed=df-1"],
                "--filter feed='df-1' cannot be used: use feed_id, table_name, workflow_id",
            ),
            (["--filter", "feed_id"], "--filter='feed_id' cannot be used: write it as NAME=VALUE"),
            (["--filter", "feed_id="], "--filter feed_id='' cannot be used: it is empty"),
            (["--state", "gone"], "--state=['gone'] cannot be used: use one or more of pending"),
            (["--limit", "0"], "--limit=0 cannot be used: give a number of one or more"),
            (
                ["--look-back", "yesterday"],
                "--look-back='yesterday' cannot be used: give seconds, or such as",
            ),
            (["--look-back", "0"], "it must be after started_from"),
            (
                ["--started-from", "2026-01-31T08:00"],
                "--started-from='2026-01-31T08:00' cannot be used: it has no",
            ),
            (
                ["--started-from", "2026-01-31", "--look-back", "1d"],
                "--look-back='1d' cannot be used: leave it out beside --started-from",
            ),
            (["--started-from", "2026-01-31", "--started-to", "2026-01-30"], "it must be after started_from"),
            (["--hook-param", "project_id=p"], "AmperityHook takes no such thing: leave it out"),
        ],
    )
    def test_what_cannot_be(
        self, arguments: list[str], message: str, amperity: str, run: Run, sandbox: Sandbox
    ) -> None:
        done = run("list", amperity, *arguments)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert len(done.lines) == 1
        assert sandbox.requests("amperity") == []

    def test_a_word_that_no_job_has(self, run: Run, connections: Connections) -> None:
        done = run("list", connections.add("polaris"), "--filter", "health_status=fine")
        assert done.code == 2
        assert "no job has it: use ok, warn, error" in done.err

    def test_a_connection_that_cannot_be_used(self, run: Run, connections: Connections) -> None:
        done = run("list", connections.add("amperity", extra={"tenant": None}))
        assert (done.code, len(done.lines)) == (4, 1)
        assert "extra tenant" in done.err

    @each_vendor
    def test_a_vendor_that_refuses(self, case: VendorCase, run: Run, connections: Connections) -> None:
        done = run("list", connections.add(case.name, password="wrong-secret"))
        assert (done.code, done.out, len(done.lines)) == (4, "", 1)
        assert "401" in done.err
        assert "wrong-secret" not in done.err

    def test_a_vendor_that_cannot_be_reached(self, run: Run, sandbox: Sandbox, amperity: str) -> None:
        sandbox.add_fault(Fault(vendor="amperity", status=503))
        done = run("list", amperity)
        assert (done.code, len(done.lines)) == (4, 1)
        assert "503" in done.err

    def test_what_nobody_expected(self, run: Run, amperity: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: Any) -> None:
            raise RuntimeError("first\nsecond")

        monkeypatch.setattr("airflow_provider_ingestjobs.hooks.selecting.jobs_between", broken)
        done = run("list", amperity)
        assert (done.code, done.out) == (70, "")
        assert done.err == "RuntimeError: first. --verbose shows where that is from.\n"
        assert "Traceback" in run("list", amperity, "--verbose").err


class TestGet:
    @each_vendor
    @each_output
    def test_every_form(
        self, case: VendorCase, output: str, run: Run, sandbox: Sandbox, connections: Connections
    ) -> None:
        connections.add(case.name)
        rows = {"read": 12, "inserted": 12}
        timeline = [(-60, case.words[JobState.RUNNING]), (-1, case.words[JobState.SUCCEEDED])]
        sandbox.add_job(case.name, case.job_id, timeline, rows=rows)
        done = run("get", case.default_conn_id, case.job_id, "-o", output)
        assert (done.code, done.err) == (0, "")
        assert case.job_id in done.out
        if output in ("json", "yaml"):
            job = Job.from_dict(yaml.safe_load(done.out))
            assert job.state is JobState.SUCCEEDED
            assert job == case.hook().get_job(case.job_id)
        else:
            words = done.out.split()
            assert words[:2] == ["field", "value"] or "field" in words
            assert "vendor_state" in words
            assert "succeeded" in words
            assert "None" not in words

    def test_details_that_cannot_be_read(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        conn_id = connections.add("polaris")
        sandbox.add_job("polaris", POLARIS.job_id, [(-60, "running"), (-1, "completed")])
        sandbox.add_fault(Fault(vendor="polaris", path=r"/metrics|/progress|/logs|/health", status=403))
        done = run("get", conn_id, POLARIS.job_id, "-o", "json")
        assert done.code == 0
        assert done.data["state"] == "succeeded"
        assert "cannot be read" in done.err

    @each_vendor
    def test_an_unknown_job(self, case: VendorCase, run: Run, connections: Connections) -> None:
        done = run("get", connections.add(case.name), case.other_id)
        assert (done.code, done.out, len(done.lines)) == (5, "", 1)
        assert f"does not know job '{case.other_id}'" in done.err

    def test_an_id_that_cannot_be_one(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        done = run("get", connections.add("amperity"), "https://app.amperity.com/x")
        assert done.code == 2
        assert "give the vendor's job id alone" in done.err
        assert sandbox.requests() == []


class TestHookParams:
    def test_a_project(self, run: Run, sandbox: Sandbox, connections: Connections) -> None:
        conn_id = connections.add("polaris")
        sandbox.add_job("polaris", POLARIS.job_id)
        done = run("get", conn_id, POLARIS.job_id, "--hook-param", "project_id=another", "-o", "json")
        assert "/projects/another/" in sandbox.requests("polaris")[0].path
        assert done.code in (0, 4, 5)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (
                "project=p",
                "--hook-param project='p' cannot be used: PolarisHook takes no such thing: use project_id",
            ),
            ("imply_polaris_conn_id=p", "takes no such thing: use project_id"),
            ("project_id=", "--hook-param project_id='' cannot be used: give one value"),
            ("project_id", "--hook-param='project_id' cannot be used: write it as NAME=VALUE"),
        ],
    )
    def test_what_cannot_be(self, given: str, message: str, run: Run, connections: Connections) -> None:
        done = run("test", connections.add("polaris"), "--hook-param", given)
        assert (done.code, done.out, len(done.lines)) == (2, "", 1)
        assert message in done.err


def test_a_terminal_gets_nothing_to_obey() -> None:
    assert on_one_line("one\n\x1b[31m two\t\x07three\u202e") == "one ?[31m two ?three?"


def test_time_goes_by_in_utc(run: Run, sandbox: Sandbox, connections: Connections) -> None:
    conn_id = connections.add("amperity")
    began = datetime.fromtimestamp(time.time() - HOUR, UTC).isoformat(timespec="seconds")
    ran(sandbox, "amperity", 1, "succeeded")
    assert began[:16] in run("list", conn_id, "-o", "plain").out
