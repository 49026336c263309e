# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The list of jobs of the sandbox's Imply Polaris: filters, order and pages."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.sandbox.polaris_records import health_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.datastructures import QueryParams

    from airflow_provider_ingestjobs.sandbox.job_store import JobStore, SandboxJob

    Test = Callable[[SandboxJob], bool]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
EXECUTION_STATUSES = ("pending", "running", "completed", "idle", "canceled", "failed", "suspended", "unknown")
HEALTH_STATUSES = ("ok", "warn", "error")
TYPES = ("batch", "delete_data", "drop_table", "restore_data", "streaming", "sql")
_MAX_CONNECTION_NAME = 64
_MAX_TABLE_NAME = 255
#: Only to keep numbers sane; the document names no bound.
_MAX_OFFSET = 2**31 - 1
_MAX_DIGITS = 10
_CREATED, _UPDATED = "created_date_time", "last_updated_date_time"


@dataclass(frozen=True)
class ListRequest:
    """What a request for a list asks for.

    :param tests: what each job must pass.
    :param sort_column: what the jobs are ordered by.
    :param descending: whether the last in order comes first.
    :param limit: how many jobs a page has at most.
    :param offset: how many jobs of the order come before the page.
    """

    tests: tuple[Test, ...]
    sort_column: str
    descending: bool
    limit: int
    offset: int

    @classmethod
    def parse(cls, query: QueryParams) -> ListRequest:
        """Return what a query asks for.

        :param query: the query parameters.
        :raises HTTPException: 400 for a value that is not documented.
        """
        return cls(
            tests=tuple(_tests(query)),
            sort_column=_one_of(query, "sortColumn", (_CREATED, _UPDATED, *_SORT_KEYS), _UPDATED),
            descending=_one_of(query, "sortOrder", ("ASC", "DESC"), "DESC") == "DESC",
            limit=_number(query, "paginationLimit", DEFAULT_LIMIT, 1, MAX_LIMIT),
            offset=_number(query, "paginationOffset", 0, 0, _MAX_OFFSET),
        )

    def page(self, store: JobStore, project: str | None) -> tuple[list[SandboxJob], bool]:
        """Return the page, and whether there are more jobs behind it.

        :param store: the jobs.
        :param project: the project whose jobs are listed; None: those of all projects.
        """
        count = self.limit + 1
        tests = self.tests
        if project is not None and store.groups.keys() != {project}:
            tests = (lambda job: job.group == project, *tests)
        index = store.by_updated if self.sort_column == _UPDATED else store.by_created
        key = _SORT_KEYS.get(self.sort_column)
        if key is None and not tests:
            found = index.slice(self.offset, count, self.descending)
        else:
            jobs: Iterable[SandboxJob] = index.walk(self.descending)
            for test in tests:
                jobs = filter(test, jobs)
            if key is not None:
                jobs = sorted(jobs, key=key, reverse=self.descending)
            found = list(islice(jobs, self.offset, self.offset + count))
        return found[: self.limit], len(found) > self.limit


def table_id(table_name: str) -> str:
    """Return the id of a table, which no job shows, but which lists filter by.

    :param table_name: the table's name.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, table_name))


def _tests(query: QueryParams) -> Iterator[Test]:
    if states := _any_of(query, "executionStatus", EXECUTION_STATUSES):
        yield lambda job: job.state in states
    if kinds := _any_of(query, "type", TYPES):
        yield lambda job: str(job.fields["type"]) in kinds
    if health := _any_of(query, "healthStatus", HEALTH_STATUSES):
        yield lambda job: health_status(job) in health
    names = query.getlist("connectionName")
    if connections := {_name(value, "connectionName", _MAX_CONNECTION_NAME) for value in names}:
        yield lambda job: _in(job, "source", "connectionName") in connections
    if "targetTableName" in query:
        table = _name(query["targetTableName"], "targetTableName", _MAX_TABLE_NAME)
        yield lambda job: _table_name(job) == table
    if "targetTableId" in query:
        wanted = _uuid(query["targetTableId"], "targetTableId")
        yield lambda job: table_id(_table_name(job)) == wanted
    if text := query.get("searchString"):
        # Which fields those are is not documented; the enum of the columns is called JobSortSearchColumn.
        yield lambda job: any(text in key(job) for key in _SORT_KEYS.values())


def _in(job: SandboxJob, field: str, name: str) -> str:
    """Return a text in one of a job's fields, or an empty one."""
    value: Any = job.fields.get(field)
    return str(value.get(name, "")) if isinstance(value, dict) else ""


def _table_name(job: SandboxJob) -> str:
    return _in(job, "target", "tableName")


def _source_name(job: SandboxJob) -> str:
    return _in(job, "source", "connectionName") or _in(job, "source", "tableName")


_SORT_KEYS: dict[str, Callable[[SandboxJob], str]] = {
    "created_by_user_name": lambda job: _in(job, "createdBy", "username"),
    "execution_status": lambda job: job.state,
    "source_name": _source_name,
    "source_type": lambda job: _in(job, "source", "type"),
    "source_connection_name": _source_name,
    "source_table_name": _source_name,
    "target_table_name": _table_name,
    "type": lambda job: str(job.fields["type"]),
}


def _any_of(query: QueryParams, name: str, known: tuple[str, ...]) -> frozenset[str]:
    values = frozenset(query.getlist(name))
    if not values <= set(known):
        raise HTTPException(400, f"{name} must be one of {', '.join(known)}")
    return values


def _one_of(query: QueryParams, name: str, known: tuple[str, ...], default: str) -> str:
    value = query.get(name, default)
    if value not in known:
        raise HTTPException(400, f"{name} must be one of {', '.join(known)}")
    return value


def _number(query: QueryParams, name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, str(default))
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if not is_number or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} must be a whole number from {least} to {most}")
    return int(text)


def _name(value: str, name: str, longest: int) -> str:
    if not 1 <= len(value) <= longest:
        raise HTTPException(400, f"{name} must have from 1 to {longest} characters")
    return value


def _uuid(value: str, name: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise HTTPException(400, f"{name} must be a UUID") from error
