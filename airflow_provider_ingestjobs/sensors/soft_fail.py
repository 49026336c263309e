# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where Airflow's ``soft_fail`` skips a sensor over more than its jobs: what this package makes of that.

Airflow skips over every ``AirflowFailException`` of a poke, whoever raised it, and in a deferred task over
every ``AirflowException``, also the one that says that the trigger is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_ingestjobs.airflow_compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_ingestjobs.errors import IngestJobsError
from airflow_provider_ingestjobs.exceptions import WaitTimeout

#: How Airflow's own text begins when the time of a sensor is up.
TIMED_OUT = "Sensor has timed out"
#: What Airflow resumes a task by whose trigger has failed.
FAIL_METHOD = "__fail__"
#: What it says if the time of the deferral is up: since Airflow 3, and before that.
DEFERRAL_TIMEOUTS = ("Trigger timeout", "Trigger/execution timeout")


def check_deferral_timeout(vendor: str, next_method: str, next_kwargs: Mapping[str, Any] | None) -> None:
    """Tell a deferral whose time is up from a trigger that is broken; Airflow resumes both tasks alike.

    :param vendor: the vendor's name.
    :param next_method: what the task is resumed by.
    :param next_kwargs: what that is called with.
    :raises WaitTimeout: if the time is up.
    """
    reason = (next_kwargs or {}).get("error")
    if next_method == FAIL_METHOD and reason in DEFERRAL_TIMEOUTS:
        raise WaitTimeout(f"The jobs of {vendor} had not ended when Airflow ended the deferral: {reason}")


def hidden_error(skip: AirflowSkipException, report: Callable[[], str]) -> BaseException:
    """Return the error that Airflow has made a skip, if none of this package's was; else the skip.

    :param skip: what Airflow's sensor has raised.
    :param report: returns what to say when the time is up.
    """
    if skip.__cause__ is None and str(skip).startswith(TIMED_OUT):
        return AirflowSkipException(report() or str(skip))
    error = skip.__cause__
    if isinstance(error, AirflowFailException | AirflowSensorTimeout) and not isinstance(
        error, IngestJobsError
    ):
        return error
    return skip
