# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""When a task that has left its process can go on without being taken for killed."""

from __future__ import annotations

from airflow_provider_ingestjobs.airflow_compat import conf


def resume_lag() -> float:
    """Return the seconds that a task must leave between the end of its process and its next one.

    A worker may report the end of a task's process this interval late, and the scheduler takes its time to
    hear of it. A task that is queued again before that is taken for killed and failed: "finished with state
    success, but … attribute is queued".
    """
    return 2 * float(conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0))
