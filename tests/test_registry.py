# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airflow's provider registry is told names what is there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from airflow.triggers import base as triggers
from airflow.utils import yaml
from write_registry import ENDINGS, REGISTRY, as_yaml

from support.vendors import VENDORS

TOLD: dict[str, Any] = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
ENTRIES = [entry for kind in ENDINGS for entry in TOLD[kind]]


def test_the_file_is_current() -> None:
    assert REGISTRY.read_text(encoding="utf-8") == as_yaml(), (
        "run: pip install -e . && python tools/write_registry.py"
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["module"].rpartition(".")[2]))
def test_each_class_can_be_imported(entry: dict[str, str]) -> None:
    module, _, name = entry["module"].rpartition(".")
    if module.endswith(".asset_event") and not hasattr(triggers, "BaseEventTrigger"):
        pytest.skip("Airflow 2 has no events to trigger by")
    assert isinstance(getattr(import_module(module), name), type)


def test_each_vendor_s_classes_are_told() -> None:
    told = {entry["module"] for entry in ENTRIES}
    classes = [cls for case in VENDORS for cls in (case.hook, case.sensor, case.cancel_operator) if cls]
    assert {f"{cls.__module__}.{cls.__name__}" for cls in classes} <= told
