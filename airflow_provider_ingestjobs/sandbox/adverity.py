# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox's Adverity: the Management API's jobs, the fetches that start them, and its token endpoint."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.job import normalise_word
from airflow_provider_ingestjobs.sandbox.adverity_fetch import FetchRequest, InvalidField
from airflow_provider_ingestjobs.sandbox.demo import LONG_RUN, demo_job
from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
from airflow_provider_ingestjobs.sandbox.starts import start_job
from airflow_provider_ingestjobs.sandbox.vendor import (
    Call,
    Credentials,
    VendorApi,
    iso,
    json_response,
    listing,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import Route

#: Neither is published; small enough that tests with hundreds of jobs meet a second page.
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
FETCH_STAGE = "fetch"
_FIRST_ID = 1_000_000
_DAY = 24 * 3600
_ORDERINGS = ("id", "job_start", "job_end")
#: Only 1 (Running, orange) is published; null keeps clients from relying on numbers that were made up here.
_STATE_NUMBERS = {"running": (1, "orange")}
_DATASTREAM = {"id": 218, "stack_id": 12, "name": "Google Ads - EMEA", "slug": "google-ads-emea"}
_TWO_FETCHES = {"id": 221, "stack_id": 12, "name": "TikTok Ads - EMEA", "slug": "tiktok-ads-emea"}
DEMO_JOBS = (
    demo_job(
        "success",
        "7301101",
        [(0, "Scheduled"), (2, "Running"), (5, {"state": "Running", "progress": 0.6}), (9, "Success")],
        fields={"datastream": _DATASTREAM},
    ),
    demo_job(
        "failure",
        "7301102",
        [(0, "Running"), (6, "Failed")],
        failure="Authorization error: the refresh token was revoked. Re-authorize the connection.",
        fields={
            "datastream": {"id": 219, "stack_id": 12, "name": "Meta Ads - EMEA", "slug": "meta-ads-emea"},
        },
    ),
    demo_job(
        "long-running, to be cancelled",
        "7301103",
        [(0, {"state": "Running", "stage": "fetch", "progress": 0.01}), (LONG_RUN, "Success")],
        fields={
            "datastream": {"id": 220, "stack_id": 12, "name": "DV360 backfill", "slug": "dv360-backfill"},
        },
    ),
    demo_job(
        "discarded after a preceding job failed; Adverity's job shows no row counts",
        "7301104",
        [(0, "Scheduled"), (7, "Discarded")],
        fields={"datastream": _DATASTREAM},
    ),
    demo_job(
        "success, the first of a datastream's two fetches",
        "7301105",
        [(0, "Scheduled"), (1, "Running"), (6, "Success")],
        fields={"datastream": _TWO_FETCHES},
    ),
    demo_job(
        "success, the second one: it starts when the first has ended",
        "7301106",
        [(10, "Running"), (14, "Success")],
        fields={"datastream": _TWO_FETCHES},
    ),
)


class Adverity(VendorApi):
    """Adverity's Management API, as documented at docs.adverity.com/guides/management-api.

    Its own keys of ``fields`` are ``datastream_id``, ``stage`` and ``imported`` (that endpoint's answer);
    ``datastream`` is merged with the usual one, and may have an ``absolute_url``, the page for people. Its
    own key of a step is ``stage``: only a job in the stage ``"fetch"`` can be stopped. It shows no rows.
    Which time a range of past jobs is about is not published: a subclass may set ``past_range_field``. It has
    every datastream whose number is above 0.
    """

    name = "adverity"
    conn_type = "adverity"
    step_keys = frozenset({"stage"})
    demo_jobs = DEMO_JOBS
    owns_path = re.compile(r"/api/(jobs|datastreams|auth)(/|$)")
    credentials = Credentials(
        key="sandbox-adverity-key",
        login="sandbox-adverity-user",
        password="sandbox-adverity-password",  # noqa: S106
    )
    waiting_words = frozenset({"scheduled"})
    ended_words = frozenset({"success", "failed", "cancelled", "discarded", "stale"})
    # "If a job is cancelled manually, it is discarded."
    cancel_state = "Discarded"
    # The token answer says expires_in null: these tokens do not expire by themselves.
    token_lifetime: ClassVar[float] = float("inf")
    #: The record's field that ``start`` and ``end`` are about, such as ``scheduled``, ``job_end`` or
    #: ``range_start``; where it is empty, ``scheduled`` counts.
    past_range_field: ClassVar[str] = "job_start"
    start_timeline = ((0, "Scheduled"), (1, "Running"), (3, "Success"))
    #: How many jobs a fetch by the datastream's schedule starts.
    jobs_per_fetch: ClassVar[int] = 2
    #: Whether the answer to a start names the jobs: older instances' does not.
    answers_with_jobs: ClassVar[bool] = True

    def routes(self) -> list[Route]:
        """Return Adverity's endpoints."""
        return [
            self.route("POST", "/api/auth/token/", self.token, authenticated=False),
            # The page names the list without the trailing slash, its curl samples with it.
            self.route("GET", "/api/jobs", self.list_jobs),
            self.route("GET", "/api/jobs/", self.list_jobs),
            self.route("GET", "/api/jobs/{job_id}/", self.get_job),
            self.route("GET", "/api/jobs/{job_id}/imported/", self.get_imported),
            self.route("POST", "/api/jobs/{job_id}/stop/", self.stop_job),
            self.route("POST", "/api/datastreams/{datastream_id}/fetch_fixed/", self.fetch_fixed),
            self.route("POST", "/api/datastreams/{datastream_id}/fetch/", self.fetch),
        ]

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return Django REST framework's error body."""
        return {"detail": message}

    def authenticate(self, call: Call) -> None:
        """Check the key: Bearer for one made in the user interface, Token for one made by a user's login."""
        scheme, secret = call.scheme_and_secret()
        if not secret:
            raise HTTPException(
                401, "Authentication credentials were not provided.", {"WWW-Authenticate": "Token"}
            )
        known = (
            secret == self.credentials.key if scheme == "bearer" else self.token_is_valid(secret, call.now)
        )
        if scheme not in ("bearer", "token") or not known:
            raise HTTPException(401, "Invalid token.", {"WWW-Authenticate": "Token"})

    def token(self, call: Call) -> Response:
        """POST /api/auth/token/."""
        form = call.form
        given = (form.get("username"), form.get("password"))
        # The refusal's status is not documented.
        if given != (self.credentials.login, self.credentials.password):
            raise HTTPException(401, "Unable to log in with provided credentials.")
        valid = [token for token in self.tokens if self.token_is_valid(token, call.now)]
        token = valid[0] if valid else self.issue_token()
        return json_response({"username": self.credentials.login, "token": token, "expires_in": None})

    def list_jobs(self, call: Call) -> Response:
        """GET /api/jobs/: running and scheduled jobs, or past ones within a range."""
        self.store.read_list(call.now)
        query = call.query
        try:
            start, end = _bound(query.get("start"), last=False), _bound(query.get("end"), last=True)
        except ValueError:
            return _invalid("start", "Enter a valid date/time.")
        # The documented sample ends in a slash: datastream_id={{DATASTREAM_ID}}/
        datastream = query.get("datastream_id", "").rstrip("/")
        for name, value in (("datastream_id", datastream), ("stack", query.get("stack", ""))):
            if value and not value.isdigit():
                return _invalid(name, "Enter a number.")
        stack = query.get("stack")
        past = start is not None or end is not None

        def matches(job: SandboxJob) -> bool:
            if job.is_ended != past:
                return False
            if past:
                at = self._past_range_time(job)
                if (start is not None and at < start) or (end is not None and at > end):
                    return False
            stream = job.fields["datastream"]
            if datastream and str(stream["id"]) != datastream:
                return False
            return not stack or str(stream["stack_id"]) == stack

        jobs = [job for job in self.store.by_created.walk(descending=True) if matches(job)]
        return self._page(call, _ordered(jobs, query.get("ordering", "")))

    def get_job(self, call: Call) -> Response:
        """GET /api/jobs/{id}/."""
        job = self._known(call)
        # issues and manual were seen on the single job only.
        issues = []
        if normalise_word(job.state) == "failed":
            message = job.failure or "The fetch failed."
            issue_url = f"{call.base_url}/api/issues/{job.number}/"
            issues = [
                {
                    "message": message,
                    "type_label": "Error",
                    "extraction_state_label": "Failed",
                    "url": issue_url,
                }
            ]
        return json_response({"issues": issues, "manual": False, **self.record(job, call.base_url)})

    def get_imported(self, call: Call) -> Response:
        """GET /api/jobs/{id}/imported/: the job or its ``imported``, as the answer is not documented."""
        job = self._known(call)
        return json_response(job.fields.get("imported") or self.record(job, call.base_url))

    def stop_job(self, call: Call) -> Response:
        """POST /api/jobs/{id}/stop/: only in the fetch stage; neither answer is documented."""
        job = self._known(call)
        if job.is_ended:
            raise HTTPException(400, f"Job is {job.state} and cannot be stopped.")
        if job.own["stage"] != FETCH_STAGE:
            raise HTTPException(400, "Only jobs in the fetch stage can be stopped.")
        # No word for a job that is being stopped is published: it stays as it is until it has stopped.
        self.cancel(job, call.now, {})
        return json_response({"status": "ok"})

    def fetch_fixed(self, call: Call) -> Response:
        """POST /api/datastreams/{id}/fetch_fixed/: a single fetch, which is one job."""
        return self._fetch(call, 1)

    def fetch(self, call: Call) -> Response:
        """POST /api/datastreams/{id}/fetch/: the jobs that the datastream's schedule makes of the range."""
        return self._fetch(call, self.jobs_per_fetch)

    def prepare(self, job: SandboxJob, now: float) -> None:
        """Check the numeric id and complete the datastream."""
        if not job.id.isdigit():
            raise ValueError(f"Adverity's job ids are numbers, not {job.id!r}")
        job.own["stage"] = job.fields.pop("stage", None) or FETCH_STAGE
        stream_id = job.fields.pop("datastream_id", None)
        given = job.fields.get("datastream", {})
        stream_id = given.get("id", 42 if stream_id is None else int(stream_id))
        job.fields["datastream"] = {
            "id": stream_id,
            "stack_id": 1,
            "name": f"Datastream {stream_id}",
            "slug": f"datastream-{stream_id}",
            **given,
        }

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        """Return a job as the list shows it."""
        number, color = _STATE_NUMBERS.get(normalise_word(job.state), (None, None))
        seconds = (job.ended_at - job.started_at) if job.ended_at and job.started_at is not None else 0
        done = 1.0 if normalise_word(job.state) == "success" else 0.0
        record: dict[str, Any] = {
            "id": int(job.id),
            "url": f"{base_url}/api/jobs/{job.id}/",
            "job_start": iso(job.started_at, "seconds"),
            "job_end": iso(job.ended_at, "seconds"),
            "range_start": iso(job.created_at // _DAY * _DAY - _DAY, "seconds"),
            "range_end": iso(job.created_at // _DAY * _DAY, "seconds"),
            "scheduled": iso(job.created_at, "seconds"),
            "progress": float(done if job.progress is None or done else job.progress),
            "duration": f"{int(seconds)}s",
            "state": number,
            "state_label": job.state,
            "state_color": color,
        }
        record.update((key, value) for key, value in job.fields.items() if key != "imported")
        return record

    def new_id(self, number: int, now: float) -> str:
        """Return a number."""
        return str(_FIRST_ID + number)

    def issue_token(self) -> str:
        """Return a fresh token in the style of Django REST framework."""
        token = secrets.token_hex(20)
        self.tokens[token] = self.token_lifetime
        return token

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        """Return the scheme the credential belongs to."""
        return {"auth_scheme": "Bearer" if auth == "key" else "Token"}

    def _past_range_time(self, job: SandboxJob) -> float:
        if self.past_range_field == "job_start":
            return job.created_at if job.started_at is None else job.started_at
        record = self.record(job, "")
        return parse_time(record[self.past_range_field] or record["scheduled"])

    def _fetch(self, call: Call, jobs: int) -> Response:
        datastream = call.path("datastream_id")
        if not datastream.isdecimal() or int(datastream) == 0:
            raise HTTPException(404, "Not found.")
        body = call.json()
        if not isinstance(body, dict):
            raise HTTPException(400, "JSON parse error")
        try:
            asked = FetchRequest.parse(body)
        except InvalidField as error:
            return _invalid(error.name, error.message)
        started = [
            start_job(self, {"datastream_id": int(datastream), **part}, call.now)
            for part in asked.ranges(jobs)
        ]
        answer: dict[str, Any] = {
            "status": "ok",
            "start": asked.start,
            "message": "Fetch scheduled.",
            "end": asked.end,
        }
        if self.answers_with_jobs:
            answer["jobs"] = [
                {"id": int(job.id), "url": f"{call.base_url}/api/jobs/{job.id}/"} for job in started
            ]
        return json_response(answer)

    def _known(self, call: Call) -> SandboxJob:
        job = self.store.get(call.path("job_id"), call.now)
        if job is None:
            raise HTTPException(404, "Not found.")
        return job

    def _page(self, call: Call, jobs: list[SandboxJob]) -> Response:
        try:
            page = int(call.query.get("page", 1))
            # Django REST framework falls back to its default for a size it cannot use.
            size = int(call.query.get("page_size", DEFAULT_PAGE_SIZE))
        except ValueError as error:
            raise HTTPException(404, "Invalid page.") from error
        size = min(size, MAX_PAGE_SIZE) if size > 0 else DEFAULT_PAGE_SIZE
        pages = max(-(-len(jobs) // size), 1)
        if not 1 <= page <= pages:
            raise HTTPException(404, "Invalid page.")

        def link(number: int) -> str | None:
            if not 1 <= number <= pages:
                return None
            url = call.request.url.include_query_params(page=number)
            return f"{call.base_url}{url.path}?{url.query}"

        items = [self.rendered(job, call.base_url) for job in jobs[(page - 1) * size : page * size]]
        head = {"count": len(jobs), "next": link(page + 1), "previous": link(page - 1)}
        return listing(head, "results", items)


def _bound(text: str | None, last: bool) -> float | None:
    """Return a range's bound; as in their example, both ends are inclusive and a date is all of its day."""
    if not text:
        return None
    at = parse_time(text)
    return at + _DAY - 1e-6 if last and "T" not in text else at


def _ordered(jobs: list[SandboxJob], ordering: str) -> list[SandboxJob]:
    name = ordering.removeprefix("-")
    if name not in _ORDERINGS:
        return jobs
    keys: dict[str, Callable[[SandboxJob], tuple[bool, float]]] = {
        "id": lambda job: (False, int(job.id)),
        "job_start": lambda job: (job.started_at is None, job.started_at or 0.0),
        "job_end": lambda job: (job.ended_at is None, job.ended_at or 0.0),
    }
    return sorted(jobs, key=keys[name], reverse=ordering.startswith("-"))


def _invalid(name: str, message: str) -> Response:
    return json_response({"detail": "Invalid input.", "errors": {name: [message]}, name: [message]}, 400)
