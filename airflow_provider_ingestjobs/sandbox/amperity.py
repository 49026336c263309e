# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Amperity: ingest jobs, the workflows that run them, and its OAuth endpoint."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.amperity_runs import RunRequest, StartedRuns
from airflow_provider_ingestjobs.sandbox.amperity_tables import new_table, table_record, vendor_id
from airflow_provider_ingestjobs.sandbox.amperity_workflow import (
    in_list,
    overview,
    verbose,
    when_started,
    workflow_run,
)
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
from airflow_provider_ingestjobs.sandbox.vendor import (
    Call,
    Credentials,
    VendorApi,
    json_response,
    listing,
    parse_time,
    same_word,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import Route

TENANT = "sandbox-tenant"
API_VERSION = "2024-04-01"
LIST_WINDOW_SECONDS = 7 * 24 * 3600
#: The list's answer carries a token that no request can use.
UNUSABLE_NEXT_TOKEN = "ZVEy1iwsKBs9a6H"  # noqa: S105 a page token
DEMO_JOBS = (
    demo_job(
        "success",
        "isj-20261102-30112-Loyal1",
        [(0, "scheduled"), (2, "running"), (5, {"state": "running", "progress": 0.6}), (8, "succeeded")],
        rows={"read": 48210, "inserted": 12044, "updated": 36166, "rejected": 0, "errors": 0},
        fields={
            "workflow_id": "wf-20261102-30110-Daily1",
            "tables": [{"table_name": "Loyalty members", "feed_id": "df-5L6d1veh"}],
        },
    ),
    demo_job(
        "failure",
        "isj-20261102-30113-Pos002",
        [(0, "running"), (4, "finalizing"), (6, "failed")],
        rows={"read": 1200, "inserted": 0, "updated": 0, "rejected": 0, "errors": 1200},
        failure='Required field "transaction_id" is missing in part0.avro.',
        fields={
            "workflow_id": "wf-20261102-30111-Point2",
            "tables": [{"table_name": "POS transactions", "feed_id": "df-2kQ8sTzw"}],
        },
    ),
    demo_job(
        "long-running, to be cancelled",
        "isj-20261102-30114-Hist03",
        [(0, "scheduled"), (2, {"state": "running", "progress": 0.03}), (LONG_RUN, "succeeded")],
        rows={"read": 9000000, "inserted": 9000000},
        fields={
            "workflow_id": "wf-20261102-30112-Histo3",
            "tables": [{"table_name": "Order history 2015-2025", "feed_id": "df-9fLm3Pxa"}],
        },
    ),
    demo_job(
        "success with rejected and erroneous rows",
        "isj-20261102-30115-Email4",
        [(0, "running"), (5, "succeeded")],
        rows={"read": 1000, "inserted": 400, "updated": 200, "rejected": 200, "errors": 200},
        fields={
            "workflow_id": "wf-20261102-30113-Email4",
            "tables": [{"table_name": "Email engagement", "feed_id": "df-7Yb2KqRn"}],
        },
    ),
    demo_job(
        "success, for a watcher: the feed has no other job",
        "isj-20261102-30116-Store5",
        [(0, "scheduled"), (3, "running"), (20, "succeeded")],
        rows={"read": 812, "inserted": 812, "updated": 0, "rejected": 0, "errors": 0},
        fields={
            "workflow_id": "wf-20261102-30114-Store5",
            "tables": [{"table_name": "Stores", "feed_id": "df-4WqZp8Lk"}],
        },
    ),
)


class Amperity(VendorApi):
    """Amperity's API, as documented at docs.amperity.com/api (version 2024-04-01).

    Its own keys of ``fields`` are ``workflow_id``, ``workflow`` (fields of the run), ``attribution`` (whose
    fault a failure is) and ``tables`` (a list of fields, one per table; empty: it has none, and only its
    workflow shows its state); its own key of a step is ``tables`` (a list of changes, one per table).

    Its API starts runs. ``fields`` of a plan for one may have ``loads``: how many ingest jobs it has, each of
    which does as planned. Without it a courier group's run has one, others have none.
    """

    name = "amperity"
    conn_type = "amperity"
    step_keys = frozenset({"tables"})
    demo_jobs = DEMO_JOBS
    owns_path = re.compile(r"/api/(ingest|workflow|v0)(/|$)")
    credentials = Credentials(
        key="sandbox-amperity-token",
        login="sandbox-amperity-client",
        password="sandbox-amperity-secret",  # noqa: S106
    )
    waiting_words = frozenset({"scheduled"})
    ended_words = frozenset({"succeeded", "failed", "stopped", "canceled", "skipped"})
    cancel_state = "canceled"
    token_lifetime = 3600
    start_timeline = ((0, "scheduled"), (1, "running"), (3, "succeeded"))

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        super().__init__(clock, lock)
        self.runs = StartedRuns(self)

    def reset(self) -> None:
        """Forget every job, run, plan and token."""
        super().reset()
        self.runs.reset()

    def routes(self) -> list[Route]:
        """Return Amperity's endpoints."""
        return [
            self.route("POST", "/api/v0/oauth2/token", self.token, authenticated=False),
            self.route("GET", "/api/ingest/jobs", self.list_jobs),
            self.route("GET", "/api/ingest/jobs/{job_id}", self.get_job),
            self.route("GET", "/api/workflow/runs", self.list_workflows),
            self.route("POST", "/api/workflow/runs", self.start_workflow),
            # The page's samples name it without the trailing slash, its heading with it.
            self.route("POST", "/api/workflow/runs/", self.start_workflow),
            self.route("GET", "/api/workflow/runs/{workflow_id}", self.get_workflow),
            self.route("POST", "/api/workflow/runs/{workflow_id}/stop", self.stop_workflow),
        ]

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return Amperity's ErrorResponse."""
        return {"status": status, "message": message}

    def authenticate(self, call: Call) -> None:
        """Check token, tenant and version."""
        scheme, secret = call.scheme_and_secret()
        if scheme != "bearer" or not (
            secret == self.credentials.key or self.token_is_valid(secret, call.now)
        ):
            raise HTTPException(401, "Authentication required: access token missing, invalid or expired")
        self._check_tenant(call)
        # versioning.rst and their OpenAPI document say 400 for an unsupported version, responses.rst 401.
        version = call.request.headers.get("api-version") or call.query.get("api_version")
        if version != API_VERSION:
            raise HTTPException(400, f"api-version must be {API_VERSION}, not {version!r}")

    def _check_tenant(self, call: Call) -> None:
        # Which status a missing tenant gets is not documented: 400 is theirs for a missing required
        # parameter, 403 for valid authentication without permission.
        tenant = call.request.headers.get("amperity-tenant") or call.request.headers.get("x-amperity-tenant")
        if not tenant:
            raise HTTPException(400, "The amperity-tenant header is required")
        if tenant != TENANT:
            raise HTTPException(403, "Not authorized for this tenant")

    def token(self, call: Call) -> Response:
        """POST /api/v0/oauth2/token."""
        self._check_tenant(call)
        form = call.form
        if form.get("grant_type") != "client_credentials":
            raise HTTPException(400, "grant_type must be client_credentials")
        if (form.get("client_id"), form.get("client_secret")) != (
            self.credentials.login,
            self.credentials.password,
        ):
            raise HTTPException(401, "Authentication required: unknown client_id or client_secret")
        return json_response(
            {
                "access_token": self.issue_token(),
                "expires_in": int(self.token_lifetime),
                "token_type": "Bearer",
            }
        )

    def list_jobs(self, call: Call) -> Response:
        """GET /api/ingest/jobs: the jobs that started within a window of at most 7 days."""
        start, end = (self._time(call, name) for name in ("created_from", "created_to"))
        if start is None or end is None:
            raise HTTPException(400, "created_from and created_to are required")
        if end < start:
            raise HTTPException(400, "created_to must not be before created_from")
        if end - start > LIST_WINDOW_SECONDS:
            raise HTTPException(400, "created_from and created_to must not be more than 7 days apart")
        if "next_token" in call.query:
            raise HTTPException(400, "next_token is not available for use with this endpoint")
        self.store.read_list(call.now)
        items = [
            self.rendered(job, call.base_url)
            for job in self.store.by_created.walk(descending=True)
            if job.started_at is not None and start <= job.started_at < end
        ]
        total = {"total": len(items)} if call.query.get("with_total") == "true" else {}
        return listing(total, "data", items, {"next_token": UNUSABLE_NEXT_TOKEN})

    def get_job(self, call: Call) -> Response:
        """GET /api/ingest/jobs/{id}."""
        job = self.store.get(call.path("job_id"), call.now)
        if job is None:
            raise HTTPException(404, "Ingest job not found")
        return json_response(self.rendered(job, call.base_url))

    def list_workflows(self, call: Call) -> Response:
        """GET /api/workflow/runs."""
        self.store.read_list(call.now)
        bounds = {
            name: self._time(call, name) for name in ("created_from", "created_to", "ended_from", "ended_to")
        }
        try:
            limit = int(call.query.get("limit", 100))
            offset = int(base64.urlsafe_b64decode(call.query.get("next_token", "MA==")))
        except (ValueError, binascii.Error) as error:
            raise HTTPException(400, "limit or next_token is invalid") from error
        if limit < 1 or offset < 0:
            raise HTTPException(400, "limit or next_token is invalid")
        state, kind = call.query.get("state"), call.query.get("type")
        found = []
        for workflow_id in dict.fromkeys([*self.store.groups, *self.runs.ids]):
            run = self._workflow(workflow_id, call.now, in_lists=True)
            if run is None or not _within(run["_created"], bounds["created_from"], bounds["created_to"]):
                continue
            if not _within(run["_ended"], bounds["ended_from"], bounds["ended_to"]):
                continue
            if (state and not same_word(state, run["state"])) or (kind and kind != run["type"]):
                continue
            found.append(run)
        found.sort(key=lambda run: float(run["_created"]), reverse=True)
        answer: dict[str, Any] = {"data": [in_list(run) for run in found[offset : offset + limit]]}
        if offset + limit < len(found):
            answer["next_token"] = base64.urlsafe_b64encode(str(offset + limit).encode()).decode()
        if call.query.get("with_total") == "true":
            answer["total"] = len(found)
        return json_response(answer)

    def get_workflow(self, call: Call) -> Response:
        """GET /api/workflow/runs/{id}."""
        view = call.query.get("view", "overview")
        if view not in ("overview", "verbose"):
            raise HTTPException(400, "view must be overview or verbose")
        workflow_id = call.path("workflow_id")
        for job_id in list(self.store.groups.get(workflow_id, ())):
            self.store.get(job_id, call.now)
        run = self._workflow(workflow_id, call.now)
        if run is None:
            raise HTTPException(404, "Workflow not found")
        return json_response(overview(run) if view == "overview" else verbose(run))

    def start_workflow(self, call: Call) -> Response:
        """POST /api/workflow/runs."""
        try:
            asked = RunRequest.parse(call.json())
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        started = self.runs.start(asked, call.now)
        return json_response(when_started(workflow_run(started.id, TENANT, [], started)), 201)

    def stop_workflow(self, call: Call) -> Response:
        """POST /api/workflow/runs/{id}/stop: every unfinished job of the workflow is cancelled."""
        workflow_id = call.path("workflow_id")
        jobs = [self.store.get(job_id, call.now) for job_id in list(self.store.groups.get(workflow_id, ()))]
        run = self._workflow(workflow_id, call.now)
        if run is None:
            raise HTTPException(404, "Workflow not found")
        if run["_ended"] is not None:
            # What stopping a finished run answers is not documented; 409 is theirs for "conflicts with the
            # current state".
            raise HTTPException(409, "The workflow is not running")
        started = self.runs.get(workflow_id, call.now)
        if started is not None:
            self._call_off(workflow_id, call.now)
            self.runs.stop(started, call.now)
        for job in jobs:
            if job is not None and not job.is_ended:
                self.cancel(job, call.now, self.state_step(job, "stopping", unfinished_only=True))
        run = self._workflow(workflow_id, call.now) or {}
        return json_response({**overview(run), "task_instances": []})

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Give a new job its workflow and its tables."""
        job.group = str(job.fields.pop("workflow_id", None) or vendor_id("wf", job.number, now))
        for table in job.fields.pop("tables", [{}]):
            job.parts.append(new_table(job, table))

    def take_step(self, job: SandboxJob, at: float, step: dict[str, Any]) -> None:
        """Apply a step to the job and to each of its tables."""
        super().take_step(job, at, step)
        given = step.get("tables", [])
        while len(job.parts) < len(given):
            job.parts.append(new_table(job, {}))
        for index, part in enumerate(job.parts):
            own = dict(given[index]) if index < len(given) else {}
            word = own.pop("state", None) or part["pinned"] or step.get("state") or part["state"] or job.state
            part["fields"].update(own)
            part["state"] = word
            # A table cancelled before it ran gets a start as well: their schema requires one of every table.
            if normalise_word(word) not in self.waiting_words and part["started_at"] is None:
                part["started_at"] = at
            if normalise_word(word) not in self.ended_words:
                part["ended_at"], part["complete"] = None, False
                continue
            if part["ended_at"] is None:
                part["ended_at"] = at
            part["complete"] = part["complete"] or not job.cancel_asked
        # Amperity's job has no time or state of its own: they are its tables'.
        if job.parts:
            starts = [part["started_at"] for part in job.parts if part["started_at"] is not None]
            ends = [part["ended_at"] for part in job.parts]
            job.started_at = min(starts) if starts else None
            job.ended_at = None if None in ends else max(ends)
        else:
            job.started_at = None

    def state_step(
        self, job: SandboxJob, word: str, failure: str | None = None, unfinished_only: bool = False
    ) -> dict[str, Any]:
        """Return the step that puts every table, or every unfinished one, into a state."""
        step = super().state_step(job, word, failure)
        step["tables"] = [
            {"state": part["state"] if unfinished_only and part["ended_at"] is not None else word}
            for part in job.parts
        ]
        return step

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return IngestJobDetails."""
        tables = [table_record(job, part) for part in job.parts]
        shown = _without(job.fields, "workflow", "attribution")
        return {"id": job.id, "tables": tables, "workflow_id": job.group, **shown}

    def new_id(self, number: int, now: float) -> str:
        """Return an id such as isj-20240701-48815-6dcXdk."""
        return vendor_id("isj", number, now)

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return the tenant."""
        return {"tenant": TENANT}

    def _call_off(self, workflow_id: str, now: float) -> None:
        """Cancel the jobs of a started run that it does not show yet; those still to come never do."""
        for job in list(self.store.groups.get(workflow_id, {}).values()):
            if job.visible:
                continue
            if job.known_from > now:
                self.cancel(job, now, self.state_step(job, "stopping"))
            else:
                self.store.remove(job.id)

    def _workflow(self, workflow_id: str, now: float, in_lists: bool = False) -> dict[str, Any] | None:
        held = self.store.groups.get(workflow_id, {}).values()
        jobs = [job for job in (job.as_listed if in_lists else job for job in held) if job.visible]
        started = self.runs.get(workflow_id, now)
        if started is None:
            return workflow_run(workflow_id, TENANT, jobs) if jobs else None
        started = started.as_listed if in_lists else started
        return workflow_run(workflow_id, TENANT, jobs, started) if started.visible else None

    def _time(self, call: Call, name: str) -> float | None:
        text = call.query.get(name)
        if not text:
            return None
        try:
            return parse_time(text)
        except ValueError as error:
            raise HTTPException(400, f"{name} must be an ISO 8601 timestamp") from error


def _within(at: float | None, start: float | None, end: float | None) -> bool:
    if start is None and end is None:
        return True
    return at is not None and (start is None or start <= at) and (end is None or at < end)


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}
