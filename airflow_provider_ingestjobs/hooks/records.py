# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""From a vendor's record to a job: state words, optional fields, and records that cannot be read."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from airflow_provider_ingestjobs.arguments import MAX_JOB_ID_LENGTH
from airflow_provider_ingestjobs.errors import Unreadable
from airflow_provider_ingestjobs.job import MAX_INT, Job, JobState, normalise_word

#: The most characters kept of a vendor's failure text; a record's `raw` has all of it.
MAX_FAILURE_LENGTH = 2000
#: The most characters kept of a vendor's state, which may be a list of its parts' words.
MAX_STATE_LENGTH = 200
#: The most unknown words that are logged, each once.
MAX_UNKNOWN_WORDS = 100


class Redact(Protocol):
    """Makes a vendor's text fit for logs, as ``Client.redact`` does."""

    def __call__(self, text: str, max_length: int = ..., /) -> str:
        """Return the text without secrets, on one line.

        :param text: what the vendor sent.
        :param max_length: the most characters to keep.
        """


class StateWords:
    """What a vendor's words for states stand for.

    :param vendor: the vendor's name.
    :param conn_id: the Airflow connection.
    :param states: the words of the vendor's documents, normalised.
    :param state_map: the words that the connection maps, which come before those.
    :param redact: makes a word fit for the log.
    :param log: where unknown words are logged, each once.
    """

    def __init__(
        self,
        *,
        vendor: str,
        conn_id: str,
        states: Mapping[str, JobState],
        state_map: Mapping[str, JobState],
        redact: Redact,
        log: Any,
    ) -> None:
        self._vendor = vendor
        self._conn_id = conn_id
        self._states = {**states, **state_map}
        self._redact = redact
        self._log = log
        self._unknown: set[str] = set()

    def state_of(self, word: object) -> JobState:
        """Return the state that a word stands for; ``UNKNOWN`` for one that nobody has mapped.

        :param word: as the vendor sent it.
        :raises TypeError: if it is neither text nor a whole number.
        """
        if not isinstance(word, str | int):
            raise TypeError(f"its state is a {type(word).__name__}")
        normal = normalise_word(str(word))
        state = self._states.get(normal)
        if state is None:
            self._log_unknown(normal, str(word))
            return JobState.UNKNOWN
        return state

    def _log_unknown(self, normal: str, word: str) -> None:
        if normal in self._unknown or len(self._unknown) >= MAX_UNKNOWN_WORDS:
            return
        self._unknown.add(normal)
        self._log.warning(
            "%s reports a state that is not known here: %r. It counts as not ended. "
            "Map it in connection %r, extra state_map.",
            self._vendor,
            self._redact(word),
            self._conn_id,
        )


class Records:
    """Turns a vendor's records into jobs; what cannot be read as a job is passing trouble, never an end.

    :param vendor: the vendor's name.
    :param to_job: the vendor's own conversion; raises ``KeyError``, ``TypeError``, ``ValueError`` or
        ``AttributeError`` for a record that it cannot read.
    :param redact: makes a vendor's text fit for logs and errors.
    :param log: where records that are left out are logged.
    """

    def __init__(
        self, *, vendor: str, to_job: Callable[[Mapping[str, Any]], Job], redact: Redact, log: Any
    ) -> None:
        self._vendor = vendor
        self._to_job = to_job
        self._redact = redact
        self._log = log
        #: How many records of lists have been looked at.
        self.looked_at = 0

    def job(self, record: Any, keep_raw: bool = False) -> Job:
        """Return a record as a job.

        :param record: what the vendor sent.
        :param keep_raw: keep the record in the job's ``raw``.
        :raises Unreadable: if it cannot be read as a job.
        """
        if not isinstance(record, Mapping):
            raise Unreadable(f"{self._vendor} sent a job record that is not a JSON object")
        try:
            job = self.clean(self._to_job(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(
                f"{self._vendor} sent a job record that cannot be read: {type(error).__name__} {error}"
            ) from error
        return replace(job, raw=record) if keep_raw else job

    def jobs(self, records: Any, keep_raw: bool = False) -> Iterator[Job]:
        """Return a page of records as jobs; one that cannot be read is left out and logged.

        :param records: a list or iterator.
        :param keep_raw: keep each record in its job's ``raw``.
        :raises Unreadable: if it is not a list.
        """
        for record in self._listed(records):
            try:
                yield self.job(record, keep_raw)
            except Unreadable as error:
                self._log.warning("Left out of the list: %s", error)

    def wanted(
        self,
        records: Any,
        id_field: str,
        wanted: Collection[str],
        listed: dict[str, tuple[int, Job]],
    ) -> dict[str, Job]:
        """Return those of a page of records that are wanted, by id.

        The others are not converted, and neither is a record that has not changed since it was last seen.

        :param records: a list or iterator.
        :param id_field: the record's field with the job's id.
        :param wanted: the ids to look for.
        :param listed: each job as last made from a list's record, after a hash of that record; is updated.
        :raises Unreadable: if it is not a list.
        """
        found = {}
        for record in self._listed(records):
            self.looked_at += 1
            job_id = str(record.get(id_field)) if isinstance(record, Mapping) else None
            if job_id is None or job_id not in wanted:
                continue
            # Version 2 of the format writes equal records alike; later ones do not.
            record_hash = hash(marshal.dumps(record, 2))
            known_hash, job = listed.get(job_id, (None, None))
            if job is None or known_hash != record_hash:
                job = next(self.jobs([record]), None)
            if job is not None:
                listed[job_id] = (record_hash, job)
                found[job_id] = job
        return found

    def clean(self, job: Job) -> Job:
        """Return a job whose texts may stand in logs and errors.

        :param job: as the vendor described it.
        :raises ValueError: if its id may not.
        """
        if not job.id or not job.id.isprintable() or len(job.id) > MAX_JOB_ID_LENGTH:
            raise ValueError("its id is empty, too long, or has control characters")
        if job.failure:
            job = replace(job, failure=self._redact(job.failure, MAX_FAILURE_LENGTH))
        if len(job.vendor_state) > MAX_STATE_LENGTH:
            job = replace(job, vendor_state=job.vendor_state[:MAX_STATE_LENGTH])
        return job

    def _listed(self, records: Any) -> Iterable[Any]:
        if not isinstance(records, list | Iterator):
            raise Unreadable(f"{self._vendor} sent a job list that is not a JSON array")
        return records


def once(jobs: Iterable[Job]) -> Iterator[Job]:
    """Return each job once: jobs that start while pages are read push others onto the next page.

    :param jobs: jobs of one page after the other.
    """
    seen = set()
    for job in jobs:
        if job.id not in seen:
            seen.add(job.id)
            yield job


def as_object(value: object) -> Mapping[str, Any]:
    """Return a field that should be an object; an empty one for anything else.

    Use it, :func:`as_objects`, :func:`as_text` and :func:`as_count` for every field that a job can do
    without: an optional field must neither end a wait nor keep it from ending.

    :param value: the field, as the vendor sent it.
    """
    return value if isinstance(value, Mapping) else {}


def as_objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a field that should be an array of them.

    :param value: the field, as the vendor sent it.
    """
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a field that should be a text or an id, which may also come as a number.

    :param value: the field, as the vendor sent it.
    """
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def as_share(value: object) -> float | None:
    """Return a field that should be a share, from 0 to 1.

    :param value: the field, as the vendor sent it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1 else None


def as_count(value: object) -> int | None:
    """Return a field that should be a count.

    :param value: the field, as the vendor sent it.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_INT else None
