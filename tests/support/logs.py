# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What was logged, wherever Airflow sends it."""

from __future__ import annotations

import logging
import sys
import traceback
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
        said = {name: value for name, value in event.items() if name != "exc_info"}
        record = logging.LogRecord("structlog", number, "", 0, "%s", (str(said),), _exc_info(event))
        self.emit(record)
        raise structlog.DropEvent

    @property
    def text(self) -> str:
        formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
        return "\n".join(formatter.format(record) for record in self.records)

    @property
    def tracebacks(self) -> str:
        """The tracebacks that were logged, with those of the errors' causes."""
        infos = [record.exc_info for record in self.records if record.exc_info]
        return "\n".join(line for info in infos for line in traceback.format_exception(info[1]))

    @property
    def warnings(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno >= logging.WARNING]


def _exc_info(event: dict[str, Any]) -> Any:
    given = event.get("exc_info")
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    return sys.exc_info() if given is True else given or None
