# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Check that nothing public has changed for the worse since the last release, as far as Griffe sees it.

Public is what the reference of that release shows. What the changelog's newer part has under "Removed" or
"Changed", by its name in backticks, is let through.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import griffe
from reference_pages import Shown, shown_in

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_ingestjobs"
REFERENCE = "docs/reference"
CHANGELOG = "CHANGELOG.md"
PARTS = re.compile(r"^### (?:Removed|Changed)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def announced(changelog: str, version: str) -> set[str]:
    """Return what is said to have been removed or changed since a version.

    :param changelog: the changelog.
    :param version: the version.
    """
    newer = re.split(rf"^## {re.escape(version)}\b", changelog, maxsplit=1, flags=re.MULTILINE)[0]
    return {name for part in PARTS.findall(newer) for name in re.findall(r"`([\w.]+)`", part)}


def is_announced(path: str, names: set[str]) -> bool:
    """Whether a name, its last part, or that and the one before are among those that are announced.

    :param path: the full name.
    :param names: those that are announced.
    """
    parts = path.removesuffix(".__init__").split(".")
    return not names.isdisjoint({".".join(parts[-count:]) for count in range(1, len(parts) + 1)})


def last_tag(root: Path) -> str | None:
    """Return the tag of the last release before the one that the checkout may be at.

    :param root: the checkout.
    """
    at_head = set(_git(root, "tag", "--points-at", "HEAD").split())
    tags = _git(root, "tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname").split()
    return next((tag for tag in tags if tag not in at_head), None)


def breakages(root: Path, tag: str) -> list[str]:
    """Return a line for each public name that has changed for the worse, and is not announced.

    :param root: the checkout.
    :param tag: what to compare with.
    """
    old = griffe.load_git(PACKAGE, ref=tag, repo=root, allow_inspection=False)
    # Not the folder of that name in the working directory.
    new = griffe.load(PACKAGE, search_paths=[root], try_relative_path=False, allow_inspection=False)
    pages = _git(root, "ls-tree", "-r", "--name-only", tag, REFERENCE).split()
    shown = [one for page in pages for one in shown_in(_git(root, "show", f"{tag}:{page}"))]
    # A name may be shown where it is imported from, and change where it is defined.
    shown += [Shown(_defined_at(old, one.path), one.members) for one in shown]
    names = announced((root / CHANGELOG).read_text(), tag.removeprefix("v"))
    found: dict[str, None] = {}
    for breakage in griffe.find_breaking_changes(old, new):
        path = breakage.obj.path
        if any(one.has(path) for one in shown) and not is_announced(path, names):
            found[breakage.explain(griffe.ExplanationStyle.MARKDOWN).removeprefix("- ")] = None
    return list(found)


def _defined_at(old: griffe.Object | griffe.Alias, path: str) -> str:
    return str(old[path.removeprefix(f"{PACKAGE}.")].canonical_path)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603


def main() -> int:
    """Print what has changed; return the exit code."""
    if _git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true":
        print("This checkout is shallow, and may lack the last release's tag: git fetch --unshallow --tags")
        return 1
    tag = last_tag(ROOT)
    if tag is None:
        print("There is no tag of an earlier release to compare with.")
        return 0
    found = breakages(ROOT, tag)
    print(*found, f"{len(found)} unannounced changes of what {tag} has as public", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
