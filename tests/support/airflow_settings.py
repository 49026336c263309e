# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The settings of an Airflow that tests start, as environment variables."""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOGIN = "admin"


def environment(
    home: Path, dags_folder: Path, port: int, parallelism: int, base_path: str, users: Mapping[str, str]
) -> dict[str, str]:
    """
    Every variable that this Airflow's processes start with.

    :param home: becomes ``AIRFLOW_HOME``.
    :param dags_folder: the DAG files.
    :param port: of the UI and the REST API, on this machine alone.
    :param parallelism: how many tasks run at the same time (deferred ones do not count).
    :param base_path: what all paths begin with, such as ``/airflow``; or nothing.
    :param users: each user's role.
    """
    url = f"http://127.0.0.1:{port}{base_path}"
    # The user's own Airflow settings and connections stay out, as does what other tests have set.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))
    }
    loopback = "127.0.0.1,localhost"
    settings: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": dags_folder,
            "PLUGINS_FOLDER": home / "plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": parallelism,
            "MAX_ACTIVE_TASKS_PER_DAG": 100,
            "DAGS_ARE_PAUSED_AT_CREATION": False,
            "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in users.items()),
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
        },
        # SQLite has one writer at a time: wait for it rather than fail.
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60"},
        "API": {
            "HOST": "127.0.0.1",
            "PORT": port,
            "BASE_URL": f"{url}/",
            "WORKERS": 1,
            "SECRET_KEY": secrets.token_hex(16),
        },
        "API_AUTH": {"JWT_SECRET": secrets.token_hex(32)},
        "SCHEDULER": {
            "SCHEDULER_HEARTBEAT_SEC": 1,
            "SCHEDULER_IDLE_SLEEP_TIME": 0.3,
            "TRIGGER_TIMEOUT_CHECK_INTERVAL": 2,
            # A quiet minute on a busy machine is no reason to call a task dead.
            "TASK_INSTANCE_HEARTBEAT_TIMEOUT": 300,
            # A scheduler silent for this long is taken for dead: the next one takes its tasks up.
            "SCHEDULER_HEALTH_CHECK_THRESHOLD": 15,
            "ORPHANED_TASKS_CHECK_INTERVAL": 3,
        },
        # Airflow 3.3 may notice the end of a task's process only this many seconds later. A deferred task
        # that is resumed before that looks killed to the scheduler, which fails it ("state mismatch").
        "WORKERS": {"MIN_HEARTBEAT_INTERVAL": 1},
        # A triggerer silent for this long is taken for dead and its triggers go to the next one.
        "TRIGGERER": {"JOB_HEARTBEAT_SEC": 1, "TRIGGERER_HEALTH_CHECK_THRESHOLD": 8},
        "DAG_PROCESSOR": {
            "REFRESH_INTERVAL": 60,
            "MIN_FILE_PROCESS_INTERVAL": 60,
            "PARSING_PROCESSES": 2,
            "DAG_FILE_PROCESSOR_TIMEOUT": 120,
        },
        "LOGGING": {
            "BASE_LOG_FOLDER": home / "logs",
            "COLORED_CONSOLE_LOG": False,
            "NAMESPACE_LEVELS": "http.access=WARNING",
        },
    }
    flat = {
        f"AIRFLOW__{section}__{name}": str(value)
        for section, values in settings.items()
        for name, value in values.items()
    }
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        **flat,
    }
