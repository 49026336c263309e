# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Trouble on purpose: what ``Fault`` may do to an answer, and how it is done on the socket."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENDLESS_CHUNK = b" " * 16384
_ENDLESS_PAUSE = 0.002


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the requests that match.

    Without ``status`` and ``body`` it spoils the vendor's real answer.

    :param vendor: only this vendor's requests; None: everybody's.
    :param method: only this HTTP method.
    :param path: only paths in which this regular expression is found.
    :param status: answer with this status; the vendor never sees the request.
    :param headers: headers set on the answer, e.g. ``{"Retry-After": "2"}``.
    :param body: answer with this body, a dict as JSON; with a status alone it is the vendor's error body.
    :param delay: seconds before anything happens.
    :param drop: ``"before"`` closes the connection instead of answering, and the vendor never sees the
        request; ``"mid_body"`` closes it half-way through the answer.
    :param drip: seconds between the bytes of the answer's body.
    :param endless: the answer's body never ends.
    :param times: how many requests it hits; None: until cleared.
    """

    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | dict[str, Any] | None = None
    delay: float = 0.0
    drop: Literal["before", "mid_body"] | None = None
    drip: float | None = None
    endless: bool = False
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.drop not in (None, "before", "mid_body"):
            raise ValueError(f"drop must be 'before', 'mid_body' or None, not {self.drop!r}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or None, not {self.times!r}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be between 200 and 599, not {self.status!r}")
        if self.path is not None:
            re.compile(self.path)

    def matches(self, vendor: str, method: str, path: str) -> bool:
        """Whether a request is hit."""
        return (
            self.vendor in (None, vendor)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )

    @property
    def content(self) -> bytes | None:
        """The body as bytes."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Answer:
    """An HTTP answer held back until the fault has had its way with it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def with_headers(self, extra: Mapping[str, str]) -> Answer:
        """Return the answer with headers replaced or added."""
        names = {name.lower().encode() for name in extra}
        kept = [header for header in self.headers if header[0].lower() not in names]
        added = [(name.lower().encode(), str(value).encode()) for name, value in extra.items()]
        return Answer(self.status, kept + added, self.body)

    def headers_without_length(self) -> list[tuple[bytes, bytes]]:
        """Return the headers but for Content-Length."""
        return [header for header in self.headers if header[0].lower() != b"content-length"]


async def real_answer(app: ASGIApp, scope: Scope, body: bytes) -> Answer:
    """Return what the vendor answers to a request."""
    start: Message = {}
    chunks: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(start["status"], list(start["headers"]), b"".join(chunks))


async def read_body(receive: Receive) -> bytes:
    """Return a request's whole body."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def hang_up(transport: asyncio.Transport, receive: Receive) -> None:
    """Close the TCP connection, letting out what was written."""
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def client_gone(receive: Receive, seconds: float) -> bool:
    """Wait, and return True at once should the client close the connection meanwhile."""

    async def disconnect() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(disconnect(), seconds)
    except TimeoutError:
        return False
    return True


async def send_spoiled(
    answer: Answer, fault: Fault, receive: Receive, send: Send, transport: asyncio.Transport
) -> None:
    """Send an answer the way the fault wants it."""
    length = (b"content-length", str(len(answer.body)).encode())
    if fault.endless:
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": answer.headers_without_length(),
            }
        )
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        while not await client_gone(receive, fault.drip or _ENDLESS_PAUSE):
            await send({"type": "http.response.body", "body": _ENDLESS_CHUNK, "more_body": True})
        return
    half = len(answer.body) // 2
    if fault.drop == "mid_body":
        if not answer.body:
            length, half = (b"content-length", b"2"), 0
        answer.body = answer.body[:half]
    headers = [*answer.headers_without_length(), length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if fault.drip is not None:
        for position in range(len(answer.body)):
            byte = answer.body[position : position + 1]
            await send({"type": "http.response.body", "body": byte, "more_body": True})
            if await client_gone(receive, fault.drip):
                return
    else:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if fault.drop == "mid_body":
        await hang_up(transport, receive)
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
