# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""One hook for all that triggers do beside the poll: thousands at once share one connection and one token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.hooks.for_triggers import open_hook
from airflow_provider_ingestjobs.triggers.registry import PerConnection

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook


class SharedHook:
    """An asynchronous context in which all share a hook; when the last one leaves, it is forgotten.

    The next use may come hours later, when the connection may have been edited.

    :param hook_class: the vendor's hook.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._hook_class = hook_class
        self._conn_id = conn_id
        self._hook_params = dict(hook_params)
        self._opening = asyncio.Lock()
        self._users = 0
        self._hook: IngestJobHook | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses it."""
        return not self._users

    async def __aenter__(self) -> SharedHook:
        self._users += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        self._users -= 1
        if self.is_idle:
            self._hook = None

    async def get(self) -> IngestJobHook:
        """Return the hook.

        :raises InvalidInput: for a connection that is missing or cannot be used.
        :raises VendorUnavailable: if Airflow cannot tell right now.
        """
        async with self._opening:
            if self._hook is None:
                self._hook = await open_hook(self._hook_class, self._conn_id, self._hook_params)
            return self._hook


#: Returns the running event loop's hook on a connection, the same one for all callers.
shared_hook_for = PerConnection(SharedHook)
