# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Check that version, changelog and addresses fit together, and that a tag may be published.

::

    python tools/check_release.py                  # the present state, as the tests do
    python tools/check_release.py v0.2.0           # the same, and what a release needs
    python tools/check_release.py v0.2.0 --notes   # print the changelog's section of that version

It needs nothing but Python.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

VERSION_FILE = "airflow_provider_ingestjobs/__init__.py"
CHANGELOG = "CHANGELOG.md"
PYPROJECT = "pyproject.toml"
UNRELEASED = "Unreleased"
#: What pages say until there is something to install.
NOTHING_PUBLISHED = "No release has been published yet"
#: The links that the package's page must have.
URL_NAMES = ("Documentation", "Source", "Changelog", "Issues")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
HEADING = re.compile(r"## (?P<name>\S+)(?: - (?P<date>\S+))?")
SECONDS = 30


class Unreadable(Exception):
    """A file of the project lacks what all checks need."""


@dataclass(frozen=True)
class Section:
    """A part of the changelog.

    :param name: a version, or ``Unreleased``.
    :param date: when it was released, as it is written.
    :param text: what stands between its heading and the next one.
    """

    name: str
    date: str | None
    text: str

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing; headings of a lower level say nothing."""
        return not any(line.strip() and not line.startswith("#") for line in self.text.splitlines())


@dataclass(frozen=True)
class Project:
    """What is checked.

    :param version: the version that the package says it has.
    :param sections: the changelog's, in their order.
    :param urls: ``[project.urls]``.
    :param pages_without_release: those that say that nothing has been published.
    """

    version: str
    sections: tuple[Section, ...]
    urls: dict[str, str]
    pages_without_release: tuple[str, ...]

    def section(self, name: str) -> Section | None:
        """Return the changelog's section of a version.

        :param name: the version, or ``Unreleased``.
        """
        return next((section for section in self.sections if section.name == name), None)


def read_project(root: Path) -> Project:
    """Read a source tree.

    :param root: the folder that has ``pyproject.toml``.
    :raises Unreadable: naming the file and what it lacks.
    """
    found = re.search(r'^__version__ = "([^"]+)"$', _text(root / VERSION_FILE), re.MULTILINE)
    if not found:
        raise Unreadable(f'{VERSION_FILE} has no line __version__ = "…": add it')
    try:
        about = tomllib.loads(_text(root / PYPROJECT))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"{PYPROJECT} is no TOML: {error}") from error
    urls = about.get("project", {}).get("urls", {})
    pages = [*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))]
    silent = [str(page.relative_to(root)) for page in pages if NOTHING_PUBLISHED.lower() in _words(page)]
    return Project(found[1], read_changelog(_text(root / CHANGELOG)), urls, tuple(silent))


def read_changelog(text: str) -> tuple[Section, ...]:
    """Return a changelog's sections.

    :param text: the whole file.
    :raises Unreadable: at a heading that is neither a version nor ``Unreleased``.
    """
    _, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    sections = []
    for part in parts:
        line, _, rest = part.partition("\n")
        heading = HEADING.fullmatch(line.rstrip())
        if not heading or not (heading["name"] == UNRELEASED or VERSION.fullmatch(heading["name"])):
            raise Unreadable(
                f"{CHANGELOG} has the heading {line!r}: write '## {UNRELEASED}' or '## 1.2.3 - 2026-01-31'"
            )
        sections.append(Section(heading["name"], heading["date"], rest.strip("\n")))
    return tuple(sections)


def problems_of_state(project: Project) -> list[str]:
    """Return what does not fit together, released or not.

    :param project: the source tree.
    """
    problems = []
    if not VERSION.fullmatch(project.version):
        problems.append(f"{VERSION_FILE} has the version {project.version!r}: write it as 1.2.3 or 1.2.3rc1")
    names = [section.name for section in project.sections]
    if names[:1] != [UNRELEASED]:
        problems.append(
            f"{CHANGELOG} begins with {names[:1] or 'no section'}: begin it with '## {UNRELEASED}'"
        )
    newest = next((name for name in names if name != UNRELEASED), None)
    if newest != project.version:
        problems.append(
            f"{CHANGELOG} has {newest} as its newest version and {VERSION_FILE} has {project.version}: "
            f"give the changelog a section '## {project.version} - <date>', or mend the version"
        )
    versions = [found for name in names if (found := VERSION.fullmatch(name))]
    problems += [
        f"{CHANGELOG} has {later[0]} above {earlier[0]}: put the newest version first, or mend its number"
        for later, earlier in pairwise(versions)
        if _order(later) < _order(earlier)
    ]
    problems += [
        f"{CHANGELOG} has {names.count(name)} sections {name}: join them"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += [
        f"{CHANGELOG} says nothing of {section.name}: write what it brings"
        for section in project.sections
        if section.name != UNRELEASED and section.is_empty
    ]
    problems += [
        f"{PYPROJECT} has no {name} in [project.urls]: add its address"
        for name in URL_NAMES
        if name not in project.urls
    ]
    return problems


def _order(version: re.Match[str]) -> tuple[int, int, int, str, int]:
    """Return what versions are sorted by; one that is for trial comes before the one itself."""
    major, minor, patch, phase, number = version.groups()
    return int(major), int(minor), int(patch), phase or "released", int(number or 0)


def problems_of_release(project: Project, tag: str, today: date) -> list[str]:
    """Return what is in the way of publishing a tag.

    :param project: the source tree at that tag.
    :param tag: such as ``v1.2.3``.
    :param today: no release is of a later day.
    """
    problems = []
    if tag != f"v{project.version}":
        problems.append(
            f"the tag is {tag!r} and {VERSION_FILE} has {project.version}: "
            f"tag the commit v{project.version}, or mend the version"
        )
    problems += [
        f"{page} says {NOTHING_PUBLISHED!r}: say how to install the release"
        for page in project.pages_without_release
    ]
    unreleased = project.section(UNRELEASED)
    if unreleased and not unreleased.is_empty:
        problems.append(
            f"{CHANGELOG} has entries under {UNRELEASED}: move them to the section {project.version}"
        )
    section = project.section(project.version)
    if section is None:
        return problems
    heading = f"'## {section.name} - {today.isoformat()}'"
    if section.date is None:
        problems.append(f"{CHANGELOG} does not date {section.name}: write {heading}")
        return problems
    try:
        # `date.fromisoformat` takes other forms, too.
        released = datetime.strptime(section.date, "%Y-%m-%d").date()
    except ValueError:
        problems.append(
            f"{CHANGELOG} dates {section.name} {section.date!r}, which is no day: write {heading}"
        )
        return problems
    if released > today:
        problems.append(
            f"{CHANGELOG} dates {section.name} {section.date}, and today is {today}: write {heading}"
        )
    return problems


def problems_of_urls(urls: dict[str, str]) -> list[str]:
    """Return the addresses that do not answer.

    :param urls: each with what it is called.
    """
    problems = []
    for name, url in urls.items():
        if trouble := _trouble_of(url):
            problems.append(
                f"{name} in [project.urls], {url}, {trouble}: publish what is to be there, or mend it"
            )
    return problems


def _trouble_of(url: str) -> str | None:
    if not url.startswith(("https://", "http://")):
        return "is no web address"
    try:
        with urlopen(Request(url, headers={"User-Agent": "check_release"}), timeout=SECONDS):  # noqa: S310 checked above
            return None
    except HTTPError as error:
        with error:
            return f"answers {error.code}"
    except (URLError, OSError) as error:
        return f"does not answer ({getattr(error, 'reason', error)})"


def _words(page: Path) -> str:
    """Return a page's text in small letters and on one line: a sentence may be broken anywhere."""
    return " ".join(_text(page).lower().split())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Unreadable(f"{path} is missing: run this in a source tree, or give --root") from error


def main(arguments: list[str] | None = None) -> int:
    """Run the checks, say what is wrong, and return the exit code.

    :param arguments: those of the command line, if left out.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tag", nargs="?", help="what is to be published, such as v0.2.0")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the source tree")
    parser.add_argument(
        "--notes", action="store_true", help="print the changelog's section of the tag, no more"
    )
    given = parser.parse_args(arguments)
    if given.notes and not given.tag:
        parser.error("--notes needs a tag")
    try:
        project = read_project(given.root)
        if given.notes:
            return _print_notes(project, given.tag)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    problems = problems_of_state(project)
    if given.tag:
        problems += problems_of_release(project, given.tag, datetime.now(UTC).date())
        problems += problems_of_urls(project.urls)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{project.version}: all is well" + (f", {given.tag} may be published" if given.tag else ""))
    return 1 if problems else 0


def _print_notes(project: Project, tag: str) -> int:
    section = project.section(tag.removeprefix("v"))
    if section is None:
        print(f"{CHANGELOG} has no section {tag.removeprefix('v')}: add it", file=sys.stderr)
        return 1
    print(section.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
