# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The details of ended jobs, read in the triggerer: thousands that end at once share a few threads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.details import DetailReader
from airflow_provider_ingestjobs.triggers.registry import PerConnection
from airflow_provider_ingestjobs.triggers.shared_hook import shared_hook_for
from airflow_provider_ingestjobs.triggers.threads import in_thread

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

#: The tasks of a connection whose jobs' details are read at once. They keep to the connection's rate, and a
#: poll waits for no more requests than these have under way.
MAX_READERS = 4
#: How long a task waits for its turn and for the details, in seconds. Then a worker reads them.
MAX_SECONDS = 300.0
#: How long after the wait's deadline it does so at most, in seconds: Airflow ends the deferral soon after it.
MAX_AFTER_DEADLINE = 10.0


class DetailReads:
    """Reads the details of ended jobs on one connection, for a few tasks at a time.

    :param hook_class: the vendor's hook.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._shared_hook = shared_hook_for(hook_class, conn_id, hook_params)
        self._places = asyncio.Semaphore(MAX_READERS)

    async def read(
        self,
        jobs: Sequence[Job],
        needed: Set[str],
        *,
        deadline: datetime,
        interval: float,
        grace: float,
        log: Any,
        include_raw: bool,
    ) -> list[Job]:
        """Return jobs with their details, asked for by the rules of a worker.

        :param jobs: the ended jobs of one task.
        :param needed: the ids of those without whose details the task cannot go on.
        :param deadline: when the wait for the jobs ends.
        :param interval: seconds between two looks.
        :param grace: seconds in which the vendor may not know details that are needed (yet).
        :param log: the task's log.
        :param include_raw: whether the jobs' whole records are wanted, too.
        :raises TimeoutError: if that takes too long for a triggerer.
        :raises IngestJobsError: as :meth:`~airflow_provider_ingestjobs.details.DetailReader.look` does, and
            for a connection that cannot be used.
        """
        left = max((deadline - clock.now()).total_seconds(), 0.0) + MAX_AFTER_DEADLINE
        async with asyncio.timeout(min(MAX_SECONDS, left)), self._shared_hook as shared:
            reader = DetailReader(
                await shared.get(),
                deadline=deadline,
                interval=interval,
                grace=grace,
                log=log,
                include_raw=include_raw,
            )
            while (found := await in_thread(partial(reader.look, jobs, needed), self._places)) is None:
                await asyncio.sleep(reader.pause())
            return found


#: Returns what reads details on a connection, the same one for all callers on the running event loop.
detail_reads_for = PerConnection(DetailReads)
