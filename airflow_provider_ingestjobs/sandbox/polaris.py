# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Imply Polaris: the Jobs API and the OAuth token endpoint."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
from airflow_provider_ingestjobs.sandbox.polaris_records import ROW_NAMES, health_status, totals, whole_record
from airflow_provider_ingestjobs.sandbox.vendor import Call, Credentials, VendorApi, json_response, listing

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

ORGANIZATION = "sandbox-org"
PROJECT_ID = "5f1b1f2e-52a3-4c0e-9d6b-0d6a3f0c9a10"
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
        [(0, "pending"), (1, "running"), (6, "failed")],
        rows={"read": 310, "errors": 101},
        failure="The number of parsing exceptions exceeded maxParseExceptions (100).",
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
        [(0, "running"), (5, "completed")],
        rows={"read": 99999, "rejected": 40, "errors": 2},
        fields={"target": {"type": "table", "tableName": "Koalas Subset"}},
    ),
)


class Polaris(VendorApi):
    """Imply Polaris' Jobs API, as documented at docs.imply.io/api/polaris.

    Its own key of ``fields`` is ``project_id``. ``rows`` may also have the names of its metrics, such as
    ``numRowsProcessed``, which replace what it makes of the common ones.
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
    # Beyond pending the words are not published: these are the ones the design maps.
    ended_words = frozenset({"completed", "succeeded", "success", "failed", "canceled"})
    cancel_state = "canceled"
    token_lifetime = 300
    row_names = ROW_NAMES

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
                self.route("GET", prefix + "/{job_id}", self.get_job),
                self.route("PUT", prefix + "/{job_id}", self.put_job),
                self.route("GET", prefix + "/{job_id}/status", self.get_status),
                self.route("GET", prefix + "/{job_id}/metrics", self.get_metrics),
            ]
        return routes

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the only error shape that is documented."""
        return {"message": message}

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
        """GET the jobs of a project; the envelope, not published, is that of their connections list."""
        project = self._project(call)
        self.store.read_list(call.now)
        health, kinds = set(call.query.getlist("healthStatus")), set(call.query.getlist("type"))
        items = [
            self.rendered(job, "")
            for job in self.store.by_created.walk(descending=True)
            if (project is None or job.group == project)
            and (not kinds or job.fields["type"] in kinds)
            and (not health or health_status(job) in health)
        ]
        return listing({}, "values", items)

    def get_job(self, call: Call) -> Response:
        """GET a job."""
        return json_response(self.rendered(self._known(call), ""))

    def get_status(self, call: Call) -> Response:
        """GET a job's status: of its answer only the first field is known."""
        return json_response({"executionStatus": self._known(call).state})

    def get_metrics(self, call: Call) -> Response:
        """GET a job's metrics."""
        job = self._known(call)
        return json_response({"totals": totals(job)})

    def put_job(self, call: Call) -> Response:
        """PUT desiredExecutionStatus=canceled."""
        job = self._known(call)
        wanted = call.json()
        if not isinstance(wanted, dict) or wanted.get("desiredExecutionStatus") != "canceled":
            raise HTTPException(400, 'desiredExecutionStatus must be "canceled"')
        if job.is_ended and normalise_word(job.state) != "canceled":
            # What cancelling a finished job answers is not documented; 400 is a client error of theirs.
            raise HTTPException(400, f"Job {job.id} is {job.state} and can no longer be canceled")
        if not job.is_ended:
            # No word for a job that is being cancelled is published: it keeps its status until it has ended.
            self.cancel(job, call.now, {"desiredExecutionStatus": "canceled"})
        return json_response(self.rendered(job, ""))

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Put a new job into its project."""
        job.group = str(job.fields.pop("project_id", None) or PROJECT_ID)
        job.fields.setdefault("type", "batch")

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return a job.

        No field for a failure's text is published, so a failed job shows it by its state and health alone.
        """
        return whole_record(job)

    def new_id(self, number: int, now: float) -> str:
        """Return a UUID."""
        return str(uuid.uuid4())

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return the project, and for client credentials where to exchange them."""
        if auth == "key":
            return {"project_id": PROJECT_ID}
        token_url = f"{base_url}/auth/realms/{ORGANIZATION}/protocol/openid-connect/token"
        return {"project_id": PROJECT_ID, "token_url": token_url}

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
