# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox as tests use it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox.adverity import Adverity
from airflow_provider_ingestjobs.sandbox.amperity import Amperity
from airflow_provider_ingestjobs.sandbox.connections import connection, connection_variables
from airflow_provider_ingestjobs.sandbox.control import control_app
from airflow_provider_ingestjobs.sandbox.narrative import Narrative
from airflow_provider_ingestjobs.sandbox.polaris import Polaris
from airflow_provider_ingestjobs.sandbox.routing import by_name
from airflow_provider_ingestjobs.sandbox.server import SandboxApp, Server
from airflow_provider_ingestjobs.sandbox.starts import StartPlan, check_plan

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from starlette.types import Scope

    from airflow_provider_ingestjobs.sandbox.fault import Fault
    from airflow_provider_ingestjobs.sandbox.job_store import Timeline
    from airflow_provider_ingestjobs.sandbox.spoil import Response
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi

VENDORS: tuple[type[VendorApi], ...] = (Amperity, Adverity, Polaris, Narrative)

_RECORDED_REQUESTS = 10_000
_CANCEL_DELAY = 0.5


@dataclass(frozen=True)
class RecordedRequest:
    """One request a vendor got: never its headers or body, and no secret in its query.

    :param vendor: the vendor's name.
    :param method: such as ``GET``.
    :param path: what was asked for, from the root of the sandbox.
    :param query: the query, without its question mark.
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
    """A stand-in for vendors on one local port: Amperity, Adverity, Imply Polaris and Narrative, or your own.

    Use it as a context manager, or call ``start`` and ``stop``. Its methods name a vendor by the ``name`` or
    the ``conn_type`` of its class, e.g. ``polaris`` or ``imply_polaris``.

    :param port: the port on 127.0.0.1; 0 takes a free one.
    :param clock: seconds since the epoch, for timelines and tokens; tests may simulate it, forward only.
    :param demo: hold each vendor's ``demo_jobs`` from the start and after each ``reset``.
    :param vendors: the vendors, each a subclass of ``VendorApi``.
    :param ties: shuffles jobs of the same instant anew in each answer with a list, as a database without a
        second sort key may; None: of these, the one added last counts as the latest.
    :raises ValueError: if two of the vendors would answer the same path or have the same name.
    """

    def __init__(
        self,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        demo: bool = False,
        vendors: Sequence[type[VendorApi]] = VENDORS,
        ties: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._demo = demo
        self._lock = threading.RLock()
        self._vendors = by_name([vendor(clock, self._lock) for vendor in vendors])
        for vendor in self._vendors.values():
            vendor.ties = ties
        self._requests: deque[RecordedRequest] = deque(maxlen=_RECORDED_REQUESTS)
        self._app = SandboxApp(
            list(self._vendors.values()), control_app(self), clock, self._lock, self._record
        )
        self._server = Server(self._app, port)
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
        return self._server.url

    @property
    def latency(self) -> float:
        """Seconds added to every answer."""
        return self._app.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._app.latency = seconds

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
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop the server, dropping what it is still answering, and wait for its thread."""
        self._server.stop()

    def respond(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        """Return what a vendor answers, in the thread of the caller: for simulations, without a socket.

        The sandbox need not have been started. Faults, rate limits and ``requests`` are as over a socket, but
        nothing takes time: ``latency`` is the caller's to spend.

        :param method: the HTTP method.
        :param path: the URL's path, escaped as in a URL.
        :param query: the URL's query, without the question mark.
        :param headers: the request's headers.
        :param body: the request's body.
        :raises ValueError: if a fault strikes that needs a socket: one with ``delay``, ``drop``, ``drip`` or
            ``endless``.
        """
        return self._app.respond(method, path, query, headers or {}, body)

    def add_job(
        self,
        vendor: str,
        job_id: str | int | None = None,
        timeline: Timeline = ((0, "running"),),
        *,
        rows: dict[str, int] | None = None,
        failure: str | None = None,
        starts: str = "now",
        fields: dict[str, Any] | None = None,
        cancel_state: str | None = None,
        known_after: float | None = None,
        list_lag: float = 0.0,
    ) -> str:
        """Add a job and return its id.

        :param vendor: the vendor that runs it.
        :param job_id: its id; None makes one in the vendor's own format.
        :param timeline: ``(seconds, what)`` in order. ``what`` is a vendor's state word or a dict of changes:
            ``state``, ``rows``, ``progress``, ``failure`` and those that the docstring of the vendor's class
            lists; other keys are fields of the vendor's record. Before its first entry the vendor does not
            know the job.
        :param rows: the final counts: ``read``, ``inserted``, ``updated``, ``rejected``, ``errors``, or the
            vendor's own; shown as far as the vendor shows counts at all.
        :param failure: the failure's text, shown where the vendor has a place for it.
        :param starts: when the timeline starts: ``"now"`` or with the ``"first_read"`` of the job or a list.
        :param fields: merged into the record, but for those with a meaning of their own that the docstring of
            the vendor's class lists.
        :param cancel_state: the word the job ends in when it is cancelled; None: the vendor's usual one.
        :param known_after: seconds from the timeline's start in which the vendor does not know the job yet,
            though its record shows later that its timeline ran; None: it does from the first entry on.
        :param list_lag: seconds by which the vendor's lists show what happens to this job later than reads by
            id do. Records keep their true timestamps: a late change does not move to the top of a list.
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
                known_after=known_after,
                list_lag=list_lag,
            )

    def plan_start(
        self,
        vendor: str,
        timeline: Timeline,
        *,
        rows: dict[str, int] | None = None,
        failure: str | None = None,
        fields: dict[str, Any] | None = None,
        cancel_state: str | None = None,
        known_after: float | None = None,
        list_lag: float = 0.0,
        times: int | None = 1,
    ) -> None:
        """Plan what the next jobs do that are started through a vendor's API; plans are used in their order.

        Without a plan a job waits, runs from 1 s on and succeeds at 3 s. The further arguments are
        ``add_job``'s. The answer to a start shows the job also where ``known_after`` hides it from reads.

        :param vendor: the vendor that runs them.
        :param fields: merged into the record, before what the request asks for. The docstring of the
            vendor's class lists those with a meaning of their own.
        :param times: how many jobs do so; None: all that are still to be started.
        :raises ValueError: if the vendor starts no jobs, or could not have such a job.
        """
        plan = StartPlan(timeline, rows, failure, fields, cancel_state, known_after, list_lag, times)
        with self._lock:
            api = self._vendor(vendor)
            check_plan(api, plan)
            api.starts.add(plan)

    def job_ids(self, vendor: str) -> list[str]:
        """Return the ids of all jobs that a vendor has, also of those it does not show yet, oldest first.

        :param vendor: the vendor.
        """
        with self._lock:
            return list(self._vendor(vendor).store.all)

    def started_ids(self, vendor: str) -> list[str]:
        """Return the ids of what was started through a vendor's API, oldest first, removed ones included.

        They are job ids, or those of the runs where a vendor starts runs that have jobs of their own.

        :param vendor: the vendor.
        """
        with self._lock:
            return list(self._vendor(vendor).starts.ids)

    def set_state(self, vendor: str, job_id: str | int, state: str, failure: str | None = None) -> None:
        """Put a job into a state at once; the rest of its timeline is dropped.

        :param vendor: the vendor that runs it.
        :param job_id: its id.
        :param state: the vendor's state word.
        :param failure: the failure's text.
        :raises KeyError: if the sandbox has no such job.
        """
        with self._lock:
            self._with_job(vendor, job_id).set_state(str(job_id), state, failure)

    def remove_job(self, vendor: str, job_id: str | int) -> None:
        """Let the vendor no longer know a job.

        :param vendor: the vendor that runs it.
        :param job_id: its id.
        :raises KeyError: if the sandbox has no such job.
        """
        with self._lock:
            self._with_job(vendor, job_id).store.remove(str(job_id))

    def add_fault(self, fault: Fault) -> None:
        """Add trouble; of several faults that match a request, the one added first strikes.

        :param fault: the fault.
        :raises ValueError: if the sandbox has no such vendor.
        """
        if fault.vendor is not None:
            fault = replace(fault, vendor=self._vendor(fault.vendor).name)
        self._app.add_fault(fault)

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._app.clear_faults()

    def expire_tokens(self, vendor: str | None = None) -> None:
        """Expire every token that a vendor, or any of them, handed out; keys stay valid.

        :param vendor: the vendor; None: all of them.
        """
        with self._lock:
            for api in self._vendors.values() if vendor is None else [self._vendor(vendor)]:
                api.expire_tokens()

    def rate_limit(self, vendor: str, per_second: float | None) -> None:
        """Answer 429 with Retry-After to more requests per second than this.

        :param vendor: the vendor.
        :param per_second: the most requests in a second; None turns the limit off.
        :raises ValueError: if the limit is not above zero.
        """
        if per_second is not None and per_second <= 0:
            raise ValueError(f"per_second must be above 0, or None, not {per_second!r}")
        self._app.limit(self._vendor(vendor), per_second)

    def requests(self, vendor: str | None = None) -> list[RecordedRequest]:
        """Return the last 10,000 requests, oldest first.

        :param vendor: only this vendor's; None: everybody's.
        """
        name = None if vendor is None else self._vendor(vendor).name
        with self._lock:
            return [request for request in self._requests if name in (None, request.vendor)]

    def reset(self) -> None:
        """Forget jobs, plans, faults, tokens, limits, requests, and go back to the settings at the start."""
        with self._lock:
            for vendor in self._vendors.values():
                vendor.reset()
            self._app.reset()
            self._requests.clear()
            self.cancel_delay = _CANCEL_DELAY
            if not self._demo:
                return
            for name, vendor in self._vendors.items():
                for job in vendor.demo_jobs:
                    self.add_job(name, job.job_id, **job.arguments)

    def connection(self, vendor: str, auth: str = "key", url: str | None = None) -> dict[str, Any]:
        """Return the arguments of an Airflow Connection that works against the sandbox.

        :param vendor: the vendor.
        :param auth: ``"key"`` for the password alone, ``"login"`` for login and password.
        :param url: the base URL where it is not the sandbox's own: one that was not started has none.
        """
        return connection(self._vendor(vendor), auth, url or self.url)

    def connection_env(self) -> dict[str, str]:
        """Return the environment variables that give Airflow every vendor's default connection."""
        return connection_variables(self._vendors.values(), self.url)

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
            return {
                "url": self.url,
                "vendors": held,
                "faults": [active.as_dict() for active in self._app.active_faults()],
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

    def _record(self, vendor: VendorApi, scope: Scope, at: float, status: int | None) -> None:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        with self._lock:
            for api in self._vendors.values():
                known = api.credentials
                for secret in (known.key, known.password, *(api.tokens if "token" in query else ())):
                    query = query.replace(secret, "***")
            self._requests.append(RecordedRequest(vendor.name, scope["method"], path, query, status, at))
