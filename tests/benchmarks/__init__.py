# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What waiting and importing cost: run with tox, see ``pyproject.toml``. Nothing here passes or fails."""
