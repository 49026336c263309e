# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox as a pytest fixture: ``pytest_plugins = ["airflow_provider_ingestjobs.sandbox.fixtures"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _ingest_sandbox_server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def ingest_sandbox(_ingest_sandbox_server: Sandbox) -> Iterator[Sandbox]:
    """A running sandbox that holds nothing yet; one server serves the whole session."""
    _ingest_sandbox_server.reset()
    yield _ingest_sandbox_server
    _ingest_sandbox_server.reset()
