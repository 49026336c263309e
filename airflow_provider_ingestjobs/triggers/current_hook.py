# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A hook for as long as a triggerer polls: its connection is read now and then, and kept if that fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.errors import InvalidInput, NoConnection, VendorUnavailable
from airflow_provider_ingestjobs.hooks.for_triggers import open_hook

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook

log = logging.getLogger(__name__)

#: How long a connection is used before it is read again, in seconds: an edit in Airflow counts from then on.
MAX_CONNECTION_AGE = 300.0
#: By how much of itself that is shortened at most.
AGE_JITTER = 0.2
#: How long to wait before a connection that could not be read is tried again, in seconds.
RETRY_AFTER = 30.0
#: How long a connection may be missing before that is believed, in seconds: to Airflow 3, a secrets backend
#: that stumbles and a connection that does not exist are the same.
MISSING_GRACE = 60.0


class CurrentHook:
    """Gives the hook with the connection as Airflow has it.

    :param hook_class: the vendor's hook.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook, such as a Polaris project.
    """

    def __init__(self, hook_class: type[IngestJobHook], conn_id: str, hook_params: Mapping[str, Any]) -> None:
        self._hook_class = hook_class
        self._conn_id = conn_id
        self._hook_params = hook_params
        self._hook: IngestJobHook | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._read_again_at = 0.0
        self._unreadable_since: float | None = None

    async def get(self, is_refused: bool = False) -> IngestJobHook:
        """Return the hook; the same one until the connection has changed, and that was seen.

        :param is_refused: whether the vendor has refused the credentials at hand: only others will do.
        :raises InvalidInput: for a connection that cannot be used, or that is missing for good.
        :raises VendorUnavailable: if it cannot be read now.
        """
        if self._hook is None or is_refused:
            return await self._read(is_refused)
        if self._refresh is None and clock.monotonic() >= self._read_again_at:
            # Where a secrets backend is slow, Airflow's look-ups queue: no poll waits for those in line.
            self._refresh = asyncio.create_task(self._read_again())
        return self._hook

    async def _read(self, is_refused: bool) -> IngestJobHook:
        now = clock.monotonic()
        try:
            hook = await open_hook(self._hook_class, self._conn_id, self._hook_params)
        except (InvalidInput, VendorUnavailable) as error:
            return self._at_hand(error, is_refused, now)
        if self._hook is None or hook.settings != self._hook.settings:
            self._hook = hook
        # Connections that were first read together are not read together for ever.
        age = MAX_CONNECTION_AGE * random.uniform(1 - AGE_JITTER, 1)  # noqa: S311 - no secret
        self._read_again_at, self._unreadable_since = clock.monotonic() + age, None
        return self._hook

    async def _read_again(self) -> None:
        try:
            await self._read(is_refused=False)
        except Exception:
            log.exception("Connection %r cannot be read", self._conn_id)
            self._read_again_at = clock.monotonic() + RETRY_AFTER
        finally:
            self._refresh = None

    def _at_hand(
        self, error: InvalidInput | VendorUnavailable, is_refused: bool, now: float
    ) -> IngestJobHook:
        if self._unreadable_since is None:
            self._unreadable_since = now
            log.warning("Connection %r cannot be read: %s", self._conn_id, error)
        if self._hook is not None and not is_refused:
            self._read_again_at = now + RETRY_AFTER
            return self._hook
        may_pass = self._hook is not None or isinstance(error, NoConnection)
        if isinstance(error, InvalidInput) and may_pass and now - self._unreadable_since < MISSING_GRACE:
            raise VendorUnavailable(str(error)) from error
        raise error
