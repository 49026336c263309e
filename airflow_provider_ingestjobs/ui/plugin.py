# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The page "Ingestion jobs" in Airflow's UI (Airflow 3.1.1 and newer; elsewhere nothing).

Every process of Airflow imports this module. What the page takes is imported by the API server alone, where
it asks for it; there, an exception would keep the whole server from starting.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES, conf

log = logging.getLogger(__name__)

#: Where the page's server is, below the base of Airflow's UI.
PREFIX = "/ingestjobs"


class IngestJobsPlugin(AirflowPlugin):
    """Registers the page, the server that it asks and, where a setting asks for it, a tab of all tasks."""

    name = "ingestjobs"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page's server."""
        if self._static is None:
            return []
        try:
            from airflow_provider_ingestjobs.ui.app import make_app

            app = make_app()
        except Exception:
            log.exception('The page "Ingestion jobs" cannot be served')
            return []
        return [{"app": app, "url_prefix": PREFIX, "name": "Ingestion jobs"}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page, and the tab."""
        if self._static is None or not self.fastapi_apps:
            return []
        page = {
            "name": "Ingestion jobs",
            "bundle_url": f"{self._static}/page.js",
            "destination": "nav",
            "category": "browse",
            "url_route": "ingestjobs",
            "icon": f"{self._static}/icon.svg",
            "icon_dark_mode": f"{self._static}/icon-dark.svg",
        }
        if not self._wants_tab:
            return [page]
        tab = {
            "name": "Ingestion job",
            "bundle_url": f"{self._static}/task.js",
            "destination": "task_instance",
            "url_route": "ingestjob",
        }
        return [page, tab]

    @property
    def _wants_tab(self) -> bool:
        try:
            return bool(conf.getboolean("ingestjobs", "task_tab", fallback=False))
        except Exception:
            log.exception("[ingestjobs] task_tab cannot be read")
            return False

    @cached_property
    def _static(self) -> str | None:
        """The address of the page's files; ``None`` where there is no page."""
        if not HAS_PLUGIN_PAGES:
            return None
        try:
            from airflow_provider_ingestjobs.ui.static_files import static_path

            base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
            return f"{base}{PREFIX}{static_path()}"
        except Exception:
            log.exception('The page "Ingestion jobs" has no files')
            return None
