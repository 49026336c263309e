# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A Chromium for the browser tests: the one that this machine has, or Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

#: Names an executable, and comes before all others.
VARIABLE = "CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Debian's; without a font of its own a small machine shows empty boxes.
PACKAGES = ("chromium", "fonts-dejavu-core")
INSTALL_TIMEOUT = 600


class NoChromiumError(Exception):
    """There is no Chromium here, and none could be installed."""


def find_chromium(of_playwright: str) -> str | None:
    """
    Return the executable of the Chromium that this machine has.

    :param of_playwright: where Playwright would have put its own.
    """
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return found
        raise NoChromiumError(f"{VARIABLE} is {named!r}, which is no program that can be run")
    known = [shutil.which(name) for name in PROGRAMS]
    return next(filter(None, known), of_playwright if Path(of_playwright).exists() else None)


def install_chromium() -> None:
    """
    Install Debian's.

    :raises NoChromiumError: where that cannot be, with what to do instead.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoChromiumError(
            "The browser tests need Chromium. Install it (on Debian, as root: apt-get install "
            f"{' '.join(PACKAGES)}), or run: playwright install chromium; or let the environment variable "
            f"{VARIABLE} name its executable."
        )
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-o", "DPkg::Lock::Timeout=120", *command],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise NoChromiumError(f"apt-get {' '.join(command)} failed:\n{done.stdout[-3000:]}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """
    Run a Chromium, without a window; install it first where there is none.

    :raises NoChromiumError: if that cannot be.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        of_playwright = playwright.chromium.executable_path
        executable = find_chromium(of_playwright)
        if executable is None:
            install_chromium()
            executable = find_chromium(of_playwright)
        # It refuses to run as root inside its own sandbox. All that is looked at is on this machine.
        arguments = ["--no-proxy-server", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
