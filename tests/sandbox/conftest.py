# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One sandbox with a simulated clock for the whole session, and a signed-in HTTP client for each vendor."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Sandbox
from airflow_provider_ingestjobs.sandbox.fixtures import (  # noqa: F401 used as fixtures
    _ingest_sandbox_server,
    ingest_sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_793_000_000.25


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """An HTTP client of one vendor."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers.update(headers)

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=10, allow_redirects=False, **kwargs)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.request("GET", path, params=params)

    def read(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()


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
