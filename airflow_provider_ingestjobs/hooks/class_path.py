# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The class path of a hook, by which a trigger in another process finds the one that a task used."""

from __future__ import annotations

from importlib import import_module

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.base import IngestJobHook

#: What Airflow calls the module of a DAG file, which other processes cannot import.
DAG_FILE_MODULE = "unusual_prefix_"


def class_path(hook_class: type[IngestJobHook]) -> str:
    """Return a hook's class path.

    :param hook_class: the vendor's hook, or a subclass of it.
    :raises InvalidInput: if no other process can import it, as it was made in a DAG file or in a function.
    """
    module, name = hook_class.__module__, hook_class.__qualname__
    if module == "__main__" or module.startswith(DAG_FILE_MODULE) or "<locals>" in name:
        raise InvalidInput("hook", f"{module}.{name}", "define it in a module that the triggerer can import")
    return f"{module}.{name}"


def hook_class_from(path: str) -> type[IngestJobHook]:
    """Return the hook at a class path.

    :param path: what :func:`class_path` returned.
    :raises InvalidInput: if it is no hook of this package's kind.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not (isinstance(found, type) and issubclass(found, IngestJobHook)):
        raise InvalidInput("hook", path, "name the class path of an IngestJobHook")
    return found
