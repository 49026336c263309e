# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What was logged: the package's own, which is public."""

from __future__ import annotations

from airflow_provider_ingestjobs.sandbox.logs import Logs, captured_logs

__all__ = ["Logs", "captured_logs"]
