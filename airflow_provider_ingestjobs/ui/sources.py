# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where the page's jobs come from: a connection, its hook and the hook's further arguments."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.catalogue import (
    KnownConnection,
    find_connection,
    hook_class_of,
    hook_params_of,
    hook_paths,
    list_connections,
)
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.ui.waits import Scan, SourceKey, source_key

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.vendors import Vendor
    from airflow_provider_ingestjobs.wait_record import WaitRecord

log = logging.getLogger(__name__)

#: How old the list of connections may be, in seconds.
MAX_AGE = 30.0


@dataclass(frozen=True)
class Source:
    """Where jobs come from.

    :param conn_id: the Airflow connection.
    :param params: further arguments of the hook, such as a Polaris project.
    :param hook_class: the vendor's hook.
    """

    conn_id: str
    params: Mapping[str, Any]
    hook_class: type[IngestJobHook]

    @property
    def vendor(self) -> Vendor:
        """The vendor."""
        return self.hook_class.vendor

    @property
    def key(self) -> SourceKey:
        """What tells it from others, but for the hook."""
        return source_key(self.conn_id, self.params)

    @property
    def name(self) -> str:
        """Its name in the page's address."""
        return f"{self.conn_id} {json.dumps(self.params, sort_keys=True)}" if self.params else self.conn_id


class Sources:
    """Knows the connections, and keeps a hook for each that somebody looks at."""

    def __init__(self) -> None:
        self._connections: list[KnownConnection] = []
        self._listed_at: float | None = None
        self._listing = asyncio.Lock()
        self._hooks: dict[tuple[SourceKey, type[IngestJobHook]], CurrentHook] = {}

    async def all(self, scan: Scan) -> list[Source]:
        """Return the sources: every connection, and what else tasks wait on.

        :param scan: which tasks wait.
        """
        by_id = {known.conn_id: known for known in await self._list()}
        found = {(known.conn_id, ()): await _source(known, {}) for known in by_id.values()}
        for waits in scan.by_source.values():
            record = waits[0].record
            known = by_id.get(record.conn_id, KnownConnection(record.conn_id, record.conn_type))
            try:
                source = await _source(known, record.hook_params)
            except InvalidInput as error:
                log.info("Tasks wait on a connection that the page cannot show: %s", error)
                continue
            found.setdefault(source.key, source)
        return sorted(found.values(), key=lambda source: (source.vendor.name, source.name))

    async def get(self, conn_id: str, params: Mapping[str, Any]) -> Source:
        """Return a source.

        :param conn_id: the connection's id.
        :param params: further arguments of the hook.
        :raises InvalidInput: if there is no such connection, or its hook takes no such arguments.
        """
        by_id = {known.conn_id: known for known in await self._list()}
        if conn_id in by_id:
            return await _source(by_id[conn_id], params)
        return await _source(await in_thread(partial(find_connection, conn_id)), params)

    async def of(self, record: WaitRecord) -> Source:
        """Return the source of what a task waits for.

        :param record: the wait.
        :raises InvalidInput: if its connection is none of a vendor's.
        """
        source = await _source(KnownConnection(record.conn_id, record.conn_type), record.hook_params)
        return Source(source.conn_id, source.params, _own_hook(record.hook) or source.hook_class)

    def current_hook(self, source: Source) -> CurrentHook:
        """Return what gives the source's hook, the same for all who look.

        :param source: the source.
        """
        key = (source.key, source.hook_class)
        if key not in self._hooks:
            self._hooks[key] = CurrentHook(source.hook_class, source.conn_id, source.params)
        return self._hooks[key]

    async def _list(self) -> list[KnownConnection]:
        async with self._listing:
            if self._listed_at is None or clock.monotonic() - self._listed_at >= MAX_AGE:
                self._connections = await in_thread(list_connections)
                self._listed_at = clock.monotonic()
        return self._connections


async def _source(known: KnownConnection, params: Mapping[str, Any]) -> Source:
    # Imports the hook's module the first time.
    hook_class = await in_thread(lambda: hook_class_of(known))
    taken = hook_params_of(hook_class)
    for name, value in params.items():
        if name not in taken or not isinstance(value, str):
            fix = f"give texts for {', '.join(taken)}" if taken else "leave it out"
            raise InvalidInput(f"params[{name!r}]", value, fix)
    return Source(known.conn_id, dict(params), hook_class)


def _own_hook(path: str) -> type[IngestJobHook] | None:
    """Return the hook at a class path, if it is of a distribution that brings vendors.

    An XCom, which any task can write, must not make the API server import whatever it names.
    """
    packages = {known.partition(".")[0] for known in hook_paths().values()}
    if path.partition(".")[0] not in packages:
        return None
    try:
        return hook_class_from(path)
    except InvalidInput:
        return None
