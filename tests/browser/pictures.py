# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The documentation's pictures, where ``--write-screenshots`` asks for them."""

from __future__ import annotations

import io
from pathlib import Path

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def write_picture(screenshot: bytes, name: str) -> None:
    """Write a picture with few colours: a small file, and the same for the eye.

    :param screenshot: the picture.
    :param name: the file's name.
    """
    from PIL import Image

    IMAGES.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(screenshot))
    picture.convert("RGB").quantize(128).save(IMAGES / f"{name}.png", optimize=True)
