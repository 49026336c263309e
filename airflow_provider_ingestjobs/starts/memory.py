# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a task instance keeps, from one try to the next, of the job that it has started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import task_state_store

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import Context

#: The key of Airflow's task state store that keeps it.
STATE_KEY = "ingestjobs_start"
#: What Airflow's ``NEVER_EXPIRE`` is: it is kept as long as the run.
FOR_EVER = timedelta.max


@dataclass(frozen=True)
class StartRecord:
    """A start that a task has begun.

    :param request: the digest of what was sent.
    :param attempted_at: when it was first sent, ISO 8601 with an offset.
    :param sent_at: when it was last sent.
    :param try_number: the try that sent it.
    :param max_tries: the last try that the task had then; clearing a task changes it.
    :param job_ids: the vendor's ids of what was started; none while they are not known.
    :param earlier: the ids of what is not this start: what the task had started before, and what was there.
    :param is_taken: whether the vendor has said that it takes the request, though not as what.
    :param is_told: whether the task has told how this ended; whoever clears it then, asks for another one.
    """

    request: str
    attempted_at: str
    sent_at: str
    try_number: int
    max_tries: int
    job_ids: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    is_taken: bool = False
    is_told: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StartRecord:
        """Return the record that was kept, by this release or another one.

        :param data: what the task state store has.
        :raises KeyError, TypeError, ValueError: if it is no such record.
        """
        for moment in ("attempted_at", "sent_at"):
            if datetime.fromisoformat(data[moment]).tzinfo is None:
                raise ValueError(f"{moment} has no offset")
        return cls(
            request=str(data["request"]),
            attempted_at=data["attempted_at"],
            sent_at=data["sent_at"],
            try_number=int(data["try_number"]),
            max_tries=int(data["max_tries"]),
            job_ids=tuple(map(str, data.get("job_ids", ()))),
            earlier=tuple(map(str, data.get("earlier", ()))),
            is_taken=bool(data.get("is_taken", False)),
            is_told=bool(data.get("is_told", False)),
        )


@dataclass(frozen=True)
class ThisTry:
    """The present try of a task.

    :param number: which try it is, from 1.
    :param max_tries: the last one that it has.
    :param retries: how many it has after its first, and after each time that it is cleared.
    :param run_started_at: when the task's run began.
    """

    number: int
    max_tries: int
    retries: int
    run_started_at: datetime

    @classmethod
    def of(cls, context: Context, retries: int) -> ThisTry:
        """Return a task's present try.

        :param context: its context.
        :param retries: the task's own.
        """
        ti: Any = context["ti"]
        run: Any = context["dag_run"]
        return cls(
            number=getattr(ti, "try_number", None) or 1,
            max_tries=getattr(ti, "max_tries", None) or 0,
            retries=retries,
            run_started_at=run.start_date or clock.now(),
        )

    def was_cleared_since(self, record: StartRecord) -> bool:
        """Whether somebody has cleared the task since a record was kept.

        :param record: the record.
        """
        # By a clear alone it changes, and may fall where the DAG has fewer retries by now.
        return self.max_tries != record.max_tries


class Memory:
    """A task instance's record of its start, in Airflow's task state store; before Airflow 3.3 there is none.

    :param context: the task's context.
    :param log: the task's log.
    """

    def __init__(self, context: Context, log: Any) -> None:
        self._store = task_state_store(context)
        self._max_tries = getattr(context["ti"], "max_tries", None) or 0
        self._log = log

    @property
    def is_kept(self) -> bool:
        """Whether the next try will know of it."""
        return self._store is not None

    def read(self) -> StartRecord | None:
        """Return what was kept; ``None`` if nothing was.

        What cannot be read is an error: taken for nothing, it would start a second job.

        :raises ValueError: if what was kept is no such record.
        """
        kept = self._store.get(STATE_KEY) if self._store is not None else None
        if not kept:
            return None
        try:
            return StartRecord.from_dict(kept)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the task's state {STATE_KEY!r} cannot be read: {error!r}. Delete it, once you know that "
                "what this task has started has ended"
            ) from error

    def write(self, record: StartRecord) -> None:
        """Keep a record.

        :param record: the record.
        """
        if self._store is not None:
            self._store.set(
                STATE_KEY,
                asdict(record) | {"job_ids": [*record.job_ids], "earlier": [*record.earlier]},
                retention=FOR_EVER,
            )

    def note_told(self, record: StartRecord | None = None) -> None:
        """Keep that the task tells how its start ended: whoever clears it after that asks for another one.

        A task that does not wait for the end has no more to tell as soon as it has started something.

        :param record: the record, where it is at hand.
        """
        try:
            record = record or self.read()
        except Exception as error:
            self._log.warning("What is known of this start cannot be read: %s", error)
            return
        if record is not None:
            self.try_to_write(replace(record, is_told=True, max_tries=self._max_tries))

    def try_to_write(self, record: StartRecord) -> None:
        """Keep a record; where that fails, go on: the next try finds the job at the vendor, or asks people.

        :param record: the record.
        """
        try:
            self.write(record)
        except Exception as error:
            self._log.warning("What is known of this start could not be kept for the next try: %s", error)

    def forget(self, before: StartRecord | None) -> None:
        """Take back what was kept of a start that the vendor has refused.

        :param before: what was kept before it.
        """
        if before is not None:
            self.try_to_write(before)
        elif self._store is not None:
            try:
                self._store.delete(STATE_KEY)
            except Exception as error:
                self._log.warning("What was kept of this start could not be deleted: %s", error)
