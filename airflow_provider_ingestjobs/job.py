# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What every vendor's job record becomes: pure data, no I/O, no Airflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any

#: The fields of a job that are moments.
TIMESTAMPS = ("created_at", "started_at", "ended_at", "updated_at")
#: What an error says of whom a vendor attributes a failure to.
ATTRIBUTIONS = {
    "customer": "It attributes that to the customer's configuration",
    "platform": "It attributes that to its own platform: rerunning may resolve it",
}
#: The largest whole number that databases and JSON readers take.
MAX_INT = 2**63 - 1


class JobState(StrEnum):
    """Where a job is, in one vocabulary for all vendors.

    ``UNKNOWN`` is a vendor word nobody has mapped yet. It is not terminal: waits go on.
    """

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether a job ends in this state.

        Only people change it after that: some vendors let them resume a failed job, which then runs again.
        """
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED})


def normalise_word(word: str) -> str:
    """Return a vendor's state word without case, and with space, ``-`` and ``_`` alike.

    :param word: as the vendor writes it.
    """
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def fold_states(states: Collection[JobState]) -> JobState:
    """Return the one state of something made of parts, such as an Amperity job made of tables.

    :param states: the states of the parts; empty means that no part exists yet.
    """
    parts = set(states)
    if not parts:
        return JobState.PENDING
    if parts <= TERMINAL_STATES:
        order = (JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED, JobState.SKIPPED)
        return next(state for state in order if state in parts)
    if JobState.CANCELLING in parts:
        return JobState.CANCELLING
    if JobState.UNKNOWN in parts:
        return JobState.UNKNOWN
    return JobState.PENDING if parts == {JobState.PENDING} else JobState.RUNNING


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows as the vendor counts them; ``None`` where it gives no such count.

    :param read: rows that the job took in.
    :param inserted: rows that are new at the target.
    :param updated: rows that were there before.
    :param rejected: rows left out on purpose, such as duplicates.
    :param errors: rows that could not be loaded.
    """

    read: int | None = None
    inserted: int | None = None
    updated: int | None = None
    rejected: int | None = None
    errors: int | None = None

    def __str__(self) -> str:
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return (
            ", ".join(f"{value} {name}" for name, value in known.items() if value is not None) or "no counts"
        )

    @property
    def written(self) -> int | None:
        """Rows that are new or changed at the target; ``None`` where the vendor counts neither."""
        return _sum(self.inserted, self.updated)

    @property
    def bad(self) -> int | None:
        """Rows that were left out or could not be loaded; ``None`` where the vendor counts neither."""
        return _sum(self.rejected, self.errors)

    @property
    def size(self) -> int | None:
        """How large the job is: the rows read, else those written."""
        return self.written if self.read is None else self.read

    @classmethod
    def from_dict(cls, data: Any) -> RowCounts:
        """Return the counts of :meth:`Job.to_dict`; what another release counts beyond these is left out.

        :param data: counts by name.
        """
        given = data if isinstance(data, Mapping) else {}
        return cls(**{f.name: given.get(f.name) for f in fields(cls)})


@dataclass(frozen=True, slots=True)
class Job:
    """One ingestion job as its vendor last described it.

    :param vendor: the vendor's name, such as ``Imply Polaris``.
    :param id: the vendor's id of the job.
    :param state: the state in this package's words.
    :param vendor_state: the state in the vendor's word.
    :param name: what the vendor calls the job or the thing that runs it.
    :param target: where the rows go: table, datastream or data set.
    :param created_at: when the job was created; like all four timestamps aware and in UTC.
    :param started_at: when it started running.
    :param ended_at: when it ended.
    :param updated_at: when the vendor last changed the record.
    :param rows: row counts, as far as the vendor gives them.
    :param failure: the vendor's own text on why it failed.
    :param progress: from 0 to 1.
    :param url: a page about the job at its vendor, for people, where one is known.
    :param details: the vendor's own nouns, such as ``workflow_id`` or ``datastream_id``: small and JSON.
        ``failure_attribution`` is whose fault the vendor says a failure is: ``platform`` or ``customer``.
    :param raw: the vendor's whole record; only where asked for.
    """

    vendor: str
    id: str
    state: JobState
    vendor_state: str
    name: str | None = None
    target: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    rows: RowCounts = RowCounts()
    failure: str | None = None
    progress: float | None = None
    url: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def began_at(self) -> datetime | None:
        """When it started; where the vendor gives no start, when it was created."""
        return self.started_at or self.created_at

    @property
    def duration(self) -> float | None:
        """Seconds from its beginning to its end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()

    def __str__(self) -> str:
        return f"{self.vendor} job {self.id}"

    def describe(self) -> str:
        """Return one readable clause for logs and errors: state, the vendor's word, progress, rows."""
        text = f"{self.state.value} (vendor says {self.vendor_state!r})"
        if self.progress is not None and not self.state.is_terminal:
            text += f", {self.progress:.0%} done"
        if self.state.is_terminal and self.rows != RowCounts():
            text += f", rows: {self.rows}"
        return text

    def describe_end(self) -> str:
        """Return what an error says of an ended job: how it ended, the vendor's own text, its address.

        There is no full stop at its end.
        """
        parts = [
            f"{self} is {self.describe()}",
            self.failure and f"The vendor says: {self.failure}",
            ATTRIBUTIONS.get(str(self.details.get("failure_attribution"))),
            self.url,
        ]
        return ". ".join(part.rstrip(".") for part in parts if part)

    def to_dict(self, include_raw: bool = False) -> dict[str, Any]:
        """Return the job as JSON data: ISO 8601 timestamps, plain strings, ``duration`` in seconds.

        :param include_raw: also keep the vendor's whole record under ``raw``.
        """
        data: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in TIMESTAMPS:
            data[name] = data[name] and data[name].isoformat()
        data |= {
            "state": self.state.value,
            "rows": asdict(self.rows),
            "details": dict(self.details),
            "duration": self.duration,
        }
        if not include_raw:
            del data["raw"]
        plain: dict[str, Any] = as_plain(data)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that :meth:`to_dict` wrote, in this release or another one.

        :param data: a dict of at least vendor, id, state and vendor_state; unknown keys are left out.
        :raises KeyError, ValueError, TypeError: where the data is not such a job.
        """
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        for name in TIMESTAMPS:
            values[name] = parse_timestamp(values.get(name))
        values["state"] = JobState(values["state"])
        values["rows"] = RowCounts.from_dict(values.get("rows"))
        details = values.get("details")
        values["details"] = details if isinstance(details, Mapping) else {}
        return cls(**values)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def parse_timestamp(value: object) -> datetime | None:
    """Return a vendor's timestamp in UTC; one without a zone is read as UTC.

    Anything that is not a timestamp is ``None``: a wait must not end over an optional field.

    :param value: ISO 8601 text, as every vendor sends it.
    """
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def as_plain(value: Any) -> Any:
    """Return JSON data in a form that all of Airflow's databases and protocols take.

    A vendor's texts may hold what PostgreSQL does not (NUL, lone surrogates), its numbers what JSON or
    64 bits do not: a task that has succeeded must not fail over its result.

    :param value: dicts, lists, texts and numbers.
    """
    if isinstance(value, str):
        clean = value.replace("\0", " ")
        return clean if clean.isascii() else clean.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {as_plain(str(key)): as_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(one) for one in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, int) and abs(value) > MAX_INT:
        return None
    return value


def duration_in_words(seconds: float) -> str:
    """Return a duration as people say it, such as ``2 hours 5 minutes``.

    :param seconds: the duration; a negative one counts as none.
    """
    import pendulum

    whole = round(seconds)
    return pendulum.duration(seconds=whole).in_words() if whole > 0 else "less than a second"
