# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The page as its user sees it: what can be read, and what can be pressed, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

AMPERITY = "amperity_default"
#: Of Airflow's own: whoever comes from there finds the page as new.
SOMEWHERE_ELSE = "assets"
VISIT = """async ([elsewhere, address]) => {
    for (const next of [elsewhere, address]) {
        history.pushState(null, "", next);
        dispatchEvent(new PopStateEvent("popstate"));
        while (next === elsewhere && document.querySelector(".ij")) {
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
    }
}"""


@dataclass(frozen=True)
class Screen:
    """The page "Ingestion jobs" in a tab.

    :param tab: the browser's tab.
    :param airflow: the address of Airflow's UI.
    """

    tab: Page
    airflow: str

    def visit(self, path: str) -> None:
        """Go somewhere in Airflow's UI, as its own links do: what is loaded of it stays so.

        :param path: below its address.
        """
        if self.tab.url.startswith(f"{self.airflow}/"):
            self.tab.evaluate(VISIT, [f"{self.airflow}/{SOMEWHERE_ELSE}", f"{self.airflow}/{path}"])
        else:
            self.tab.goto(f"{self.airflow}/{path}")

    def open(self, **view: str) -> None:
        """Go to the page by its address.

        :param view: what is to be seen, such as ``source`` and ``window``.
        """
        self.visit(f"plugin/ingestjobs?{urlencode(view)}")
        expect(self.tab.get_by_role("heading", name="Ingestion jobs", exact=True)).to_be_visible()

    def open_jobs(self, **view: str) -> None:
        """Go to the list of Amperity's jobs, and wait until it is there.

        :param view: as :meth:`open` has it.
        """
        self.open(**{"source": AMPERITY, "window": "week", **view})
        expect(self.rows.first).to_be_visible()

    @property
    def jobs(self) -> Locator:
        """The list of jobs."""
        return self.tab.get_by_role("region", name="Jobs", exact=True)

    @property
    def rows(self) -> Locator:
        """The jobs in it, a line each."""
        return self.jobs.get_by_role("row").filter(has=self.tab.get_by_role("rowheader"))

    def row(self, job_id: str) -> Locator:
        """The line of one job.

        :param job_id: the vendor's id of it.
        """
        return self.rows.filter(has_text=job_id)

    def link(self, job_id: str) -> Locator:
        """What opens one job, in its line.

        :param job_id: the vendor's id of it.
        """
        return self.row(job_id).get_by_role("rowheader").get_by_role("link")

    def texts(self) -> list[str]:
        """What the lines say, in their order."""
        return self.rows.all_inner_texts()

    def job(self, job_id: str) -> Locator:
        """What is told of one job, once it is open.

        :param job_id: the vendor's id of it.
        """
        return self.tab.get_by_role("dialog").filter(has_text=job_id)

    def ask_to_cancel(self, job_id: str) -> Locator:
        """Press a job's button, and return the question that follows.

        :param job_id: the vendor's id of it.
        """
        self.row(job_id).get_by_role("button", name=f"Cancel {job_id}").click()
        question = self.tab.get_by_role("dialog", name=re.compile("^Cancel "))
        expect(question).to_be_visible()
        return question

    def plot(self, target: str, of: str = "Rows") -> Locator:
        """A plot.

        :param target: of which target.
        :param of: ``Rows`` or ``Duration``.
        """
        return self.tab.get_by_role("group", name=f"{of} of {target} over time")
