# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What every vendor of the sandbox is made of: routes, credentials, tokens, jobs.

A further vendor is one module with a ``VendorApi`` subclass, for ``Sandbox(vendors=[...])``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.job_store import JobStore, SandboxJob, as_timeline, check_job
from airflow_provider_ingestjobs.sandbox.starts import Starts

if TYPE_CHECKING:
    import random
    import threading

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from airflow_provider_ingestjobs.sandbox.demo import DemoJob
    from airflow_provider_ingestjobs.sandbox.job_store import Timeline


@dataclass(frozen=True)
class Credentials:
    """The one key and the one login and password a sandbox vendor accepts.

    :param key: what a connection with a password alone has as its password.
    :param login: what a connection with a login has.
    :param password: the password to that login.
    """

    key: str
    login: str
    password: str


@dataclass(frozen=True)
class Call:
    """One request, read whole, as a vendor's handler gets it.

    :param request: Starlette's request.
    :param body: its body.
    :param now: when it came, on the sandbox's clock.
    """

    request: Request
    body: bytes
    now: float

    @property
    def query(self) -> QueryParams:
        """The query parameters."""
        return self.request.query_params

    @property
    def base_url(self) -> str:
        """Scheme and host as the client named them, for absolute URLs in answers."""
        return f"{self.request.url.scheme}://{self.request.headers.get('host', '127.0.0.1')}"

    @property
    def form(self) -> dict[str, str]:
        """The body as a URL-encoded form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """Return the body as JSON, or None if it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def path(self, name: str) -> str:
        """Return a path parameter.

        :param name: its name in the route.
        """
        return str(self.request.path_params[name])

    def scheme_and_secret(self) -> tuple[str, str]:
        """Return the Authorization header's scheme (lower case) and the rest."""
        scheme, _, secret = self.request.headers.get("authorization", "").partition(" ")
        return scheme.lower(), secret.strip()

    def basic_pair(self) -> tuple[str, str] | None:
        """Return user name and password of HTTP basic auth, or None if the header holds no such thing."""
        scheme, secret = self.scheme_and_secret()
        if scheme != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(secret, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (user, password) if colon else None


Handler = Callable[[Call], Response]


class VendorApi(ABC):
    """One vendor's HTTP API over a store of jobs.

    A subclass' docstring lists the keys of ``Sandbox.add_job``'s ``fields`` and steps that its vendor has for
    itself.

    :param clock: seconds since the epoch; tests may simulate it.
    :param lock: held while a request is answered, as test threads change jobs meanwhile.
    """

    #: What the vendor is called in a sandbox.
    name: ClassVar[str]
    #: Its Airflow connection type, which names it as well.
    conn_type: ClassVar[str]
    #: Matches the beginning of every path of the vendor's, and of no other vendor's in the same sandbox.
    owns_path: ClassVar[re.Pattern[str]]
    credentials: ClassVar[Credentials]
    #: The vendor's words, normalised, for a job that has not started.
    waiting_words: ClassVar[frozenset[str]]
    #: The vendor's words, normalised, for a job that is over.
    ended_words: ClassVar[frozenset[str]]
    #: The vendor's word a cancelled job ends in, unless the job says otherwise.
    cancel_state: ClassVar[str]
    #: Seconds an exchanged token lives.
    token_lifetime: ClassVar[float]
    #: Keys of a timeline's step that only this vendor has; ``SandboxJob.own`` holds what was last said there.
    step_keys: ClassVar[frozenset[str]] = frozenset()
    #: Names of row counts that only this vendor has.
    row_names: ClassVar[frozenset[str]] = frozenset()
    #: What the vendor starts with in ``Sandbox(demo=True)``.
    demo_jobs: ClassVar[tuple[DemoJob, ...]] = ()
    #: What a job does that is started through the vendor's API, if nothing is planned; empty: it starts none.
    start_timeline: ClassVar[Timeline] = ()

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        self._clock = clock
        self._lock = lock
        self.cancel_delay = 0.0
        self.ties: random.Random | None = None
        self.store = JobStore(self.take_step)
        self.starts = Starts()
        self.tokens: dict[str, float] = {}
        self.app = Starlette(routes=self.routes(), exception_handlers={HTTPException: self._refused})
        self.app.router.redirect_slashes = False

    @abstractmethod
    def routes(self) -> list[Route]:
        """Return the vendor's endpoints."""

    def sample_paths(self) -> list[str]:
        """Return a path of each route, as a request might name it."""
        return [
            route.path_format.format(**dict.fromkeys(route.param_convertors, "1"))
            for route in self.app.routes
            if isinstance(route, Route)
        ]

    @abstractmethod
    def authenticate(self, call: Call) -> None:
        """Raise HTTPException unless the call may pass.

        :param call: the request.
        :raises HTTPException: with the status that the vendor answers, such as 401.
        """

    @abstractmethod
    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return an error body in the vendor's own shape.

        :param status: the HTTP status.
        :param message: what is wrong.
        """

    @abstractmethod
    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return the vendor's record of a job.

        :param job: the job, as of now.
        :param base_url: scheme and host as the client named them, for absolute URLs.
        """

    @abstractmethod
    def new_id(self, number: int, now: float) -> str:
        """Return a job id in the vendor's format.

        :param number: a number that no other job of this vendor has.
        :param now: seconds since the epoch.
        """

    @abstractmethod
    def prepare(self, job: SandboxJob, now: float) -> None:
        """Check and complete a new job before it is stored.

        :param job: the job; its ``fields`` are what ``Sandbox.add_job`` was given.
        :param now: seconds since the epoch.
        :raises ValueError: if the vendor could not have such a job.
        """

    @abstractmethod
    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return the Airflow connection's extra that works against the sandbox.

        :param base_url: the sandbox's URL.
        :param auth: ``"key"`` or ``"login"``.
        """

    def take_step(self, job: SandboxJob, at: float, step: dict[str, Any]) -> None:
        """Apply a timeline step to a job."""
        job.take_step(at, step, self.waiting_words, self.ended_words, self.step_keys)

    def state_step(
        self, job: SandboxJob, word: str, failure: str | None = None, unfinished_only: bool = False
    ) -> dict[str, Any]:
        """Return the step that puts a job into a state whatever its timeline says.

        :param unfinished_only: leave those parts of the job that are over as they are.
        """
        return {"state": word} if failure is None else {"state": word, "failure": failure}

    def add_job(
        self,
        job_id: str | None,
        timeline: Any,
        *,
        rows: dict[str, int] | None,
        failure: str | None,
        starts: str,
        fields: dict[str, Any] | None,
        cancel_state: str | None,
        known_after: float | None,
        list_lag: float,
    ) -> str:
        """Add a job, see ``Sandbox.add_job``."""
        check_job(
            self.name,
            row_names=self.row_names,
            rows=rows,
            starts=starts,
            known_after=known_after,
            list_lag=list_lag,
        )
        now = self._clock()
        self.store.advance(now)
        number = self.store.next_number()
        job = SandboxJob(
            id=self.new_id(number, now) if job_id is None else str(job_id),
            number=number,
            timeline=as_timeline(timeline),
            fields=dict(fields or {}),
            rows=dict(rows or {}),
            failure=failure,
            cancel_state=cancel_state,
            known_after=-math.inf if known_after is None else known_after,
            waits_for_read=starts == "first_read",
        )
        self.prepare(job, now)
        self.store.add(job, now, list_lag)
        return job.id

    def set_state(self, job_id: str, word: str, failure: str | None) -> None:
        """Put a job into a state now; what was ahead of it is dropped."""
        now = self._clock()
        self.store.advance(now)
        job = self.store.all[job_id]
        step = {**self.state_step(job, word, failure), "cancel_asked": False}
        self.store.replan(job, [(now, step)], now)

    def cancel(self, job: SandboxJob, now: float, first: dict[str, Any]) -> None:
        """Take a job to its cancelled state: ``first`` now, the end after ``cancel_delay``."""
        if job.cancel_asked:
            return
        last = self.state_step(job, job.cancel_state or self.cancel_state, unfinished_only=True)
        self.store.replan(job, [(now, {**first, "cancel_asked": True}), (now + self.cancel_delay, last)], now)

    def rendered(self, job: SandboxJob, base_url: str) -> bytes:
        """Return a job's record as JSON, made once per change: lists of thousands of jobs join these."""
        if job.rendered is None or job.rendered[0] != base_url:
            job.rendered = (base_url, json.dumps(self.record(job, base_url), separators=(",", ":")).encode())
        return job.rendered[1]

    def issue_token(self) -> str:
        """Return a fresh token, valid for ``token_lifetime``."""
        token = f"{self.name}-token-{secrets.token_urlsafe(16)}"
        self.tokens[token] = self._clock() + self.token_lifetime
        return token

    def reset(self) -> None:
        """Forget every job, every plan and every token."""
        self.store = JobStore(self.take_step, self.ties)
        self.starts = Starts()
        self.expire_tokens()
        self.tokens.clear()

    def expire_tokens(self) -> None:
        """Let every token issued so far be expired; keys stay valid."""
        self.tokens = dict.fromkeys(self.tokens, -math.inf)

    def token_is_valid(self, token: str, now: float) -> bool:
        """Whether a token was issued here and has not expired."""
        return self.tokens.get(token, -math.inf) > now

    def route(self, method: str, path: str, handler: Handler, authenticated: bool = True) -> Route:
        """Return a route whose handler runs with the request read and checked and the jobs up to date.

        :param method: the HTTP method.
        :param path: the path, with parameters such as ``{job_id}``.
        :param handler: gets the :class:`Call`, returns the answer.
        :param authenticated: whether :meth:`authenticate` must let it pass.
        """

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            with self._lock:
                call = Call(request, body, self._clock())
                if authenticated:
                    self.authenticate(call)
                self.store.advance(call.now)
                return handler(call)

        return Route(path, endpoint, methods=[method])

    def refusal(self, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        """Return an error answer in the vendor's own shape."""
        return json_response(self.error(status, message), status, headers)

    async def _refused(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return self.refusal(error.status_code, error.detail, dict(error.headers or {}))


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return content as a JSON answer.

    :param content: JSON data, or bytes that are JSON already.
    :param status: the HTTP status.
    :param headers: further headers.
    """
    body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return Response(body, status, headers, media_type="application/json")


def listing(
    head: dict[str, Any], key: str, items: list[bytes], tail: dict[str, Any] | None = None
) -> Response:
    """Return a list answer.

    :param head: fields before the list.
    :param key: the list's field.
    :param items: the rendered records.
    :param tail: fields after the list.
    """
    before = json.dumps(head, separators=(",", ":"))[1:-1]
    after = json.dumps(tail or {}, separators=(",", ":"))[1:-1]
    records = b'"%s":[%s]' % (key.encode(), b",".join(items))
    parts = [before.encode(), records, after.encode()]
    return json_response(b"{" + b",".join(part for part in parts if part) + b"}")


def iso(at: float | None, timespec: str = "milliseconds") -> str | None:
    """Return a time as ISO 8601 in UTC with a Z, or None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec)[:-6] + "Z"


def parse_time(text: str) -> float:
    """Return an ISO 8601 date or timestamp, in UTC unless it names a zone, as seconds since the epoch."""
    if "T" in text:
        # A plus sign that arrives unescaped in a query is a space.
        text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text.strip())
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def same_word(one: str, other: str) -> bool:
    """Whether two state words mean the same."""
    return normalise_word(one) == normalise_word(other)
