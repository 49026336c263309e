# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox on the network: one application for all vendors, and the port at which it answers."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote

import uvicorn
from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_ingestjobs.sandbox import spoil
from airflow_provider_ingestjobs.sandbox.spoil import Response
from airflow_provider_ingestjobs.sandbox.vendor import VendorApi, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_ingestjobs.sandbox.fault import Fault

    Record = Callable[[VendorApi, Scope, float, int | None], None]

Result = TypeVar("Result")

CONTROL_PATH = "/_sandbox"
_START_SECONDS = 10
_STOP_SECONDS = 2
_TRANSPORT = "sandbox.transport"


@dataclass(eq=False)
class ActiveFault:
    """A fault and how far it has come.

    :param fault: the fault.
    :param skip: how many matching requests it still lets pass.
    :param times: how many requests it still hits; None: until cleared.
    """

    fault: Fault
    skip: int
    times: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        content = self.fault.content
        return {
            **asdict(self.fault),
            "body": None if content is None else content.decode("utf-8", "replace"),
            "times": self.times,
            "skip": self.skip,
        }


class SandboxApp:
    """The ASGI application: latency first, then the faults, then rate limits, then the vendor.

    :param vendors: the vendors; each request goes to the one that owns its path.
    :param control: answers below ``/_sandbox``.
    :param clock: seconds since the epoch.
    :param lock: held while faults or limits are read or changed.
    :param record: called with each request: its vendor, its scope, when it came, and the response's status,
        None if the connection was dropped instead.
    """

    def __init__(
        self,
        vendors: Sequence[VendorApi],
        control: ASGIApp,
        clock: Callable[[], float],
        lock: threading.RLock,
        record: Record,
    ) -> None:
        self.latency = 0.0
        self._vendors = vendors
        self._control = control
        self._clock = clock
        self._lock = lock
        self._record = record
        self._faults: list[ActiveFault] = []
        self._limits: dict[str, RateLimit] = {}
        self._held: set[asyncio.Transport] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path == CONTROL_PATH or path.startswith(CONTROL_PATH + "/"):
            await self._control(scope, receive, send)
            return
        vendor = self._owner(path)
        if vendor is None:
            await _nobodys(path)(scope, receive, send)
            return
        latency, at = self.latency, self._clock()
        if latency > 0:
            await asyncio.sleep(latency)

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(vendor, scope, at, message["status"])
            await send(message)

        fault = self._take_fault(vendor, scope["method"], path)
        if fault is None:
            await self._within_limits(vendor)(scope, receive, recording_send)
            return

        transport = scope[_TRANSPORT]
        self._held.add(transport)
        try:
            body = await spoil.read_body(receive)
            real = await spoil.real_response(vendor.app, scope, body) if fault.after else None
            if fault.delay and await spoil.client_gone(receive, fault.delay):
                self._record(vendor, scope, at, None)
                return
            if fault.drop == "before":
                self._record(vendor, scope, at, None)
                await spoil.hang_up(transport, receive)
                return
            response = await _response(fault, vendor, scope, body, real)
            await spoil.send_spoiled(response, fault, receive, recording_send, transport)
        finally:
            self._held.discard(transport)

    def respond(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Return what would be answered over a socket, without one; see ``Sandbox.respond``."""
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method.upper(),
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "server": ("127.0.0.1", 80),
        }
        vendor = self._owner(scope["path"])
        if vendor is None:
            return _at_once(spoil.real_response(_nobodys(scope["path"]), scope, body))
        at = self._clock()
        fault = self._take_fault(vendor, scope["method"], scope["path"])
        if fault is None:
            response = _at_once(spoil.real_response(self._within_limits(vendor), scope, body))
        elif fault.needs_socket:
            raise ValueError(f"{fault} needs a socket; in-process a fault may set status, headers and body")
        else:
            response = _at_once(_response(fault, vendor, scope, body))
        self._record(vendor, scope, at, response.status)
        return response

    def add_fault(self, fault: Fault) -> None:
        """Add trouble behind what was added before.

        :param fault: the fault; the vendor it names, if any, by its sandbox name.
        """
        with self._lock:
            self._faults.append(ActiveFault(fault, fault.skip, fault.times))

    def clear_faults(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._faults.clear()

    def active_faults(self) -> list[ActiveFault]:
        """Return the faults that have not struck for the last time, in order."""
        with self._lock:
            return [replace(active) for active in self._faults]

    def limit(self, vendor: VendorApi, per_second: float | None) -> None:
        """Let a vendor refuse more requests than this.

        :param vendor: the vendor.
        :param per_second: the most requests in a second; None: as many as come.
        """
        with self._lock:
            self._limits.pop(vendor.name, None)
            if per_second is not None:
                self._limits[vendor.name] = RateLimit(per_second)

    def reset(self) -> None:
        """Forget faults, limits and latency."""
        with self._lock:
            self._faults.clear()
            self._limits.clear()
            self.latency = 0.0

    def abort_faults(self) -> None:
        """Drop the connections of every request that a fault is at work on; call it in the event loop."""
        for transport in self._held:
            transport.abort()

    def _owner(self, path: str) -> VendorApi | None:
        return next((vendor for vendor in self._vendors if vendor.owns_path.match(path)), None)

    def _take_fault(self, vendor: VendorApi, method: str, path: str) -> Fault | None:
        with self._lock:
            for active in self._faults:
                if not active.fault.matches(vendor.name, method, path):
                    continue
                if active.skip:
                    active.skip -= 1
                    continue
                if active.times is not None:
                    active.times -= 1
                    if not active.times:
                        self._faults.remove(active)
                return active.fault
        return None

    def _within_limits(self, vendor: VendorApi) -> ASGIApp:
        with self._lock:
            limit = self._limits.get(vendor.name)
            if limit is None or limit.admits(self._clock()):
                return vendor.app
        return vendor.refusal(429, "Too many requests", {"Retry-After": "1"})


class RateLimit:
    """Admits so many requests in any second, or one in so many seconds.

    :param per_second: the most requests in a second, above 0.
    """

    def __init__(self, per_second: float) -> None:
        self._window = max(1.0, 1.0 / per_second)
        self._most = per_second * self._window
        self._times: deque[float] = deque()

    def admits(self, now: float) -> bool:
        """Whether a request may pass; if so, it counts.

        :param now: seconds since the epoch, never less than before.
        """
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        if len(self._times) >= self._most:
            return False
        self._times.append(now)
        return True


class Server:
    """A port on 127.0.0.1 at which the application answers, in a thread of its own.

    :param app: the application.
    :param port: the port; 0 takes a free one at each start.
    """

    def __init__(self, app: SandboxApp, port: int) -> None:
        self._app = app
        self._asked_port = port
        self._port: int | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, e.g. ``http://127.0.0.1:54321``."""
        if self._port is None:
            raise RuntimeError("the sandbox is not running: use it as a context manager or call start()")
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and return once the application answers.

        :raises RuntimeError: if it is running already or does not come up.
        :raises OSError: if the port cannot be listened at.
        """
        if self._thread is not None:
            raise RuntimeError("the sandbox is running already")
        # asyncio turns off Nagle's algorithm, 40 ms an answer, only on sockets that name their protocol.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._asked_port))
        except OSError:
            listener.close()
            raise
        config = uvicorn.Config(
            self._app,
            http=_ProtocolWithTransport,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2048,
            interface="asgi3",
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="ingest-sandbox", daemon=True
        )
        self._thread.start()
        give_up = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > give_up:
                self.stop()
                raise RuntimeError("the sandbox's server did not start")
            time.sleep(0.002)

    def stop(self) -> None:
        """Stop, dropping what is still being answered, and wait for the thread."""
        if self._server is not None and self._thread is not None:
            if self._server.started and self._thread.is_alive():
                # In the loop, where a request has either not met its fault yet or is among those held.
                self._server.servers[0].get_loop().call_soon_threadsafe(self._app.abort_faults)
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = self._port = None


class _ProtocolWithTransport(H11Protocol):
    """HTTP/1.1 that hands the application its TCP connection, which ASGI has no way to close."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


async def _response(
    fault: Fault, vendor: VendorApi, scope: Scope, body: bytes, real: Response | None = None
) -> Response:
    """Return the response that a fault sends: its own, or else the vendor's with the fault's headers.

    :param real: the vendor's, if it has dealt with the request already.
    """
    if real is None and (fault.after or not fault.replaces_answer):
        real = await spoil.real_response(vendor.app, scope, body)
    if real is not None and not fault.replaces_answer:
        return real.with_headers(fault.headers)
    status, content = fault.status or 200, fault.content
    if content is None:
        content = json.dumps(vendor.error(status, f"Sandbox fault {status}")).encode()
    headers = Headers(raw=[(b"content-type", b"application/json")])
    return Response(status, headers, content).with_headers(fault.headers)


def _nobodys(path: str) -> ASGIApp:
    message = f"No vendor of the sandbox has a path {path}; GET /_sandbox lists the vendors."
    return json_response({"message": message}, 404)


def _at_once(answering: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine returns that waits for nothing, in any thread and without an event loop."""
    try:
        answering.send(None)
    except StopIteration as done:
        return cast("Result", done.value)
    answering.close()
    raise RuntimeError("an endpoint waited for something, which it can only do behind a socket")
