# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The fenced blocks of the project's pages.

A block that is no whole file has the lines that it begins with in a comment right before it, which readers do
not see::

    <!-- begins with
    from datetime import timedelta
    -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/*/*.md")),
]
BLOCK = re.compile(
    r"(?:^(?P<margin> *)<!-- begins with\n(?P<before>(?:(?!-->).)*)-->\n\s*)?"
    r"^(?P<indent> *)```(?P<language>\w*).*?\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
#: What stands right before a block that is to be saved; a page's text ends where it is searched to.
SAVED_AS = re.compile(r"(?i:save|and) this as `(?P<path>\S+)`[^`]*:\s*\Z")


@dataclass(frozen=True)
class Fence:
    """A fenced block.

    :param page: its page, relative to the project's folder.
    :param line: where its first line stands.
    :param language: what stands behind the fence.
    :param code: its text.
    :param before: the lines that it begins with, which readers do not see.
    :param saved_as: the file that the reader is to save it as.
    """

    page: str
    line: int
    language: str
    code: str
    before: str
    saved_as: str | None

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def is_of_an_example(self) -> bool:
        """Whether its page is that of a package of its own, whose tests have it installed."""
        return self.page.startswith("examples/")


def fences(*languages: str) -> list[Fence]:
    """
    Return the blocks of all pages, in order.

    :param languages: those wanted; none means all.
    """
    found: list[Fence] = []
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if languages and block["language"] not in languages:
                continue
            line = text.count("\n", 0, block.start("code")) + 1
            name = str(page.relative_to(ROOT))
            code, before = dedent(block["code"]), dedent(block["before"] or "")
            saved_as = SAVED_AS.search(text, 0, block.start())
            found.append(Fence(name, line, block["language"], code, before, saved_as and saved_as["path"]))
    return found
