# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A secrets backend that a test makes slow, or lets fail."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.secrets.base_secrets import BaseSecretsBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.models.connection import Connection

CONNECTION_PREFIX = "AIRFLOW_CONN_"


class TroubledSecrets(BaseSecretsBackend):
    """Airflow's connections, in a file.

    :param folder: where ``connections.json`` is; and ``trouble.json``, while there is any.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)

    def get_connection(self, conn_id: str, *args: Any, **kwargs: Any) -> Connection | None:
        """Return a connection, after the time and the errors of ``trouble.json``."""
        trouble = _read(self._folder / "trouble.json")
        time.sleep(trouble.get("delay", 0))
        if trouble.get("fails"):
            raise ConnectionError("the secrets backend does not answer")
        found = _read(self._folder / "connections.json").get(conn_id)
        return self.deserialize_connection(conn_id, found) if found else None

    def get_conn_value(self, conn_id: str, *args: Any, **kwargs: Any) -> str | None:
        """Not asked: see :meth:`get_connection`."""
        return None


class Secrets:
    """What the tests do to this backend.

    :param folder: a folder of its own.
    :param variables: the connections, as the environment variables that would give them to Airflow.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        connections = {
            name.removeprefix(CONNECTION_PREFIX).lower(): value for name, value in variables.items()
        }
        (folder / "connections.json").write_text(json.dumps(connections), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """Return the settings with which Airflow asks this backend, and imports it."""
        return {
            "AIRFLOW__SECRETS__BACKEND": f"{TroubledSecrets.__module__}.{TroubledSecrets.__name__}",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"folder": str(self._folder)}),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }

    def trouble(self, *, delay: float = 0, fails: bool = False) -> None:
        """Make the backend slow, or let it fail, until it is told otherwise; without arguments all is well.

        :param delay: seconds that it takes.
        :param fails: whether it fails then.
        """
        file = self._folder / "trouble.json"
        file.with_suffix(".new").write_text(json.dumps({"delay": delay, "fails": fails}), encoding="utf-8")
        file.with_suffix(".new").replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
