# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What axe finds in every view, in light and dark; and what these views look like, for the documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser.conftest import open_context
from browser.pictures import write_picture
from browser.screen import AMPERITY, Screen
from browser.week import FAILED, FAR_OFF, MEMBERS, RUNNING_HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from browser.conftest import Wait
    from browser.fab import TwoLogins

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]

SERIOUS = ("serious", "critical")


def jobs(screen: Screen, waits: dict[str, Wait]) -> None:
    """The list."""
    screen.open_jobs(window="day")


def filtered(screen: Screen, waits: dict[str, Wait]) -> None:
    """The list, filtered and sorted."""
    screen.open_jobs(target=MEMBERS, state="succeeded", sort="read")


def job(screen: Screen, waits: dict[str, Wait]) -> None:
    """One job."""
    screen.open_jobs(job=FAR_OFF, target=MEMBERS)
    expect(screen.job(FAR_OFF)).to_contain_text("unusually few")


def failed_job(screen: Screen, waits: dict[str, Wait]) -> None:
    """One that has failed."""
    screen.open_jobs(job=FAILED, state="failed")
    expect(screen.job(FAILED).get_by_role("alert")).to_be_visible()


def plots(screen: Screen, waits: dict[str, Wait]) -> None:
    """The plots."""
    screen.open(source=AMPERITY, view="plots", window="week")
    expect(screen.plot(MEMBERS).get_by_role("link").last).to_be_attached()


def cancel(screen: Screen, waits: dict[str, Wait]) -> None:
    """The question before a cancel."""
    screen.open_jobs(window="day")
    screen.ask_to_cancel(RUNNING_HISTORY)


def watches(screen: Screen, waits: dict[str, Wait]) -> None:
    """Who polls for which waits, with the tasks of one."""
    screen.open(view="watches")
    screen.tab.get_by_role("button", name="2 tasks").first.click()


def task(screen: Screen, waits: dict[str, Wait]) -> None:
    """A task's wait on top of the page."""
    wait = waits["wait_for_order_history"]
    screen.open(dag_id=wait.dag_id, run_id=wait.run_id, task_id=wait.task_id, map_index="-1")
    panel = screen.tab.get_by_role("region", name="What the task waits for")
    expect(panel.get_by_role("rowheader")).to_be_visible()


def tab(screen: Screen, waits: dict[str, Wait]) -> None:
    """The tab of a task."""
    wait = waits["wait_for_transactions"]
    task = f"dags/{wait.dag_id}/runs/{wait.run_id}/tasks/{wait.task_id}"
    screen.visit(f"{task}/plugin/ingestjob")
    expect(screen.tab.get_by_role("rowheader")).to_contain_text(FAILED)


def nothing(screen: Screen, waits: dict[str, Wait]) -> None:
    """No job that matches."""
    screen.open(source=AMPERITY, text="no such job")
    expect(screen.tab.get_by_text("No job matches the filters.")).to_be_visible()


View = Callable[[Screen, "dict[str, Wait]"], None]
VIEWS: list[View] = [jobs, filtered, job, failed_job, plots, cancel, watches, task, tab, nothing]
#: Those that the documentation shows, by their theme.
SHOWN = {"light": ("jobs", "job", "plots", "watches", "task"), "dark": ("jobs",)}


@pytest.fixture(scope="module", params=["light", "dark"])
def themed(
    request: pytest.FixtureRequest, browser: Browser, airflow: TwoLogins, waits: dict[str, Wait]
) -> Iterator[tuple[str, Screen]]:
    """A tab in one of Airflow's themes."""
    with open_context(browser, airflow) as context:
        context.add_init_script(f"localStorage.setItem('theme', '{request.param}')")
        yield request.param, Screen(context.new_page(), airflow.url)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_nothing_serious(
    view: View, themed: tuple[str, Screen], waits: dict[str, Wait], request: pytest.FixtureRequest
) -> None:
    """Whoever cannot see well, or uses no mouse, gets all of it."""
    theme, screen = themed
    view(screen, waits)
    results = Axe().run(screen.tab, context={"include": [[".ij"]]}).response
    if request.config.getoption("--write-screenshots", default=False) and view.__name__ in SHOWN[theme]:
        screen.tab.mouse.move(0, 0)
        name = view.__name__ if theme == "light" else f"{view.__name__}-{theme}"
        write_picture(screen.tab.screenshot(animations="disabled"), name)
    assert results["passes"]
    assert [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in results["violations"]
        for node in one["nodes"]
        if one["impact"] in SERIOUS
    ] == []


def test_all_of_it_fits_a_narrow_window(themed: tuple[str, Screen], waits: dict[str, Wait]) -> None:
    """Half a screen, or a page that is zoomed in: tables scroll by themselves, the page does not sideways."""
    _, screen = themed
    size = screen.tab.viewport_size
    assert size
    screen.tab.set_viewport_size({"width": 640, "height": 900})
    for view in (jobs, plots, watches):
        view(screen, waits)
        box = screen.tab.locator(".ij")
        assert box.evaluate("element => element.scrollWidth - element.clientWidth") <= 1, view.__name__
    screen.tab.set_viewport_size(size)
