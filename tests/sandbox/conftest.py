# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One sandbox with a simulated clock for the whole session, and a signed-in HTTP client for each vendor."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox
from airflow_provider_ingestjobs.sandbox.fixtures import (  # noqa: F401 used as fixtures
    _ingest_sandbox_server,
    ingest_sandbox,
)
from support.sandbox_clients import START, Client, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _clocked_sandbox() -> Iterator[tuple[Sandbox, Clock]]:
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        yield sandbox, clock


@pytest.fixture
def clock(_clocked_sandbox: tuple[Sandbox, Clock]) -> Clock:
    return _clocked_sandbox[1]


@pytest.fixture
def sandbox(_clocked_sandbox: tuple[Sandbox, Clock]) -> Sandbox:
    sandbox, clock = _clocked_sandbox
    clock.now = START
    sandbox.reset()
    return sandbox


@pytest.fixture
def anonymous(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox.url, {})
    yield client
    client.session.close()


@pytest.fixture
def amperity(sandbox: Sandbox) -> Iterator[Client]:
    key = CREDENTIALS["amperity"].key
    headers = {
        "Authorization": f"Bearer {key}",
        "amperity-tenant": "sandbox-tenant",
        "api-version": "2024-04-01",
    }
    client = Client(sandbox.url, headers)
    yield client
    client.session.close()


@pytest.fixture
def adverity(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox.url, {"Authorization": f"Bearer {CREDENTIALS['adverity'].key}"})
    yield client
    client.session.close()


@pytest.fixture
def polaris(sandbox: Sandbox) -> Iterator[Client]:
    encoded = base64.b64encode(f"{CREDENTIALS['polaris'].key}:".encode()).decode()
    client = Client(sandbox.url, {"Authorization": f"Basic {encoded}"})
    yield client
    client.session.close()


@pytest.fixture
def narrative(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox.url, {"Authorization": f"Bearer {CREDENTIALS['narrative'].key}"})
    yield client
    client.session.close()
