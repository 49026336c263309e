# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How a fault is done on the socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_ingestjobs.sandbox.fault import Fault

_ENDLESS_CHUNK = b" " * 16384
_ENDLESS_PAUSE = 0.002


@dataclass(frozen=True)
class Response:
    """An HTTP response read whole.

    :param status: its status.
    :param headers: its headers, whose names may be looked up in any case.
    :param body: its body.
    """

    status: int
    headers: Headers
    body: bytes

    def with_headers(self, extra: Mapping[str, str]) -> Response:
        """Return the response with headers replaced or added.

        :param extra: the headers.
        """
        names = {name.lower().encode() for name in extra}
        kept = [header for header in self.headers.raw if header[0].lower() not in names]
        added = [(name.lower().encode(), str(value).encode()) for name, value in extra.items()]
        return Response(self.status, Headers(raw=kept + added), self.body)

    def headers_without_length(self) -> list[tuple[bytes, bytes]]:
        """Return the headers but for Content-Length, as ASGI has them."""
        return [header for header in self.headers.raw if header[0].lower() != b"content-length"]


async def real_response(app: ASGIApp, scope: Scope, body: bytes) -> Response:
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
    return Response(start["status"], Headers(raw=list(start["headers"])), b"".join(chunks))


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
    response: Response, fault: Fault, receive: Receive, send: Send, transport: asyncio.Transport
) -> None:
    """Send a response the way the fault wants it."""
    body, length = response.body, len(response.body)
    headers = response.headers_without_length()
    if fault.endless:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        while not await client_gone(receive, fault.drip or _ENDLESS_PAUSE):
            await send({"type": "http.response.body", "body": _ENDLESS_CHUNK, "more_body": True})
        return
    if fault.drop == "mid_body":
        # Even of an empty body some must be missing.
        length = length or 2
        body = body[: len(body) // 2]
    headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if fault.drip is None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    else:
        for position in range(len(body)):
            byte = body[position : position + 1]
            await send({"type": "http.response.body", "body": byte, "more_body": True})
            if await client_gone(receive, fault.drip):
                return
    if fault.drop == "mid_body":
        await hang_up(transport, receive)
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
