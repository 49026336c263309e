# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The environment's proxy: blamed where it is to blame, and never with its password."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook

if TYPE_CHECKING:
    from support.connections import Connections
    from support.logs import Logs

PASSWORD = "s3cret-pw"

pytestmark = pytest.mark.usefixtures("one_try")


@pytest.fixture
def hook(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> NarrativeHook:
    connections.add("narrative", host="api.vendor.invalid", extra={"connect_timeout": 3})
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return NarrativeHook()


@pytest.fixture
def proxy() -> Iterator[str]:
    """The address of a proxy that lets nobody through."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:99999",
        "[::1",
        "",
        "127.0.0.1:0",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_an_address_that_is_none(
    scheme: str, address: str, hook: NarrativeHook, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:{PASSWORD}@{address}")
    worked, message = hook.test_connection()
    assert not worked
    assert message.startswith("the proxy in this machine's environment cannot be used: write HTTPS_PROXY")
    assert PASSWORD not in message + logs.text


def test_a_password_with_a_slash(hook: NarrativeHook, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://me:s3cret/pw@127.0.0.1:9")
    message = hook.test_connection()[1]
    assert "percent-encoded" in message
    assert "s3cret" not in message + logs.text


def test_a_name_that_nobody_knows(hook: NarrativeHook, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://corp:{PASSWORD}@proxy.corp.invalid:3128")
    message = hook.test_connection()[1]
    assert "the name of the proxy 'proxy.corp.invalid' cannot be resolved: check HTTPS_PROXY" in message
    assert "connection's host" not in message
    assert PASSWORD not in message + logs.text


def test_a_proxy_that_lets_nobody_through(
    hook: NarrativeHook, proxy: str, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://corp:{PASSWORD}@{proxy}")
    message = hook.test_connection()[1]
    assert "the proxy '127.0.0.1' does not let it through (" in message
    assert "407 Proxy Authentication Required" in message
    assert PASSWORD not in message + logs.text


def test_a_socks_proxy(hook: NarrativeHook, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://corp:{PASSWORD}@127.0.0.1:9")
    worked, message = hook.test_connection()
    assert not worked
    assert "the proxy '127.0.0.1' does not let it through (" in message
    assert "Connection refused" in message
    assert PASSWORD not in message + logs.text
