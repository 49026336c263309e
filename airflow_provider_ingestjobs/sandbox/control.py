# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's own endpoints under /_sandbox: what ``Sandbox`` offers, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.routing import Route

from airflow_provider_ingestjobs.sandbox.fault import Fault
from airflow_provider_ingestjobs.sandbox.vendor import json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance
    from starlette.requests import Request
    from starlette.responses import Response

ENDPOINTS = {
    "GET /_sandbox": "this page",
    "DELETE /_sandbox": "forget jobs, plans, faults, tokens, limits and requests; demo jobs start anew",
    "GET /_sandbox/jobs?vendor=": "the ids of all jobs a vendor has (job_ids), and of what was started "
    "through its API (started_ids), oldest first",
    "POST /_sandbox/jobs": "add a job, or a list of them: vendor, job_id, timeline, rows, failure, starts, "
    "fields, cancel_state, known_after, list_lag",
    "POST /_sandbox/jobs/state": "put a job into a state: vendor, job_id, state, failure",
    "DELETE /_sandbox/jobs?vendor=&job_id=": "remove a job",
    "POST /_sandbox/starts": "plan what the next jobs do that are started through a vendor's API, or a "
    "list of plans: vendor, timeline, rows, failure, fields, cancel_state, known_after, list_lag, times",
    "POST /_sandbox/faults": "add a fault: vendor, method, path, status, headers, body, delay, drop, drip, "
    "endless, times, skip, after (the vendor has dealt with the request, whose answer is lost or late)",
    "DELETE /_sandbox/faults": "remove every fault",
    "GET /_sandbox/requests?vendor=": "the requests the vendors got",
    "POST /_sandbox/tokens/expire": "expire a vendor's tokens, or everybody's: vendor",
    "POST /_sandbox/settings": "latency, cancel_delay, rate_limits (requests per second by vendor, or null)",
}

Action = Callable[[Any, dict[str, str]], Any]


class Controlled(Protocol):
    """What the endpoints need of the ``Sandbox`` they are handed; its own docstrings say what each does."""

    latency: float
    cancel_delay: float

    def add_job(self, *args: Any, **kwargs: Any) -> str: ...
    def plan_start(self, *args: Any, **kwargs: Any) -> None: ...
    def job_ids(self, vendor: str) -> list[str]: ...
    def started_ids(self, vendor: str) -> list[str]: ...
    def set_state(self, *args: Any, **kwargs: Any) -> None: ...
    def remove_job(self, vendor: str, job_id: str) -> None: ...
    def add_fault(self, fault: Fault) -> None: ...
    def clear_faults(self) -> None: ...
    def expire_tokens(self, vendor: str | None) -> None: ...
    def rate_limit(self, vendor: str, per_second: float | None) -> None: ...
    def requests(self, vendor: str | None) -> Iterable[DataclassInstance]: ...
    def reset(self) -> None: ...
    def describe(self) -> dict[str, Any]: ...


def control_app(sandbox: Controlled) -> Starlette:
    """Return the application that serves /_sandbox.

    :param sandbox: what the endpoints act on.
    """

    def add_jobs(body: Any, query: dict[str, str]) -> Any:
        ids = [sandbox.add_job(**job) for job in (body if isinstance(body, list) else [body])]
        return {"job_ids": ids}

    def job_ids(body: Any, query: dict[str, str]) -> Any:
        vendor = query["vendor"]
        return {"job_ids": sandbox.job_ids(vendor), "started_ids": sandbox.started_ids(vendor)}

    def plan_starts(body: Any, query: dict[str, str]) -> Any:
        for plan in body if isinstance(body, list) else [body]:
            sandbox.plan_start(**plan)

    def set_state(body: Any, query: dict[str, str]) -> Any:
        sandbox.set_state(**body)

    def remove_job(body: Any, query: dict[str, str]) -> Any:
        sandbox.remove_job(query["vendor"], query["job_id"])

    def add_fault(body: Any, query: dict[str, str]) -> Any:
        sandbox.add_fault(Fault(**body))

    def expire_tokens(body: Any, query: dict[str, str]) -> Any:
        sandbox.expire_tokens((body or {}).get("vendor"))

    def settings(body: Any, query: dict[str, str]) -> Any:
        sandbox.latency = float(body.get("latency", sandbox.latency))
        sandbox.cancel_delay = float(body.get("cancel_delay", sandbox.cancel_delay))
        for vendor, per_second in body.get("rate_limits", {}).items():
            sandbox.rate_limit(vendor, per_second)

    return Starlette(
        routes=[
            _route("GET", "/_sandbox", lambda body, query: {**sandbox.describe(), "endpoints": ENDPOINTS}),
            _route("DELETE", "/_sandbox", lambda body, query: sandbox.reset()),
            _route("GET", "/_sandbox/jobs", job_ids),
            _route("POST", "/_sandbox/jobs", add_jobs),
            _route("POST", "/_sandbox/starts", plan_starts),
            _route("POST", "/_sandbox/jobs/state", set_state),
            _route("DELETE", "/_sandbox/jobs", remove_job),
            _route("POST", "/_sandbox/faults", add_fault),
            _route("DELETE", "/_sandbox/faults", lambda body, query: sandbox.clear_faults()),
            _route(
                "GET",
                "/_sandbox/requests",
                lambda body, query: {
                    "requests": [asdict(request) for request in sandbox.requests(query.get("vendor"))]
                },
            ),
            _route("POST", "/_sandbox/tokens/expire", expire_tokens),
            _route("POST", "/_sandbox/settings", settings),
        ]
    )


def _route(method: str, path: str, action: Action) -> Route:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            done = action(json.loads(body) if body else None, dict(request.query_params))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            status = 404 if isinstance(error, KeyError) else 400
            return json_response({"message": str(error.args[0] if error.args else error)}, status)
        # Indented, as people read it in a browser or with curl.
        return json_response(json.dumps({"ok": True} if done is None else done, indent=2).encode())

    return Route(path, endpoint, methods=[method])
