# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting a job of Imply Polaris."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.records import as_object, as_text
from airflow_provider_ingestjobs.starts.request import AHEAD, Found

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context
    from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
    from airflow_provider_ingestjobs.job import Job


@dataclass(frozen=True)
class PolarisJob:
    """A job, as its specification describes it.

    A job of the type ``sql`` carries a mark of its task as a comment in its query. Whether Polaris takes a
    mark in another job's ``context`` is not published: those are known by their specification, which Polaris
    gives back.

    :param hook: the hook.
    :param spec: the body of Polaris' request, as the DAG has it.
    :param mark: what no other task has.
    """

    hook: PolarisHook
    spec: Mapping[str, Any]
    mark: str

    @property
    def content(self) -> Any:
        """What is sent."""
        query = self.spec.get("query")
        if self._type != "sql" or not isinstance(query, str):
            return dict(self.spec)
        return {**self.spec, "query": f"{self._comment} {query}"}

    def send(self) -> list[str]:
        """Ask for the job."""
        return self.hook.create_job(self.content)

    def find(self, since: datetime) -> Found:
        """Return the jobs of this type and table that were created since then."""
        named = {"job_type": self._type, "table_name": self._table}
        filters = {name: value for name, value in named.items() if value}
        listed = self.hook.jobs_between(since, clock.now() + AHEAD, filters)
        like = [
            job
            for job in listed
            if job.created_at
            and job.created_at >= since
            and all(job.details.get(name) == value for name, value in filters.items())
        ]
        certain = [job for job in like if self._is_ours(job)]
        # A query that lacks the mark is another's.
        return Found(certain, [] if self._type == "sql" else [job for job in like if job not in certain])

    def _is_ours(self, job: Job) -> bool:
        spec = as_object(as_object(self.hook.get_record(job.id)).get("spec"))
        if self._type == "sql":
            return self._comment in str(spec.get("query"))
        return _has(spec, self.spec)

    @property
    def _type(self) -> str | None:
        return as_text(self.spec.get("type"))

    @property
    def _table(self) -> str | None:
        return as_text(as_object(self.spec.get("target")).get("tableName"))

    @property
    def _comment(self) -> str:
        return f"/* Airflow {self.mark} */"

    def __str__(self) -> str:
        of_table = f" into {self._table}" if self._table else ""
        return f"a {self._type} job{of_table}"


def _has(given: Any, wanted: Any) -> bool:
    """Whether a specification has all that another one says; what was left out has been filled in."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(
            key in given and _has(given[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(given, list) and len(given) == len(wanted) and all(map(_has, given, wanted))
    return bool(given == wanted)


def check_spec(given: Any) -> dict[str, Any]:
    """Return a job's specification.

    :param given: a dict, or its JSON text, as a template file has it.
    :raises InvalidInput: if it is neither, or lacks the type.
    """
    spec = given
    if isinstance(given, str):
        try:
            spec = json.loads(given)
        except ValueError as error:
            raise InvalidInput("spec", f"{given[:60]}…", f"it is not JSON: {error}") from None
    if not isinstance(spec, Mapping):
        raise InvalidInput("spec", spec, "give a dict, or the path of a .json file")
    if not isinstance(spec.get("type"), str):
        raise InvalidInput("spec", sorted(map(str, spec)), 'it needs a "type", such as "batch" or "sql"')
    return dict(spec)


def mark_of(context: Context) -> str:
    """Return what no other task instance has, in characters that may stand in a comment of a query.

    :param context: the task's context.
    """
    ti: Any = context["ti"]
    key = [ti.dag_id, ti.run_id, ti.task_id, getattr(ti, "map_index", -1)]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9_.-]', '_', f'{ti.dag_id}.{ti.task_id}')[:100]} {digest}"
