# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the fault tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.fault_servers import write_certificate
from support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def _elsewhere() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@pytest.fixture
def elsewhere(_elsewhere: Recorder) -> Recorder:
    """Another host: nothing must ever be sent to it."""
    _elsewhere.requests.clear()
    return _elsewhere


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of this machine's own network settings into the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
