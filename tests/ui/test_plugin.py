# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The plugin costs processes that have no use for it next to nothing, and can keep none from starting."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES
from airflow_provider_ingestjobs.ui import plugin as module
from airflow_provider_ingestjobs.ui.plugin import IngestJobsPlugin
from airflow_provider_ingestjobs.ui.static_files import FOLDER

HEAVY = ("fastapi", "requests", "airflow_provider_ingestjobs.hooks", "airflow_provider_ingestjobs.ui.app")


def test_airflow_finds_it() -> None:
    (found,) = entry_points(group="airflow.plugins", name="ingestjobs")
    assert found.load() is IngestJobsPlugin


def test_importing_it_imports_nothing_of_the_page() -> None:
    program = (
        "import json, sys, airflow.plugins_manager; before = set(sys.modules)\n"
        "from airflow_provider_ingestjobs.ui.plugin import IngestJobsPlugin; IngestJobsPlugin()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    imported = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in imported if name.startswith(HEAVY)] == []


@pytest.mark.skipif(HAS_PLUGIN_PAGES, reason="there is a page")
def test_before_3_1_1_there_is_nothing() -> None:
    plugin = IngestJobsPlugin()
    assert (plugin.fastapi_apps, plugin.react_apps) == ([], [])


@pytest.mark.skipif(not HAS_PLUGIN_PAGES, reason="there is no page")
class TestPage:
    def test_it_has_a_server_and_files_below_the_base_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://host:8080/team/airflow/")
        plugin = IngestJobsPlugin()
        (app,) = plugin.fastapi_apps
        assert app["url_prefix"] == "/ingestjobs"
        (page,) = plugin.react_apps
        assert page["bundle_url"].startswith("/team/airflow/ingestjobs/static/")
        for name in ("bundle_url", "icon", "icon_dark_mode"):
            assert (FOLDER / page[name].rpartition("/")[2]).is_file()

    def test_the_tab_of_all_tasks_is_an_option(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__INGESTJOBS__TASK_TAB", "True")
        page, tab = IngestJobsPlugin().react_apps
        assert tab["destination"] == "task_instance"
        assert page["bundle_url"] != tab["bundle_url"]
        assert page["url_route"] != tab["url_route"]
        assert (FOLDER / tab["bundle_url"].rpartition("/")[2]).is_file()

    def test_an_error_in_it_keeps_no_api_server_from_starting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "airflow_provider_ingestjobs.ui.app", None)
        plugin = IngestJobsPlugin()
        assert (plugin.fastapi_apps, plugin.react_apps) == ([], [])

    def test_neither_does_a_package_without_its_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "airflow_provider_ingestjobs.ui.static_files", None)
        plugin = IngestJobsPlugin()
        assert (plugin.fastapi_apps, plugin.react_apps) == ([], [])


def test_the_server_answers_nobody_without_a_login() -> None:
    if not HAS_PLUGIN_PAGES:
        return
    from airflow_provider_ingestjobs.ui.app import router

    unguarded = [
        route.path  # type: ignore[attr-defined]
        for route in router.routes
        if "get_user" not in str(_calls(route.dependant))  # type: ignore[attr-defined]
    ]
    assert unguarded == []
    assert module.PREFIX == "/ingestjobs"


def _calls(dependant: object) -> list[str]:
    own = [getattr(getattr(dependant, "call", None), "__name__", "")]
    return own + [name for one in dependant.dependencies for name in _calls(one)]  # type: ignore[attr-defined]
