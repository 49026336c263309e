# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The lists of the sandbox's Imply Polaris: pages, order and filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox.polaris import PROJECT_ID
from airflow_provider_ingestjobs.sandbox.polaris_list import table_id

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox import Sandbox, Timeline
    from support.sandbox_clients import Client, Clock

JOBS = f"/v1/projects/{PROJECT_ID}/jobs"
#: With the project and without: both page alike.
PATHS = (JOBS, "/v1/jobs", "/v2/jobs")


def listed(polaris: Client, **params: Any) -> list[str]:
    return [job["id"] for job in polaris.read(JOBS, **params)["values"]]


def add(sandbox: Sandbox, job: str, timeline: Timeline = ((0, "running"),), **fields: Any) -> str:
    return sandbox.add_job("polaris", job, timeline=timeline, fields=fields)


def of_table(name: str) -> dict[str, str]:
    return {"type": "table", "tableName": name}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_a_hundred_jobs_unless_asked(sandbox: Sandbox, polaris: Client, path: str) -> None:
    jobs = [sandbox.add_job("polaris", timeline=[(0, "running")]) for _ in range(1203)][::-1]
    first = polaris.read(path)
    assert [job["id"] for job in first["values"]] == jobs[:100]
    assert first["moreResultsAvailable"] is True
    big = polaris.read(path, paginationLimit=1000)
    assert ([job["id"] for job in big["values"]], big["moreResultsAvailable"]) == (jobs[:1000], True)
    last = polaris.read(path, paginationLimit=1000, paginationOffset=1000)
    assert ([job["id"] for job in last["values"]], last["moreResultsAvailable"]) == (jobs[1000:], False)
    exact = polaris.read(path, paginationLimit=203, paginationOffset=1000)
    assert (len(exact["values"]), exact["moreResultsAvailable"]) == (203, False)
    assert polaris.read(path, paginationOffset=1203) == {"values": [], "moreResultsAvailable": False}


def test_a_filtered_list_is_paged_too(sandbox: Sandbox, polaris: Client) -> None:
    words = ("running", "completed") * 6
    jobs = [add(sandbox, f"{number}", [(0, word)]) for number, word in enumerate(words)]
    of_status: dict[str, Any] = {"executionStatus": "running", "paginationLimit": 4}
    first = polaris.read(JOBS, **of_status)
    assert [job["id"] for job in first["values"]] == jobs[10::-2][:4]
    assert first["moreResultsAvailable"] is True
    rest = polaris.read(JOBS, **of_status, paginationOffset=4)
    assert ([job["id"] for job in rest["values"]], rest["moreResultsAvailable"]) == (jobs[2::-2], False)


@pytest.mark.parametrize(
    "params",
    [
        {"paginationLimit": 0},
        {"paginationLimit": 1001},
        {"paginationLimit": -1},
        {"paginationLimit": "ten"},
        {"paginationLimit": "1_0"},
        {"paginationLimit": "9" * 5000},
        {"paginationOffset": -1},
        {"paginationOffset": "1.5"},
        {"sortColumn": "id"},
        {"sortOrder": "desc"},
        {"executionStatus": "succeeded"},
        {"executionStatus": ["running", "canceling"]},
        {"executionStatus": "running,pending"},
        {"healthStatus": "warning"},
        {"type": "ingest"},
        {"connectionName": "x" * 65},
        {"connectionName": ""},
        {"targetTableName": "x" * 256},
        {"targetTableName": ""},
        {"targetTableId": "Events"},
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_documented_is_refused(polaris: Client, path: str, params: dict[str, Any]) -> None:
    response = polaris.get(path, **params)
    assert response.status_code == 400
    assert response.json()["code"] == "BadRequest"
    assert next(iter(params)) in response.json()["message"]


def test_the_one_the_user_updated_last_comes_first(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    ends_late: Timeline = [(0, "pending"), (1, "running"), (50, "completed")]
    for job in ("a", "b", "c"):
        add(sandbox, job, ends_late if job == "a" else [(0, "running")])
        clock.advance(1)
    assert listed(polaris) == ["c", "b", "a"]
    polaris.request("PUT", f"{JOBS}/b", json={"desiredExecutionStatus": "canceled"})
    clock.advance(60)
    # That a job has ended by itself, or at last after a cancel, is no update by the user.
    assert listed(polaris) == ["b", "c", "a"]
    assert listed(polaris, sortOrder="ASC") == ["a", "c", "b"]
    assert listed(polaris, sortColumn="last_updated_date_time", sortOrder="DESC") == ["b", "c", "a"]
    assert listed(polaris, sortColumn="created_date_time") == ["c", "b", "a"]
    assert listed(polaris, sortColumn="created_date_time", sortOrder="ASC") == ["a", "b", "c"]
    stamps = [job["lastUpdatedTimestamp"] for job in polaris.read(JOBS)["values"]]
    assert stamps == sorted(stamps, reverse=True)


@pytest.mark.parametrize(
    ("column", "ascending"),
    [
        ("created_by_user_name", ["c", "b", "a"]),
        ("execution_status", ["b", "a", "c"]),
        ("source_name", ["b", "c", "a"]),
        ("source_connection_name", ["b", "c", "a"]),
        ("source_table_name", ["b", "c", "a"]),
        ("source_type", ["a", "c", "b"]),
        ("target_table_name", ["c", "a", "b"]),
        ("type", ["b", "c", "a"]),
    ],
)
def test_other_columns_to_sort_by(
    sandbox: Sandbox, polaris: Client, column: str, ascending: list[str]
) -> None:
    add(
        sandbox,
        "a",
        [(0, "failed")],
        type="streaming",
        source={"type": "connection", "connectionName": "kafka"},
        target=of_table("B"),
        createdBy={"username": "zoe", "userId": "1"},
    )
    add(
        sandbox,
        "b",
        [(0, "completed")],
        type="batch",
        target=of_table("C"),
        createdBy={"username": "mia", "userId": "2"},
    )
    add(
        sandbox,
        "c",
        [(0, "running")],
        type="sql",
        source={"type": "table", "tableName": "Raw"},
        target=of_table("A"),
        createdBy={"username": "ada", "userId": "3"},
    )
    assert listed(polaris, sortColumn=column, sortOrder="ASC") == ascending
    assert listed(polaris, sortColumn=column) == ascending[::-1]
    page = polaris.read(JOBS, sortColumn=column, paginationLimit=1, paginationOffset=1)
    assert ([job["id"] for job in page["values"]], page["moreResultsAvailable"]) == ([ascending[1]], True)


def test_filters(sandbox: Sandbox, polaris: Client) -> None:
    kafka = {"type": "connection", "connectionName": "kafka-1"}
    add(sandbox, "batch", [(0, "completed")])
    add(sandbox, "orders", [(0, "failed")], target=of_table("orders"))
    add(sandbox, "stream", [(0, "idle")], type="streaming", source=kafka)
    add(sandbox, "sql", [(0, "completed")], type="sql", health={"status": "warn", "code": "no_rows_found"})
    for kind in ("delete_data", "drop_table", "restore_data"):
        add(sandbox, kind, [(0, "pending")], type=kind)
    deletions = {"delete_data", "drop_table", "restore_data"}

    def found(**params: Any) -> set[str]:
        return set(listed(polaris, **params))

    assert found(executionStatus="completed") == {"batch", "sql"}
    assert found(executionStatus=["idle", "failed"]) == {"stream", "orders"}
    assert found(executionStatus="suspended") == set()
    assert found(healthStatus="warn") == {"sql"}
    assert found(healthStatus=["warn", "error"]) == {"sql", "orders"}
    assert found(type=["delete_data", "drop_table", "restore_data"]) == deletions
    assert found(type="sql", healthStatus="ok") == set()
    assert found(connectionName="kafka-1") == {"stream"}
    assert found(connectionName=["kafka-1", "kafka-2"]) == {"stream"}
    assert found(targetTableName="orders") == found(targetTableId=table_id("orders")) == {"orders"}
    assert found(targetTableName="Orders") == set()
    assert found(searchString="kafka") == {"stream"}
    assert found(searchString="order") == {"orders"}
    assert found(searchString="delete") == {"delete_data"}
    assert len(found(executionStatus=[], searchString="")) == 7


def test_a_warning_is_found_however_it_is_spelled(sandbox: Sandbox, polaris: Client) -> None:
    for word in ("warn", "warning", "ok"):
        add(sandbox, word, health={"status": word})
    assert set(listed(polaris, healthStatus="warn")) == {"warn", "warning"}


def test_offsets_shift_while_pages_are_read(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    for number in range(6):
        add(sandbox, f"{number}")
        clock.advance(1)
    page: dict[str, Any] = {"paginationLimit": 2}
    assert listed(polaris, **page) == ["5", "4"]
    add(sandbox, "new")
    assert listed(polaris, **page, paginationOffset=2) == ["4", "3"]
    clock.advance(1)
    polaris.request("PUT", f"{JOBS}/0", json={"desiredExecutionStatus": "canceled"})
    assert listed(polaris, **page, paginationOffset=4) == ["3", "2"]
    assert listed(polaris, **page) == ["0", "new"]
    # An update does not move a job in the order of creation, and a removed one lets the others move up.
    created: dict[str, Any] = {"sortColumn": "created_date_time", **page}
    assert listed(polaris, **created) == ["new", "5"]
    sandbox.remove_job("polaris", "new")
    assert listed(polaris, **created, paginationOffset=2) == ["3", "2"]
    # One that ends leaves the list of those that have not.
    unfinished: dict[str, Any] = {
        "executionStatus": ["pending", "running"],
        "sortColumn": "created_date_time",
        **page,
    }
    assert listed(polaris, **unfinished) == ["5", "4"]
    sandbox.set_state("polaris", "5", "completed")
    assert listed(polaris, **unfinished, paginationOffset=2) == ["2", "1"]


@pytest.mark.parametrize("kind", ["batch", "streaming", "sql", "delete_data", "drop_table", "restore_data"])
def test_a_list_shows_summaries(sandbox: Sandbox, polaris: Client, kind: str) -> None:
    job = sandbox.add_job("polaris", timeline=[(0, "running")], fields={"type": kind, "extra": 1})
    (summary,) = polaris.read(JOBS)["values"]
    record = polaris.read(f"{JOBS}/{job}")
    assert record["spec"]["type"] == record["type"] == summary["type"] == kind
    assert record["extra"] == 1
    not_listed = {"spec", "query", "context", "mappings", "ingestionMode", "interval", "parameters", "extra"}
    assert not_listed.isdisjoint(summary)
    source = summary.pop("source", None)
    assert summary.items() <= record.items()
    expected = {
        "batch": {"type": "uploaded"},
        "streaming": {"type": "connection", "connectionName": "sandbox-kafka"},
    }
    assert source == expected.get(kind)


def test_the_list_shows_what_has_changed_since(sandbox: Sandbox, polaris: Client, clock: Clock) -> None:
    add(
        sandbox,
        "a",
        [(0, "pending"), (1, "running"), (2, {"state": "completed", "health": {"status": "ok"}})],
    )
    seen = []
    for _ in range(3):
        seen.append(polaris.read(JOBS)["values"][0])
        assert polaris.read(f"{JOBS}/a")["executionStatus"] == seen[-1]["executionStatus"]
        clock.advance(1)
    assert [job["executionStatus"] for job in seen] == ["pending", "running", "completed"]
    assert ["startedTimestamp" in job for job in seen] == [False, True, True]
