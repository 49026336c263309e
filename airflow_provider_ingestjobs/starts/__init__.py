# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting jobs, each once: what is sent, what is kept of it, and what is done about a lost answer."""
