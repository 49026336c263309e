# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The commands, run in this process as ``python -m`` runs them, against the sandbox."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.__main__ import main
from support.command_line import Ran, Run

if TYPE_CHECKING:
    from support.connections import Connections


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    connections: Connections,
    one_try: None,
) -> Run:
    """Run a command.

    :param arguments: its arguments; numbers become text.
    :param answer: what is typed on the keyboard.
    """
    # The commands set it for their process, which here is that of all tests.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    monkeypatch.setattr("airflow_provider_ingestjobs.cli.waiting.MIN_INTERVAL", 0.02)

    def run_command(*arguments: Any, answer: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        capsys.readouterr()
        code: Any = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run_command


@pytest.fixture(autouse=True)
def _ctrl_c_counts() -> Iterator[None]:
    """What a script starts in the background ignores Ctrl-C, and so would all that the tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
