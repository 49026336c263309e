# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The files that the page consists of, at an address that changes with what is in them."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).with_name("static")


@cache
def static_path() -> str:
    """Return the files' address below the page's server: browsers keep what they have of it for good."""
    digest = sha256()
    for file in sorted(FOLDER.iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    return f"/static/{digest.hexdigest()[:16]}"
