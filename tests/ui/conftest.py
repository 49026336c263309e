# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Before Airflow 3.1.1 there is no page, and nothing that its server is made of can be imported."""

from __future__ import annotations

from airflow_provider_ingestjobs.airflow_compat import HAS_PLUGIN_PAGES

collect_ignore = [] if HAS_PLUGIN_PAGES else ["test_jobs.py", "test_sources.py"]
