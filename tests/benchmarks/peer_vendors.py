# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The endpoint that a peer's trigger polls: dbt Cloud and Databricks, as small as they can be.

They do less per request than the sandbox does for our vendors, which is in the peers' favour.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request


class PeerVendors:
    """A server in a thread, with the same few methods that the benchmark uses of the sandbox.

    :param latency: seconds that every answer takes longer.
    """

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.answered = 0
        self._ended: set[int] = set()
        app = Starlette(
            routes=[
                Route("/api/v2/accounts/{account_id:int}/runs/{job_id:int}/", self._dbt_cloud),
                Route("/api/{version}/jobs/runs/get", self._databricks),
                Route("/api/{version}/jobs/run-now", self._databricks_start, methods=["POST"]),
            ]
        )
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            backlog=8192,
            timeout_keep_alive=60,
        )
        server = uvicorn.Server(config)
        threading.Thread(target=server.run, args=([listener],), daemon=True).start()
        while not server.started:
            time.sleep(0.01)

    def end(self, job_id: str) -> None:
        """Let a job be over from now on."""
        self._ended.add(int(job_id))

    async def _dbt_cloud(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        return await self._answer({"data": {"id": job_id, "status": 10 if job_id in self._ended else 3}})

    async def _databricks(self, request: Request) -> Response:
        # The peer's trigger sends it in the body, its operator in the address.
        job_id = int(request.query_params.get("run_id") or json.loads(await request.body())["run_id"])
        state = {"life_cycle_state": "RUNNING", "state_message": ""}
        if job_id in self._ended:
            state = {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
        return await self._answer(
            {"run_id": job_id, "job_id": job_id, "run_page_url": f"{self.url}/#run/{job_id}", "state": state}
        )

    async def _databricks_start(self, request: Request) -> Response:
        return await self._answer({"run_id": json.loads(await request.body())["job_id"]})

    async def _answer(self, content: dict[str, Any]) -> Response:
        self.answered += 1
        await asyncio.sleep(self.latency)
        return Response(json.dumps(content), media_type="application/json")
