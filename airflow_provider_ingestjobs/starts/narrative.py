# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting Narrative's jobs: a query, and the refresh of a materialised view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.narrative import MATERIALIZE_VIEW
from airflow_provider_ingestjobs.hooks.records import as_object, as_text
from airflow_provider_ingestjobs.starts.request import Found, check_choice

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
    from airflow_provider_ingestjobs.job import Job

COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
REFRESH_TYPES = ("full", "incremental")


@dataclass(frozen=True)
class Query:
    """A query in NQL.

    :param hook: the hook.
    :param nql: the query.
    :param data_plane_id: the data plane that it runs on; ``None``: the company's own.
    """

    hook: NarrativeHook
    nql: str
    data_plane_id: str | None

    @property
    def content(self) -> Any:
        """What is sent."""
        return [self.nql, self.data_plane_id]

    def send(self) -> list[str]:
        """Ask for the query."""
        return self.hook.run_query(self.nql, data_plane_id=self.data_plane_id)

    def find(self, since: datetime) -> Found:
        """Return the jobs with this query that were created since then, and those with one like it."""
        jobs = list(_started_since(self.hook, since, data_plane_id=self.data_plane_id))
        certain = [job for job in jobs if _nql_of(job).split() == self.nql.split()]
        # In samples, a job has its whole statement, its selection alone, or either in other quotes.
        like = [job for job in jobs if not _nql_of(job) or _are_alike(_nql_of(job), self.nql)]
        return Found(certain, [job for job in like if job not in certain])

    def __str__(self) -> str:
        start = " ".join(self.nql.split())
        return f"the query {start[:80]}{'…' if len(start) > 80 else ''}"


@dataclass(frozen=True)
class Refresh:
    """A refresh of a materialised view.

    :param hook: the hook.
    :param dataset_id: the view's data set.
    :param refresh_type: ``full`` or ``incremental``.
    """

    hook: NarrativeHook
    dataset_id: str
    refresh_type: str

    @property
    def content(self) -> Any:
        """What is sent."""
        return [self.dataset_id, self.refresh_type]

    def send(self) -> list[str]:
        """Ask for the refresh."""
        return self.hook.refresh_view(self.dataset_id, self.refresh_type)

    def find(self, since: datetime) -> Found:
        """Return the view's refreshes since then that its own schedule has not started."""
        return Found(
            list(_started_since(self.hook, since, dataset_id=self.dataset_id, job_type=MATERIALIZE_VIEW))
        )

    def __str__(self) -> str:
        return f"the {self.refresh_type} refresh of data set {self.dataset_id}"


def _started_since(hook: NarrativeHook, since: datetime, **filters: Any) -> Iterator[Job]:
    """Return the jobs that were created since then, but for those that Narrative has started by itself."""
    newest_first = hook.list_jobs(**filters)
    for job in takewhile(lambda job: job.created_at is None or job.created_at >= since, newest_first):
        # www.narrative.io/knowledge-base, webhooks/payload-structure: a schedule's source is a process
        if as_object(as_object(job.raw).get("request_source")).get("type") != "process":
            yield job


def _nql_of(job: Job) -> str:
    return as_text(as_object(as_object(job.raw).get("input")).get("nql")) or ""


def _are_alike(shown: str, asked: str) -> bool:
    """Whether one query is a part of the other, but for comments, case, spaces and quotes."""
    one, other = (re.sub(r"\W+", "", COMMENT.sub("", text)).casefold() for text in (shown, asked))
    return one in other or other in one


def check_nql(value: Any) -> str:
    """Return a query.

    :param value: what was given, rendered.
    :raises InvalidInput: if it is empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("nql", value, "give a query, or the path of an .nql file")
    return value


def check_refresh_type(value: Any) -> str:
    """Return Narrative's word for what is refreshed.

    :param value: what was given, rendered.
    :raises InvalidInput: for another word.
    """
    return check_choice("refresh_type", value, REFRESH_TYPES)
