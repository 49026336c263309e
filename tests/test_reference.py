# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The reference has all that users import, and nothing that is not there."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from reference_pages import Shown, shown_in

from airflow_provider_ingestjobs import exceptions, get_provider_info, sandbox
from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3
from airflow_provider_ingestjobs.sandbox import contract

if not AIRFLOW_3:
    pytest.skip("the reference has the asset watchers' trigger, too", allow_module_level=True)

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
ENTRIES = [entry for page in sorted(REFERENCE.glob("*.md")) for entry in shown_in(page.read_text())]
#: What the reference shows, by identity: a name may be shown from where it is defined.
SHOWN = [pkgutil.resolve_name(entry.path) for entry in ENTRIES]
#: Constants with types of their own.
PLAIN = (dict, tuple)


def public_classes(kind: str) -> list[type]:
    modules = {name for row in get_provider_info()[kind] for name in row["python-modules"]}
    return [
        found
        for name in sorted(modules)
        for found in vars(import_module(name)).values()
        if inspect.isclass(found) and found.__module__ == name and not found.__name__.startswith("_")
    ]


@pytest.mark.parametrize("kind", ["hooks", "sensors", "operators", "triggers"])
def test_all_that_airflow_is_told_of(kind: str) -> None:
    classes = public_classes(kind)
    assert len(classes) >= 4
    assert [found for found in classes if found not in SHOWN] == []


@pytest.mark.parametrize("module", [exceptions, sandbox, contract], ids=lambda module: module.__name__)
def test_all_that_a_module_offers(module: Any) -> None:
    offered = {name: getattr(module, name) for name in module.__all__}
    things = {name: thing for name, thing in offered.items() if not isinstance(thing, PLAIN)}
    assert things
    assert [name for name, thing in things.items() if not any(thing is shown for shown in SHOWN)] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path)
def test_an_entry_is_there_once_with_its_members(entry: Shown) -> None:
    assert [other.path for other in ENTRIES].count(entry.path) == 1
    named, shown = entry.members or (), pkgutil.resolve_name(entry.path)
    assert [name for name in named if not hasattr(shown, name) and name not in shown.__annotations__] == []


CLASSES = [shown for shown in SHOWN if inspect.isclass(shown) and "__init__" in vars(shown)]


@pytest.mark.parametrize("shown", CLASSES, ids=lambda shown: shown.__qualname__)
def test_every_argument_is_described(shown: type) -> None:
    arguments = inspect.signature(shown.__init__).parameters.values()  # type: ignore[misc]
    named = {one.name for one in arguments if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    documented = re.findall(r":param (\w+):", inspect.getdoc(shown) or "")
    assert named - {"self"} - set(documented) == set()
