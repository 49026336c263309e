# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Cancel operator for Amperity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.operators.base import CancelJobOperator


class AmperityCancelJobOperator(CancelJobOperator):
    """Stops an ingest job of Amperity's, by stopping the workflow that runs it.

    Amperity has no way to stop an ingest job alone: **everything else in that workflow run stops, too**.

    :param amperity_conn_id: the Airflow connection.

    Further parameters: :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = AmperityHook
    template_fields: Sequence[str] = (*CancelJobOperator.template_fields, "amperity_conn_id")

    def __init__(self, *, amperity_conn_id: str = "amperity_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amperity_conn_id = amperity_conn_id
