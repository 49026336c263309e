# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Cancel operator for Adverity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.operators.base import CancelJobOperator


class AdverityCancelJobOperator(CancelJobOperator):
    """Stops a job of Adverity's, which Adverity allows in the job's fetch stage only.

    Later it is refused, and the task fails with
    :class:`~airflow_provider_ingestjobs.exceptions.CancelRefused`.
    A stopped job may end as ``Discarded``, which counts as cancelled.

    :param adverity_conn_id: the Airflow connection.

    Further parameters: :class:`~airflow_provider_ingestjobs.operators.base.CancelJobOperator`.
    """

    hook_class = AdverityHook
    template_fields: Sequence[str] = (*CancelJobOperator.template_fields, "adverity_conn_id")

    def __init__(self, *, adverity_conn_id: str = "adverity_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adverity_conn_id = adverity_conn_id
