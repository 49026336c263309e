# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The Python of the README runs, as Airflow would run it to parse a DAG file."""

from __future__ import annotations

import pytest

from support.fences import Fence, fences

BLOCKS = [block for block in fences("python") if block.page == "examples/ingestjobs-airbyte/README.md"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_block(block: Fence) -> None:
    exec(compile(block.code, block.name, "exec", dont_inherit=True), {"__name__": "block"})
