# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Where Airflow's ``soft_fail`` skips a sensor over more than its jobs: what this package makes of that.

Airflow skips over every ``AirflowFailException`` of a poke, whoever raised it.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_ingestjobs.airflow_compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_ingestjobs.errors import IngestJobsError

#: How Airflow's own text begins when the time of a sensor is up.
TIMED_OUT = "Sensor has timed out"


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
