# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A scratch Airflow, and a sandbox that plays Airbyte."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

# Airflow reads these when it is first imported; nothing of the user's own Airflow is read or written.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="ingestjobs-airflow-", ignore_cleanup_errors=True)
os.environ |= {
    "AIRFLOW_HOME": AIRFLOW_HOME.name,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}

import pytest  # noqa: E402
import requests  # noqa: E402
from clock import Clock  # noqa: E402

from airflow_provider_ingestjobs.sandbox import Sandbox  # noqa: E402
from ingestjobs_airbyte.hooks.airbyte import AirbyteJobsHook  # noqa: E402
from ingestjobs_airbyte.sandbox import Airbyte  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(vendors=[Airbyte], clock=clock) as running:
        running.cancel_delay = 0
        yield running


@pytest.fixture
def read(sandbox: Sandbox) -> Callable[..., requests.Response]:
    """Ask the sandbox something, with its key."""

    def ask(method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {Airbyte.credentials.key}"}
        url = f"{sandbox.url}{Airbyte.api_path}{path}"
        return requests.request(method, url, headers=headers, timeout=10, **arguments)

    return ask


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AirbyteJobsHook]:
    """Return a hook on a connection to the sandbox."""

    def connect(auth: str = "key", sandbox: Sandbox = sandbox, **changes: Any) -> AirbyteJobsHook:
        fields = {**sandbox.connection("airbyte", auth), **changes}
        conn_id = fields.pop("conn_id")
        given = {key: value for key, value in fields.items() if value is not None}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(given))
        return AirbyteJobsHook()

    return connect


@pytest.fixture
def hook(connect: Callable[..., AirbyteJobsHook]) -> AirbyteJobsHook:
    return connect()
