# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The wheel and the sdist, as they are built, and what they have."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
BUILDERS = ("hatchling", "hatch_fancy_pypi_readme")

needs_builders = pytest.mark.skipif(
    not all(map(find_spec, BUILDERS)), reason="the dependency group build is not installed"
)


@dataclass(frozen=True)
class Built:
    """What has been built.

    :param wheel: the wheel.
    :param sdist: the sdist.
    """

    wheel: Path
    sdist: Path

    @property
    def wheel_files(self) -> dict[str, bytes]:
        """The wheel's files, by name."""
        with ZipFile(self.wheel) as file:
            return {name: file.read(name) for name in file.namelist()}

    @property
    def dist_info(self) -> str:
        """The wheel's folder of metadata."""
        return next(name for name in self.wheel_files if ".dist-info/" in name).partition("/")[0]

    @property
    def metadata(self) -> Message:
        """The wheel's metadata; the payload is the long description."""
        return Parser().parsestr(self.wheel_files[f"{self.dist_info}/METADATA"].decode())

    def unpack_sdist(self, folder: Path) -> Path:
        """Unpack the sdist, and return its root.

        :param folder: where to.
        """
        with tarfile.open(self.sdist) as file:
            file.extractall(folder, filter="data")
        (root,) = folder.iterdir()
        return root


def build(root: Path, folder: Path) -> Built:
    """Build both.

    :param root: the folder that has ``pyproject.toml``.
    :param folder: where to.
    """
    # The frontend's part, a fresh environment with a network, is left out.
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)
