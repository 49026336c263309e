# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The form in which people make a connection, in Airflow's UI; and its pictures, for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from airflow_provider_ingestjobs.vendors import VENDORS
from browser.conftest import open_context
from browser.pictures import write_picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

    from airflow_provider_ingestjobs.vendors import Vendor
    from browser.fab import TwoLogins

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]


@pytest.fixture(scope="module")
def connections(browser: Browser, airflow: TwoLogins) -> Iterator[Page]:
    """Airflow's page of connections, in a window that shows a whole form."""
    with open_context(browser, airflow) as context:
        page = context.new_page()
        page.set_viewport_size({"width": 1000, "height": 1700})
        page.goto(f"{airflow.url}/connections")
        yield page


def open_form(page: Page, vendor: Vendor) -> Locator:
    """Return the empty form of a vendor's connection."""
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    kind = form.get_by_role("combobox")
    kind.click()
    kind.press_sequentially(vendor.name)
    page.get_by_role("option", name=vendor.name, exact=True).click()
    return form


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.conn_type)
def test_a_vendor_has_fields_of_its_own(
    vendor: Vendor, connections: Page, request: pytest.FixtureRequest
) -> None:
    """Login and password say what they are for; each extra has a field, with what it does and its default."""
    form = open_form(connections, vendor)
    expect(form.get_by_label(vendor.login)).to_be_visible()
    expect(form.get_by_label(vendor.password)).to_be_visible()
    expect(form.get_by_placeholder(vendor.placeholders["host"])).to_be_visible()

    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for key, extra in vendor.all_extras.items():
        expect(form.get_by_text(extra.label, exact=True)).to_be_visible()
        expect(form.get_by_text(extra.description)).to_be_visible()
        field = form.locator(f"[name=element_{key}]")
        expect(field).to_have_value("" if extra.default is None else str(extra.default))
    if request.config.getoption("--write-screenshots", default=False):
        picture = form.screenshot(animations="disabled")
        write_picture(picture, f"connection-{vendor.conn_type.replace('_', '-')}")
    form.get_by_role("button", name="Close").click()
    expect(form).to_be_hidden()
