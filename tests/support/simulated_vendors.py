# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Vendors in memory and a clock that jumps: hours of waiting in a fraction of a second.

Everything of the package runs as it is, threads and all constants included; only ``send``, the lookup of the
connection, and the clocks are replaced. While nothing else is left to do, the event loop's time jumps to its
next timer, and a request sleeps in that same time, so that everything may happen while a poll is under way.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import logging
import math
import random
import re
import selectors
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks import for_triggers, http, narrative
from airflow_provider_ingestjobs.hooks.response import Response
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.triggers import job as job_trigger
from airflow_provider_ingestjobs.triggers import watch as watches
from support.vendors import BY_NAME, VendorCase

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, MutableSequence, Sequence

#: The moment at which every simulation starts, as a UNIX time.
START = 1_793_000_000.0

EXTRAS = {"amperity": {"tenant": "acme"}, "polaris": {"project_id": "p"}}


class World:
    """The simulated time, in seconds since its start, and the event loop that lives in it."""

    def __init__(self) -> None:
        self.now = 0.0
        #: Threads that compute, rather than sleep in simulated time. Only the loop's thread changes it.
        self.working = 0
        self.loop = _Loop(self)

    def time(self) -> float:
        return START + self.now

    def sleep(self, seconds: float) -> None:
        """Sleep in a thread, in simulated time."""
        over = threading.Event()

        def wake() -> None:
            self.working += 1
            over.set()

        def lie_down() -> None:
            self.working -= 1
            self.loop.call_later(seconds, wake)

        self.loop.call_soon_threadsafe(lie_down)
        over.wait()

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(main)


class _Selector(selectors.SelectSelector):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._world.working:
            return super().select(None)
        if timeout is None:
            raise RuntimeError("nothing is left to happen in this simulation")
        self._world.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(_Selector(world))

    def time(self) -> float:
        return self._world.now


@dataclass
class SimulatedJob:
    """A job and its future.

    :param id: its number.
    :param steps: when it comes into each of its states; the last one is its end.
    :param known_from: before this the vendor answers 404.
    :param list_lag: how much later than by-id reads the lists show every step.
    :param skews: what the vendor's clock was ahead by when it stamped each step.
    :param word: what the vendor calls its end, if not the usual word.
    :param broken: the status that reading it by its id is answered with.
    """

    id: int
    steps: Sequence[tuple[float, JobState]]
    known_from: float = 0.0
    list_lag: float = 0.0
    skews: Sequence[float] = ()
    word: str | None = None
    broken: int | None = None

    @property
    def end(self) -> tuple[float, JobState]:
        return self.steps[-1]

    def at(self, moment: float) -> SeenJob | None:
        """Return the job as it is at a moment."""
        number = bisect.bisect_right(self.steps, moment, key=_when) - 1
        return None if number < 0 or moment < self.known_from else SeenJob(self, number)


_when = itemgetter(0)


@dataclass(slots=True)
class SeenJob:
    """A job in one of its steps."""

    job: SimulatedJob
    number: int

    @property
    def state(self) -> JobState:
        return self.job.steps[self.number][1]

    @property
    def stamp(self) -> float:
        skew = self.job.skews[self.number] if self.number < len(self.job.skews) else 0.0
        return self.job.steps[self.number][0] + skew

    @property
    def started(self) -> float | None:
        return next(
            (at for at, state in self.job.steps[: self.number + 1] if state is not JobState.PENDING), None
        )


@dataclass
class SimulatedVendor:
    """A vendor that answers what a hook's ``send`` would get.

    :param name: which one.
    :param world: its time.
    :param jobs: its jobs.
    :param latency: seconds that a request takes.
    :param faults: what goes wrong with which request, counted from 0.
    :param page_size: the most records of one page.
    """

    name: str
    world: World
    jobs: Sequence[SimulatedJob]
    latency: float = 0.05
    faults: dict[int, str] = field(default_factory=dict)
    page_size: int = 7
    #: For each poll the requests it made, by kind.
    polls: MutableSequence[Counter[str]] = field(default_factory=list)
    #: When each request was sent, and when it was answered.
    requests: MutableSequence[tuple[float, float]] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.extra = dict(EXTRAS.get(self.name, {}))
        if self.name == "adverity":
            self.extra["page_size"] = self.page_size
        self._by_id = {self.id_of(job): job for job in self.jobs}
        self._noise = random.Random(len(self.jobs))

    @property
    def conn_id(self) -> str:
        return self._case.default_conn_id

    @property
    def _case(self) -> VendorCase:
        return BY_NAME[self.name]

    def id_of(self, job: SimulatedJob) -> str:
        return str(job.id) if self.name == "adverity" else f"job-{job.id:05d}"

    def send(self, session: Any, settings: Any, method: str, url: str, **kwargs: Any) -> Response:
        """Answer in place of :func:`airflow_provider_ingestjobs.hooks.http.send`."""
        fault = self.faults.get(self.asked)
        self.asked += 1
        seconds = 60.0 if fault == "timeout" else self.latency
        self.requests.append((self.world.now, self.world.now + seconds))
        self.world.sleep(seconds)
        parts = urlsplit(url)
        query = dict([*parse_qsl(parts.query), *kwargs.get("params", ())])
        is_list = re.search(r"/jobs/?$", parts.path)
        past = "start" in query and self.name == "adverity"
        self.polls[-1][("past" if past else "list") if is_list else "by_id"] += 1
        if fault == "timeout":
            raise VendorUnavailable("no answer within 60 s")
        if fault in ("401", "429", "500", "503"):
            return self._answer(
                int(fault), {"message": fault}, {"Retry-After": "100"} if fault == "429" else {}
            )
        if fault == "no_json":
            return Response(200, {}, b"<html>")
        if is_list:
            return self._list(query, self._listed(past), fault)
        job = self._by_id.get(parts.path.rstrip("/").rpartition("/")[2])
        seen = job and job.at(self.world.now)
        if job and job.broken:
            return self._answer(job.broken, {"message": "it fails over this job"})
        if seen is None:
            return self._answer(404, {"message": "not found"})
        return self._answer(200, _mangled(self._record(seen)) if fault == "garbage" else self._record(seen))

    def _listed(self, past: bool) -> list[SeenJob]:
        now = self.world.now
        listed = [seen for job in self.jobs if (seen := job.at(now - job.list_lag))]
        if self.name == "amperity":
            listed = [seen for seen in listed if seen.started is not None]
        if self.name == "adverity":
            listed = [seen for seen in listed if seen.state.is_terminal == past]
        if len(listed) < 1000:
            # Of the same instant, each comes first now and then.
            self._noise.shuffle(listed)
        if self.name == "narrative":
            listed.sort(key=lambda seen: seen.stamp, reverse=True)
        if self.name == "adverity":
            listed.sort(key=lambda seen: seen.job.id)
        return listed

    def _list(self, query: dict[str, str], listed: list[SeenJob], fault: str | None) -> Response:
        if fault == "truncated":
            listed = listed[: len(listed) // 2]
        if self.name == "amperity":
            window = (query["created_from"], query["created_to"])
            first, last = (datetime.fromisoformat(moment).timestamp() - START for moment in window)
            listed = [seen for seen in listed if first <= (seen.started or 0.0) < last]
            return self._answer(200, {"data": self._records(listed, fault), "next_token": "unusable"})
        if self.name == "polaris":
            return self._answer(200, {"values": self._records(listed, fault)})
        if self.name == "narrative":
            offset, size = int(query["offset"]), int(query["per_page"])
            page = self._records(listed[offset : offset + size], fault)
            return self._answer(200, {"records": page, "total_records": len(listed)})
        if "start" in query:
            window = (query["start"], query["end"])
            first, last = (datetime.fromisoformat(moment).timestamp() - START for moment in window)
            listed = [seen for seen in listed if first <= seen.job.steps[0][0] <= last]
        number, pages = int(query.get("page", 1)), max(math.ceil(len(listed) / self.page_size), 1)
        if number > pages:
            return self._answer(404, {"detail": "Invalid page."})
        query["page"] = str(number + 1)
        link = "https://acme.example/api/jobs/?" + "&".join(f"{key}={value}" for key, value in query.items())
        page = self._records(listed[(number - 1) * self.page_size : number * self.page_size], fault)
        next_page = link if number < pages else None
        return self._answer(200, {"count": len(listed), "next": next_page, "results": page})

    def _records(self, listed: list[SeenJob], fault: str | None) -> list[Any]:
        records: list[Any] = [self._record(seen) for seen in listed]
        if fault == "garbage" and records:
            number = self._noise.randrange(len(records))
            records[number] = _mangled(records[number])
        return records

    def _record(self, seen: SeenJob) -> dict[str, Any]:
        word, job_id = self._case.words[seen.state], self.id_of(seen.job)
        if seen.state.is_terminal:
            word = seen.job.word or word
        created, changed = _iso(seen.job.steps[0][0]), _iso(seen.stamp)
        started = seen.started
        if self.name == "amperity":
            table = {"state": word, "table_name": "t", "feed_id": "f", "read": 1}
            table |= {"started_at": _iso(started)} if started is not None else {}
            return {"id": job_id, "workflow_id": "w", "tables": [table]}
        if self.name == "adverity":
            stream = {"id": 1, "name": "s"}
            return {"id": seen.job.id, "state_label": word, "datastream": stream, "scheduled": created}
        if self.name == "polaris":
            target = {"tableName": "t"}
            stamps = {"createdTimestamp": created, "lastUpdatedTimestamp": changed}
            return {"id": job_id, "executionStatus": word, "target": target, **stamps}
        stamps = {"created_at": created, "updated_at": changed}
        return {"job_id": job_id, "state": word, "type": "materialize-view", "failures": [], **stamps}

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
        return Response(status, headers or {}, json.dumps(content).encode())

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the package talk to this vendor, in its time."""
        world = self.world
        real_in_thread = watches.in_thread

        async def in_thread(call: Any, limit: Any = None) -> Any:
            self.polls.append(Counter())
            world.working += 1
            try:
                return await real_in_thread(call, limit)
            finally:
                world.working -= 1

        async def connection(conn_id: str, hook: Any = None) -> Any:
            return SimpleNamespace(
                host="https://acme.example", login=None, password="key", schema=None, port=None
            )

        async def extra(connection: Any) -> dict[str, Any]:
            return self.extra

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http, "send", self.send)
            patch.setattr(watches, "in_thread", in_thread)
            patch.setattr(for_triggers, "get_async_connection", connection)
            patch.setattr(for_triggers, "get_async_extra_dejson", extra)
            patch.setattr(clock, "time", world.time)
            patch.setattr(clock, "monotonic", lambda: world.now)
            patch.setattr(narrative.NarrativeHook, "page_size", self.page_size)
            yield

    def watch(self) -> watches.Watch:
        """Return the watch on this vendor, in a coroutine of the simulation."""
        return watches.watch_for(self._case.hook, self.conn_id, {})

    def trigger(self, job: SimulatedJob, poll_interval: float) -> job_trigger.IngestJobTrigger:
        """Return a trigger that waits for a job from now on, for a day."""
        trigger = job_trigger.IngestJobTrigger(
            hook=self._case.hook_path,
            conn_id=self.conn_id,
            job_ids=[self.id_of(job)],
            poll_interval=poll_interval,
            started_at=_iso(self.world.now) + "+00:00",
            deadline=_iso(self.world.now + 86_400) + "+00:00",
        )
        # Airflow's own logger takes longer for a line than everything else for a poll.
        trigger._log = logging.getLogger("simulated")
        return trigger


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()[:-6]


def _mangled(record: Any) -> Any:
    """Return a record that is none, or says something that nobody has heard of."""
    if not isinstance(record, dict) or len(json.dumps(record)) % 2:
        return "not a record"
    states = ("state", "state_label", "executionStatus")
    return {key: "banana" if key in states else value for key, value in record.items() if key != "tables"}
