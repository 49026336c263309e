# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A second API server of the same Airflow, at which people log in with the FAB provider's auth manager."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

import requests

from support.airflow_client import AirflowClient, AirflowInstanceError
from support.airflow_instance import AirflowInstance
from support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
#: Run with the server's settings: makes FAB's tables, and a user of each of the roles, which come as JSON.
MAKE_USERS = """
import json, sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.auth_manager.models.db import FABDBManager
from airflow.utils.session import create_session

with create_session() as session:
    FABDBManager(session).upgradedb()
with get_application_builder() as builder:
    security = builder.sm
    security.sync_roles()
    for name, (permissions, password) in json.load(sys.stdin).items():
        if permissions:
            security.bulk_sync_roles([{"role": name, "perms": [tuple(one) for one in permissions]}])
        role = security.find_role(name)
        if not security.add_user(name, name, name, f"{name}@example.com", role, password):
            raise SystemExit(f"no user {name}")
"""
#: FAB's own roles; each is its user's name as well.
FAB_ROLES = {"viewer": "Viewer", "user": "User", "op": "Op", "admin": "Admin"}


class FabServer(AirflowClient):
    """
    The second server: its administrator, and others by :meth:`as_user`.

    :param airflow: the Airflow whose database and DAGs it shows.
    :param own_roles: further roles, and what each may: (action, resource).
    """

    def __init__(self, airflow: TwoLogins, own_roles: Mapping[str, list[tuple[str, str]]]) -> None:
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}/airflow")
        self._airflow = airflow
        self._passwords = {name: secrets.token_urlsafe(9) for name in [*FAB_ROLES.values(), *own_roles]}
        self._env = {
            "AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"{self.url}/",
        }
        self._make_users({name: (own_roles.get(name, []), word) for name, word in self._passwords.items()})
        airflow.start("fab-api-server", self._env)
        airflow.wait_for(self._answers, timeout=90, what=lambda: airflow.log_tail("fab-api-server"))

    def as_user(self, role: str) -> AirflowClient:
        """Log the user of a role in."""
        client = AirflowClient(self.url)
        name = FAB_ROLES.get(role, role)
        client.log_in(name, self._passwords[name])
        return client

    def _make_users(self, users: Mapping[str, tuple[list[tuple[str, str]], str]]) -> None:
        done = subprocess.run(
            [sys.executable, "-c", MAKE_USERS],
            env={**self._airflow.env, **self._env},
            cwd=self._airflow.home,
            input=json.dumps(users),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise AirflowInstanceError(f"no users can be made with the FAB provider:\n{done.stderr[-3000:]}")

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "version", timeout=5).ok
        except requests.RequestException:
            return False


class TwoLogins(AirflowInstance):
    """An Airflow that a :class:`FabServer` may be added to."""

    commands: ClassVar[dict[str, Sequence[str]]] = {
        **AirflowInstance.commands,
        "fab-api-server": ("api-server",),
    }
