# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What was logged, wherever Airflow sends it."""

from __future__ import annotations

import logging
from typing import Any


class Logs(logging.Handler):
    """What was logged, by tasks and by the package; ``caplog`` does not see Airflow's own loggers."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def from_structlog(self, logger: Any, level: str, event: dict[str, Any]) -> Any:
        """Take in what newer versions of Airflow log; a structlog processor."""
        import structlog

        event = structlog.stdlib.PositionalArgumentsFormatter()(logger, level, event)
        number = logging.getLevelName(level.upper())
        self.emit(logging.LogRecord("structlog", number, "", 0, "%s", (str(event),), None))
        raise structlog.DropEvent

    @property
    def text(self) -> str:
        formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
        return "\n".join(formatter.format(record) for record in self.records)

    @property
    def warnings(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= logging.WARNING]
