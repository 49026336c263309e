# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Airbyte: the public API's jobs and its token endpoint, as a self-managed Airbyte has them.

Needs the extra ``sandbox``. Where the API's documents are silent it does what the server's source does,
github.com/airbytehq/airbyte-platform, commit 310e6cb6ac. Jobs cannot be started, and health is not answered.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.vendor import (
    Call,
    Credentials,
    VendorApi,
    json_response,
    listing,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import Route

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

STATUSES = ("pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled")
JOB_TYPES = ("sync", "reset", "refresh", "clear")
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
ORDERS = ("createdAt|ASC", "createdAt|DESC", "updatedAt|ASC", "updatedAt|DESC")
TIME_FILTERS = ("createdAtStart", "createdAtEnd", "updatedAtStart", "updatedAtEnd")
#: What the links to other pages keep of a query; the rest is lost.
KEPT_IN_LINKS = ("jobType", "connectionId", "workspaceIds")
TITLES = {
    400: "bad-request",
    401: "invalid-api-key",
    403: "forbidden",
    404: "resource-not-found",
    409: "state-conflict",
}
DEMO_JOBS = (
    demo_job(
        "success",
        "9101",
        [(0, "pending"), (2, "running"), (10, "succeeded")],
        rows={"read": 184_213, "bytes": 58_720_256},
        fields={"connectionId": "0d7c1a55-2f0e-4f0b-9f3e-6f1f7a5b9101"},
    ),
    demo_job(
        "failure, after an attempt that failed and one more; the API gives no reason",
        "9102",
        [(0, "running"), (3, "incomplete"), (5, "running"), (8, "failed")],
        fields={"connectionId": "0d7c1a55-2f0e-4f0b-9f3e-6f1f7a5b9102"},
    ),
    demo_job(
        "long-running, to be cancelled",
        "9103",
        [(0, "running"), (LONG_RUN, "succeeded")],
        fields={"connectionId": "0d7c1a55-2f0e-4f0b-9f3e-6f1f7a5b9103"},
    ),
    demo_job(
        "a clear, which waits for capacity first",
        "9104",
        [(0, "queued"), (4, "running"), (7, "succeeded")],
        fields={"connectionId": "0d7c1a55-2f0e-4f0b-9f3e-6f1f7a5b9104", "jobType": "clear"},
    ),
)


class Airbyte(VendorApi):
    """Airbyte's public API of a self-managed instance.

    Of its own is in ``fields`` ``workspaceId``, only to be filtered by, and in ``rows`` ``bytes``; of the
    other counts it shows ``read``. A job without a ``connectionId`` in its ``fields`` has one of its own.
    """

    name = "airbyte"
    conn_type = "airbyte_jobs"
    #: Where the API is. A subclass for Airbyte Cloud's has another one, and an ``owns_path`` that fits.
    api_path: ClassVar[str] = "/api/public/v1"
    owns_path = re.compile(r"/api/public/v1(/|$)")
    credentials = Credentials(
        key="sandbox-airbyte-token",
        login="sandbox-airbyte-client",
        password="sandbox-airbyte-secret",  # noqa: S106
    )
    waiting_words = frozenset({"pending", "queued"})
    ended_words = frozenset({"failed", "succeeded", "cancelled"})
    cancel_state = "cancelled"
    token_lifetime = 900
    row_names = frozenset({"bytes"})
    demo_jobs = DEMO_JOBS

    def routes(self) -> list[Route]:
        """Return Airbyte's endpoints."""
        return [
            self.route("POST", f"{self.api_path}/applications/token", self.token, authenticated=False),
            self.route("GET", f"{self.api_path}/jobs", self.list_jobs),
            self.route("GET", f"{self.api_path}/jobs/{{job_id}}", self.get_job),
            self.route("DELETE", f"{self.api_path}/jobs/{{job_id}}", self.cancel_job),
        ]

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return a problem, as the server's problems-api has it."""
        title = TITLES.get(status, "unexpected-problem")
        kind = f"https://reference.airbyte.com/reference/errors#{title}"
        return {
            "status": status,
            "type": kind,
            "title": title,
            "detail": message,
            "data": {"message": message},
        }

    def authenticate(self, call: Call) -> None:
        """Check the bearer token."""
        scheme, secret = call.scheme_and_secret()
        if scheme != "bearer" or not (
            secret == self.credentials.key or self.token_is_valid(secret, call.now)
        ):
            raise HTTPException(401, "The access token is missing, unknown or expired.")

    def token(self, call: Call) -> Response:
        """POST /applications/token: client id and secret, as JSON or as a form."""
        is_json = call.request.headers.get("content-type", "").startswith("application/json")
        given = call.json() if is_json else call.form
        if not isinstance(given, dict) or not {"client_id", "client_secret"} <= given.keys():
            raise HTTPException(400, "client_id and client_secret are required")
        if (given["client_id"], given["client_secret"]) != (
            self.credentials.login,
            self.credentials.password,
        ):
            return json_response({"errorId": str(uuid.uuid4())}, 401)
        return json_response(
            {
                "access_token": self.issue_token(),
                "token_type": "Bearer",
                "expires_in": int(self.token_lifetime),
            }
        )

    def list_jobs(self, call: Call) -> Response:
        """GET /jobs."""
        query = call.query
        limit, offset = _number(call, "limit", DEFAULT_LIMIT, 1), _number(call, "offset", 0, 0)
        if limit > MAX_LIMIT:
            raise HTTPException(400, f"limit: must be less than or equal to {MAX_LIMIT}")
        # The oldest first, unless asked otherwise.
        order = query.get("orderBy", "createdAt|ASC")
        if order not in ORDERS:
            raise HTTPException(400, f"Invalid order by clause provided: {order}")
        for name, known in (("status", STATUSES), ("jobType", JOB_TYPES)):
            if query.get(name) not in (None, *known):
                raise HTTPException(400, f"{name} must be one of {', '.join(known)}")
        matches = self.matcher(call)
        self.store.read_list(call.now)
        by, _, direction = order.partition("|")
        index = self.store.by_updated if by == "updatedAt" else self.store.by_created
        walk = index.walk(direction == "DESC")
        if order == "updatedAt|DESC" and "updatedAtStart" in query:
            # Not all of thousands of jobs for the few that have changed.
            since = parse_time(query["updatedAtStart"])
            walk = takewhile(lambda job: job.updated_at >= since, walk)
        jobs = (job for job in walk if matches(job))
        page = list(islice(jobs, offset, offset + limit))
        links = {
            "previous": self._link(call, limit, max(offset - limit, 0)) if offset else "",
            # A page that is not empty always has a next one.
            "next": self._link(call, limit, offset + limit) if page else "",
        }
        return listing({}, "data", [self.rendered(job, "") for job in page], links)

    def get_job(self, call: Call) -> Response:
        """GET /jobs/{jobId}."""
        return json_response(self.rendered(self._known(call), ""))

    def cancel_job(self, call: Call) -> Response:
        """DELETE /jobs/{jobId}: stops what the job's connection runs, whichever job that is."""
        job = self._known(call)
        jobs = self.store.groups[job.fields["connectionId"]].values()
        unfinished = [one for one in jobs if one.visible and not one.is_ended]
        running = [one for one in unfinished if normalise_word(one.state) not in self.waiting_words]
        if unfinished:
            self.cancel((running or unfinished)[0], call.now, {})
        return json_response(self.rendered(job, ""))

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Check the numeric id and complete what every record has."""
        if not job.id.isdigit():
            raise ValueError(f"Airbyte's job ids are numbers, not {job.id!r}")
        fields = job.fields
        fields.setdefault("jobType", "sync")
        fields.setdefault("connectionId", str(uuid.uuid5(uuid.NAMESPACE_OID, f"connection of {job.id}")))
        job.group = fields["connectionId"]

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return JobResponse without what a job has not got yet: the server leaves that out."""
        record: dict[str, Any] = {
            "jobId": int(job.id),
            "status": job.state,
            "startTime": _offset_date_time(job.created_at),
        }
        if job.is_ended:
            record["lastUpdatedAt"] = _offset_date_time(job.updated_at)
        if normalise_word(job.state) != "pending":
            record["duration"] = _duration(int(job.updated_at) - int(job.created_at))
        rows = job.rows_now(job.is_complete)
        shown = {"rowsSynced": rows.get("read"), "bytesSynced": rows.get("bytes")}
        record.update((key, value) for key, value in shown.items() if value is not None)
        record.update((key, value) for key, value in job.fields.items() if key != "workspaceId")
        return record

    def matcher(self, call: Call) -> Callable[[SandboxJob], bool]:
        """Return what tells whether the list that is asked for has a job."""
        query = call.query
        try:
            bounds = {name: parse_time(query[name]) for name in TIME_FILTERS if name in query}
        except ValueError as error:
            raise HTTPException(400, f"one of {', '.join(TIME_FILTERS)} is no date-time") from error
        status, job_type = query.get("status"), query.get("jobType")
        connection = query.get("connectionId")
        workspaces = {one for value in query.getlist("workspaceIds") for one in value.split(",") if one}

        def matches(job: SandboxJob) -> bool:
            if status is not None and job.state != status:
                return False
            if job_type is not None and job.fields["jobType"] != job_type:
                return False
            if connection is not None:
                if job.fields["connectionId"] != connection:
                    return False
            elif workspaces and job.fields.get("workspaceId") not in workspaces:
                return False
            for name, bound in bounds.items():
                at = job.created_at if name.startswith("created") else job.updated_at
                if at < bound if name.endswith("Start") else at > bound:
                    return False
            return True

        return matches

    def new_id(self, number: int, now: float) -> str:
        """Return a number."""
        return str(10_000 + number)

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return where the API is."""
        return {"api_path": self.api_path}

    def _known(self, call: Call) -> SandboxJob:
        job = self.store.get(call.path("job_id"), call.now)
        if job is None:
            raise HTTPException(404, "The requested resource was not found.")
        return job

    def _link(self, call: Call, limit: int, offset: int) -> str:
        kept = [(name, value) for name, value in call.query.multi_items() if name in KEPT_IN_LINKS]
        # The host is a setting of the server's, not the one that was asked.
        where = f"http://localhost:8001{self.api_path}/jobs"
        return f"{where}?{urlencode([*kept, ('limit', limit), ('offset', offset)])}"


def _number(call: Call, name: str, default: int, least: int) -> int:
    try:
        number = int(call.query.get(name, default))
    except ValueError as error:
        raise HTTPException(400, f"{name} must be a number") from error
    if number < least:
        raise HTTPException(400, f"{name}: must be greater than or equal to {least}")
    return number


def _offset_date_time(at: float) -> str:
    """Return a time as Java's OffsetDateTime writes it: without seconds where there are none."""
    moment = datetime.fromtimestamp(int(at), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def _duration(seconds: int) -> str:
    """Return seconds as Java's Duration writes them: ``PT8H6M12S``, and ``PT0S`` for none."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number]
    return f"PT{''.join(parts) or '0S'}"
