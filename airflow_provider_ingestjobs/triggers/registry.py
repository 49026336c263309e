# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What all triggers on a connection share, found by the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_ingestjobs.selection import freeze_filters

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook

T = TypeVar("T")


class PerConnection(Generic[T]):
    """Gives all callers on an event loop that name a connection the same object, which goes with the loop.

    :param make: makes one, of a hook's class, a connection's id and the further arguments of the hook.
    """

    def __init__(self, make: Callable[[type[IngestJobHook], str, Mapping[str, Any]], T]) -> None:
        self._make = make
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, T]] = WeakKeyDictionary()

    def __call__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> T:
        """Return the running event loop's object for a connection.

        :param hook_class: the vendor's hook, or a subclass of it.
        :param conn_id: the Airflow connection.
        :param hook_params: further arguments of the hook, such as a Polaris project.
        """
        by_key = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        key = (hook_class, conn_id, freeze_filters(hook_params))
        if key not in by_key:
            by_key[key] = self._make(hook_class, conn_id, hook_params)
        return by_key[key]
