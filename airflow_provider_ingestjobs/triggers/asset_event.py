# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Start DAGs when vendors' jobs end: the trigger of an ``AssetWatcher`` (Airflow 3 and newer)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Never

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.airflow_compat import without_envelope
from airflow_provider_ingestjobs.arguments import check_filters, one_interval, to_end_states, to_seconds
from airflow_provider_ingestjobs.errors import VendorError
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.for_triggers import class_path, hook_class_from
from airflow_provider_ingestjobs.hooks.selecting import CLOCK_SKEW
from airflow_provider_ingestjobs.job import Job, JobState
from airflow_provider_ingestjobs.selection import freeze_filters, matches
from airflow_provider_ingestjobs.triggers.backoff import JITTER, backoff
from airflow_provider_ingestjobs.triggers.base import JobEvent, own_error
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.triggers.listing import Listing
from airflow_provider_ingestjobs.triggers.meter import Meter
from airflow_provider_ingestjobs.triggers.threads import in_thread, poll_threads
from airflow_provider_ingestjobs.triggers.told import Told

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_ingestjobs.vendors import Vendor

log = logging.getLogger(__name__)

#: The asset's state store keeps which jobs have fired under this key, the connection and the filters.
STORE_KEY = "ingestjobs.told"
#: So many seconds after firing, Airflow has stored the event, where it does not tell: its triggerer gathers
#: events for up to two.
EVENT_STORED_AFTER = 4.0
#: The longest key that the store takes.
MAX_KEY_LENGTH = 512

#: How often a watcher that cannot be used says so, in seconds.
UNUSABLE_EVERY = 3600.0
ROLL_FIRST = (
    "If a newer release has stored it, update the triggerer, too; else let the DAG processor parse its DAG "
    "again, which says what is wrong"
)


class IngestJobEventTrigger(BaseEventTrigger):
    """Fires an event for every job of a kind that ends; the job is the event's payload.

    ::

        feed = Asset(
            "amperity://acme/df-5L6d1veh",
            watchers=[
                AssetWatcher(
                    name="loads",
                    trigger=IngestJobEventTrigger(
                        hook=AmperityHook, conn_id="amperity_default", filters={"feed_id": "df-5L6d1veh"}
                    ),
                )
            ],
        )

    Jobs that had ended before the watcher first ran fire nothing. From Airflow 3.3 on, all watchers with
    equal connection, ``poll_interval`` and ``look_back`` share one poll, and the asset's state store keeps
    which jobs have fired, once Airflow has stored their events: a job that ends while no triggerer runs fires
    when the next one starts, and fires twice only if a triggerer dies in the seconds before that is kept. On
    Airflow 3.0 to 3.2 each watcher polls for itself and starts anew with the triggerer: jobs that end while
    it is down fire nothing.

    :param hook: the vendor's hook, or its class path.
    :param conn_id: the Airflow connection; the vendor's default one if left out.
    :param filters: filters and their values, as the vendor's sensor takes them.
    :param states: in which states a job fires.
    :param poll_interval: how long between two polls, in seconds or as a timedelta.
    :param look_back: how long before a poll a job may have started (with some vendors: may have been
        created) to fire, in seconds or as a timedelta.
    :param hook_params: further arguments of the hook, such as a Polaris project.
    :param poke_interval: what sensors call ``poll_interval``; give one of them.
    :param unknown: what a newer release has stored.
    :raises InvalidInput: for a filter that the vendor does not have, or another unusable argument. One that
        is stored already raises nothing, which would end the triggerer: it says so in the log, again and
        again, and fires nothing.
    """

    def __init__(
        self,
        *,
        hook: type[IngestJobHook] | str,
        conn_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        states: Iterable[JobState | str] = (JobState.SUCCEEDED,),
        poll_interval: timedelta | float = 60.0,
        look_back: timedelta | float = 86_400.0,
        hook_params: Mapping[str, Any] | None = None,
        poke_interval: timedelta | float | None = None,
        **unknown: Never,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self._unusable: Exception | None = None
        try:
            self.hook_class = hook_class_from(hook)
            self.conn_id = conn_id or self.hook_class.default_conn_name
            self.filters = check_filters(without_envelope(filters or {}), self._vendor, prefix="filters ")
            self.states = to_end_states("states", states)
            interval = one_interval("poll_interval", poll_interval, 60.0, "poke_interval", poke_interval)
            self.poll_interval = to_seconds("poll_interval", interval, above_zero=True)
            self.look_back = to_seconds("look_back", look_back, above_zero=True)
            self.hook_params = without_envelope(hook_params or {})
            if unknown:
                raise TypeError(f"{type(self).__name__} has no argument {', '.join(unknown)}")
        except Exception as error:
            if not _is_in_event_loop():
                raise
            self._unusable = error

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow keeps them."""
        if self._unusable is not None:
            raise self._unusable
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "hook": class_path(self.hook_class),
            "conn_id": self.conn_id,
            "filters": self.filters,
            "states": sorted(self.states),
            "poll_interval": self.poll_interval,
            "look_back": self.look_back,
            "hook_params": self.hook_params,
        }

    def shared_stream_key(self) -> Hashable | None:
        """Return what watchers that share a poll have in common (Airflow 3.3 and newer)."""
        if self._unusable is not None:
            return None
        return (
            class_path(self.hook_class),
            self.conn_id,
            self.poll_interval,
            self.look_back,
            freeze_filters(self.hook_params),
            freeze_filters(self._for_the_vendor_alone),
        )

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the shared poll; Airflow tells it when events are stored (Airflow 3.3 and newer).

        :param kwargs: the arguments of one of the triggers that share the poll.
        """
        # Older versions of Airflow have no such module and never call this.
        from airflow_provider_ingestjobs.triggers.shared_poll import SharedPoll

        return SharedPoll(partial(cls.open_shared_stream, kwargs))

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """Poll for ever, and yield the ended jobs of each poll as a :class:`Listing`, or the error it met.

        An error is an item, not an exception: that would end all watchers that share the poll.

        :param kwargs: the arguments of one of the triggers that share the poll.
        """
        trigger = cls(**kwargs)
        shared = dict(freeze_filters(trigger._for_the_vendor_alone))
        hooks = CurrentHook(trigger.hook_class, trigger.conn_id, trigger.hook_params)
        meter = Meter(trigger._vendor, trigger.conn_id, trigger.hook_params, prefix="ingestjobs.watcher_")
        failures, is_refused = 0, False
        while True:
            try:
                hook = await hooks.get(is_refused)
                began, started = clock.now(), clock.monotonic()
                start, end = trigger._looks_from(began), began + CLOCK_SKEW
                jobs = await in_thread(partial(hook.jobs_between, start, end, shared), poll_threads())
                failures, is_refused = 0, False
                meter.answered(len(jobs), clock.monotonic() - started)
                item: Any = Listing([job for job in jobs if job.state.is_terminal], began)
                pause = trigger.poll_interval * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret
            except Exception as error:
                failures += 1
                meter.failed()
                is_refused = isinstance(error, VendorError) and error.rejects_credentials
                pause = backoff(failures, trigger.poll_interval, error)
                item = own_error(error)
                if item is not error:
                    log.exception("A poll of watchers on connection %r met a bug", trigger.conn_id)
            yield item
            await asyncio.sleep(pause)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire for the jobs of a poll that are this trigger's and have not fired yet.

        :param shared_stream: what :meth:`open_shared_stream` yields.
        """
        told = await self._load()
        trouble = False
        async for item in shared_stream:
            if isinstance(item, Exception):
                if not trouble:
                    self.log.warning("Jobs on connection %r cannot be read now: %s", self.conn_id, item)
                trouble = True
                continue
            trouble = False
            listing = Listing.of(item)
            mine = self._mine(listing)
            is_first = told is None
            told = told or Told(since=listing.began.timestamp(), jobs=mine)
            new = [job for job in listing.jobs if job.id in mine and not told.has(job, mine[job.id])]
            for job in sorted(new, key=lambda job: str(job.ended_at)):
                self.log.info("%s is %s", job, job.describe())
                yield JobEvent(payload=job.to_dict())
            told.add(mine)
            told.forget_before(self._looks_from(listing.began))
            if new:
                await self._store_after_events(told, listing)
            elif is_first:
                await self._store(told.to_dict())

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for this trigger alone, where Airflow shares no streams."""
        while self._unusable is not None:
            # An end would make the triggerer start it anew each second.
            self.log.error("This watcher fires nothing: %s. %s", self._unusable, ROLL_FIRST)
            await asyncio.sleep(UNUSABLE_EVERY)
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event

    def _mine(self, listing: Listing) -> dict[str, float]:
        """Return when each of a poll's jobs that are this trigger's started; lists may have older ones."""
        moments = {job.id: self._moment_of(job, listing) for job in listing.jobs if self._wants(job)}
        earliest = self._looks_from(listing.began).timestamp()
        return {job_id: moment for job_id, moment in moments.items() if moment >= earliest}

    def _wants(self, job: Job) -> bool:
        keys = self._vendor.filters
        return job.state in self.states and all(
            matches(job, keys[name], value) for name, value in freeze_filters(self.filters)
        )

    def _looks_from(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self.look_back)

    def _moment_of(self, job: Job, listing: Listing) -> float:
        """Return when a job started or was created, as a UNIX time."""
        moments = [moment for name in self._vendor.window if (moment := getattr(job, name))]
        # Jobs that never ran may have no such time.
        return max(moments, default=job.ended_at or job.updated_at or listing.began).timestamp()

    @property
    def _vendor(self) -> Vendor:
        return self.hook_class.vendor

    @property
    def _for_the_vendor_alone(self) -> dict[str, Any]:
        """The filters that only the vendor can judge: they need a list of their own."""
        return {name: value for name, value in self.filters.items() if self._vendor.filters[name] is None}

    async def _load(self) -> Told | None:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return None
        try:
            kept = await store.aget(self._store_key)
            if kept is not None:
                return Told.from_kept(kept, clock.now())
            # A watcher on another connection may have written there last; what it left out fires again.
            told = Told.from_kept(await store.aget(self._store_key_of_0_1_0), clock.now())
        except ValueError as error:
            self.log.warning(
                "The trigger serves several assets, so it cannot keep which jobs have fired: %s",
                error,
            )
            return None
        if told is not None:
            await self._store(told.to_dict())
        return told

    async def _store_after_events(self, told: Told, listing: Listing) -> None:
        # If the triggerer dies before Airflow has stored the events, the jobs fire twice, not never.
        if listing.once_stored is not None:
            listing.once_stored.append(partial(self._store, told.to_dict()))
        elif getattr(self, "asset_state_store", None) is not None:
            await asyncio.sleep(EVENT_STORED_AFTER)
            await self._store(told.to_dict())

    async def _store(self, told: dict[str, Any]) -> None:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return
        try:
            await store.aset(self._store_key, told)
        except ValueError:
            return
        except Exception as error:
            # Raised, it would end the trigger, and Airflow would start it anew with what was kept before: the
            # same jobs would fire again, as often as this goes wrong.
            self.log.warning("The list of jobs that have fired is not kept this time: %s", error)

    @property
    def _store_key(self) -> str:
        params = {f"hook.{name}": value for name, value in freeze_filters(self.hook_params)}
        of_connection = {"hook": self._vendor.conn_type, "conn_id": self.conn_id, **params}
        return self._key_of(*of_connection.items(), *freeze_filters(self.filters))

    @property
    def _store_key_of_0_1_0(self) -> str:
        """The key that 0.1.0 used, which did not tell watchers of several connections apart."""
        return self._key_of(*freeze_filters(self.filters))

    def _key_of(self, *parts: tuple[str, Any]) -> str:
        what = "&".join(f"{name}={value}" for name, value in parts)
        key = f"{STORE_KEY}?{what}&states={','.join(sorted(self.states))}"
        if len(key) <= MAX_KEY_LENGTH:
            return key
        return f"{STORE_KEY}?{hashlib.sha256(key.encode()).hexdigest()}"


def _is_in_event_loop() -> bool:
    """Whether a trigger is being made by a triggerer, out of its database, and not where a DAG is parsed."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
