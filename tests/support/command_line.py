# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What came of a command that a test has run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What came of a command.

    :param code: its exit code.
    :param out: what it printed on stdout.
    :param err: what it printed on stderr.
    """

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The result, of a command that was asked for JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()


Run = Callable[..., Ran]
