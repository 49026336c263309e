# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What tasks, triggers and hooks log, wherever this version of Airflow sends it; for tests."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

#: The loggers of tasks, of hooks and triggers, and of what they send requests with.
LOGGERS = ("airflow.task", "airflow_provider_ingestjobs", "urllib3")


class Logs(logging.Handler):
    """What was logged; pytest's ``caplog`` does not see Airflow's own loggers."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record.

        :param record: the record.
        """
        self.records.append(record)

    def from_structlog(self, logger: Any, level: str, event: dict[str, Any]) -> Any:
        """Take in what newer versions of Airflow log; a structlog processor.

        :param logger: structlog's logger.
        :param level: the level's name, in lower case.
        :param event: what is logged.
        """
        import structlog

        told = structlog.stdlib.PositionalArgumentsFormatter()(logger, level, event)
        said = str({name: value for name, value in told.items() if name != "exc_info"})
        number = logging.getLevelName(level.upper())
        self.emit(logging.LogRecord("structlog", number, "", 0, "%s", (said,), _exc_info(told)))
        raise structlog.DropEvent

    @property
    def text(self) -> str:
        """All of it, a line for each record and those of its traceback."""
        formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
        return "\n".join(formatter.format(record) for record in self.records)

    @property
    def tracebacks(self) -> str:
        """The tracebacks that were logged, with those of the errors' causes."""
        infos = [record.exc_info for record in self.records if record.exc_info]
        return "\n".join(line for info in infos for line in traceback.format_exception(info[1]))

    @property
    def warnings(self) -> list[str]:
        """The messages of warnings and errors."""
        return [record.getMessage() for record in self.records if record.levelno >= logging.WARNING]


@contextmanager
def captured_logs(*further: str) -> Iterator[Logs]:
    """Take in everything that is logged, down to DEBUG, and let it go nowhere else.

    :param further: the names of further loggers, such as that of a package with vendors of its own.
    """
    handler = Logs()
    loggers = [logging.getLogger(name) for name in (*LOGGERS, *further)]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    processors: Any = []
    kept: list[Any] = []
    with suppress(ImportError):
        import structlog

        # The list itself is changed, as loggers that were made before hold it.
        processors = structlog.get_config()["processors"]
        kept = list(processors)
        processors[:] = [handler.from_structlog]
    try:
        yield handler
    finally:
        processors[:] = kept
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def _exc_info(event: Mapping[str, Any]) -> Any:
    given = event.get("exc_info")
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    return sys.exc_info() if given is True else given or None
