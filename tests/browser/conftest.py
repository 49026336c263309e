# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One Airflow, one sandbox and one Chromium for all tests of the page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from browser.week import FAILED, FETCH, RUNNING_HISTORY, SEALED, VIEW, add_week

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Error, Page

    from browser.fab import TwoLogins

HERE = Path(__file__).parent
#: Each role of Airflow's own, and beside them nobody, who has not logged in.
ROLES = ("viewer", "user", "op", "admin")
BASE_PATH = "/airflow"
#: A second connection to Amperity, whose vendor may go down, and which nobody waits for.
TROUBLED = "amperity_eu"
WIDTH, HEIGHT = 1400, 900
#: Of what the page shows, in milliseconds: a small machine runs all of Airflow beside the browser.
PATIENCE = 20_000

# They are for the dependency group "browser" alone: tox's environment of that name fails without it.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendors, with a week behind them; a vendor takes two seconds to stop a job."""
    with Sandbox() as running:
        running.cancel_delay = 2
        add_week(running)
        sealed = f"/wf-{SEALED.removeprefix('isj-')}/stop"
        running.add_fault(
            Fault(
                "amperity", "POST", sealed, status=409, body={"message": "The workflow is sealed"}, times=None
            )
        )
        yield running


@pytest.fixture(scope="session")
def troubled() -> Iterator[Sandbox]:
    """The vendor of the second connection, on its own."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def airflow(
    sandbox: Sandbox, troubled: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoLogins]:
    """An Airflow below a path of its server, with a user of each role."""
    from browser.fab import TwoLogins

    second = troubled.connection_env()["AIRFLOW_CONN_AMPERITY_DEFAULT"]
    environment = {
        **sandbox.connection_env(),
        f"AIRFLOW_CONN_{TROUBLED.upper()}": second,
        "AIRFLOW__INGESTJOBS__TASK_TAB": "True",
        # Each beat of a running task writes, and so does Airflow's log of what users do, within the API
        # server's event loop: over SQLite the one waits for the other, and the whole server for both.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "10",
    }
    home = tmp_path_factory.mktemp("airflow")
    with TwoLogins(
        home,
        HERE / "dags",
        environment,
        parallelism=8,
        base_path=BASE_PATH,
        users={role: role for role in ROLES},
    ) as instance:
        yield instance


@dataclass(frozen=True)
class Wait:
    """A task that waits, or has.

    :param state: what the task is while it does.
    """

    dag_id: str
    run_id: str
    task_id: str
    state: str
    map_index: int = -1


@pytest.fixture(scope="session")
def waits(airflow: TwoLogins, sandbox: Sandbox) -> dict[str, Wait]:
    """The tasks that wait, by their ids, each in its own way; and one that has failed."""
    runs = {
        "customer_360": {"order_history": RUNNING_HISTORY, "failed": FAILED},
        "ad_spend": {"fetch": FETCH},
        "clickstream": {},
        "audiences": {"view": VIEW},
    }
    states = {
        "customer_360": {
            "wait_for_members": "deferred",
            "wait_for_order_history": "deferred",
            "wait_for_transactions": "failed",
        },
        "ad_spend": {"wait_for_fetch": "up_for_reschedule"},
        "clickstream": {"wait_for_load": "running"},
        "audiences": {"wait_for_view": "deferred"},
    }
    run_ids = {dag_id: airflow.trigger(dag_id, conf) for dag_id, conf in runs.items()}

    def all_wait() -> bool:
        return all(
            task["state"] == states[dag_id][task["task_id"]]
            for dag_id, run_id in run_ids.items()
            for task in airflow.task_instances(dag_id, run_id)
        )

    airflow.wait_for(all_wait, timeout=90, what="the tasks to wait")
    return {
        task_id: Wait(dag_id, run_ids[dag_id], task_id, state, 0 if task_id == "wait_for_load" else -1)
        for dag_id, tasks in states.items()
        for task_id, state in tasks.items()
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    from playwright.sync_api import expect

    from support.chromium import chromium

    expect.set_options(timeout=PATIENCE)
    with chromium() as running:
        yield running


def open_context(browser: Browser, airflow: TwoLogins, role: str = "admin") -> BrowserContext:
    """Open a window in which somebody has logged in.

    :param browser: the browser.
    :param airflow: the Airflow.
    :param role: the user's role, which is the name as well.
    """
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    token = airflow.as_user(role).token
    context.add_cookies([{"name": "_token", "value": token, "url": f"{airflow.url}/", "sameSite": "Lax"}])
    return context


@pytest.fixture(scope="module")
def window(browser: Browser, airflow: TwoLogins, waits: dict[str, Wait]) -> Iterator[BrowserContext]:
    """An administrator's window, in which what Airflow's UI has loaded once stays loaded."""
    with open_context(browser, airflow) as context:
        yield context


@pytest.fixture(scope="module")
def tab(window: BrowserContext) -> Page:
    """A tab, which stays open from test to test as it does for people."""
    return window.new_page()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The tab. What goes wrong in the page's own scripts meanwhile fails the test."""
    errors: list[str] = []

    def note(error: Error) -> None:
        # Airflow's own pages throw, too, when they are left.
        if "/ingestjobs/static/" in (error.stack or ""):
            errors.append(str(error))

    tab.on("pageerror", note)
    yield tab
    tab.remove_listener("pageerror", note)
    assert errors == []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the documentation's pictures made anew, where this folder is named on the command line."""
    parser.addoption("--write-screenshots", action="store_true", help="write docs/images of the page")
