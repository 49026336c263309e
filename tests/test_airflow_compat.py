# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The names that the package uses of Airflow are there in the version that is installed."""

from __future__ import annotations

from importlib import import_module

import pytest

from airflow_provider_ingestjobs import airflow_compat


@pytest.mark.parametrize("name", airflow_compat.HOMES)
def test_every_name_is_somewhere(name: str) -> None:
    assert getattr(airflow_compat, name) is not None


@pytest.mark.filterwarnings("ignore:airflow.exceptions")
@pytest.mark.parametrize(
    "name", [name for name, homes in airflow_compat.HOMES.items() if homes is airflow_compat.EXCEPTIONS]
)
def test_the_exceptions_are_those_that_airflow_itself_raises_and_catches(name: str) -> None:
    assert getattr(airflow_compat, name) is getattr(import_module("airflow.exceptions"), name)


def test_an_unknown_name() -> None:
    with pytest.raises(ImportError, match="nothing"):
        from airflow_provider_ingestjobs.airflow_compat import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_a_name_that_airflow_no_longer_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(airflow_compat.HOMES, "Gone", ("airflow.nowhere", "airflow.exceptions"))
    with pytest.raises(ImportError, match=r"has no Gone: No module named 'airflow\.nowhere'; .*Gone"):
        airflow_compat.Gone  # type: ignore[attr-defined]  # noqa: B018
