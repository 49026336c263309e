# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where the page's jobs come from: a connection, its hook and the hook's further arguments."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping
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
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from, name_of
from airflow_provider_ingestjobs.triggers.current_hook import CurrentHook
from airflow_provider_ingestjobs.triggers.threads import in_thread
from airflow_provider_ingestjobs.ui.board import FORGET_AFTER, Reader
from airflow_provider_ingestjobs.ui.kept import Kept
from airflow_provider_ingestjobs.ui.waits import Scan, SourceKey, source_key

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook
    from airflow_provider_ingestjobs.vendors import Vendor
    from airflow_provider_ingestjobs.wait_record import WaitRecord

log = logging.getLogger(__name__)

#: How old the list of connections may be, in seconds.
MAX_AGE = 30.0
#: The parameter that names a hook by its class path.
HOOK = "hook"


@dataclass(frozen=True)
class Source:
    """Where jobs come from.

    :param conn_id: the Airflow connection.
    :param params: further arguments of the hook, such as a Polaris project.
    :param hook_class: the vendor's hook.
    :param has_own_hook: whether that is another one than the connection's type has.
    """

    conn_id: str
    params: Mapping[str, Any]
    hook_class: type[IngestJobHook]
    has_own_hook: bool = False

    @property
    def vendor(self) -> Vendor:
        """The vendor."""
        return self.hook_class.vendor

    @property
    def key(self) -> SourceKey:
        """What tells it from others, but for the hook."""
        return source_key(self.conn_id, self.params)

    @property
    def identity(self) -> Hashable:
        """What tells it from others, the hook included."""
        return self.key, self.hook_class

    @property
    def all_params(self) -> dict[str, Any]:
        """What else the page sends to name it: the hook, too, where that is not the connection's own."""
        return {**self.params, **({HOOK: name_of(self.hook_class)} if self.has_own_hook else {})}

    @property
    def name(self) -> str:
        """Its name in the page's address."""
        more = self.all_params
        return f"{self.conn_id} {json.dumps(more, sort_keys=True)}" if more else self.conn_id


class Sources:
    """Knows the connections, and keeps a hook for each that somebody looks at."""

    def __init__(self) -> None:
        self._connections: Kept[Mapping[str, KnownConnection]] = Kept(_connections_by_id, {}, max_age=MAX_AGE)
        self._listed: Mapping[str, KnownConnection] = {}
        self._others: dict[str, KnownConnection] = {}
        self._readers: dict[Hashable, Reader] = {}

    async def all(self, scan: Scan) -> list[Source]:
        """Return the sources: every connection, and what else tasks wait on.

        :param scan: which tasks wait.
        """
        return await in_thread(partial(_all_sources, await self._connections.get(), scan))

    async def get(self, conn_id: str, params: Mapping[str, Any]) -> Source:
        """Return a source.

        :param conn_id: the connection's id.
        :param params: further arguments of the hook.
        :raises InvalidInput: if there is no such connection, or its hook takes no such arguments.
        """
        return await in_thread(partial(_source, await self._known(conn_id), params))

    async def of(self, record: WaitRecord) -> Source:
        """Return the source of what a task waits for.

        :param record: the wait.
        :raises InvalidInput: if its connection is none of a vendor's.
        """
        return await self.get(record.conn_id, {**record.hook_params, HOOK: record.hook})

    async def _known(self, conn_id: str) -> KnownConnection:
        listed = await self._connections.get()
        if listed is not self._listed:
            # A secrets backend is asked again for those that no list has, too.
            self._listed, self._others = listed, {}
        known = listed.get(conn_id) or self._others.get(conn_id)
        if known is None:
            known = self._others[conn_id] = await in_thread(partial(find_connection, conn_id))
        return known

    def reader(self, source: Source) -> Reader:
        """Return what reads a source, the same for all who look.

        :param source: the source.
        """
        oldest = clock.monotonic() - FORGET_AFTER
        self._readers = {key: reader for key, reader in self._readers.items() if reader.used_at >= oldest}
        if source.identity not in self._readers:
            current_hook = CurrentHook(source.hook_class, source.conn_id, source.params)
            self._readers[source.identity] = Reader(current_hook)
        return self._readers[source.identity]


def _connections_by_id() -> dict[str, KnownConnection]:
    return {known.conn_id: known for known in list_connections()}


def _all_sources(connections: Mapping[str, KnownConnection], scan: Scan) -> list[Source]:
    # Imports the hooks' modules the first time.
    found = [_source(known, {}) for known in connections.values()]
    by_key = {source.key: source for source in found}
    for waits in scan.by_source.values():
        record = waits[0].record
        known = connections.get(record.conn_id, KnownConnection(record.conn_id, record.conn_type))
        try:
            source = _source(known, record.hook_params)
        except InvalidInput as error:
            log.info("Tasks wait on a connection that the page cannot show: %s", error)
            continue
        by_key.setdefault(source.key, source)
    return sorted(by_key.values(), key=lambda source: (source.vendor.name, source.name))


def _source(known: KnownConnection, params: Mapping[str, Any]) -> Source:
    usual = hook_class_of(known)
    more = dict(params)
    hook_class = _own_hook(more.pop(HOOK, ""), usual) or usual
    taken = hook_params_of(hook_class)
    for name, value in more.items():
        if name not in taken or not isinstance(value, str):
            fix = f"give texts for {', '.join(taken)}" if taken else "leave it out"
            raise InvalidInput(f"params[{name!r}]", value, fix)
    return Source(known.conn_id, more, hook_class, has_own_hook=hook_class is not usual)


def _own_hook(path: object, usual: type[IngestJobHook]) -> type[IngestJobHook] | None:
    """Return the hook at a class path, if it is beside a registered one and of the same vendor.

    An address names it, or an XCom that any task can write: neither must make the API server import whatever
    it names.
    """
    modules = {known.rpartition(".")[0] for known in hook_paths().values()}
    packages = {module.rpartition(".")[0] or module for module in modules}
    if not isinstance(path, str) or path.rpartition(".")[0].rpartition(".")[0] not in packages:
        return None
    try:
        found = hook_class_from(path)
    except InvalidInput:
        return None
    return found if found.vendor is usual.vendor else None
