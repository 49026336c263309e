# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The sandbox under a clock that jumps: hours of waiting in a fraction of a second.

Everything of the package runs as it is, threads and all constants included; only ``send``, the lookup of the
connection, and the clock are replaced. While nothing else is left to do, the event loop's time jumps to its
next timer, and a request sleeps in that same time, so that everything may happen while a poll is under way.
The sandbox answers without a socket; what it cannot say is done to its answers here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import pytest

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import VendorUnavailable
from airflow_provider_ingestjobs.hooks import for_triggers, http, narrative, polaris
from airflow_provider_ingestjobs.hooks.response import Response
from airflow_provider_ingestjobs.job import JobState, normalise_word
from airflow_provider_ingestjobs.sandbox import VENDORS, Fault, Sandbox
from airflow_provider_ingestjobs.selection import Selection, freeze_filters
from airflow_provider_ingestjobs.triggers import job as job_trigger
from airflow_provider_ingestjobs.triggers import watch as watches
from airflow_provider_ingestjobs.triggers.base import VendorTrigger
from airflow_provider_ingestjobs.triggers.selection import JobSelectionTrigger
from support.simulated_time import START, World
from support.vendors import BY_NAME, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, MutableSequence, Sequence

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi

T = TypeVar("T", bound=VendorTrigger)
R = TypeVar("R")

HOST = "https://acme.example"
#: What the simulated selection of each vendor is about, and the fields of a job that this selects.
SELECTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "amperity": ({"feed_id": "df-1"}, {"tables": [{"feed_id": "df-1", "table_name": "Customers"}]}),
    "adverity": ({"datastream_id": 7}, {"datastream_id": 7}),
    "polaris": ({"table_name": "Orders"}, {"target": {"type": "table", "tableName": "Orders"}}),
    "narrative": ({"dataset_id": 10674}, {"dataset_id": 10674}),
}
#: The troubles that the sandbox has by itself; the others are done to its answers.
FAULTS = {
    **{str(status): Fault(status=status) for status in (401, 500, 503)},
    "429": Fault(status=429, headers={"Retry-After": "100"}),
    "no_json": Fault(body="<html>"),
}


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
    :param is_selected: whether the simulated selection is about it.
    """

    id: int
    steps: Sequence[tuple[float, JobState]]
    known_from: float = 0.0
    list_lag: float = 0.0
    skews: Sequence[float] = ()
    word: str | None = None
    broken: int | None = None
    is_selected: bool = False

    @property
    def end(self) -> tuple[float, JobState]:
        return self.steps[-1]


@dataclass(frozen=True)
class ListTrouble:
    """A time in which the vendor's lists are not what they should be, while each job can be read by its id.

    :param begins: when.
    :param ends: when it is over.
    :param kind: a status that refuses them; ``"late"``: no answer within the read timeout; ``"shrunk"``: each
        page lacks a record.
    """

    begins: float
    ends: float
    kind: int | str


@dataclass
class SimulatedVendor:
    """A vendor of the sandbox that answers what a hook's ``send`` would get.

    :param name: which one.
    :param world: its time.
    :param jobs: its jobs.
    :param latency: seconds that a request takes.
    :param faults: what goes wrong with which request, counted from 0.
    :param page_size: the most records of one page.
    :param list_troubles: when lists alone are in trouble.
    :param silent: connections on which no request is answered.
    """

    name: str
    world: World
    jobs: Sequence[SimulatedJob]
    latency: float = 0.05
    faults: dict[int, str] = field(default_factory=dict)
    page_size: int = 7
    list_troubles: Sequence[ListTrouble] = ()
    silent: Collection[str] = ()
    #: For each poll the requests it made, by kind.
    polls: MutableSequence[Counter[str]] = field(default_factory=list)
    #: When each request was sent, and when it was answered.
    requests: MutableSequence[tuple[float, float]] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self._noise = random.Random(len(self.jobs))
        api = _vendor_api(self.name, self.jobs)
        # Of the same instant, each comes first now and then.
        self._sandbox = Sandbox(clock=self.world.time, vendors=[api], ties=self._noise)
        self._add_faults()
        for job in self.jobs:
            self._add(job)
        self._connection = self._sandbox.connection(self.name, url=HOST)
        self.extra = self._connection["extra"]
        if self.name == "adverity":
            self.extra["page_size"] = self.page_size

    @property
    def conn_id(self) -> str:
        return self._case.default_conn_id

    @property
    def _case(self) -> VendorCase:
        return BY_NAME[self.name]

    def id_of(self, job: SimulatedJob) -> str:
        return str(job.id) if self.name == "adverity" else f"job-{job.id:05d}"

    def _add_faults(self) -> None:
        # Neither one that times out nor one that an earlier fault hits counts among those that pass a fault.
        others = 0
        for number, trouble in sorted(self.faults.items()):
            if trouble in FAULTS:
                self._sandbox.add_fault(replace(FAULTS[trouble], skip=number - others))
            others += trouble in FAULTS or trouble == "timeout"

    def _add(self, job: SimulatedJob) -> None:
        timeline = []
        for number, (at, state) in enumerate(job.steps):
            word = job.word if job.word and state.is_terminal else self._case.words[state]
            skew = job.skews[number] if number < len(job.skews) else 0.0
            timeline.append((at, {"state": word, "skew": skew}))
        job_id = self.id_of(job)
        fields = SELECTED[self.name][1] if job.is_selected else None
        more: dict[str, Any] = {"known_after": job.known_from, "list_lag": job.list_lag, "fields": fields}
        self._sandbox.add_job(self.name, job_id, timeline, **more)
        if job.broken:
            self._sandbox.add_fault(Fault(path=rf"/{job_id}/?$", status=job.broken, times=None))

    def send(self, session: Any, settings: Any, method: str, url: str, **kwargs: Any) -> Response:
        """Answer in place of :func:`airflow_provider_ingestjobs.hooks.http.send`."""
        fault = self.faults.get(self.asked)
        self.asked += 1
        path, params = urlsplit(url).path, kwargs.get("params", ())
        is_list = re.search(r"/jobs/?$", path) is not None
        list_trouble = self._list_trouble() if is_list else None
        if list_trouble == "late" or settings.conn_id in self.silent:
            fault = "timeout"
        seconds = 60.0 if fault == "timeout" else self.latency
        self.requests.append((self.world.now, self.world.now + seconds))
        self.world.sleep(seconds)
        past = self.name == "adverity" and "start" in dict(params)
        self.polls[-1][("past" if past else "list") if is_list else "by_id"] += 1
        if fault == "timeout":
            raise VendorUnavailable("no answer within 60 s")
        if isinstance(list_trouble, int):
            return Response(list_trouble, {}, b"{}")
        headers = {**session.headers, **kwargs["headers"]}
        told = self._sandbox.respond(method, path, query=urlencode(params), headers=headers)
        response = Response(told.status, told.headers, told.body)
        is_spoilt = fault in ("truncated", "garbage") or list_trouble
        if response.status != 200 or not is_spoilt or not response.body.startswith(b"{"):
            return response
        content = response.json()
        if list_trouble:
            _, records = _records_in(content)
            if records:
                del records[self._noise.randrange(len(records))]
        if fault == "garbage":
            content = _with_garbage(content, is_list, self._noise)
        elif is_list and fault == "truncated":
            content = _halved(content, dict(params))
        return replace(response, body=json.dumps(content).encode())

    def _list_trouble(self) -> int | str | None:
        now = self.world.now
        kinds = (trouble.kind for trouble in self.list_troubles if trouble.begins <= now < trouble.ends)
        return next(kinds, None)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the package talk to this vendor, in its time."""
        world = self.world

        async def in_thread(call: Callable[[], R], limit: asyncio.Semaphore | None = None) -> R:
            self.polls.append(Counter())
            return await world.in_thread(call, limit)

        async def connection(hook_class: type[Any], conn_id: str) -> Any:
            return SimpleNamespace(**{"login": None, "schema": None, "port": None, **self._connection})

        async def extra(connection: Any) -> dict[str, Any]:
            given: dict[str, Any] = self.extra
            return given

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http, "send", self.send)
            patch.setattr(watches, "in_thread", in_thread)
            patch.setattr(for_triggers, "look_up_connection", connection)
            patch.setattr(for_triggers, "look_up_extra", extra)
            patch.setattr(clock, "time", world.time)
            patch.setattr(clock, "monotonic", lambda: world.now)
            patch.setattr(narrative.NarrativeHook, "page_size", self.page_size)
            patch.setattr(polaris, "MAX_PER_PAGE", self.page_size)
            yield

    def watch(self, conn_id: str | None = None) -> watches.Watch:
        """Return the watch on this vendor, in a coroutine of the simulation."""
        return watches.watch_for(self._case.hook, conn_id or self.conn_id, {})

    def trigger(
        self, job: SimulatedJob, poll_interval: float, conn_id: str | None = None
    ) -> job_trigger.IngestJobTrigger:
        """Return a trigger that waits for a job from now on, for a day."""
        arguments = self._arguments(poll_interval, conn_id)
        return _with_quick_log(job_trigger.IngestJobTrigger(job_ids=[self.id_of(job)], **arguments))

    def selection_trigger(self, poll_interval: float) -> JobSelectionTrigger:
        """Return a trigger that waits from now on, for a day, for all jobs that are to be selected."""
        selection = Selection(
            filters=freeze_filters(SELECTED[self.name][0]),
            started_from=datetime.fromtimestamp(START, UTC) - timedelta(days=1),
            started_to=datetime.fromtimestamp(START, UTC) + timedelta(days=1),
            min_jobs=sum(job.is_selected for job in self.jobs),
        )
        arguments = self._arguments(poll_interval)
        return _with_quick_log(JobSelectionTrigger(selection=selection.to_dict(), **arguments))

    def _arguments(self, poll_interval: float, conn_id: str | None = None) -> dict[str, Any]:
        return {
            "hook": self._case.hook_path,
            "conn_id": conn_id or self.conn_id,
            "poll_interval": poll_interval,
            "started_at": _iso(self.world.now) + "+00:00",
            "deadline": _iso(self.world.now + 86_400) + "+00:00",
        }


def _with_quick_log(trigger: T) -> T:
    # Airflow's own logger takes longer for a line than everything else for a poll.
    trigger._log = cast("Any", logging.getLogger("simulated"))
    return trigger


def _vendor_api(name: str, jobs: Sequence[SimulatedJob]) -> type[VendorApi]:
    """Return a vendor of the sandbox whose clock may be wrong, and which knows more words for an end."""
    api = next(vendor for vendor in VENDORS if vendor.name == name)

    class Simulated(api):  # type: ignore[valid-type, misc]
        step_keys = api.step_keys | {"skew"}
        ended_words = api.ended_words | {normalise_word(job.word) for job in jobs if job.word}

        def take_step(self, job: SandboxJob, at: float, step: dict[str, Any]) -> None:
            super().take_step(job, at, step)
            if name != "polaris":
                # Polaris' last update is its user's, whatever happens to the job.
                job.updated_at = at + step.get("skew", 0.0)

    return Simulated


def _records_in(content: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return a list's records, and the field that they are in."""
    return next((key, value) for key, value in content.items() if isinstance(value, list))


def _halved(content: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of a list that has lost its second half, as if there were no more jobs."""
    key, records = _records_in(content)
    count = next((name for name in ("count", "total_records") if name in content), None)
    if count is None:
        more = {"moreResultsAvailable": False} if "moreResultsAvailable" in content else {}
        return {**content, key: records[: len(records) // 2], **more}
    size = int(query.get("per_page") or query["page_size"])
    start = int(query["offset"]) if "offset" in query else (int(query.get("page", 1)) - 1) * size
    left = content[count] // 2
    halved = {**content, count: left, key: records[: max(left - start, 0)]}
    return {**halved, "next": None} if start + size >= left else halved


def _with_garbage(content: dict[str, Any], is_list: bool, noise: random.Random) -> Any:
    """Return an answer one of whose records, or the one that was asked for, makes no sense."""
    if not is_list:
        return _mangled(content)
    _, records = _records_in(content)
    if records:
        number = noise.randrange(len(records))
        records[number] = _mangled(records[number])
    return content


def _mangled(record: dict[str, Any]) -> Any:
    """Return a record that is none, or says something that nobody has heard of."""
    if len(json.dumps(record)) % 2:
        return "not a record"
    states = ("state", "state_label", "executionStatus")
    return {key: "banana" if key in states else value for key, value in record.items() if key != "tables"}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()[:-6]
