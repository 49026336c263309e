# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Every fault with every vendor and every operation, over real sockets: each outcome is a designed one."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import VendorError, VendorUnavailable
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.triggers import backoff as backoff_module
from airflow_provider_ingestjobs.triggers import watch as watch_module
from airflow_provider_ingestjobs.triggers.job import IngestJobTrigger
from airflow_provider_ingestjobs.triggers.watch import watch_for
from support import fault_matrix, fault_servers
from support.fault_matrix import MATRIX, MATRIX_PAGE, OPERATIONS, Lab, Outcome, Trouble, expected
from support.fault_servers import RawServer
from support.matrix_report import CELL
from support.task_runs import TaskInstance, fire, in_time, until
from support.vendors import VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.recorder import Recorder

HTTP = "airflow_provider_ingestjobs.hooks.http"
CELLS = [
    pytest.param(row, operation, case, id=f"{row.name}-{operation}-{case.name}")
    for row in MATRIX
    for operation in OPERATIONS
    for case in VENDORS
    if expected(row, operation, case.name).applies
]
#: One vendor for each row, in turn: they share the trigger and its watch, and all have the sensor's part.
TRIGGER_CELLS = [
    pytest.param(row, case, id=f"{row.name}-{case.name}")
    for number, row in enumerate(MATRIX)
    if expected(row, "wait", (case := VENDORS[number % len(VENDORS)]).name).applies
]


@pytest.fixture
def lab(
    sandbox: Sandbox,
    connections: Any,
    certificate: str,
    elsewhere: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[VendorCase, str, Trouble], Lab]]:
    with ExitStack() as stack:

        def open_lab(case: VendorCase, operation: str, row: Trouble) -> Lab:
            opened = Lab(case, operation, sandbox, connections, stack, certificate, elsewhere)
            opened.connect()
            row.make(opened)
            # A cancel has requests that must work beside the one that does not.
            is_slow = operation != "cancel" and ("read_timeout" in opened.extra or opened.host)
            monkeypatch.setattr(f"{HTTP}.RETRIES", 0 if is_slow else 1)
            monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=sleep_shortly))
            limit = 2**20 if row.name == "a gzip bomb" else fault_matrix.MAX_BYTES
            monkeypatch.setattr(f"{HTTP}.MAX_BYTES", limit)
            opened.connect()
            return opened

        yield open_lab


def sleep_shortly(seconds: float) -> None:
    time.sleep(min(seconds, fault_matrix.MAX_SLEEP))


def spoiled_requests(lab: Lab) -> int:
    method, path = lab.request
    requests = lab.sandbox.requests(lab.case.name)
    return sum(request.method == method and re.search(path, request.path) is not None for request in requests)


def operate(lab: Lab, hook: Any) -> Any:
    if lab.operation == "list":
        return list(hook.list_jobs())
    if lab.operation == "cancel":
        return hook.cancel_job(lab.job_id)
    return hook.get_job(lab.job_id)


@pytest.mark.parametrize(("row", "operation", "case"), CELLS)
def test_cell(lab: Any, row: Trouble, operation: str, case: VendorCase, record_property: Any) -> None:
    record_property(CELL, (row.name, operation))
    outcome = expected(row, operation, case.name)
    here = lab(case, operation, row)
    if operation == "wait":
        look_in_worker(here, row, outcome)
    else:
        ask_hook(here, row, outcome)
    assert not here.elsewhere.requests, "something was sent to another host"


def ask_hook(lab: Lab, row: Trouble, outcome: Outcome) -> None:
    hook = lab.case.hook(lab.connect())
    if row.name == "token expired on the vendor's side":
        hook.get_job(lab.job_id)
        lab.sandbox.expire_tokens()
    before = spoiled_requests(lab)
    if outcome.error is not None:
        with pytest.raises(outcome.error) as caught:
            operate(lab, hook)
        check_error(caught.value, outcome)
        assert spoiled_requests(lab) - before >= outcome.requests
        return
    found = operate(lab, hook)
    assert spoiled_requests(lab) - before >= outcome.requests - (row.name.startswith("token expired"))
    if lab.operation == "list":
        check_list(lab, row, outcome, found)
    else:
        check_job(found, outcome)
        assert found.id.casefold() == lab.job_id.casefold()
    if lab.operation == "cancel" and outcome is fault_matrix.ACCEPTED:
        assert spoiled_requests(lab) > before


def check_error(error: BaseException, outcome: Outcome) -> None:
    text = str(error)
    assert type(error) is outcome.error
    for part in outcome.says:
        assert part in text
    assert text.isprintable(), "one line, without control characters"
    assert len(text) < 1500
    if isinstance(error, VendorError) and outcome.requests:
        if outcome.retry_after is None:
            assert error.retry_after is None
        else:
            least, most = outcome.retry_after
            assert error.retry_after is not None
            assert least <= error.retry_after <= most


def check_job(job: Job, outcome: Outcome) -> None:
    if outcome.state is not None:
        assert job.state is outcome.state
    data = json.loads(json.dumps(job.to_dict(), allow_nan=False))
    assert Job.from_dict(data).state is job.state
    assert "\\u0000" not in json.dumps(data), "PostgreSQL keeps no NUL"
    json.dumps(data, ensure_ascii=False).encode()
    assert job.describe().isprintable()
    assert job.failure is None or job.failure.isprintable()
    assert all(part is None or abs(part) < 2**63 for part in data["rows"].values())


def check_list(lab: Lab, row: Trouble, outcome: Outcome, jobs: list[Job]) -> None:
    ids = [job.id for job in jobs]
    assert len(ids) == len(set(ids))
    if row.name == "an array for an object":
        assert jobs == []
        return
    expected_ids = {lab.other_id} if outcome.left_out else {lab.job_id, lab.other_id}
    assert set(ids) == expected_ids
    for job in jobs:
        check_job(job, outcome if job.id == lab.job_id else fault_matrix.WORKS)


def make_sensor(lab: Lab, **more: Any) -> Any:
    conn_id = lab.connect()
    return lab.case.sensor(
        task_id="wait",
        job_id=lab.job_id,
        poke_interval=0.02,
        timeout=60,
        deferrable=False,
        **{lab.case.hook.conn_name_attr: conn_id},
        **more,
    )


def look_in_worker(lab: Lab, row: Trouble, outcome: Outcome) -> None:
    sensor = make_sensor(lab, missing_grace=0 if outcome.text.startswith("JobNotFound") else 300)
    context: Any = {"ti": TaskInstance()}
    if outcome.error is not None:
        with pytest.raises(outcome.error) as caught:
            sensor.poke(context)
        check_error(caught.value, outcome)
        return
    looked = sensor.poke(context)
    if outcome is fault_matrix.SUCCEEDS:
        assert looked.xcom_value["state"] == "succeeded"
        return
    assert looked is False
    lab.heal()
    lab.sandbox.set_state(lab.case.name, lab.job_id, lab.case.words[JobState.SUCCEEDED])
    # The connection was mended in Airflow: a new try of the task reads it.
    del sensor.hook
    if "Retry-After" in row.name:
        # The sensor would keep a pause that no test can wait for; a new try has none.
        sensor = make_sensor(lab, missing_grace=300)
    assert sensor.poke(context).xcom_value["state"] == "succeeded"


@pytest.mark.parametrize(("row", "case"), TRIGGER_CELLS)
def test_trigger_cell(
    lab: Any, row: Trouble, case: VendorCase, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    record_property(CELL, (row.name, "wait"))
    monkeypatch.setattr(watch_module, "NEW_WAITS_DELAY", 0.0)
    monkeypatch.setattr(backoff_module, "MAX_BACKOFF", 0.05)
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.current_hook.MAX_CONNECTION_AGE", 0.0)
    # Absurd pauses are kept by the watch, and would be by this test.
    monkeypatch.setattr("airflow_provider_ingestjobs.hooks.http.read_retry_after", lambda value: None)
    outcome = expected(row, "wait", case.name)
    outcome = outcome.deferred or outcome
    here = lab(case, "wait", row)
    sensor = make_sensor(here)
    event = in_time(wait_in_triggerer(here, sensor, outcome))
    if outcome.error is not None:
        assert event["status"] == "error"
        assert event["error"] == outcome.error.__name__
        for part in outcome.says:
            assert part in event["message"]
        with pytest.raises(outcome.error):
            sensor.execute_complete({"ti": TaskInstance()}, event)
    else:
        assert event["status"] == "ended"
        assert sensor.execute_complete({"ti": TaskInstance()}, event)["state"] == "succeeded"
    assert not here.elsewhere.requests


async def wait_in_triggerer(lab: Lab, sensor: Any, outcome: Outcome) -> Any:
    # Long ago enough for a worker to have noticed that the task was deferred: see VendorTrigger.run.
    began = datetime.now(UTC) - timedelta(seconds=30)
    arguments = sensor.trigger_arguments(began, timedelta(seconds=90), poll_interval=0.05, missing_grace=300)
    trigger = IngestJobTrigger(job_ids=[lab.job_id], **arguments)
    waiting = asyncio.ensure_future(fire(trigger))
    if outcome.error is None and outcome is not fault_matrix.SUCCEEDS:
        watch = watch_for(lab.case.hook, sensor.conn_id, {})
        await until(lambda: watch._failures or watch._state.asked_at)
        assert not waiting.done()
        lab.heal()
        lab.sandbox.set_state(lab.case.name, lab.job_id, lab.case.words[JobState.SUCCEEDED])
    return await waiting


def test_an_unknown_job_is_waited_for_only_so_long(lab: Any) -> None:
    row = next(row for row in MATRIX if row.name == "404")
    here = lab(VENDORS[0], "wait", row)
    sensor = make_sensor(here, missing_grace=0)
    with pytest.raises(JobNotFound):
        sensor.poke({"ti": TaskInstance()})


def test_passing_trouble_of_a_list_leaves_no_job_out(lab: Any) -> None:
    """A list that breaks off must not look like a list that ends."""
    row = next(row for row in MATRIX if row.name == "connection closed mid-body")
    for case in VENDORS:
        here = lab(case, "list", row)
        hook, asked = case.hook(here.connect()), [here.job_id, "1", "2", "3", "4", "5"]
        if case.hook.may_hide_jobs:
            # Only the list could tell that the others do not exist.
            with pytest.raises(VendorUnavailable):
                hook.get_jobs(asked)
        else:
            assert [*hook.get_jobs(asked)] == [here.job_id]
        here.sandbox.reset()


def test_a_header_that_drips_over_tls(connections: Any, certificate: str) -> None:
    """Ending it from another thread must look like a slow answer, not like a broken certificate."""
    with RawServer(fault_servers.drip_head, certificate) as server:
        extra = {"ca_bundle": certificate, "read_timeout": 0.3, "connect_timeout": 2}
        hook = VENDORS[3].hook(connections.add("narrative", host=server.url, extra=extra))
        with pytest.raises(VendorUnavailable, match=r"no answer within 0\.3 s"):
            hook.get_job("1")
        # Sent again twice, and no more.
        assert len(server.heads) == 3


@pytest.mark.parametrize("case", VENDORS, ids=str)
@pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 404}, {"body": "<html>"}], ids=str)
def test_how_a_job_ended_is_not_forgotten(
    case: VendorCase, trouble: dict[str, Any], sandbox: Sandbox, connections: Any
) -> None:
    """A wait that has seen the end asks once more for the whole record: that is no condition."""
    conn_id = connections.add(case.name)
    job_id = sandbox.add_job(case.name, case.job_id, timeline=[(0, case.words[JobState.SUCCEEDED])])
    arguments = {"task_id": "wait", "job_id": job_id, case.hook.conn_name_attr: conn_id}
    sensor = case.sensor(**arguments, include_raw=True)
    event = {"status": "ended", "jobs": [case.hook(conn_id).get_job(job_id).to_dict()]}
    assert sensor.execute_complete({"ti": TaskInstance()}, event)["raw"]
    sandbox.add_fault(Fault(vendor=case.name, times=None, **trouble))
    assert sensor.execute_complete({"ti": TaskInstance()}, event)["state"] == "succeeded"
    sandbox.clear_faults()
    sandbox.set_state(case.name, job_id, case.words[JobState.RUNNING])
    ended = sensor.execute_complete({"ti": TaskInstance()}, event)
    assert ended["state"] == "succeeded"
    assert ended["raw"]


@pytest.mark.parametrize("case", [case for case in VENDORS if case.name != "adverity"], ids=str)
def test_an_id_that_comes_back_in_capital_letters(
    case: VendorCase, sandbox: Sandbox, connections: Any
) -> None:
    """A job is waited for under the id that was asked for, whatever the vendor makes of its letters."""
    conn_id = connections.add(case.name)
    job_id = sandbox.add_job(case.name, case.job_id, timeline=[(0, case.words[JobState.SUCCEEDED])])
    record = dict(case.hook(conn_id).get_job(job_id).raw)
    record[case.id_field] = job_id.upper()
    sandbox.add_fault(Fault(vendor=case.name, path=case.job_path, body=record, times=None))
    sensor = case.sensor(task_id="wait", job_id=job_id, **{case.hook.conn_name_attr: conn_id})
    assert sensor.poke({"ti": TaskInstance()}).xcom_value["state"] == "succeeded"


def test_a_workflow_id_that_is_a_number(recorder: Recorder, connections: Any) -> None:
    job = {"id": "isj-1", "workflow_id": 5, "tables": [{"state": "running"}]}
    recorder.answers.update({"/api/ingest/jobs/isj-1": job, "/api/workflow/runs/5/stop": {}})
    VENDORS[0].hook(connections.add("amperity", host=recorder.url)).cancel_job("isj-1")
    assert [request.path for request in recorder.requests if request.method == "POST"] == [
        "/api/workflow/runs/5/stop"
    ]


@pytest.mark.parametrize(
    ("results", "error"),
    [
        (5, VendorUnavailable),
        ("text", VendorUnavailable),
        ({"a": 1}, VendorUnavailable),
        (None, VendorUnavailable),
        ([5, None, "x"], JobNotFound),
    ],
    ids=repr,
)
def test_past_jobs_of_a_wrong_type(
    results: Any, error: type[Exception], sandbox: Sandbox, connections: Any
) -> None:
    """An Adverity job that is not there is looked for among the past jobs; what is no list proves nothing."""
    adverity = VENDORS[1]
    body = {"count": 1, "next": None, "results": results}
    sandbox.add_fault(Fault(vendor="adverity", path="^/api/jobs/$", body=body, times=None))
    with pytest.raises(error):
        adverity.hook(connections.add("adverity")).get_job("4711")


def test_the_page_is_up_to_date() -> None:
    assert MATRIX_PAGE.read_text() == fault_matrix.as_markdown(), (
        "run: python -m pytest tests/faults --write-matrix"
    )
