# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox itself: one server for all vendors, and what tests may do with it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_ingestjobs.sandbox import faults
from airflow_provider_ingestjobs.sandbox.adverity import Adverity
from airflow_provider_ingestjobs.sandbox.amperity import Amperity
from airflow_provider_ingestjobs.sandbox.control import control_app
from airflow_provider_ingestjobs.sandbox.demo_jobs import DEMO_JOBS
from airflow_provider_ingestjobs.sandbox.faults import Answer, Fault
from airflow_provider_ingestjobs.sandbox.narrative import Narrative
from airflow_provider_ingestjobs.sandbox.polaris import Polaris
from airflow_provider_ingestjobs.sandbox.vendor import VendorApi, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

VENDORS: dict[str, type[VendorApi]] = {
    vendor.name: vendor for vendor in (Amperity, Adverity, Polaris, Narrative)
}

_RECORDED_REQUESTS = 10_000
_START_SECONDS = 10
_STOP_SECONDS = 2
_TRANSPORT = "sandbox.transport"


@dataclass(frozen=True)
class RecordedRequest:
    """One request a vendor got: never its headers or body, and no secret in its query.

    :param status: the answer's status; None if the connection was dropped instead.
    :param at: when the request came, on the sandbox's clock.
    """

    vendor: str
    method: str
    path: str
    query: str
    status: int | None
    at: float


class Sandbox:
    """A stand-in for Amperity, Adverity, Imply Polaris and Narrative on one local port.

    Use it as a context manager, or call ``start`` and ``stop``. Vendors are named ``amperity``,
    ``adverity``, ``polaris`` (or by its connection type ``imply_polaris``) and ``narrative``.

    :param port: the port on 127.0.0.1; 0 takes a free one.
    :param clock: seconds since the epoch, for timelines and tokens; tests may simulate it, forward only.
    :param demo: hold the jobs of ``demo_jobs.DEMO_JOBS`` from the start and after each ``reset``.
    """

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.time, demo: bool = False) -> None:
        self.latency = 0.0
        """Seconds added to every answer."""
        self._asked_port = port
        self._clock = clock
        self._demo = demo
        self._lock = threading.RLock()
        self._vendors = {name: vendor(clock, self._lock) for name, vendor in VENDORS.items()}
        self._faults: list[tuple[Fault, int | None]] = []
        self._limits: dict[str, tuple[float, deque[float]]] = {}
        self._requests: deque[RecordedRequest] = deque(maxlen=_RECORDED_REQUESTS)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._port: int | None = None
        self._held: dict[asyncio.Transport, asyncio.AbstractEventLoop] = {}
        self._control = control_app(self)
        self.reset()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL of every vendor, e.g. ``http://127.0.0.1:54321``."""
        if self._port is None:
            raise RuntimeError("the sandbox is not running: use it as a context manager or call start()")
        return f"http://127.0.0.1:{self._port}"

    @property
    def cancel_delay(self) -> float:
        """Seconds a job takes to end once it was cancelled."""
        return next(iter(self._vendors.values())).cancel_delay

    @cancel_delay.setter
    def cancel_delay(self, seconds: float) -> None:
        for vendor in self._vendors.values():
            vendor.cancel_delay = seconds

    def start(self) -> Sandbox:
        """Start the server in a thread and return once it answers."""
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
            self._answer,
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
        return self

    def stop(self) -> None:
        """Stop the server, dropping what it is still answering, and wait for its thread."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            for transport, loop in list(self._held.items()):
                loop.call_soon_threadsafe(transport.abort)
            self._thread.join()
        self._server = self._thread = self._port = None

    def add_job(
        self,
        vendor: str,
        job_id: str | int | None = None,
        timeline: Sequence[tuple[float, str | dict[str, Any]]] = ((0, "running"),),
        *,
        rows: dict[str, int] | None = None,
        failure: str | None = None,
        starts: str = "now",
        fields: dict[str, Any] | None = None,
        cancel_state: str | None = None,
    ) -> str:
        """Add a job and return its id.

        :param vendor: the vendor that runs it.
        :param job_id: its id; None makes one in the vendor's own format.
        :param timeline: ``(seconds, what)`` in order. ``what`` is a vendor's state word or a dict of changes:
            ``state``, ``rows``, ``progress``, ``failure``, Adverity's ``stage`` (only ``"fetch"`` can be
            stopped), Amperity's ``tables`` (a list of changes, one per table); other keys are fields of the
            vendor's record. Before its first entry the vendor does not know the job.
        :param rows: the final counts: ``read``, ``inserted``, ``updated``, ``rejected``, ``errors``, or
            Polaris' own ``numRows…``; shown as far as the vendor shows counts at all.
        :param failure: the failure's text, shown where the vendor has a place for it.
        :param starts: when the timeline starts: ``"now"`` or with the ``"first_read"`` of the job or a list.
        :param fields: merged into the record; also Amperity's ``workflow_id``, ``workflow`` (fields of the
            run) and ``tables``, Adverity's ``datastream_id``, ``stage`` and ``imported``, Polaris'
            ``project_id``, Narrative's ``dataset_id`` and ``tags``.
        :param cancel_state: the word the job ends in when it is cancelled; None: the vendor's usual one.
        """
        identifier = None if job_id is None else str(job_id)
        with self._lock:
            return self._vendor(vendor).add_job(
                identifier,
                timeline,
                rows=rows,
                failure=failure,
                starts=starts,
                fields=fields,
                cancel_state=cancel_state,
            )

    def set_state(self, vendor: str, job_id: str | int, state: str, failure: str | None = None) -> None:
        """Put a job into a state at once; the rest of its timeline is dropped."""
        with self._lock:
            self._with_job(vendor, job_id).set_state(str(job_id), state, failure)

    def remove_job(self, vendor: str, job_id: str | int) -> None:
        """Let the vendor no longer know a job."""
        with self._lock:
            self._with_job(vendor, job_id).store.remove(str(job_id))

    def add_fault(self, fault: Fault) -> None:
        """Add trouble; of several faults that match a request, the one added first strikes."""
        if fault.vendor is not None:
            self._vendor(fault.vendor)
        with self._lock:
            self._faults.append((fault, fault.times))

    def clear_faults(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._faults.clear()

    def expire_tokens(self, vendor: str | None = None) -> None:
        """Let every token a vendor, or all of them, handed out be expired; keys stay valid."""
        with self._lock:
            for api in self._vendors.values() if vendor is None else [self._vendor(vendor)]:
                api.expire_tokens()

    def rate_limit(self, vendor: str, per_second: float | None) -> None:
        """Answer 429 with Retry-After to more requests per second than this; None turns the limit off."""
        if per_second is not None and per_second <= 0:
            raise ValueError(f"per_second must be above 0, or None, not {per_second!r}")
        with self._lock:
            self._limits.pop(self._vendor(vendor).name, None)
            if per_second is not None:
                self._limits[self._vendor(vendor).name] = (per_second, deque())

    def requests(self, vendor: str | None = None) -> list[RecordedRequest]:
        """Return the last 10,000 requests, oldest first."""
        name = None if vendor is None else self._vendor(vendor).name
        with self._lock:
            return [request for request in self._requests if name in (None, request.vendor)]

    def reset(self) -> None:
        """Forget jobs, faults, tokens, limits and requests, and go back to the settings at the start."""
        with self._lock:
            for vendor in self._vendors.values():
                vendor.reset()
            self._faults.clear()
            self._limits.clear()
            self._requests.clear()
            self.latency = 0.0
            self.cancel_delay = 0.5
            if self._demo:
                for job in DEMO_JOBS:
                    self.add_job(**job.arguments)

    def connection(self, vendor: str, auth: str = "key") -> dict[str, Any]:
        """Return the arguments of an Airflow Connection that works against the sandbox.

        :param auth: ``"key"`` for the password alone, ``"login"`` for login and password.
        """
        if auth not in ("key", "login"):
            raise ValueError(f"auth must be 'key' or 'login', not {auth!r}")
        api = self._vendor(vendor)
        credentials = api.credentials
        return {
            "conn_id": f"{api.conn_type}_default",
            "conn_type": api.conn_type,
            "host": self.url,
            "login": credentials.login if auth == "login" else None,
            "password": credentials.password if auth == "login" else credentials.key,
            "extra": api.connection_extra(self.url, auth),
        }

    def connection_env(self) -> dict[str, str]:
        """Return the environment variables that give Airflow every vendor's default connection."""
        variables = {}
        for vendor in self._vendors:
            arguments = self.connection(vendor)
            name = f"AIRFLOW_CONN_{arguments.pop('conn_id').upper()}"
            variables[name] = json.dumps(
                {key: value for key, value in arguments.items() if value not in (None, {})}
            )
        return variables

    def describe(self) -> dict[str, Any]:
        """Return what there is: the jobs by vendor and state, the faults, and how to connect."""
        with self._lock:
            now = self._clock()
            held = {}
            for name, vendor in self._vendors.items():
                vendor.store.advance(now)
                states: dict[str, int] = {}
                for job in vendor.store.all.values():
                    word = job.state or "not started"
                    states[word] = states.get(word, 0) + 1
                held[name] = {
                    "jobs": len(vendor.store.all),
                    "states": states,
                    "first_ids": list(vendor.store.all)[:20],
                }
            faults_left = [_fault_as_dict(fault, left) for fault, left in self._faults]
            return {
                "url": self.url,
                "vendors": held,
                "faults": faults_left,
                "latency": self.latency,
                "cancel_delay": self.cancel_delay,
                "connections": self.connection_env(),
            }

    def _vendor(self, name: str) -> VendorApi:
        for vendor in self._vendors.values():
            if name in (vendor.name, vendor.conn_type):
                return vendor
        raise ValueError(f"vendor must be one of {', '.join(self._vendors)}, not {name!r}")

    def _with_job(self, vendor: str, job_id: str | int) -> VendorApi:
        api = self._vendor(vendor)
        if str(job_id) not in api.store.all:
            raise KeyError(f"the sandbox has no {api.name} job {job_id!r}")
        return api

    def _take_fault(self, vendor: str, method: str, path: str) -> Fault | None:
        with self._lock:
            for index, (fault, left) in enumerate(self._faults):
                named = None if fault.vendor is None else self._vendor(fault.vendor).name
                if named in (None, vendor) and fault.matches(fault.vendor or vendor, method, path):
                    if left == 1:
                        del self._faults[index]
                    elif left is not None:
                        self._faults[index] = (fault, left - 1)
                    return fault
        return None

    def _over_limit(self, vendor: str) -> bool:
        with self._lock:
            if vendor not in self._limits:
                return False
            per_second, times = self._limits[vendor]
            now = self._clock()
            window = max(1.0, 1.0 / per_second)
            while times and times[0] <= now - window:
                times.popleft()
            if len(times) >= per_second * window:
                return True
            times.append(now)
            return False

    def _record(self, vendor: str, scope: Scope, at: float, status: int | None) -> None:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        with self._lock:
            for api in self._vendors.values():
                known = api.credentials
                for secret in (known.key, known.password, *(api.tokens if "token" in query else ())):
                    query = query.replace(secret, "***")
            self._requests.append(RecordedRequest(vendor, scope["method"], path, query, status, at))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: the ASGI application."""
        path = scope["path"]
        if path == "/_sandbox" or path.startswith("/_sandbox/"):
            await self._control(scope, receive, send)
            return
        vendor = next((api for api in self._vendors.values() if api.owns_path.match(path)), None)
        if vendor is None:
            message = f"No vendor of the sandbox has a path {path}; GET /_sandbox says what there is."
            await json_response({"message": message}, 404)(scope, receive, send)
            return
        at = self._clock()
        if self.latency > 0:
            await asyncio.sleep(self.latency)

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(vendor.name, scope, at, message["status"])
            await send(message)

        app: ASGIApp = vendor.app
        fault = self._take_fault(vendor.name, scope["method"], path)
        if fault is None and self._over_limit(vendor.name):
            app = vendor.refusal(429, "Too many requests", {"Retry-After": "1"})
        if fault is None:
            await app(scope, receive, recording_send)
            return

        transport = scope[_TRANSPORT]
        self._held[transport] = asyncio.get_running_loop()
        try:
            await self._answer_spoiled(
                fault, vendor, app, at, scope=scope, receive=receive, send=recording_send
            )
        finally:
            del self._held[transport]

    async def _answer_spoiled(
        self,
        fault: Fault,
        vendor: VendorApi,
        app: ASGIApp,
        at: float,
        *,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        transport = scope[_TRANSPORT]
        body = await faults.read_body(receive)
        if fault.delay and await faults.client_gone(receive, fault.delay):
            self._record(vendor.name, scope, at, None)
            return
        if fault.drop == "before":
            self._record(vendor.name, scope, at, None)
            await faults.hang_up(transport, receive)
            return
        if fault.status is None and fault.body is None:
            answer = await faults.real_answer(app, scope, body)
        else:
            status = fault.status or 200
            content = fault.content
            if content is None:
                content = json.dumps(vendor.error(status, f"Sandbox fault {status}")).encode()
            answer = Answer(status, [(b"content-type", b"application/json")], content)
        answer = answer.with_headers(fault.headers)
        await faults.send_spoiled(answer, fault, receive, send, transport)


class _ProtocolWithTransport(H11Protocol):
    """HTTP/1.1 that hands the application its TCP connection, which ASGI has no way to close."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


def _fault_as_dict(fault: Fault, left: int | None) -> dict[str, Any]:
    content = fault.content
    return {
        **asdict(fault),
        "body": None if content is None else content.decode("utf-8", "replace"),
        "times": left,
    }
