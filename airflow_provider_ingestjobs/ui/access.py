# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What whoever looks may see and do, by Airflow's own permissions."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.configuration import conf
from airflow.models.connection import Connection

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.triggers.threads import in_thread

#: How long it is believed which DAGs somebody may read, in seconds. Airflow looks through all of them.
MAX_AGE = 10.0
#: The most people of whom that is kept.
MAX_KEPT = 1_000


def may(user: Any, method: str, conn_id: str) -> bool:
    """Whether somebody may read (``GET``) or use (``PUT``) a connection. Blocking.

    :param user: Airflow's user.
    :param method: as Airflow's own API asks for it.
    :param conn_id: the connection's id.
    """
    details: dict[str, Any] = {"conn_id": conn_id}
    if conf.getboolean("core", "multi_team", fallback=False):
        details["team_name"] = Connection.get_team_name(conn_id)
    is_authorized: Any = get_auth_manager().is_authorized_connection
    return bool(is_authorized(method=method, details=ConnectionDetails(**details), user=user))


class ReadableDags:
    """Knows for a moment which DAGs somebody may read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def of(self, user: Any) -> frozenset[str]:
        """Return the ids of the DAGs whose tasks somebody may see.

        :param user: Airflow's user.
        """
        now, key = clock.monotonic(), str(user.get_id())
        known = self._known.get(key)
        if known is not None and now - known[0] < MAX_AGE:
            return known[1]
        look_up: Any = get_auth_manager().get_authorized_dag_ids
        found = frozenset(await in_thread(partial(look_up, user=user, method="GET")))
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        self._known[key] = now, found
        return found
