# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a page of the reference shows of the source, as mkdocstrings reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What mkdocstrings writes at its place, and the options that follow.
SHOWN = re.compile(r"^::: (?P<name>\S+)\n(?P<options>(?:(?: +.*)?\n)*)", re.MULTILINE)
MEMBERS = re.compile(r"^ +members: \[(.*?)\]", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """Something that the reference shows.

    :param path: its full name.
    :param members: which of its members are shown, too; None for all that have no underscore.
    """

    path: str
    members: frozenset[str] | None

    def has(self, path: str) -> bool:
        """Whether a name is its own, or that of something in it that is shown.

        :param path: the full name.
        """
        if path == self.path:
            return True
        if not path.startswith(f"{self.path}."):
            return False
        names = path.removeprefix(f"{self.path}.").split(".")
        # Their arguments are shown with the class.
        names = names[:-1] if names[-1] == "__init__" else names
        if any(name.startswith("_") for name in names):
            return False
        return not names or self.members is None or names[0] in self.members


def shown_in(text: str) -> list[Shown]:
    """Return what a page of the reference shows.

    :param text: the page.
    """
    found = []
    for block in SHOWN.finditer(text):
        members = None
        if "members:" in block["options"]:
            listed = MEMBERS.search(block["options"])
            if listed is None:
                raise ValueError(f"{block['name']}: its members are no list in brackets")
            members = frozenset(re.findall(r"\w+", listed[1]))
        found.append(Shown(block["name"], members))
    return found
