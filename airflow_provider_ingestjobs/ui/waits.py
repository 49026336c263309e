# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which tasks wait for which jobs, and how the polls for them go: all that is read of Airflow's database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from airflow.configuration import conf
from airflow.jobs.job import Job
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import and_, select

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.selection import freeze_filters
from airflow_provider_ingestjobs.triggers.telling import TELL_EVERY, WATCH_XCOM_KEY
from airflow_provider_ingestjobs.wait_record import WAIT_XCOM_KEY, WaitRecord

#: The states of a task that waits: in the triggerer, in a worker, and between two looks.
WAITING = ("deferred", "running", "up_for_reschedule")
#: What Airflow calls a triggerer among its jobs.
TRIGGERER = "TriggererJob"
#: How old a scan of the database may be, in seconds, and how old at most, where nobody has looked since.
MAX_AGE = 5.0
STALE_AFTER = 15.0
#: After so many of its intervals, a poll that has told nothing is late; after so long, it is forgotten.
LATE_AFTER = 3.0
FORGOTTEN_AFTER = timedelta(minutes=30)

#: What tells one source of jobs from another: the connection's id and the further arguments of the hook.
SourceKey = tuple[str, Any]


class TaskKey(NamedTuple):
    """Which task instance.

    :param dag_id: its DAG.
    :param run_id: its run.
    :param task_id: its task.
    :param map_index: of a mapped task its index, else -1.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True)
class TaskWait:
    """A task instance and its wait.

    :param task: the task instance.
    :param state: Airflow's state of it.
    :param record: what it said as its wait began.
    """

    task: TaskKey
    state: str | None
    record: WaitRecord

    @property
    def dag_id(self) -> str:
        """Its DAG."""
        return self.task.dag_id

    @property
    def source(self) -> SourceKey:
        """What it waits on."""
        return source_key(self.record.conn_id, self.record.hook_params)


@dataclass(frozen=True)
class PollWord:
    """What the poll of a triggerer has told of itself.

    :param host: the triggerer's host.
    :param hook: class path of the hook that it reads jobs by.
    :param waits: how many waits it served then.
    :param interval: seconds between two polls.
    :param read_at: when the vendor last answered; ``None`` if it has not yet.
    :param told_at: when it told this.
    :param trouble: what is in its way, if anything is.
    :param trouble_since: since when, ISO 8601.
    """

    host: str
    hook: str
    waits: int
    interval: float
    read_at: float | None
    told_at: float
    trouble: str | None
    trouble_since: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        trouble = {"text": self.trouble, "since": self.trouble_since} if self.trouble else None
        return {
            "host": self.host,
            "waits": self.waits,
            "interval": self.interval,
            "read_at": None if self.read_at is None else _iso(self.read_at),
            "told_at": _iso(self.told_at),
            "is_late": self.is_late,
            "trouble": trouble,
        }

    @property
    def is_late(self) -> bool:
        """Whether it should have told something since."""
        return clock.time() - self.told_at > LATE_AFTER * max(self.interval, TELL_EVERY)


@dataclass(frozen=True)
class Triggerer:
    """A triggerer that Airflow has not given up.

    :param host: its host.
    :param heartbeat: when it was last seen.
    :param is_alive: whether that was lately enough, as Airflow's own health check has it.
    """

    host: str
    heartbeat: datetime
    is_alive: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"host": self.host, "heartbeat": self.heartbeat.isoformat(), "is_alive": self.is_alive}


@dataclass(frozen=True)
class Scan:
    """What the database had at one time.

    :param by_source: the tasks that wait, by what they wait on.
    :param polls: what polls have told, by what they read.
    :param triggerers: the triggerers.
    """

    by_source: Mapping[SourceKey, list[TaskWait]] = field(default_factory=dict)
    polls: Mapping[SourceKey, list[PollWord]] = field(default_factory=dict)
    triggerers: Sequence[Triggerer] = ()


def source_key(conn_id: str, hook_params: Mapping[str, Any]) -> SourceKey:
    """Return what tells a source of jobs from another.

    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook.
    """
    return conn_id, freeze_filters(hook_params)


def scan() -> Scan:
    """Read which tasks wait now, and what polls have told. Blocking."""
    by_source: dict[SourceKey, list[TaskWait]] = defaultdict(list)
    polls: dict[SourceKey, dict[Any, PollWord]] = defaultdict(dict)
    threshold = conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30.0)
    alive_from = clock.now() - timedelta(seconds=threshold)
    with create_session() as session:
        waits = _waits().where(TaskInstance.state.in_(WAITING))
        for wait in _as_waits(session.execute(waits)):
            by_source[wait.source].append(wait)
        told = select(XComModel.value).where(
            XComModel.key == WATCH_XCOM_KEY, XComModel.timestamp > clock.now() - FORGOTTEN_AFTER
        )
        for (value,) in session.execute(told.order_by(XComModel.timestamp)):
            for key, word in _as_word(value):
                # The last word of each.
                polls[key][word.host, word.hook] = word
        running = select(Job.hostname, Job.latest_heartbeat).where(
            Job.job_type == TRIGGERER, Job.state == "running"
        )
        beats = session.execute(running)
        triggerers = [Triggerer(host or "", beat, beat >= alive_from) for host, beat in beats if beat]
    told_by = {key: list(words.values()) for key, words in polls.items()}
    return Scan(dict(by_source), told_by, sorted(triggerers, key=lambda one: one.host))


def find_wait(task: TaskKey) -> TaskWait | None:
    """Return the last wait of a task instance; ``None`` if it has begun none. Blocking.

    :param task: the task.
    """
    of_task = _waits().where(*_is_of(TaskInstance, task))
    with create_session() as session:
        return next(_as_waits(session.execute(of_task)), None)


def uses_connection(wait: TaskWait) -> bool:
    """Whether a task names a connection itself, by the fields that its worker has rendered. Blocking.

    Whoever may write XComs can make a task's record name any connection, but not what a worker has rendered.

    :param wait: the task's wait.
    """
    rendered_fields = RenderedTaskInstanceFields.rendered_fields
    with create_session() as session:
        rendered = session.scalar(
            select(rendered_fields).where(*_is_of(RenderedTaskInstanceFields, wait.task))
        )
    return isinstance(rendered, Mapping) and wait.record.conn_id in rendered.values()


def _is_of(table: Any, task: TaskKey) -> list[Any]:
    return [getattr(table, name) == value for name, value in task._asdict().items()]


def _waits() -> Any:
    of_task = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in TaskKey._fields]
    columns = [getattr(TaskInstance, name) for name in (*TaskKey._fields, "state")]
    return select(*columns, XComModel.value).join(XComModel, and_(XComModel.key == WAIT_XCOM_KEY, *of_task))


def _as_waits(rows: Iterable[Any]) -> Iterator[TaskWait]:
    for *task, state, value in rows:
        try:
            record = WaitRecord.from_dict(_plain(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            # Any task can write this, and another XCom backend keeps it elsewhere.
            continue
        word = state and str(getattr(state, "value", state))
        yield TaskWait(TaskKey(*task), word, record)


def _as_word(value: Any) -> Iterator[tuple[SourceKey, PollWord]]:
    try:
        data = _plain(value)
        word = PollWord(
            host=str(data["host"]),
            hook=str(data["hook"]),
            waits=int(data["waits"]),
            interval=float(data["interval"]),
            read_at=None if data["read_at"] is None else float(data["read_at"]),
            told_at=float(data["told_at"]),
            trouble=data["trouble"] and str(data["trouble"]),
            trouble_since=data["trouble_since"] and str(data["trouble_since"]),
        )
        params = {str(name): str(one) for name, one in data["hook_params"].items()}
        yield source_key(str(data["conn_id"]), params), word
    except (KeyError, TypeError, ValueError, AttributeError):
        return


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _plain(value: Any) -> Any:
    return XComModel.deserialize_value(_Row(value))


@dataclass(frozen=True)
class _Row:
    value: Any
