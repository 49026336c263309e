# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Who may see and do what, with Airflow's simple logins and with the FAB provider's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin

import pytest
import requests

from browser.fab import FabServer
from browser.week import RUNNING_MEMBERS, STORES, TO_CANCEL, add_table_load
from support.airflow_client import AirflowClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from browser.conftest import Wait
    from browser.fab import TwoLogins

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]

NOBODY = "nobody"
MAY_READ_DAGS = ("viewer", "user", "op", "admin")
MAY_USE_CONNECTIONS = ("op", "admin")
EVERYBODY = (NOBODY, *MAY_READ_DAGS)
#: A role of an installation's own, whose users may look at one DAG and what runs in it.
ONE_DAG = "audience_team"
ONE_DAG_MAY = [
    ("can_read", "DAG:audiences"),
    ("can_read", "DAG Runs"),
    ("can_read", "Task Instances"),
    ("can_read", "Website"),
]


class Server(Protocol):
    """Where somebody logs in."""

    url: str

    def as_user(self, name: str) -> AirflowClient:
        """Log a user in."""


@pytest.fixture(scope="module", params=["simple", "fab"])
def server(request: pytest.FixtureRequest, airflow: TwoLogins, waits: dict[str, Wait]) -> Iterator[Server]:
    """The same Airflow, with either auth manager."""
    if request.param == "simple":
        yield airflow
    else:
        yield FabServer(airflow, {ONE_DAG: ONE_DAG_MAY})
        airflow.kill("fab-api-server")


@dataclass
class People:
    """Whoever comes to a server, each logged in once."""

    server: Server
    known: dict[str, AirflowClient]

    def __getitem__(self, name: str) -> AirflowClient:
        if name not in self.known:
            self.known[name] = AirflowClient(self.server.url) if name == NOBODY else self.server.as_user(name)
        return self.known[name]


@pytest.fixture(scope="module")
def people(server: Server) -> People:
    """Everybody."""
    return People(server, {})


def ask(client: AirflowClient, path: str, method: str = "GET", **arguments: Any) -> requests.Response:
    """Ask the page's own server."""
    return client.ask(method, path, root="ingestjobs", **arguments)


def cancel(client: AirflowClient, job_id: str, **arguments: Any) -> requests.Response:
    """Ask for a job of Amperity's to be cancelled."""
    path = f"connections/amperity_default/jobs/{job_id}/cancel"
    return ask(client, path, "POST", **{"json": {}, **arguments})


def changes_asked(sandbox: Sandbox) -> list[str]:
    """What vendors were asked to do, other than to tell something or to let somebody in."""
    return [
        f"{request.method} {request.path}"
        for request in sandbox.requests()
        if request.method != "GET" and not request.path.endswith(("/token", "/token/"))
    ]


def reads(waits: dict[str, Wait]) -> dict[str, tuple[str, ...]]:
    """Each thing that can be read, and who may."""
    wait = waits["wait_for_view"]
    return {
        "sources": MAY_READ_DAGS,
        "watches": MAY_READ_DAGS,
        "connections/amperity_default/jobs": MAY_USE_CONNECTIONS,
        "connections/amperity_default/jobs?window=week&state=failed": MAY_USE_CONNECTIONS,
        "connections/amperity_default/plots": MAY_USE_CONNECTIONS,
        f"connections/amperity_default/jobs/{RUNNING_MEMBERS}": MAY_USE_CONNECTIONS,
        f"dags/{wait.dag_id}/runs/{wait.run_id}/tasks/{wait.task_id}/wait": MAY_READ_DAGS,
    }


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_read(who: str, people: People, sandbox: Sandbox, waits: dict[str, Wait]) -> None:
    """As Airflow's own pages: connections are for op and admin, tasks for all who may see the DAG."""
    refused = 401 if who == NOBODY else 403
    answers = {path: ask(people[who], path) for path in reads(waits)}

    assert {path: answer.status_code for path, answer in answers.items()} == {
        path: 200 if who in may else refused for path, may in reads(waits).items()
    }
    for answer in answers.values():
        if not answer.ok:
            assert isinstance(answer.json()["detail"], str)
            assert RUNNING_MEMBERS not in answer.text


@pytest.mark.parametrize("who", EVERYBODY)
def test_reading_changes_nothing(who: str, people: People, sandbox: Sandbox, waits: dict[str, Wait]) -> None:
    before = changes_asked(sandbox)
    cancels = f"connections/amperity_default/jobs/{TO_CANCEL}/cancel"
    for path in [*reads(waits), cancels]:
        for method in ("GET", "HEAD"):
            ask(people[who], path, method)
    assert not ask(people[who], cancels).ok
    assert changes_asked(sandbox) == before


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_cancel(who: str, people: People, server: Server, sandbox: Sandbox) -> None:
    """Those who may edit the connection; nobody else's wish gets to the vendor."""
    job_id = f"isj-for-{who}-{server.url.split(':')[2].split('/')[0]}"
    add_table_load(sandbox, job_id, STORES, 5, None)
    stop = f"POST /api/workflow/runs/wf-{job_id.removeprefix('isj-')}/stop"

    answer = cancel(people[who], job_id)

    assert answer.status_code == (200 if who in MAY_USE_CONNECTIONS else 401 if who == NOBODY else 403), (
        answer.text
    )
    assert changes_asked(sandbox).count(stop) == (1 if who in MAY_USE_CONNECTIONS else 0)
    if answer.ok:
        assert answer.json()["job"]["state"] in ("cancelling", "cancelled")
        assert job_id in answer.json()["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
)
def test_a_form_of_another_site_cancels_nothing(kind: str | None, people: People, sandbox: Sandbox) -> None:
    """What a browser sends for any site without asking first, with the user's cookie, is refused."""
    before = changes_asked(sandbox)
    answer = cancel(people["admin"], TO_CANCEL, json=None, data="{}", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert changes_asked(sandbox) == before


@pytest.mark.parametrize("body", ["", "[]", "null", "{"])
def test_a_body_that_is_no_object_cancels_nothing(body: str, people: People, sandbox: Sandbox) -> None:
    before = changes_asked(sandbox)
    kind = {"Content-Type": "application/json"}
    assert cancel(people["admin"], TO_CANCEL, json=None, data=body, headers=kind).status_code == 422
    assert changes_asked(sandbox) == before


@pytest.mark.parametrize("who", ["viewer", "admin"])
def test_sources_are_those_that_one_may_use(who: str, people: People) -> None:
    answer = ask(people[who], "sources").json()
    ids = {source["conn_id"] for source in answer["sources"]}
    if who == "admin":
        assert {"amperity_default", "adverity_default", "imply_polaris_default", "narrative_default"} <= ids
        assert {source["conn_id"] for source in answer["sources"] if not source["cancels"]} == {
            "narrative_default"
        }
    else:
        assert ids == set()
        assert answer["why"]


def test_a_connection_that_is_no_vendors(people: People) -> None:
    """There is nothing to see of other connections, whether or not they exist."""
    for conn_id in ("missing", "../amperity_default", "%2e%2e"):
        answer = ask(people["admin"], f"connections/{conn_id}/jobs")
        assert answer.status_code == 404, conn_id


def test_nothing_secret_is_told(people: People, sandbox: Sandbox, waits: dict[str, Wait]) -> None:
    keys = [str(sandbox.connection(vendor)["password"]) for vendor in ("amperity", "adverity", "polaris")]
    texts = [ask(people["admin"], path).text for path in reads(waits)]
    assert [key for key in keys for text in texts if key in text] == []


def test_only_the_files_are_for_everybody(people: People, server: Server) -> None:
    """The documents of an API that FastAPI would offer by itself are not there; the page's files are."""
    for path in ("docs", "redoc", "openapi.json", ""):
        assert ask(people[NOBODY], path, allow_redirects=False).status_code in (401, 404), path
    plugins = people["admin"].api("GET", "plugins", params={"limit": 100})["plugins"]
    urls = [app["bundle_url"] for plugin in plugins for app in plugin.get("react_apps", ())]
    ours = [url for url in urls if "/ingestjobs/" in url]
    assert ours
    for url in ours:
        answer = requests.get(urljoin(server.url, url), timeout=10)
        assert answer.status_code == 200
        assert "javascript" in answer.headers["Content-Type"]
        assert "immutable" in answer.headers["Cache-Control"]


def test_a_cancel_is_in_the_audit_log(people: People, sandbox: Sandbox, server: Server) -> None:
    job_id = f"isj-audited-{server.url.split(':')[2].split('/')[0]}"
    add_table_load(sandbox, job_id, STORES, 5, None)
    assert cancel(people["op"], job_id).status_code == 200
    events = people["admin"].api("GET", "eventLogs", params={"limit": 100, "order_by": "-id"})["event_logs"]
    entries = [event for event in events if job_id in str(event["extra"])]
    assert [event["owner"].lower() for event in entries] == ["op"]
    assert json.loads(entries[0]["extra"])["connection_id"] == "amperity_default"


def test_who_may_read_one_dag_sees_its_tasks_alone(
    people: People, server: Server, waits: dict[str, Wait]
) -> None:
    """In lists and counts, too."""
    if not isinstance(server, FabServer):
        # The simple auth manager lets everybody read all DAGs.
        everybody = ask(people["viewer"], "watches").json()["watches"]
        assert {task["dag_id"] for watch in everybody for task in watch["tasks"]} >= {
            "audiences",
            "customer_360",
        }
        return
    watches = ask(people[ONE_DAG], "watches").json()["watches"]
    assert [(watch["vendor"], watch["waits"]) for watch in watches] == [("Narrative", 1)]
    assert [task["dag_id"] for task in watches[0]["tasks"]] == ["audiences"]
    for task_id, status in (("wait_for_view", 200), ("wait_for_members", 403)):
        wait = waits[task_id]
        path = f"dags/{wait.dag_id}/runs/{wait.run_id}/tasks/{task_id}/wait"
        assert ask(people[ONE_DAG], path).status_code == status
