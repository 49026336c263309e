# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Many viewers, many waits, and vendors in trouble: neither the vendor nor the rest of Airflow suffers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY
from browser.conftest import TROUBLED
from browser.many_waits import copy_wait
from browser.week import HOUR, MEMBERS, add_table_load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ingestjobs.sandbox import Sandbox
    from browser.conftest import Wait
    from browser.fab import TwoLogins
    from support.airflow_client import AirflowClient

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]

JOBS = f"connections/{TROUBLED}/jobs"
TABS, SECONDS = 100, 15
#: How often the vendor is read for a day's jobs, in seconds.
READ_INTERVAL = 10
#: How often a tab asks.
TAB_INTERVAL = 3
WAITS, JOBS_WAITED_FOR = 10_000, 200


@pytest.fixture(scope="module", autouse=True)
def feeds(troubled: Sandbox) -> list[str]:
    """The jobs of the second connection, which all run."""
    ids = [f"isj-feed-{number:03}" for number in range(JOBS_WAITED_FOR)]
    for number, job_id in enumerate(ids):
        add_table_load(troubled, job_id, MEMBERS, HOUR - number, None)
    return ids


@pytest.fixture
def well(troubled: Sandbox) -> Iterator[None]:
    """Let the vendor be well again afterwards."""
    yield
    troubled.clear_faults()


@dataclass
class Viewing:
    """Tabs that look at the same jobs, as the page does.

    :param statuses: how often each status was answered.
    :param seconds: how long each answer took.
    """

    client: AirflowClient
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, tabs: int, duration: float) -> None:
        """Let tabs look for some seconds, each on its own."""
        with ThreadPoolExecutor(tabs) as pool:
            list(pool.map(lambda number: self._tab(number / tabs * TAB_INTERVAL, duration), range(tabs)))

    def _tab(self, first: float, duration: float) -> None:
        tag, until = "", time.monotonic() + duration
        time.sleep(first)
        while time.monotonic() < until:
            began = time.monotonic()
            answer = self.client.ask("GET", JOBS, root="ingestjobs", headers={"If-None-Match": tag})
            with self._lock:
                self.statuses[answer.status_code] += 1
                self.seconds.append(time.monotonic() - began)
            tag = answer.headers.get("ETag", tag)
            time.sleep(max(0.0, began + TAB_INTERVAL - time.monotonic()))


def test_a_hundred_tabs_cost_the_vendor_no_more_than_one(airflow: TwoLogins, troubled: Sandbox) -> None:
    client = airflow.as_user("op")
    before = len(troubled.requests())
    client.api("GET", JOBS, root="ingestjobs")
    of_one_read = len(troubled.requests()) - before
    viewing = Viewing(client)
    viewing.look(TABS, SECONDS)
    of_all = len(troubled.requests()) - before

    assert set(viewing.statuses) == {200, 304}
    assert viewing.statuses.total() >= TABS * (SECONDS / TAB_INTERVAL - 1)
    # Nothing changes in that time: what a tab has, it is not sent again.
    assert viewing.statuses[200] <= 2 * TABS
    # The first read, and those that fall due while anybody looks.
    assert of_one_read <= of_all <= of_one_read * (2 + (SECONDS + TAB_INTERVAL) // READ_INTERVAL)
    print(
        f"{TABS} tabs, {SECONDS} s: {dict(viewing.statuses)}, vendor requests {of_all}, a read {of_one_read}"
    )
    print(f"slowest answer {max(viewing.seconds):.2f} s")


def test_a_vendor_that_is_down_leaves_what_was_known(
    airflow: TwoLogins, troubled: Sandbox, well: None
) -> None:
    client = airflow.as_user("op")
    known = client.api("GET", JOBS, root="ingestjobs")["total"]
    troubled.add_fault(Fault(status=503, times=None))

    def in_trouble() -> Any:
        answer = client.api("GET", JOBS, root="ingestjobs")
        return answer if answer["trouble"] else None

    # A read gives up only after its requests have been tried again.
    answer = airflow.wait_for(in_trouble, timeout=90, what="the page to know of the trouble")
    assert answer["total"] == known > 0
    assert "503" in answer["trouble"]["text"]
    troubled.clear_faults()
    airflow.wait_for(lambda: not in_trouble(), timeout=60, what="the trouble to be over")


def test_a_vendor_that_hangs_holds_nobody_up(airflow: TwoLogins, troubled: Sandbox, well: None) -> None:
    """While one vendor does not answer, everything else in Airflow does, and so do its jobs as last seen."""
    client = airflow.as_user("op")
    known = client.api("GET", JOBS, root="ingestjobs")["total"]
    troubled.add_fault(Fault(delay=20, times=None))
    slowest: dict[str, float] = {}
    until = time.monotonic() + 12
    viewing = Viewing(client)
    looking = threading.Thread(target=viewing.look, args=(20, 12))
    looking.start()
    paths = {
        "version": None,
        "dags": None,
        "connections/amperity_default/jobs": "ingestjobs",
        "watches": "ingestjobs",
    }
    while time.monotonic() < until:
        for path, root in paths.items():
            began = time.monotonic()
            client.read("GET", path, root=root)
            slowest[path] = max(slowest.get(path, 0.0), time.monotonic() - began)
        time.sleep(0.2)
    looking.join()
    assert max(slowest.values()) < 2, slowest
    assert max(viewing.seconds) < 2
    assert client.api("GET", JOBS, root="ingestjobs")["total"] == known


@pytest.fixture(scope="module")
def ten_thousand(airflow: TwoLogins, feeds: list[str]) -> None:
    """Tasks that wait on the second connection, in all the three ways."""
    run_id = airflow.trigger("partner_feeds")
    airflow.wait_for(
        lambda: [task["state"] for task in airflow.task_instances("partner_feeds", run_id)] == ["deferred"],
        timeout=60,
        what="the first of them to wait",
    )
    states = ["deferred"] * (WAITS - 301) + ["running"] * 200 + ["up_for_reschedule"] * 100
    waits = [(state, feeds[number % len(feeds)]) for number, state in enumerate(states)]
    copy_wait(airflow, "partner_feeds", run_id, WAIT_XCOM_KEY, waits)


def test_ten_thousand_waits(
    airflow: TwoLogins, ten_thousand: None, feeds: list[str], waits: dict[str, Wait]
) -> None:
    """They are counted right, named where somebody looks, and answered at once; and so is the rest."""
    client = airflow.as_user("viewer")

    def counted() -> Any:
        watches = client.api("GET", "watches", root="ingestjobs")["watches"]
        found = [watch for watch in watches if watch["conn_id"] == TROUBLED and watch["waits"] == WAITS]
        return found[0] if found else None

    watch = airflow.wait_for(counted, timeout=30, what="all of them to be counted")
    assert watch["modes"] == {"deferred": WAITS - 300, "running": 200, "up_for_reschedule": 100}
    assert 0 < len(watch["tasks"]) <= 20

    client = airflow.as_user("op")
    slowest: dict[str, float] = {}
    for _ in range(10):
        for path in ("watches", f"{JOBS}?text={feeds[7]}", "sources"):
            began = time.monotonic()
            answer = client.read("GET", path, root="ingestjobs")
            slowest[path] = max(slowest.get(path, 0.0), time.monotonic() - began)
            assert len(answer.content) < 300_000, path
        began = time.monotonic()
        client.read("GET", "version")
        slowest["version"] = max(slowest.get("version", 0.0), time.monotonic() - began)
        time.sleep(0.5)
    print({path: f"{seconds:.2f} s" for path, seconds in slowest.items()})
    assert max(slowest.values()) < 2, slowest

    sources = client.api("GET", "sources", root="ingestjobs")["sources"]
    assert [source["waits"] for source in sources if source["conn_id"] == TROUBLED] == [WAITS]
    (row,) = client.api("GET", f"{JOBS}?text={feeds[7]}&window=day", root="ingestjobs")["jobs"]
    assert {(task["dag_id"], task["task_id"]) for task in row["waited_for_by"]} == {
        ("partner_feeds", "wait_for_feed")
    }
