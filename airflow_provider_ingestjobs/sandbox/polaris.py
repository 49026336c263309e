# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Imply Polaris: the Jobs API of Imply Polaris API 1.0.0 and the OAuth token endpoint."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox import polaris_create
from airflow_provider_ingestjobs.sandbox import polaris_records as records
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
from airflow_provider_ingestjobs.sandbox.polaris_list import ListRequest
from airflow_provider_ingestjobs.sandbox.starts import start_job
from airflow_provider_ingestjobs.sandbox.vendor import Call, Credentials, VendorApi, json_response, listing

if TYPE_CHECKING:
    from starlette.routing import Route

ORGANIZATION = "sandbox-org"
PROJECT_ID = "5f1b1f2e-52a3-4c0e-9d6b-0d6a3f0c9a10"
DESIRED = "desiredExecutionStatus"
DESIRED_STATUSES = ("running", "canceled", "suspended")
RUNNING_WORDS = frozenset({"running", "idle"})
#: No document says which codes there are.
_ERROR_CODES = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
}
# In this spelling the vendor's own client finds the code; the list's filter has `warn`.
_INVALID_ROWS = {"status": "warning", "code": "invalid_rows_found"}
_TOO_MANY_ERRORS = {
    "status": "error",
    "code": "cannot_parse_source",
    "message": "The number of parsing exceptions exceeded maxParseExceptions (100).",
}
DEMO_JOBS = (
    demo_job(
        "success",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1001",
        [(0, "pending"), (2, "running"), (8, "completed")],
        rows={"read": 99999},
        fields={"target": {"type": "table", "tableName": "Clickstream"}},
    ),
    demo_job(
        "failure: too many rows that could not be parsed",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1002",
        [(0, "pending"), (1, "running"), (6, {"state": "failed", "health": _TOO_MANY_ERRORS})],
        rows={"read": 310, "errors": 101},
        fields={"target": {"type": "table", "tableName": "Sensor readings"}},
    ),
    demo_job(
        "long-running, to be cancelled",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1003",
        [(0, "pending"), (2, "running"), (LONG_RUN, "completed")],
        rows={"read": 80000000},
        fields={"target": {"type": "table", "tableName": "Clickstream backfill"}},
    ),
    demo_job(
        "success with rows skipped",
        "3c1e5a9c-6b0f-4f5e-9a51-2f6a2f7f1004",
        [(0, "running"), (5, {"state": "completed", "health": _INVALID_ROWS})],
        rows={"read": 99999, "rejected": 40, "errors": 2},
        fields={"target": {"type": "table", "tableName": "Koalas Subset"}},
    ),
)


class Polaris(VendorApi):
    """Imply Polaris' Jobs API, as its OpenAPI document (1.0.0) and docs.imply.io/api/polaris have it.

    Its own keys of ``fields`` are ``project_id`` and ``logs`` (a list of log entries), its own key of a step
    is ``logs``, too. ``health`` replaces what it makes of a job's state and ``failure``. A step with
    ``desiredExecutionStatus`` counts as the user's update, which alone moves ``lastUpdatedTimestamp``.
    ``rows`` may also have the names of its metrics, such as ``numRowsProcessed``, which replace what it makes
    of the common ones: ``read`` counts every row, those with warnings, in error or filtered out included.
    """

    name = "polaris"
    conn_type = "imply_polaris"
    demo_jobs = DEMO_JOBS
    owns_path = re.compile(r"/(v1/projects|v1/jobs|v2/jobs|auth/realms)(/|$)")
    credentials = Credentials(
        key="pok_sandbox_polaris_key",
        login="sandbox-polaris-client",
        password="sandbox-polaris-secret",  # noqa: S106
    )
    waiting_words = frozenset({"pending"})
    ended_words = frozenset({"completed", "failed", "canceled"})
    cancel_state = "canceled"
    token_lifetime = 300
    row_names = records.ROW_NAMES
    start_timeline = ((0, "pending"), (1, "running"), (3, "completed"))
    step_keys = frozenset({"logs", "on_hold"})

    def routes(self) -> list[Route]:
        """Return Polaris' endpoints, with the project in the path and without."""
        routes = [
            self.route(
                "POST", "/auth/realms/{org}/protocol/openid-connect/token", self.token, authenticated=False
            ),
            self.route("GET", "/v2/jobs", self.list_jobs),
        ]
        for prefix in ("/v1/projects/{project_id}/jobs", "/v1/jobs"):
            routes += [
                self.route("GET", prefix, self.list_jobs),
                self.route("POST", prefix, self.create_job),
                self.route("GET", prefix + "/{job_id}", self.get_job),
                self.route("PUT", prefix + "/{job_id}", self.put_job),
                self.route("GET", prefix + "/{job_id}/status", self.get_status),
                self.route("POST", prefix + "/{job_id}/status", self.post_status),
                self.route("GET", prefix + "/{job_id}/progress", self.get_progress),
                self.route("GET", prefix + "/{job_id}/logs", self.get_logs),
                self.route("GET", prefix + "/{job_id}/metrics", self.get_metrics),
                self.route("POST", prefix + "/{job_id}/reset", self.reset_offsets),
            ]
        return routes

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return an ErrorResponse11, but for 401, whose documented sample has a message alone."""
        if status == 401:
            return {"message": message}
        return {"code": _ERROR_CODES.get(status, "Error"), "message": message}

    def authenticate(self, call: Call) -> None:
        """Check the API key, raw or as a basic auth user name, or the access token."""
        scheme, secret = call.scheme_and_secret()
        if scheme == "basic" and (
            secret == self.credentials.key or call.basic_pair() == (self.credentials.key, "")
        ):
            return
        if scheme == "bearer" and self.token_is_valid(secret, call.now):
            return
        if scheme == "bearer" and secret in self.tokens:
            raise HTTPException(401, 'Token claims invalid: ["exp"]="token expired"')
        raise HTTPException(401, "Unauthorized")

    def token(self, call: Call) -> Response:
        """POST to Keycloak's token endpoint; its errors follow OAuth, not the Jobs API."""
        if call.path("org") != ORGANIZATION:
            return json_response({"error": "Realm does not exist"}, 404)
        form = call.form
        if form.get("grant_type") != "client_credentials":
            return json_response({"error": "unsupported_grant_type"}, 400)
        given = call.basic_pair() or (form.get("client_id"), form.get("client_secret"))
        if given != (self.credentials.login, self.credentials.password):
            description = "Invalid client or Invalid client credentials"
            return json_response({"error": "unauthorized_client", "error_description": description}, 401)
        return json_response(
            {
                "access_token": self.issue_token(),
                "expires_in": int(self.token_lifetime),
                "token_type": "Bearer",
            }
        )

    def list_jobs(self, call: Call) -> Response:
        """GET a page of the jobs of a project, or of all projects."""
        project = self._project(call)
        asked = ListRequest.parse(call.query)
        self.store.read_list(call.now)
        jobs, more = asked.page(self.store, project)
        return listing({}, "values", [_summary(job) for job in jobs], {"moreResultsAvailable": more})

    def get_job(self, call: Call) -> Response:
        """GET a job."""
        return json_response(self.record(self._known(call), ""))

    def get_status(self, call: Call) -> Response:
        """GET a job's status."""
        return json_response({"executionStatus": self._known(call).state})

    def get_progress(self, call: Call) -> Response:
        """GET how far a job has come."""
        job = self._known(call)
        if _type(job) == records.STREAMING:
            # Which types have none is not documented; a stream has no end to come closer to.
            raise HTTPException(400, "Progress is not supported for streaming jobs")
        return json_response({"overallProgress": records.progress(job)})

    def get_logs(self, call: Call) -> Response:
        """GET a job's log entries."""
        return json_response({"logs": records.logs(self._known(call))})

    def get_metrics(self, call: Call) -> Response:
        """GET a job's metrics."""
        return json_response({"totals": records.totals(self._known(call))})

    def create_job(self, call: Call) -> Response:
        """POST a CreateJobRequest."""
        project = self._project(call) or PROJECT_ID
        self._check_content_type(call)
        try:
            fields = polaris_create.parse(call.json())
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        usual = None
        if fields["type"] == records.STREAMING:
            self._make_room(fields, project, call.now)
            # A stream runs until somebody ends it.
            usual = self.start_timeline[:-1]
        job = start_job(self, {"project_id": project, **fields}, call.now, usual)
        location = f"{call.base_url}/v1/projects/{project}/jobs/{job.id}"
        return json_response(self.record(job, ""), 201, {"Location": location})

    def put_job(self, call: Call) -> Response:
        """PUT desiredExecutionStatus."""
        return json_response(self.record(self._update(call), ""))

    def post_status(self, call: Call) -> Response:
        """POST desiredExecutionStatus."""
        return json_response({"executionStatus": self._update(call).state})

    def reset_offsets(self, call: Call) -> Response:
        """POST a reset of a streaming job's offsets, which no answer shows."""
        job = self._known(call)
        if _type(job) != records.STREAMING:
            # "Resets a streaming ingestion job": what others answer is not documented.
            raise HTTPException(400, f"Job {job.id} is no streaming job")
        return Response(status_code=200)

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Put a new job into its project, and complete what the list filters by."""
        job.group = str(job.fields.pop("project_id", None) or PROJECT_ID)
        if "logs" in job.fields:
            job.own = {"logs": job.fields.pop("logs")}
        job.fields = records.completed(job.fields)

    def take_step(self, job: SandboxJob, at: float, step: dict[str, Any]) -> None:
        """Apply a timeline step, whose times are of what the document says they are."""
        updated_at, started_at = (job.updated_at, job.started_at) if job.visible else (at, None)
        super().take_step(job, at, step)
        if DESIRED not in step:
            job.updated_at = updated_at
        if started_at is None and normalise_word(job.state) not in RUNNING_WORDS:
            job.started_at = None

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return a JobResponse."""
        return records.whole_record(job)

    def new_id(self, number: int, now: float) -> str:
        """Return a UUID."""
        return str(uuid.uuid4())

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return the project, and for client credentials where to exchange them."""
        if auth == "key":
            return {"project_id": PROJECT_ID}
        token_url = f"{base_url}/auth/realms/{ORGANIZATION}/protocol/openid-connect/token"
        return {"project_id": PROJECT_ID, "token_url": token_url}

    def _update(self, call: Call) -> SandboxJob:
        """Do what an UpdateJobStatusRequest asks for, and return the job."""
        job = self._known(call)
        self._check_content_type(call)
        wanted = call.json()
        desired = wanted.get(DESIRED) if isinstance(wanted, dict) else None
        if desired not in DESIRED_STATUSES:
            raise HTTPException(400, f"{DESIRED} must be one of {', '.join(DESIRED_STATUSES)}")
        if _type(job) in records.DELETIONS:
            raise HTTPException(400, f"Job {job.id} deletes data and cannot be updated")
        if desired == "suspended" and _type(job) != records.STREAMING:
            raise HTTPException(400, f"Job {job.id} is no streaming job and cannot be suspended")
        is_over = job.is_ended and not (desired == normalise_word(job.state) == "canceled")
        if is_over or (job.cancel_asked and desired != "canceled"):
            # What updating a finished job answers is not documented; 400 is a client error of theirs.
            raise HTTPException(400, f"Job {job.id} is {job.state} and can no longer be {desired}")
        if desired == "canceled" and not job.is_ended:
            # There is no word for a job that is being cancelled: it keeps its status until it has ended.
            self.cancel(job, call.now, {DESIRED: desired})
        elif desired == "suspended" and job.state != "suspended":
            self._suspend(job, call.now)
        elif desired == "running" and job.state == "suspended":
            self._resume(job, call.now)
        return job

    def _make_room(self, fields: dict[str, Any], project: str, now: float) -> None:
        """Let no other streaming job have the table that a new one is to have."""
        table = fields["target"]["tableName"]
        others = [
            job
            for job in self.store.groups.get(project, {}).values()
            if _type(job) == records.STREAMING
            and not job.is_ended
            and job.fields["target"].get("tableName") == table
        ]
        if others and not fields["spec"].get("replaceRunning"):
            raise HTTPException(400, f"Table {table} is the target of streaming job {others[0].id} already")
        for job in others:
            self.cancel(job, now, {DESIRED: "canceled"})

    def _check_content_type(self, call: Call) -> None:
        content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise HTTPException(415, "Content-Type must be application/json")

    def _suspend(self, job: SandboxJob, now: float) -> None:
        """Suspend a job; what was ahead of it is put off until it is resumed."""
        left = [(at - now, step) for at, step in reversed(job.ahead)]
        self.store.replan(job, [(now, {"state": "suspended", DESIRED: "suspended", "on_hold": left})], now)

    def _resume(self, job: SandboxJob, now: float) -> None:
        left = [(now + seconds, step) for seconds, step in job.own.get("on_hold") or ()]
        first = {"state": "running", DESIRED: "running", "on_hold": None}
        self.store.replan(job, [(now, first), *(left or reversed(job.ahead))], now)

    def _project(self, call: Call) -> str | None:
        project = call.request.path_params.get("project_id")
        if project is not None and project != PROJECT_ID and project not in self.store.groups:
            raise HTTPException(404, f"Project {project} not found")
        return project

    def _known(self, call: Call) -> SandboxJob:
        project = self._project(call)
        job = self.store.get(call.path("job_id"), call.now)
        if job is None or (project is not None and job.group != project):
            raise HTTPException(404, f"Job {call.path('job_id')} not found")
        return job


def _type(job: SandboxJob) -> str:
    return str(job.fields["type"])


def _summary(job: SandboxJob) -> bytes:
    """Return a job's summary as JSON, made once per change: lists of thousands of jobs join these."""
    if job.rendered is None:
        job.rendered = ("", json.dumps(records.summary(job), separators=(",", ":")).encode())
    return job.rendered[1]
