# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How a trigger gets the hook that a task used: by its class path, its connection read on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from importlib import import_module
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_ingestjobs.airflow_compat import AirflowNotFoundException, Connection
from airflow_provider_ingestjobs.errors import InvalidInput, VendorUnavailable
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.connection import no_connection

H = TypeVar("H", bound=IngestJobHook)
T = TypeVar("T")

#: How Airflow's name for a DAG file's module begins; other processes cannot import such a module.
DAG_FILE_MODULE = "unusual_prefix_"

#: The event loop itself keeps no task alive.
_ASKING: set[asyncio.Future[Any]] = set()


def class_path(hook_class: type[IngestJobHook]) -> str:
    """Return a hook's class path, for a process that is to import it.

    :param hook_class: the vendor's hook, or a subclass of it.
    :raises InvalidInput: if no other process can import it: made in a DAG file, in a function or in a class.
    """
    module, name = hook_class.__module__, hook_class.__qualname__
    if module == "__main__" or module.startswith(DAG_FILE_MODULE) or "." in name:
        raise InvalidInput("hook", f"{module}.{name}", "define it in a module that the triggerer can import")
    return name_of(hook_class)


def name_of(hook_class: type[IngestJobHook]) -> str:
    """Return a hook's class path, by which another process may know it, whether or not it can import it.

    :param hook_class: the vendor's hook, or a subclass of it.
    """
    return f"{hook_class.__module__}.{hook_class.__qualname__}"


def hook_class_from(hook: object) -> type[IngestJobHook]:
    """Return the hook at a class path.

    :param hook: what :func:`class_path` returned, or the class itself.
    :raises InvalidInput: if there is no subclass of IngestJobHook.
    """
    found = _at(hook) if isinstance(hook, str) else hook
    if not (isinstance(found, type) and issubclass(found, IngestJobHook)):
        raise InvalidInput("hook", hook, "give the class of an IngestJobHook, or its class path")
    return found


def _at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(
            "hook", path, f"name the class path of an IngestJobHook; importing this one: {error}"
        ) from error


async def open_hook(hook_class: type[H], conn_id: str, hook_params: Mapping[str, Any]) -> H:
    """Return a hook whose connection was read on the event loop, for threads that must not read one.

    :param hook_class: the vendor's hook, or a subclass of it.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook, such as a Polaris project.
    :raises InvalidInput: for a connection that is missing or cannot be used.
    :raises VendorUnavailable: if Airflow cannot tell right now.
    """
    return await answered(_open_hook(hook_class, conn_id, hook_params))


async def answered(question: Coroutine[Any, Any, T]) -> T:
    """Return the answer to a question to Airflow, which goes on though its caller is cancelled.

    In Airflow 3.0 and 3.1, a triggerer ends if one of its questions is cancelled before the answer is read.

    :param question: what asks Airflow.
    """
    asking = asyncio.ensure_future(question)
    _ASKING.add(asking)
    asking.add_done_callback(_ASKING.discard)
    return await asyncio.shield(asking)


async def _open_hook(hook_class: type[H], conn_id: str, hook_params: Mapping[str, Any]) -> H:
    try:
        connection = await look_up_connection(hook_class, conn_id)
        extra = await look_up_extra(connection)
    except AirflowNotFoundException:
        raise no_connection(hook_class.vendor, conn_id) from None
    except Exception as error:
        raise VendorUnavailable(
            f"connection {conn_id!r} cannot be read now: {type(error).__name__} {error}"
        ) from error
    hook = hook_class(conn_id, **hook_params)
    hook.connect(hook_class.read_settings(conn_id, connection, extra))
    return hook


async def look_up_connection(hook_class: type[IngestJobHook], conn_id: str) -> Any:
    """Return an Airflow connection.

    :param hook_class: the hook that reads it.
    :param conn_id: its id.
    """
    # Before 3.3.2, Airflow would mask its secrets on the event loop in a way that may lock that up.
    if hasattr(Connection, "aextra_dejson"):
        try:
            return await hook_class.aget_connection(conn_id)
        except AirflowNotFoundException:
            pass  # in dag.test(), Airflow 3 finds what its database has only the other way
    return await sync_to_async(hook_class.get_connection)(conn_id)


async def look_up_extra(connection: Any) -> Any:
    """Return a connection's extras, read from JSON, with their secrets masked.

    :param connection: the connection.
    """
    if hasattr(connection, "aextra_dejson"):
        return await connection.aextra_dejson()
    return await sync_to_async(lambda: connection.extra_dejson)()
