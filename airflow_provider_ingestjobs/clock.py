# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The time that waits go by, read in one place, so that a test can simulate all of it.

Call these as ``clock.now()``; a name imported from here would keep the real time. What bounds or paces
requests on their sockets reads :mod:`time` itself: no simulation moves that.
"""

from __future__ import annotations

import time as real_time
from datetime import UTC, datetime


def monotonic() -> float:
    """Return seconds since some moment, for durations; they never go back."""
    return real_time.monotonic()


def time() -> float:
    """Return seconds since the epoch."""
    return real_time.time()


def now() -> datetime:
    """Return the time in UTC, the same as :func:`time`."""
    return datetime.fromtimestamp(time(), UTC)
