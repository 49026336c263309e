# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A pytest plugin: a test fails if a hook of ours sends a sandbox what the vendor's documents do not allow.

It listens at every sandbox of the process, and knows the hooks' requests by their user agent: those that
tests or the vendors' own clients send are theirs. A request counts for the test that runs while it comes.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox.server import SandboxApp
from support.vendor_documents import SPECS, Documents, SentRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Message, Receive, Scope, Send

USER_AGENT = "airflow-provider-ingestjobs/"
#: Never kept.
CREDENTIALS = ("authorization", "cookie")
MAX_SHOWN = 10
MARKER = "undocumented"
MARKER_HELP = (
    f"{MARKER}(trouble): the test has a hook send what the vendor does not document, as its user asks for "
    "it; `trouble` is what the check says of it, or a part of that"
)

_documents = Documents()
_sent: dict[SentRequest, None] = {}


def take_sent() -> list[SentRequest]:
    """Return what the hooks have sent since this was last asked, each different request once."""
    taken = list(_sent)
    for request in taken:
        del _sent[request]
    return taken


def undocumented(requests: Iterable[SentRequest]) -> list[str]:
    """Return a paragraph for each request that the documents do not allow.

    :param requests: the requests; those to vendors without a document are left out.
    """
    found = {one: _documents.troubles(one) for one in requests if _documents.knows(one.vendor)}
    return ["\n    ".join([str(one), *troubles]) for one, troubles in found.items() if troubles]


def pytest_configure(config: pytest.Config) -> None:
    """Listen at every sandbox."""
    config.addinivalue_line("markers", MARKER_HELP)
    _listen(config)


def pytest_report_header() -> str:
    """Say that the check is on."""
    return f"requests of the hooks: checked against {SPECS.name}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that has passed so far."""
    result = yield
    marker = item.get_closest_marker(MARKER)
    _fail_for(take_sent(), *(marker.args if marker else ()))
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, Any, Any]:
    """Fail a test for what its fixtures sent, or what it sent before it failed."""
    result = yield
    _fail_for(take_sent())
    return result


def _fail_for(requests: list[SentRequest], on_purpose: str = "") -> None:
    found = undocumented(requests)
    if on_purpose:
        if not any(on_purpose in one for one in found):
            pytest.fail(f"The test is marked as sending {on_purpose!r}, and does not", pytrace=False)
        found = [one for one in found if on_purpose not in one]
    if not found:
        return
    shown = "\n  ".join(found[:MAX_SHOWN])
    more = f"\n  and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    pytest.fail(f"A hook sent what the vendor does not document:\n  {shown}{more}", pytrace=False)


def _listen(config: pytest.Config) -> None:
    answer, respond = SandboxApp.__call__, SandboxApp.respond

    async def listening(app: SandboxApp, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not _is_ours(headers):
            await answer(app, scope, receive, send)
            return
        body = bytearray()
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")

        async def hear() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                _note(app, scope["method"], path, query, headers, bytes(body))
            return message

        # A request without a body is noted at once: nobody may ever ask for the body it does not have.
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if not has_body:
            _note(app, scope["method"], path, query, headers, b"")
        await answer(app, scope, hear if has_body else receive, send)

    def responding(
        app: SandboxApp, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Any:
        named = {name.lower(): value for name, value in headers.items()}
        if _is_ours(named):
            _note(app, method, path, query, named, body)
        return respond(app, method, path, query, headers, body)

    patch = pytest.MonkeyPatch()
    patch.setattr(SandboxApp, "__call__", listening)
    patch.setattr(SandboxApp, "respond", responding)
    config.add_cleanup(patch.undo)


def _is_ours(headers: Mapping[str, str]) -> bool:
    return headers.get("user-agent", "").startswith(USER_AGENT)


def _note(
    app: SandboxApp, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> None:
    vendor = app._owner(path)
    if vendor is None:
        return
    kept = tuple(sorted((name, value) for name, value in headers.items() if name not in CREDENTIALS))
    _sent[SentRequest(vendor.name, method, path, query, kept, body)] = None
