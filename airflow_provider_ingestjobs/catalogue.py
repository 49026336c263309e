# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which vendors this installation of Airflow has, and which of its connections are theirs.

For what people look at, which begins without a task: the page and the command line. It asks Airflow's
database, as tasks and triggers must not.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.airflow_compat import AirflowNotFoundException, BaseHook, conf
from airflow_provider_ingestjobs.errors import InvalidInput, NoConnection
from airflow_provider_ingestjobs.hooks.for_triggers import hook_class_from
from airflow_provider_ingestjobs.provider_info import ASSET_HANDLER

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook

log = logging.getLogger(__name__)

#: How Airflow names the environment variables that hold connections; with a team's, ``_`` follows.
ENVIRONMENT_PREFIX = "AIRFLOW_CONN_"


@dataclass(frozen=True, order=True)
class KnownConnection:
    """A connection of one of the vendors.

    :param conn_id: its id.
    :param conn_type: its type.
    """

    conn_id: str
    conn_type: str


@cache
def hook_paths() -> Mapping[str, str]:
    """Return the class path of each connection type's hook, for all providers that bring vendors."""
    from airflow.providers_manager import ProvidersManager

    paths: dict[str, str] = {}
    known: Any = ProvidersManager
    for provider in known().providers.values():
        handlers = {row.get("handler") for row in provider.data.get("asset-uris") or ()}
        if ASSET_HANDLER in handlers:
            types = provider.data.get("connection-types") or ()
            paths.update({row["connection-type"]: row["hook-class-name"] for row in types})
    return paths


def hook_class_of(connection: KnownConnection) -> type[IngestJobHook]:
    """Return the hook's class for a connection.

    :param connection: the connection.
    :raises InvalidInput: if it is none of a vendor's.
    """
    paths = hook_paths()
    if connection.conn_type not in paths:
        types = ", ".join(sorted(paths))
        name = f"connection {connection.conn_id!r}: type"
        raise InvalidInput(name, connection.conn_type, f"name a connection of one of the types {types}")
    return hook_class_from(paths[connection.conn_type])


def hook_params_of(hook_class: type[IngestJobHook]) -> list[str]:
    """Return the names of the arguments that a hook takes beside the connection, such as a project.

    :param hook_class: the hook.
    """
    _, *parameters = signature(hook_class).parameters.values()
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def find_connection(conn_id: str) -> KnownConnection:
    """Return a connection by its id, wherever Airflow finds it.

    :param conn_id: its id.
    :raises NoConnection: if there is none.
    """
    try:
        return KnownConnection(conn_id, BaseHook.get_connection(conn_id).conn_type or "")
    except AirflowNotFoundException:
        raise NoConnection("conn_id", conn_id, "create that connection, or name another one") from None


def list_connections() -> list[KnownConnection]:
    """Return the vendors' connections: of the database, of the environment, and those that a setting names.

    No secrets backend gives a list of what it has: ``[ingestjobs] connections`` names those.
    """
    types = hook_paths()
    by_id = {known.conn_id: known for known in _in_database(list(types))}
    # A variable comes before the database; it has an id's capitals alone.
    spelt = {conn_id.upper(): conn_id for conn_id in by_id}
    for name, conn_type in _in_environment():
        conn_id = spelt.get(name, name.lower())
        by_id[conn_id] = KnownConnection(conn_id, conn_type)
    for conn_id in _in_settings():
        try:
            by_id[conn_id] = find_connection(conn_id)
        except Exception as error:
            # Its text may have a part of the connection in it.
            log.warning("Connection %r cannot be read: %s", conn_id, type(error).__name__)
    return sorted(known for known in by_id.values() if known.conn_type in types)


def _in_database(types: list[str]) -> Iterator[KnownConnection]:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(Connection.conn_id, Connection.conn_type).where(Connection.conn_type.in_(types))
        yield from (KnownConnection(*row) for row in session.execute(query))


def _in_environment() -> Iterator[tuple[str, str]]:
    """Return ids and types; the variables alone are looked at, which takes no secrets backend."""
    for variable, value in os.environ.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        # After another underscore comes a team's name.
        if name not in (variable, "") and not name.startswith("_"):
            yield name, _type_in(value)


def _type_in(value: str) -> str:
    if not value.startswith("{"):
        return value.partition("://")[0].lower().replace("-", "_")
    try:
        return str(json.loads(value).get("conn_type"))
    except ValueError:
        return ""


def _in_settings() -> list[str]:
    given = conf.get("ingestjobs", "connections", fallback="") or ""
    return [name.strip() for name in given.split(",") if name.strip()]
