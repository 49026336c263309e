# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The page "Ingestion jobs" in Airflow's UI, below a base path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from browser.conftest import BASE_PATH
from browser.screen import AMPERITY, Screen
from browser.week import (
    BAD_ROWS,
    FAILED,
    FAILURE,
    FAR_OFF,
    FAR_OFF_ROWS,
    FETCH,
    HOSTILE,
    MEMBERS,
    ORDER_HISTORY,
    PAGE_SIZE,
    REJECTED,
    RUNNING_HISTORY,
    RUNNING_MEMBERS,
    SEALED,
    SLOW,
    STORES,
    TO_CANCEL,
    TRANSACTIONS,
    VIEW,
)

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from browser.conftest import Wait
    from browser.fab import TwoLogins

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]

#: Of a colour in whichever notation, from 0 to 255.
BRIGHTNESS = """(element, property) => {
    const context = document.createElement("canvas").getContext("2d");
    context.fillStyle = getComputedStyle(element)[property];
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((a, b) => a + b) / 3;
}"""


@pytest.fixture
def screen(page: Page, airflow: TwoLogins) -> Screen:
    """A tab in which the page can be opened."""
    return Screen(page, airflow.url)


def test_it_is_in_airflows_menu(screen: Screen) -> None:
    """And stays below the base path, with all that it loads; nothing comes from elsewhere."""
    tab, asked = screen.tab, list[str]()
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{screen.airflow}/")
    tab.get_by_role("button", name="Browse").click()
    tab.get_by_role("menuitem", name="Ingestion jobs").or_(
        tab.get_by_role("link", name="Ingestion jobs")
    ).first.click()
    expect(tab.get_by_role("heading", name="Ingestion jobs", exact=True)).to_be_visible()
    expect(screen.rows.first).to_be_visible()
    assert urlsplit(tab.url).path == f"{BASE_PATH}/plugin/ingestjobs"
    ours = [url for url in asked if "ingestjobs" in url]
    assert [url for url in ours if not url.startswith(f"{screen.airflow}/")] == []


def test_list(screen: Screen) -> None:
    """The newest job first; a page at a time; numbers as people write them."""
    screen.open_jobs()
    expect(screen.rows).to_have_count(PAGE_SIZE)
    running = screen.row(RUNNING_MEMBERS)
    expect(running).to_contain_text("running")
    expect(running).to_contain_text(MEMBERS)
    expect(running.get_by_role("link", name="customer_360.wait_for_members")).to_be_visible()
    expect(screen.row(FAILED)).to_contain_text("1,200")
    first = screen.texts()
    order = [next(n for n, text in enumerate(first) if job in text) for job in (SEALED, TO_CANCEL, FAILED)]
    assert order == sorted(order)

    pages = screen.tab.get_by_role("navigation", name="Pages")
    expect(pages).to_contain_text("Page 1 of 2")
    pages.get_by_role("link", name="Next page").click()
    expect(pages).to_contain_text("Page 2 of 2")
    expect(screen.row(RUNNING_MEMBERS)).to_have_count(0)
    assert set(screen.texts()).isdisjoint(first)


def test_what_is_unusual_is_said(screen: Screen) -> None:
    """Few rows, bad rows, a long duration: in words, not by a colour alone."""
    screen.open_jobs(target=MEMBERS)
    expect(screen.row(FAR_OFF)).to_contain_text(f"{FAR_OFF_ROWS}")
    expect(screen.row(FAR_OFF)).to_contain_text("unusually few")
    expect(screen.row(BAD_ROWS)).to_contain_text(f"{REJECTED:,}")
    expect(screen.jobs.get_by_text("unusually")).to_have_count(1)
    screen.open_jobs(target=TRANSACTIONS, state="succeeded")
    expect(screen.row(SLOW)).to_contain_text("3 h")
    expect(screen.row(SLOW)).to_contain_text("unusually long")


def test_a_vendors_text_is_shown_and_not_obeyed(screen: Screen) -> None:
    screen.open_jobs(source="adverity_default", state="failed")
    expect(screen.jobs.get_by_text(HOSTILE)).to_be_visible()
    expect(screen.tab).not_to_have_title("obeyed")
    expect(screen.tab.locator("img[src=x]")).to_have_count(0)


def test_filter(screen: Screen) -> None:
    """By state, target and text; what is chosen stands in the address, and back takes it away again."""
    screen.open_jobs()
    states = screen.tab.get_by_role("group", name="States")
    states.get_by_role("button", name=re.compile("failed 1")).click()
    expect(screen.rows).to_have_count(1)
    expect(screen.row(FAILED)).to_be_visible()
    states.get_by_role("button", name=re.compile("running")).click()
    expect(screen.row(RUNNING_HISTORY)).to_be_visible()
    expect(screen.row(FAILED)).to_be_visible()

    screen.tab.get_by_role("combobox", name="Target").select_option(ORDER_HISTORY)
    expect(screen.rows).to_have_count(1)
    expect(screen.row(RUNNING_HISTORY)).to_be_visible()
    screen.tab.reload()
    expect(screen.row(RUNNING_HISTORY)).to_be_visible()
    expect(screen.rows).to_have_count(1)
    screen.tab.go_back()
    expect(screen.row(FAILED)).to_be_visible()

    screen.tab.get_by_role("button", name="Clear filters").click()
    expect(screen.rows).to_have_count(PAGE_SIZE)
    screen.tab.keyboard.press("/")
    screen.tab.keyboard.type("TRANSACTION_ID")
    expect(screen.rows).to_have_count(1)
    expect(screen.row(FAILED)).to_be_visible()
    screen.tab.get_by_role("searchbox").fill("no such job")
    expect(screen.tab.get_by_text("No job matches the filters.")).to_be_visible()


def test_window(screen: Screen) -> None:
    screen.open_jobs(window="day", target=STORES)
    of_a_day = screen.rows.count()
    screen.tab.get_by_role("button", name="Last week").click()
    expect(screen.tab.get_by_role("button", name="Last week")).to_have_attribute("aria-pressed", "true")
    expect(screen.rows).not_to_have_count(of_a_day)
    assert screen.rows.count() > of_a_day


def test_sort(screen: Screen) -> None:
    screen.open_jobs(target=MEMBERS)
    screen.jobs.get_by_role("button", name="Rows read").click()
    header = screen.jobs.get_by_role("columnheader", name="Rows read")
    expect(header).to_have_attribute("aria-sort", "descending")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(screen.rows.first).to_contain_text(FAR_OFF)


def test_another_vendor(screen: Screen) -> None:
    """Its own columns, and no cancel where the vendor documents none."""
    screen.open_jobs()
    screen.tab.get_by_role("combobox", name="Connection").select_option("narrative_default")
    expect(screen.row(VIEW)).to_be_visible()
    expect(screen.jobs.get_by_role("button", name=re.compile("^Cancel"))).to_have_count(0)
    expect(screen.jobs.get_by_role("columnheader", name="Written")).to_be_visible()
    expect(screen.jobs.get_by_role("columnheader", name="Bad")).to_have_count(0)
    screen.tab.get_by_role("combobox", name="Connection").select_option("adverity_default")
    expect(screen.row(FETCH)).to_contain_text("43 % done")
    expect(screen.jobs.get_by_role("columnheader", name="Rows read")).to_have_count(0)
    expect(screen.row(FETCH).get_by_role("link", name=f"Open {FETCH} at Adverity")).to_have_attribute(
        "href", re.compile("^https://acme.datatap.adverity.com/")
    )


def test_job(screen: Screen) -> None:
    """All about one job, by its own address; Escape leads back to where one was."""
    screen.open_jobs(state="failed")
    link = screen.link(FAILED)
    link.focus()
    screen.tab.keyboard.press("Enter")
    job = screen.job(FAILED)
    expect(job).to_contain_text(FAILURE)
    expect(job).to_contain_text(TRANSACTIONS)
    expect(job).to_contain_text("df-2kQ8sTzw")
    assert f"job={FAILED}" in screen.tab.url
    screen.tab.keyboard.press("Escape")
    expect(job).to_have_count(0)
    expect(link).to_be_focused()


def test_plots(screen: Screen) -> None:
    """Every job a point, what is far off said of it; a click, or Enter, leads to the job."""
    screen.open(source=AMPERITY, view="plots", window="week")
    card = screen.tab.get_by_role("article", name=MEMBERS)
    expect(card).to_contain_text("1 far off the usual")
    points = screen.plot(MEMBERS).get_by_role("link")
    expect(points).to_have_count(42)
    odd = screen.plot(MEMBERS).get_by_role("link", name=re.compile(rf"{FAR_OFF}$"))
    expect(odd).to_have_attribute("aria-label", re.compile(rf"{FAR_OFF_ROWS} rows.*far off the usual"))
    slow = screen.plot(TRANSACTIONS, "Duration").get_by_role("link", name=re.compile(rf"{SLOW}$"))
    expect(slow).to_have_attribute("aria-label", re.compile("took 3 h.*usual duration"))

    points.last.focus()
    screen.tab.keyboard.press("ArrowLeft")
    screen.tab.keyboard.press("Home")
    expect(points.first).to_be_focused()
    screen.tab.keyboard.press("Enter")
    expect(screen.tab.get_by_role("dialog")).to_contain_text(MEMBERS)
    screen.tab.keyboard.press("Escape")
    expect(screen.tab.get_by_role("dialog")).to_have_count(0)
    # The focus goes back to the point, which scrolls the plot into view: a click before that may miss it.
    expect(points.first).to_be_focused()

    box = odd.bounding_box()
    assert box
    # At its foot, where the bar is: it is a low one. All of the plot takes the click.
    odd.click(position={"x": box["width"] / 2, "y": box["height"] - 15}, force=True)
    expect(screen.job(FAR_OFF)).to_contain_text("unusually few")


def test_cancel(screen: Screen, sandbox: Sandbox) -> None:
    """Asked once more, with what stops; then the list shows it stopping."""
    screen.open_jobs(window="day", target=STORES)
    question = screen.ask_to_cancel(TO_CANCEL)
    expect(question).to_contain_text("workflow")
    question.get_by_role("button", name="Keep it running").click()
    expect(question).to_have_count(0)
    assert stops(sandbox, TO_CANCEL) == 0

    question = screen.ask_to_cancel(TO_CANCEL)
    question.get_by_role("button", name="Cancel the job").click()
    expect(question).to_have_count(0)
    expect(screen.tab.get_by_role("status").filter(has_text=f"{TO_CANCEL} is").first).to_be_visible()
    expect(screen.row(TO_CANCEL)).to_contain_text(re.compile("cancell(ing|ed)"))  # codespell:ignore
    assert stops(sandbox, TO_CANCEL) == 1


def test_a_cancel_that_the_vendor_refuses(screen: Screen, sandbox: Sandbox) -> None:
    screen.open_jobs(target=STORES)
    question = screen.ask_to_cancel(SEALED)
    question.get_by_role("button", name="Cancel the job").click()
    expect(question).to_contain_text("The workflow is sealed")
    screen.tab.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(screen.row(SEALED)).to_contain_text("running")


def stops(sandbox: Sandbox, job_id: str) -> int:
    """How often Amperity was asked to stop a job's workflow."""
    path = f"/wf-{job_id.removeprefix('isj-')}/stop"
    return sum(request.path.endswith(path) for request in sandbox.requests("amperity"))


def test_watches(screen: Screen, waits: dict[str, Wait]) -> None:
    """Which connections are waited on, how, by whom; a task's name leads to the task, within Airflow."""
    screen.open(view="watches")
    table = screen.tab.get_by_role("region", name="Watches").get_by_role("table")
    amperity = table.get_by_role("rowgroup").filter(has_text=AMPERITY)
    expect(amperity).to_contain_text("2 deferred")
    expect(table.get_by_role("rowgroup").filter(has_text="adverity_default")).to_contain_text("1 rescheduled")
    expect(table.get_by_role("rowgroup").filter(has_text="imply_polaris")).to_contain_text("2 on a worker")
    amperity.get_by_role("button", name="2 tasks").click()
    screen.tab.evaluate("globalThis.isSamePage = true")
    amperity.get_by_role("link", name=re.compile("^customer_360.wait_for_members")).click()
    wait = waits["wait_for_members"]
    expect(screen.tab).to_have_url(re.compile(rf"{BASE_PATH}/dags/customer_360/runs/.*/tasks/{wait.task_id}"))
    assert screen.tab.evaluate("globalThis.isSamePage") is True


def test_from_a_task_to_its_jobs(screen: Screen, airflow: TwoLogins, waits: dict[str, Wait]) -> None:
    """The button of the task's page opens the page with what the task waits for on top."""
    wait = waits["wait_for_order_history"]
    screen.visit(f"dags/{wait.dag_id}/runs/{wait.run_id}/tasks/{wait.task_id}/details")
    # The task's tab has the same name.
    links = screen.tab.get_by_role("link", name="Ingestion job", exact=True)
    button = links.and_(screen.tab.locator("[href*='plugin/ingestjobs?']"))
    expect(button).to_be_visible()
    # A new tab, or this one: that is Airflow's to decide, and differs between its versions.
    screen.tab.goto(button.evaluate("element => element.href"))
    panel = screen.tab.get_by_role("region", name="What the task waits for")
    expect(panel).to_contain_text(f"{wait.dag_id}.{wait.task_id}")
    expect(panel.get_by_role("rowheader")).to_have_count(1)
    expect(panel.get_by_role("rowheader")).to_contain_text(RUNNING_HISTORY)


def test_tab_of_a_task(screen: Screen, airflow: TwoLogins, waits: dict[str, Wait]) -> None:
    """Where the setting asks for it; also of one of many mapped tasks, and of one that has ended."""
    for task_id, shown in (("wait_for_load", "3c1e5a9c"), ("wait_for_transactions", FAILED)):
        wait = waits[task_id]
        mapped = f"/mapped/{wait.map_index}" if wait.map_index >= 0 else ""
        task = f"dags/{wait.dag_id}/runs/{wait.run_id}/tasks/{wait.task_id}{mapped}"
        screen.visit(f"{task}/plugin/ingestjob")
        panel = screen.tab.get_by_role("region", name="What the task waits for")
        expect(panel.get_by_role("rowheader")).to_contain_text(shown)
        expect(panel.get_by_role("rowheader")).to_have_count(1)


def test_dark(screen: Screen) -> None:
    """Airflow's own choice of colours is the page's."""
    screen.open_jobs()
    title = screen.tab.get_by_role("heading", name="Ingestion jobs", exact=True)
    assert title.evaluate(BRIGHTNESS, "color") < 100
    screen.tab.evaluate("localStorage.setItem('theme', 'dark')")
    screen.tab.reload()
    expect(screen.rows.first).to_be_visible()
    assert title.evaluate(BRIGHTNESS, "color") > 180
    assert screen.tab.locator("body").evaluate(BRIGHTNESS, "backgroundColor") < 50
    screen.tab.evaluate("localStorage.setItem('theme', 'light')")


def test_session_over(screen: Screen, window: BrowserContext, airflow: TwoLogins) -> None:
    """Who has been logged out meanwhile logs in again, and is back where he was."""
    screen.open_jobs(state="failed")
    window.clear_cookies()
    tab = screen.tab
    tab.get_by_role("textbox", name=re.compile("username", re.IGNORECASE)).fill("admin")
    tab.get_by_role("textbox", name=re.compile("password", re.IGNORECASE)).fill(airflow.password)
    tab.get_by_role("button", name=re.compile("sign in|log ?in", re.IGNORECASE)).click()
    expect(screen.row(FAILED)).to_be_visible()


def test_the_cancelled_job_has_stopped(screen: Screen) -> None:
    """Seen last: by now the vendor has stopped it, and the list has been read again."""
    screen.open_jobs(window="day", target=STORES)
    expect(screen.row(TO_CANCEL)).to_contain_text("cancelled")
    expect(screen.row(TO_CANCEL).get_by_role("button")).to_have_count(0)
