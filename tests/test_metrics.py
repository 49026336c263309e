# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The metrics' tags, in which Airflow takes fewer characters than in the ids of its connections."""

from __future__ import annotations

import pytest

from airflow_provider_ingestjobs.metrics import tags_of
from airflow_provider_ingestjobs.vendors import IMPLY_POLARIS, NARRATIVE


@pytest.mark.parametrize(
    ("conn_id", "tag"),
    [
        ("narrative_default", "narrative_default"),
        ("prod/narrative-1.2", "prod/narrative-1.2"),
        ("team:narrative#1", "team_narrative_1"),
        ("a(b)!\\c", "a_b___c"),
        ("a,b=c|d e", "a_b_c_d_e"),
    ],
)
def test_what_airflow_would_drop_is_replaced(conn_id: str, tag: str) -> None:
    assert tags_of(NARRATIVE, conn_id) == {"vendor": "narrative", "connection": tag}


def test_more_tags() -> None:
    tags = tags_of(IMPLY_POLARIS, "conn", project_id="a:b", number=1)
    assert tags == {"vendor": "imply_polaris", "connection": "conn", "project_id": "a_b", "number": "1"}
