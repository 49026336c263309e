# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""How long to leave a vendor alone after a poll that failed."""

from __future__ import annotations

import random

#: By how much of itself a pause is varied at most, so that polls do not run in step.
JITTER = 0.1
#: The longest pause after failed polls, in seconds, unless the interval or Retry-After is longer.
MAX_BACKOFF = 300.0
#: The longest Retry-After that is honoured, in seconds: an absurd one must not silence a connection.
MAX_RETRY_AFTER = 3600.0


def backoff(failures: int, interval: float, error: Exception) -> float:
    """Return the seconds until the next poll.

    :param failures: how many polls in a row have failed, this one included.
    :param interval: seconds between two polls that do not.
    :param error: what went wrong; its ``retry_after`` is honoured.
    """
    grown = min(interval * 2.0 ** min(failures - 1, 16), MAX_BACKOFF)
    asked_for = min(getattr(error, "retry_after", None) or 0.0, MAX_RETRY_AFTER)
    return max(interval, grown, asked_for) * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret
