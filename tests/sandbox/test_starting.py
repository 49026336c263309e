# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that are started through the vendors' APIs: what they do, and what is counted, at all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs.sandbox import Fault

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox
    from support.sandbox_clients import Client, Clock

TABLE = {"type": "table", "tableName": "Events"}
BATCH = {"type": "batch", "source": {"type": "table", "tableName": "Raw"}, "target": TABLE}


@dataclass(frozen=True)
class Start:
    """How a job is started, and what it is called.

    :param path: where the start is posted to.
    :param body: the body.
    :param status: the answer's status.
    :param id_of: takes the id out of the answer.
    :param job_path: where what was started is read.
    :param jobs_path: where it is listed.
    :param list_key: the list's field.
    :param state_key: the record's field of the state.
    :param words: waiting, running, success.
    """

    path: str
    body: dict[str, Any]
    status: int
    id_of: Callable[[Any], str]
    job_path: str
    jobs_path: str
    list_key: str
    state_key: str
    words: tuple[str, str, str]


STARTS = {
    "amperity": Start(
        "/api/workflow/runs",
        {"config_id": "cg-123ABc4DE"},
        201,
        lambda answer: str(answer["id"]),
        "/api/workflow/runs/{}",
        "/api/workflow/runs",
        "data",
        "state",
        ("scheduled", "running", "succeeded"),
    ),
    "adverity": Start(
        "/api/datastreams/218/fetch_fixed/",
        {"start": "2026-03-01", "end": "2026-03-02"},
        200,
        lambda answer: str(answer["jobs"][0]["id"]),
        "/api/jobs/{}/",
        "/api/jobs/",
        "results",
        "state_label",
        ("Scheduled", "Running", "Success"),
    ),
    "polaris": Start(
        "/v1/jobs",
        BATCH,
        201,
        lambda answer: str(answer["id"]),
        "/v1/jobs/{}",
        "/v1/jobs",
        "values",
        "executionStatus",
        ("pending", "running", "completed"),
    ),
    "narrative": Start(
        "/nql/run",
        {"nql": 'CREATE MATERIALIZED VIEW "a" AS SELECT 1 AS x'},
        201,
        lambda answer: str(answer["id"]),
        "/jobs/{}",
        "/jobs",
        "records",
        "state",
        ("pending", "running", "completed"),
    ),
}
pytestmark = pytest.mark.parametrize("vendor", list(STARTS))


@pytest.fixture
def client(vendor: str, request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(vendor)
    return found


def started(client: Client, vendor: str) -> str:
    start = STARTS[vendor]
    answer = client.request("POST", start.path, json=start.body)
    assert answer.status_code == start.status, answer.text
    return start.id_of(answer.json())


def state(client: Client, vendor: str, job: str) -> str:
    return str(client.read(STARTS[vendor].job_path.format(job))[STARTS[vendor].state_key])


def listed(client: Client, vendor: str) -> list[str]:
    records = client.read(STARTS[vendor].jobs_path)[STARTS[vendor].list_key]
    return [str(record.get("job_id", record.get("id"))) for record in records]


def test_without_a_plan_it_waits_runs_and_succeeds(
    sandbox: Sandbox, client: Client, vendor: str, clock: Clock
) -> None:
    job = started(client, vendor)
    assert listed(client, vendor) == [job]
    seen = []
    for _ in range(4):
        seen.append(state(client, vendor, job))
        clock.advance(1)
    waiting, running, success = STARTS[vendor].words
    assert seen == [waiting, running, running, success]
    assert sandbox.started_ids(vendor) == [job]


def test_plans_are_used_in_their_order(sandbox: Sandbox, client: Client, vendor: str) -> None:
    waiting, running, success = STARTS[vendor].words
    sandbox.plan_start(vendor, [(0, running)], times=2)
    sandbox.plan_start(vendor, [(-9, running), (0, success)])
    jobs = [started(client, vendor) for _ in range(4)]
    words = [state(client, vendor, job) for job in jobs]
    assert words == [running, running, success, waiting]
    assert sandbox.started_ids(vendor) == jobs


def test_a_plan_may_be_for_all(sandbox: Sandbox, client: Client, vendor: str) -> None:
    running = STARTS[vendor].words[1]
    sandbox.plan_start(vendor, [(0, running)], times=None)
    sandbox.plan_start(vendor, [(0, STARTS[vendor].words[2])])
    assert {state(client, vendor, started(client, vendor)) for _ in range(3)} == {running}
    sandbox.reset()
    assert sandbox.started_ids(vendor) == sandbox.job_ids(vendor) == []
    assert state(client, vendor, started(client, vendor)) == STARTS[vendor].words[0]


def test_lists_may_lag(sandbox: Sandbox, client: Client, vendor: str, clock: Clock) -> None:
    waiting, running, _ = STARTS[vendor].words
    sandbox.plan_start(vendor, [(0, waiting), (1, running)], list_lag=5)
    job = started(client, vendor)
    assert (state(client, vendor, job), listed(client, vendor)) == (waiting, [])
    clock.advance(5)
    assert (state(client, vendor, job), listed(client, vendor)) == (running, [job])


def test_lists_show_the_last_one_started_first(
    sandbox: Sandbox, client: Client, vendor: str, clock: Clock
) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(started(client, vendor))
        clock.advance(0.5)
    assert listed(client, vendor) == jobs[::-1]


def test_a_lost_answer_of_a_job_that_was_started(sandbox: Sandbox, client: Client, vendor: str) -> None:
    sandbox.add_fault(Fault(vendor, method="POST", drop="before", after=True))
    sandbox.add_fault(Fault(vendor, method="POST", drop="before"))
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            started(client, vendor)
    assert listed(client, vendor) == sandbox.started_ids(vendor)
    assert len(sandbox.started_ids(vendor)) == 1


def test_it_is_for_those_who_may(sandbox: Sandbox, anonymous: Client, vendor: str) -> None:
    start = STARTS[vendor]
    assert anonymous.request("POST", start.path, json=start.body).status_code == 401
    assert sandbox.started_ids(vendor) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'"x"'])
def test_bodies_that_say_nothing_are_refused(
    sandbox: Sandbox, client: Client, vendor: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.request("POST", STARTS[vendor].path, data=body, headers=headers).status_code == 400
    assert sandbox.started_ids(vendor) == []


def test_bad_plans_are_refused(sandbox: Sandbox, vendor: str) -> None:
    running = STARTS[vendor].words[1]
    wrong: list[dict[str, Any]] = [
        {"timeline": []},
        {"timeline": [(0, running)], "times": 0},
        {"timeline": [(0, running)], "list_lag": -1},
        {"timeline": [(0, running)], "known_after": float("inf")},
        {"timeline": [(0, running)], "rows": {"lost": 1}},
    ]
    for arguments in wrong:
        with pytest.raises(ValueError, match=r"times|list_lag|known_after|rows|timeline"):
            sandbox.plan_start(vendor, **arguments)


def test_over_http(sandbox: Sandbox, client: Client, anonymous: Client, vendor: str) -> None:
    _, running, success = STARTS[vendor].words
    plans = [{"vendor": vendor, "timeline": [[0, word]]} for word in (running, success)]
    assert anonymous.request("POST", "/_sandbox/starts", json=plans).json() == {"ok": True}
    assert anonymous.request("POST", "/_sandbox/starts", json={**plans[0], "times": None}).status_code == 200
    jobs = [started(client, vendor) for _ in range(3)]
    assert [state(client, vendor, job) for job in jobs] == [running, success, running]
    held = anonymous.read("/_sandbox/jobs", vendor=vendor)
    assert held == {"job_ids": sandbox.job_ids(vendor), "started_ids": jobs}
    assert anonymous.get("/_sandbox/jobs").status_code == 404
    assert anonymous.get("/_sandbox/jobs", vendor="x").status_code == 400
    assert anonymous.request("POST", "/_sandbox/starts", json={"vendor": vendor}).status_code == 400
