# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Airflow connections to the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from airflow_provider_ingestjobs.sandbox import Sandbox


class Connections:
    """Makes Airflow connections; as environment variables, so that no database is needed."""

    def __init__(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sandbox = sandbox
        self._monkeypatch = monkeypatch

    def write(self, conn_id: str, fields: dict[str, Any]) -> str:
        given = {key: value for key, value in fields.items() if value is not None and key != "conn_id"}
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(given))
        return conn_id

    def add(
        self,
        vendor: str,
        auth: str = "key",
        conn_id: str | None = None,
        extra: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Connect to the sandbox.

        :param extra: extras to add; a value of ``None`` takes one away.
        :param changes: fields that shall be otherwise.
        """
        fields = {**self._sandbox.connection(vendor, auth), **changes}
        # Tests do not wait for Amperity's published rate.
        pace = {"requests_per_second": 10_000} if vendor == "amperity" else {}
        extras = {**fields["extra"], **pace, **(extra or {})}
        fields["extra"] = {key: value for key, value in extras.items() if value is not None}
        return self.write(conn_id or fields["conn_id"], fields)
