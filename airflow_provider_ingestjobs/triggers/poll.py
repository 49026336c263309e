# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One look at all that is waited for: read it, compare it with what was known, and say what is worth telling.

Synchronous, for a thread; knows neither waits nor the event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.errors import (
    AuthenticationFailed,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.reading import MAX_FAILURES, BulkRead, ReadState, must_pause
from airflow_provider_ingestjobs.selection import Picked, Selection

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.job import Job

#: What can be waited for: a job, by its id, or a selection of jobs.
Target = str | Selection


@dataclass(frozen=True, slots=True)
class Update:
    """What a poll found about one target, when that is worth telling.

    :param job: the job, if the vendor knows it.
    :param picked: what a selection picks.
    :param missing: whether the vendor says it does not know it.
    :param trouble: why it could not be read; the wait goes on.
    :param error: why it never will be; the wait is over.
    """

    job: Job | None = None
    picked: Picked | None = None
    missing: bool = False
    trouble: VendorError | None = None
    error: Exception | None = None


@dataclass(slots=True)
class Poll:
    """What one look found, beside what was known before it.

    :param read: the jobs.
    :param picked: what each selection picks.
    :param refused: selections that the vendor refuses.
    :param troubles: selections that could not be read now, though the vendor has answered for others.
    :param stopped_by: why not everything was looked at.
    :param known: the jobs as they were known before.
    :param known_picks: what each selection picked before.
    """

    read: BulkRead
    picked: dict[Selection, Picked] = field(default_factory=dict)
    refused: dict[Selection, VendorError] = field(default_factory=dict)
    troubles: dict[Selection, VendorUnavailable] = field(default_factory=dict)
    stopped_by: VendorUnavailable | None = None
    known: Mapping[str, Job | None] = field(default_factory=dict)
    known_picks: Mapping[Selection, Picked] = field(default_factory=dict)

    @property
    def has_answers(self) -> bool:
        """Whether the vendor has answered anything."""
        refused = any(not isinstance(error, VendorUnavailable) for error in self.read.errors.values())
        return bool(self.read.jobs or self.read.unchanged or self.read.missing or self.picked or refused)

    @property
    def jobs_seen(self) -> int:
        """How many jobs were read."""
        return len(self.read.jobs) + sum(len(picked.jobs) for picked in self.picked.values())

    def updates(self, asked: Collection[Target]) -> Iterator[tuple[Target, Update]]:
        """Return what is worth telling: other states, what was asked for, and every trouble.

        :param asked: the targets whose state is told even if it has not changed.
        """
        for job_id, job in self.read.jobs.items():
            before = self.known.get(job_id)
            if before is None or before.state is not job.state or job_id in asked:
                yield job_id, Update(job=job)
        for job_id, before in self.known.items():
            if before is not None and job_id in asked and job_id not in self.read.jobs:
                yield job_id, Update(job=before)
        for job_id in self.read.missing:
            yield job_id, Update(missing=True)
        for job_id, error in self.read.errors.items():
            passing = isinstance(error, VendorUnavailable)
            yield job_id, Update(trouble=error) if passing else Update(error=error)
        for selection, picked in self.picked.items():
            is_in_trouble = picked.missing or picked.trouble
            is_news = _states(picked) != _states(self.known_picks.get(selection))
            if is_news or is_in_trouble or selection in asked:
                yield selection, Update(picked=picked)
        for selection, refused in self.refused.items():
            yield selection, Update(error=refused)
        for selection, trouble in self.troubles.items():
            yield selection, Update(trouble=trouble)


def poll(
    hook: IngestJobHook,
    job_ids: Collection[str],
    selections: Collection[Selection],
    state: ReadState,
    seen: Mapping[Selection, Collection[Job]],
    *,
    is_whole: bool = True,
) -> Poll:
    """Read jobs and selections; trouble with the selections does not undo what was read of the jobs.

    :param hook: the vendor's hook, connected.
    :param job_ids: the jobs to read.
    :param selections: the selections to read.
    :param state: what is kept of the jobs between two looks.
    :param seen: the jobs that each selection has picked before.
    :param is_whole: whether this is all that anybody waits for on the connection. If it is not, selections
        that cannot be read say nothing of the others.
    :raises VendorError: if the vendor refuses, or cannot be reached.
    """
    found = Poll(hook.read_jobs(job_ids, state))
    found.stopped_by = found.read.stopped_by
    if not selections or (found.stopped_by and must_pause(found.stopped_by, found.has_answers)):
        return found
    try:
        _select_into(found, hook, list(selections), seen)
    except (AuthenticationFailed, VendorUnavailable) as error:
        # Raised, it would lose the jobs that were read, which the next poll would take for known.
        if not found.has_answers:
            raise
        found.stopped_by = VendorUnavailable(str(error), retry_after=error.retry_after)
    if is_whole and found.troubles and not found.has_answers:
        raise next(iter(found.troubles.values()))
    troubles = (picked.trouble for picked in found.picked.values())
    asked_for = (
        error for error in troubles if isinstance(error, VendorUnavailable) and must_pause(error, True)
    )
    found.stopped_by = found.stopped_by or next(asked_for, None)
    return found


def _select_into(
    found: Poll,
    hook: IngestJobHook,
    selections: list[Selection],
    seen: Mapping[Selection, Collection[Job]],
) -> None:
    """Read selections; one that is refused or in trouble is found by halving, as it is no other's."""
    try:
        found.picked |= hook.select_jobs(selections, seen)
    except VendorError as error:
        if error.rejects_credentials or must_pause(error, found.has_answers):
            raise
        if isinstance(error, VendorUnavailable) and (
            len(selections) == 1 or (len(found.troubles) >= MAX_FAILURES and not found.picked)
        ):
            # Where one after the other is in trouble, the rest is most likely, too.
            found.troubles |= dict.fromkeys(selections, error)
            return
        if len(selections) == 1:
            found.refused[selections[0]] = error
            return
        half = len(selections) // 2
        _select_into(found, hook, selections[:half], seen)
        _select_into(found, hook, selections[half:], seen)


def _states(picked: Picked | None) -> list[tuple[str, str]] | None:
    """Return what is compared: other states are worth telling, and that trouble is over is, too."""
    if picked is None or picked.missing or picked.trouble:
        return None
    return [(job.id, job.state) for job in picked.jobs]
