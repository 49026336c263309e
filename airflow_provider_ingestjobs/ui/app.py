# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The page's server: what it may be asked, and by whom.

A mounted app inherits no authentication from Airflow: each of these functions asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import (
    GetUserDep,
    requires_access_connection,
    requires_access_dag,
)
from airflow.api_fastapi.logging.decorators import action_logging
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from airflow_provider_ingestjobs.errors import (
    CancelRefused,
    IngestJobsError,
    InvalidInput,
    NoConnection,
    NotSupported,
)
from airflow_provider_ingestjobs.exceptions import JobNotFound
from airflow_provider_ingestjobs.ui.answers import answer, params_from
from airflow_provider_ingestjobs.ui.desk import Desk, NoWait
from airflow_provider_ingestjobs.ui.jobs import Query as JobQuery
from airflow_provider_ingestjobs.ui.sources import Source
from airflow_provider_ingestjobs.ui.static_files import FOLDER, static_path
from airflow_provider_ingestjobs.ui.waits import TaskKey

Window = Annotated[str, Query()]
JSON_TYPE = "application/json"
MAY_READ = [Depends(requires_access_connection("GET"))]
MAY_READ_TASK = [Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))]


async def takes_json(request: Request) -> None:
    """Refuse what another site's form can send along with a user's cookie: JSON it cannot.

    :param request: the request.
    :raises HTTPException: if its body is no JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
        raise HTTPException(415, f"Send the body as {JSON_TYPE}.")
    try:
        is_object = isinstance(json.loads(await request.body()), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise HTTPException(422, "Send a JSON object, such as {}, as the body.")


# In this order: Airflow's log of actions takes it that a body which says so is JSON.
MAY_USE = [
    Depends(requires_access_connection("PUT")),
    Depends(takes_json),
    Depends(action_logging("ingestjobs.cancel")),
]

router = APIRouter()


def make_app() -> FastAPI:
    """Return the page's server."""
    app = FastAPI(title="Ingestion jobs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = Desk()
    app.include_router(router)
    app.mount(static_path(), _Files(directory=FOLDER))
    for error, status in (
        (IngestJobsError, 502),
        (InvalidInput, 422),
        (NoConnection, 404),
        (JobNotFound, 404),
        (NoWait, 404),
        (CancelRefused, 409),
        (NotSupported, 409),
    ):
        app.add_exception_handler(error, _tells(status))
    return app


def desk_of(request: Request) -> Desk:
    """Return what all requests share.

    :param request: the request.
    """
    desk: Desk = request.app.state.desk
    return desk


DeskDep = Annotated[Desk, Depends(desk_of)]


async def source_of(connection_id: str, desk: DeskDep, params: Annotated[str, Query()] = "") -> Source:
    """Return the source that an address names; whether it may be read is asked before.

    :param connection_id: the connection.
    :param desk: what all requests share.
    :param params: further arguments of the hook, as JSON.
    :raises InvalidInput: if there is no such source.
    """
    return await desk.source(connection_id, params_from(params))


SourceDep = Annotated[Source, Depends(source_of)]


@router.get("/sources")
async def sources(*, request: Request, user: GetUserDep, desk: DeskDep) -> Response:
    """Tell which connections there are, of those that the user may read."""
    return answer(request, await desk.sources(user))


@router.get("/connections/{connection_id}/jobs", dependencies=MAY_READ)
async def jobs(
    *,
    request: Request,
    source: SourceDep,
    user: GetUserDep,
    desk: DeskDep,
    window: Window = "day",
    state: Annotated[list[str] | None, Query()] = None,
    target: str = "",
    text: str = "",
    sort: str = "-started_at",
    page: int = 1,
) -> Response:
    """Tell of the jobs of a window, a page at a time."""
    query = JobQuery.of(state or (), target, text, sort, page)
    return answer(request, *await desk.jobs(user, source, window, query))


@router.get("/connections/{connection_id}/plots", dependencies=MAY_READ)
async def plots(
    *,
    request: Request,
    source: SourceDep,
    desk: DeskDep,
    window: Window = "week",
    target: str = "",
) -> Response:
    """Tell what is drawn of the jobs of a window."""
    return answer(request, *await desk.plots(source, window, target))


@router.get("/connections/{connection_id}/jobs/{job_id:path}", dependencies=MAY_READ)
async def job(
    *, request: Request, source: SourceDep, job_id: str, user: GetUserDep, desk: DeskDep
) -> Response:
    """Tell of one job all that its vendor tells."""
    return answer(request, *await desk.job(user, source, job_id))


@router.post("/connections/{connection_id}/jobs/{job_id:path}/cancel", dependencies=MAY_USE)
async def cancel(
    *, request: Request, source: SourceDep, job_id: str, user: GetUserDep, desk: DeskDep
) -> Response:
    """Ask the vendor to stop a job."""
    return answer(request, await desk.cancel(user, source, job_id))


@router.get("/watches")
async def watches(*, request: Request, user: GetUserDep, desk: DeskDep) -> Response:
    """Tell which polls serve the tasks that wait, of the DAGs that the user may read."""
    return answer(request, await desk.watches(user))


@router.get("/dags/{dag_id}/runs/{run_id:path}/tasks/{task_id}/wait", dependencies=MAY_READ_TASK)
async def wait(
    *,
    request: Request,
    dag_id: str,
    run_id: str,
    task_id: str,
    user: GetUserDep,
    desk: DeskDep,
    map_index: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
) -> Response:
    """Tell what a task waits for, or has waited for."""
    return answer(request, *await desk.wait(user, TaskKey(dag_id, run_id, task_id, map_index)))


class _Files(StaticFiles):
    """Files whose address changes with what is in them."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _tells(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def tell(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status, headers={"Cache-Control": "no-store"})

    return tell
