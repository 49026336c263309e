# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Processes of tests, by the sessions they started: ended whatever happens, and free ports for them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SessionsLeftError(Exception):
    """Processes outlive SIGKILL."""


class Watchdog:
    """Ends the sessions it was told of when this process is killed outright: its end of the pipe closes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """Have a session ended with this process."""
        self._tell("+", pid)

    def forget(self, pid: int) -> None:
        """Leave a session alone from now on."""
        self._tell("-", pid)

    def close(self) -> None:
        """End the sessions that it still watches, and the watchdog."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, sign: str, pid: int) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(f"{sign}{pid}\n".encode())
            self._process.stdin.flush()


def session_members(sessions: Sequence[int]) -> list[int]:
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            # A zombie waits for its parent, which may be a process 1 that never looks: nothing left to end.
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def kill_sessions(sessions: Sequence[int], timeout: float = 20) -> None:
    """SIGKILL every process of some sessions until none is left (one may fork while the list is read)."""
    deadline = time.monotonic() + timeout
    while sessions and (members := session_members(sessions)):
        if time.monotonic() > deadline:
            raise SessionsLeftError(f"processes that do not end: {members}")
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let a second Ctrl-C wait until the cleaning up is done."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def free_port() -> int:
    # Below the range from which systems give out the local ends of outgoing connections: one of those could
    # take the port between this look and the server's start.
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")


def _watch(orders: IO[str]) -> None:
    """Keep the sessions named by ``+pid`` and ``-pid`` lines; at the end of the lines, kill what is left."""
    sessions: set[int] = set()
    for line in orders:
        pid = int(line[1:])
        if line[0] == "+":
            sessions.add(pid)
        else:
            sessions.discard(pid)
    kill_sessions(sorted(sessions))


if __name__ == "__main__":
    _watch(sys.stdin)
