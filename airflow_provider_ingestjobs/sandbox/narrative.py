# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Narrative: jobs, queries and refreshes, a data set's statistics, the OAuth token endpoint.

Narrative publishes no way to cancel a job.
"""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox import narrative_start as start
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
from airflow_provider_ingestjobs.sandbox.narrative_snapshots import (
    MATERIALIZE_VIEW,
    snapshot_id,
    snapshots_of,
)
from airflow_provider_ingestjobs.sandbox.narrative_start import FORECAST
from airflow_provider_ingestjobs.sandbox.starts import start_job
from airflow_provider_ingestjobs.sandbox.vendor import Call, Credentials, VendorApi, json_response, listing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from starlette.responses import Response
    from starlette.routing import Route

MAX_PER_PAGE = 500
DATA_PLANE_ID = "f79cbdae-4848-47ca-95e8-69588364d185"
STATES = ("cancelled", "completed", "failed", "pending", "pending_cancellation", "running")
ORDERS = ("created_at_asc", "created_at_desc", "updated_at_asc", "updated_at_desc")
#: How many snapshots `all_records` gives.
ALL_RECORDS = 100
_REFRESH_LIFETIME = 14_400
_ERROR_NAMES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
}
DEMO_JOBS = (
    demo_job(
        "success",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81001",
        [(0, "pending"), (2, "running"), (10, "completed")],
        rows={"inserted": 48210},
        fields={"dataset_id": 10736, "tags": ["nightly"]},
    ),
    demo_job(
        "failure",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81002",
        [(0, "pending"), (2, "running"), (7, "failed")],
        failure="org.apache.spark.SparkException: Job aborted due to stage failure",
        fields={"dataset_id": 10737, "tags": ["nightly"]},
    ),
    demo_job(
        "long-running; Narrative's API cannot cancel it, its operators can",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81003",
        [(0, "running"), (LONG_RUN, "pending_cancellation"), (LONG_RUN + 5, "cancelled")],
        fields={"dataset_id": 10738},
    ),
    demo_job(
        "a forecast, whose result estimates rows",
        "2a5b9ad7-dc8f-47bb-8e62-843a38f81004",
        [(0, "pending"), (1, "running"), (4, "completed")],
        rows={"read": 1643721},
        fields={"type": "nql-forecast"},
    ),
)


class Narrative(VendorApi):
    """Narrative's API, as documented in its OpenAPI document (2.4.x) and at docs.narrative.io.

    Its own keys of ``fields`` are ``dataset_id`` and ``tags``, which it only filters by. A completed job of
    the type ``materialize-view``, which a job is unless ``fields`` says otherwise, has made a snapshot of its
    data set: its ``rows`` show there, as ``inserted``. A job of the type ``nql-forecast`` shows ``read``.
    Every data set whose number is above 0 is a view that can be refreshed.
    """

    name = "narrative"
    conn_type = "narrative"
    demo_jobs = DEMO_JOBS
    owns_path = re.compile(r"/(jobs|nql|datasets|oauth)(/|$)")
    credentials = Credentials(
        key="sandbox-narrative-key",
        login="sandbox-narrative-client",
        password="sandbox-narrative-secret",  # noqa: S106
    )
    waiting_words = frozenset({"pending", "queued"})
    ended_words = frozenset({"completed", "failed", "cancelled"})
    cancel_state = "cancelled"
    token_lifetime = 3600
    start_timeline = ((0, "pending"), (1, "running"), (3, "completed"))
    #: Under which keys the answer to a refresh has the job's id: its body is not documented, but the vendor's
    #: SDK reads ``id`` there. A subclass may name ``job_id``, both or none.
    refresh_id_keys: ClassVar[tuple[str, ...]] = ("id",)

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        super().__init__(clock, lock)
        self._refresh_tokens: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """Return Narrative's endpoints."""
        return [
            self.route("POST", "/oauth/token", self.token, authenticated=False),
            self.route("GET", "/jobs", self.list_jobs),
            self.route("GET", "/jobs/{job_id}", self.get_job),
            self.route("POST", "/nql/run", self.run_query),
            self.route("GET", "/datasets/{dataset_id}/stats", self.get_statistics),
            self.route("POST", "/datasets/{dataset_id}/refresh-materialized-view", self.refresh_view),
        ]

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return Narrative's Error."""
        return {"error": _ERROR_NAMES.get(status, "Error"), "error_description": message}

    def authenticate(self, call: Call) -> None:
        """Check the API key or access token."""
        scheme, secret = call.scheme_and_secret()
        if scheme != "bearer" or not (
            secret == self.credentials.key or self.token_is_valid(secret, call.now)
        ):
            raise HTTPException(401, "You are not authorized to use this endpoint.")

    def token(self, call: Call) -> Response:
        """POST /oauth/token: basic auth with client id and secret, or a refresh token with its client id."""
        form = call.form
        client, known = call.basic_pair(), (self.credentials.login, self.credentials.password)
        match form.get("grant_type"):
            case "client_credentials":
                allowed = client == known
            case "refresh_token":
                lives_until = self._refresh_tokens.get(form.get("refresh_token", ""), 0.0)
                named = client[0] if client else form.get("client_id")
                allowed = (
                    named == self.credentials.login and lives_until > call.now and client in (None, known)
                )
            case _:
                raise HTTPException(400, "grant_type must be client_credentials or refresh_token")
        if not allowed:
            raise HTTPException(401, "The client or its credentials are unknown.")
        refresh_token = f"narrative-refresh-{secrets.token_urlsafe(16)}"
        self._refresh_tokens[refresh_token] = call.now + _REFRESH_LIFETIME
        return json_response(
            {
                "access_token": self.issue_token(),
                "access_token_expires_in": int(self.token_lifetime),
                "refresh_token": refresh_token,
                "refresh_token_expires_in": _REFRESH_LIFETIME,
            }
        )

    def expire_tokens(self) -> None:
        """Let access and refresh tokens alike be expired."""
        super().expire_tokens()
        self._refresh_tokens.clear()

    def list_jobs(self, call: Call) -> Response:
        """GET /jobs."""
        query = call.query
        per_page, offset = _number(call, "per_page", MAX_PER_PAGE, 1), _number(call, "offset", 0, 0)
        if per_page > MAX_PER_PAGE:
            raise HTTPException(400, f"per_page must not be larger than {MAX_PER_PAGE}")
        order = query.get("order_by", "created_at_desc")
        if order not in ORDERS:
            raise HTTPException(400, f"order_by must be one of {', '.join(ORDERS)}")
        states = set(query.getlist("state"))
        if not states <= set(STATES):
            raise HTTPException(400, f"state must be one of {', '.join(STATES)}")
        data_plane = query.get("data_plane_id")
        if data_plane is not None and not _is_uuid(data_plane):
            raise HTTPException(400, "data_plane_id must be a UUID")
        dataset = _number(call, "dataset_id", None, 0) if "dataset_id" in query else None
        kinds, tags = set(query.getlist("type")), set(query.getlist("tag"))

        self.store.read_list(call.now)
        index = self.store.by_updated if order.startswith("updated") else self.store.by_created
        descending = order.endswith("desc")
        if states or kinds or tags or data_plane is not None or dataset is not None:

            def matching() -> Iterator[SandboxJob]:
                for job in index.walk(descending):
                    if states and job.state not in states:
                        continue
                    if kinds and job.fields["type"] not in kinds:
                        continue
                    if tags and tags.isdisjoint(job.fields.get("tags", ())):
                        continue
                    if data_plane is not None and job.fields["data_plane_id"] != data_plane:
                        continue
                    if dataset is not None and job.fields["input"].get("dataset_id") != dataset:
                        continue
                    yield job

            found = list(matching())
            total, page = len(found), found[offset : offset + per_page]
        else:
            total, page = len(index), index.slice(offset, per_page, descending)

        pages = -(-total // per_page)
        current = offset // per_page + 1
        tail: dict[str, Any] = {}
        if current > 1 and pages:
            # "Also can refer to the latest existing page if non-existing page was requested."
            tail["prev_page"] = min(current - 1, pages)
        if current < pages:
            tail["next_page"] = current + 1
        head = {"current_page": current, "total_records": total, "total_pages": pages}
        return listing(head, "records", [self.rendered(job, "") for job in page], tail)

    def get_job(self, call: Call) -> Response:
        """GET /jobs/{job_id}."""
        job = self.store.get(call.path("job_id"), call.now)
        if job is None:
            raise HTTPException(404, "The job was not found.")
        return json_response(self.rendered(job, ""))

    def get_statistics(self, call: Call) -> Response:
        """GET /datasets/{dataset_id}/stats: what each snapshot has added, the latest first.

        "If you don't provide both `per_page` and `offset` parameters, you will get only the latest summary."
        """
        dataset = call.path("dataset_id")
        if not dataset.isdecimal():
            raise HTTPException(400, "dataset_id must be a number")
        per_page, offset = _number(call, "per_page", 1, 1), _number(call, "offset", 0, 0)
        if not {"per_page", "offset"} <= call.query.keys():
            per_page = ALL_RECORDS if call.query.get("all_records") == "true" else 1
            offset = 0
        snapshots = snapshots_of(dataset, self.store.all.values())
        if snapshots is None:
            # Which status an unknown data set gets is not documented.
            raise HTTPException(404, "The dataset was not found.")
        page = snapshots[offset : offset + per_page]
        return json_response({"dataset_id": int(dataset), "records": page})

    def run_query(self, call: Call) -> Response:
        """POST /nql/run: its answer has the job under ``id``, not ``job_id``."""
        try:
            fields = start.queried(call.json())
        except ValueError as error:
            return json_response(start.unreadable("/nql/run", str(error)), 400)
        return json_response(start.run_response(start_job(self, fields, call.now)), 201)

    def refresh_view(self, call: Call) -> Response:
        """POST /datasets/{dataset_id}/refresh-materialized-view."""
        dataset = call.path("dataset_id")
        if not dataset.isdecimal():
            raise HTTPException(400, "dataset_id must be a number")
        if int(dataset) == 0:
            # Which status an unknown data set gets is not documented.
            raise HTTPException(404, "The dataset was not found.")
        try:
            fields = start.refreshed(int(dataset), call.json())
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        job = start_job(self, fields, call.now)
        return json_response(dict.fromkeys(self.refresh_id_keys, job.id))

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Complete what the list filters by."""
        fields = job.fields
        fields.setdefault("type", MATERIALIZE_VIEW)
        fields.setdefault("data_plane_id", DATA_PLANE_ID)
        dataset = fields.pop("dataset_id", 10_000 + job.number)
        statement = 'SELECT "value" FROM "company_data"."10674"'
        if fields["type"] == FORECAST:
            given: dict[str, Any] = {"nql": f"EXPLAIN {statement}", "compiled_select": statement}
        else:
            nql = f'CREATE MATERIALIZED VIEW "sandbox_{dataset}" AS {statement}'
            given = {"nql": nql, "dataset_id": dataset, "stats_enabled": True, "compiled_select": statement}
        fields["input"] = {**given, **fields.get("input", {})}

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return JobResponse without what a job has not got yet, as their samples leave out ``failures``."""
        record: dict[str, Any] = {
            "job_id": job.id,
            "request_source": start.REQUEST_SOURCE,
            "state": job.state,
            "executor": "job-executor-sandbox",
            "execution_cluster": "shared",
            "failures": [],
            "idempotency_key": f"{job.number}:sandbox",
            "created_at": _naive(job.created_at),
            "updated_at": _naive(job.updated_at),
        }
        word = normalise_word(job.state)
        if word == "failed":
            message = job.failure or "The job failed."
            record["failures"] = [
                {"message": message, "timestamp": _naive(job.ended_at or job.updated_at), "value": {}}
            ]
        if job.ended_at is not None:
            record["ended_at"] = _naive(job.ended_at)
        if word == "completed":
            record["result"] = self._result(job)
        record.update((key, value) for key, value in job.fields.items() if key != "tags")
        return record

    def new_id(self, number: int, now: float) -> str:
        """Return a UUID."""
        return str(uuid.uuid4())

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return nothing: a key or client credentials are all Narrative asks for."""
        return {}

    def _result(self, job: SandboxJob) -> dict[str, Any]:
        if job.fields["type"] == FORECAST:
            forecast = {"cost": 0, "rows": job.rows_now(job.is_complete).get("read", 0)}
            return {"success": {"result": {"Forecast": forecast}}}
        return {
            "dataset_id": job.fields["input"].get("dataset_id"),
            "snapshot_id": snapshot_id(job),
            "recalculation_id": str(uuid.uuid5(uuid.NAMESPACE_OID, job.id)),
        }


def _number(call: Call, name: str, default: int | None, least: int) -> int:
    try:
        number = int(call.query.get(name, "" if default is None else str(default)))
    except ValueError as error:
        raise HTTPException(400, f"{name} must be a number") from error
    if number < least:
        raise HTTPException(400, f"{name} must be at least {least}")
    return number


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _naive(at: float) -> str:
    """Return a time without a zone, as Narrative's samples have it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6]
