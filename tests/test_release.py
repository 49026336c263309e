# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A tag is published only if version, changelog and addresses fit; and they fit at any time."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import check_release
import pytest
from check_release import (
    URL_NAMES,
    Unreadable,
    main,
    problems_of_release,
    problems_of_state,
    problems_of_urls,
    read_project,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TODAY = date(2026, 11, 28)
READY = """# Changelog

## Unreleased

## 0.2.0 - 2026-11-28

### Added

- A thing.

## 0.1.0

- The beginning.
"""


def write_tree(
    root: Path, *, version: str = "0.2.0", changelog: str = READY, urls: dict[str, str] | None = None
) -> Path:
    """Write what the checks read of a source tree, ready to be released unless told otherwise."""
    urls = dict.fromkeys(URL_NAMES, "https://example.org/") if urls is None else urls
    lines = [f'{name} = "{url}"' for name, url in urls.items()]
    package = root / "airflow_provider_ingestjobs"
    package.mkdir()
    (package / "__init__.py").write_text(f'"""Docstring."""\n\n__version__ = "{version}"\n')
    (root / "pyproject.toml").write_text("\n".join(["[project]", 'name = "x"', "[project.urls]", *lines]))
    (root / "CHANGELOG.md").write_text(changelog)
    return root


def all_problems(root: Path, tag: str = "v0.2.0") -> list[str]:
    project = read_project(root)
    return problems_of_state(project) + problems_of_release(project, tag, TODAY)


def test_this_source_tree_fits_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().err


def test_a_tree_that_is_ready(tmp_path: Path) -> None:
    assert all_problems(write_tree(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "0.3.0"}, ["0.2.0", "0.3.0", "tag the commit v0.3.0"]),
        ({"version": "0.2"}, ["'0.2'", "write it as 1.2.3"]),
        ({"changelog": READY.replace("## Unreleased\n", "")}, ["begin it with '## Unreleased'"]),
        (
            {"changelog": READY.replace("Unreleased\n", "Unreleased\n\n- Late.\n")},
            ["entries under Unreleased", "move them to the section 0.2.0"],
        ),
        ({"changelog": READY.replace(" - 2026-11-28", "")}, ["write '## 0.2.0 - 2026-11-28'"]),
        ({"changelog": READY.replace("2026-11-28", "2026-11-29")}, ["2026-11-29", "today is 2026-11-28"]),
        ({"changelog": READY.replace("2026-11-28", "2026-11-31")}, ["'2026-11-31', which is no day"]),
        ({"changelog": READY.replace("2026-11-28", "20261128")}, ["'20261128', which is no day"]),
        ({"changelog": READY.replace("- A thing.\n", "")}, ["says nothing of 0.2.0"]),
        ({"changelog": READY + "\n## 0.2.0\n\n- More.\n"}, ["2 sections 0.2.0: join them"]),
        (
            {"version": "0.1.0rc2", "changelog": READY.replace("0.2.0", "0.1.0rc2")},
            ["0.1.0rc2 above 0.1.0: put the newest version first"],
        ),
        ({"changelog": READY.replace("0.2.0 -", "0.1.9 -")}, ["'## 0.2.0 - <date>'"]),
        ({"urls": {"Source": "https://example.org/"}}, ["no Documentation", "no Changelog", "no Issues"]),
    ],
)
def test_what_is_in_the_way_is_named_with_its_fix(
    tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    problems = "\n".join(all_problems(write_tree(tmp_path, **changes)))  # type: ignore[arg-type]
    assert [word for word in words if word not in problems] == []


def test_pages_that_say_that_nothing_is_published_are_in_the_way(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    guide = root / "docs" / "guides" / "testing.md"
    guide.parent.mkdir(parents=True)
    guide.write_text("Wait. No\nrelease has been published yet: install a checkout.")
    problems = problems_of_release(read_project(root), "v0.2.0", TODAY)
    assert [problem.partition(" ")[0] for problem in problems] == ["docs/guides/testing.md"]


def test_an_earlier_day_is_as_good_as_today(tmp_path: Path) -> None:
    assert all_problems(write_tree(tmp_path, changelog=READY.replace("2026-11-28", "2026-11-20"))) == []


def test_empty_headings_under_unreleased_are_no_entries(tmp_path: Path) -> None:
    changelog = READY.replace("Unreleased\n", "Unreleased\n\n### Added\n\n### Fixed\n")
    assert all_problems(write_tree(tmp_path, changelog=changelog)) == []


def test_between_two_releases_the_tag_alone_is_in_the_way(tmp_path: Path) -> None:
    changelog = READY.replace("Unreleased\n", "Unreleased\n\n- Next.\n").replace(" - 2026-11-28", "")
    project = read_project(write_tree(tmp_path, changelog=changelog))
    assert problems_of_state(project) == []
    assert len(problems_of_release(project, "v0.2.0", TODAY)) == 2


class TestUnreadable:
    @pytest.mark.parametrize(
        ("file", "text", "words"),
        [
            ("CHANGELOG.md", "## Version two\n", "'## Version two': write '## Unreleased'"),
            ("CHANGELOG.md", "## 0.2.0 (2026-11-28)\n", "write '## Unreleased' or '## 1.2.3 - 2026-01-31'"),
            ("pyproject.toml", "[project", "pyproject.toml is no TOML"),
            ("airflow_provider_ingestjobs/__init__.py", "", "has no line __version__"),
        ],
    )
    def test_a_file(self, tmp_path: Path, file: str, text: str, words: str) -> None:
        (write_tree(tmp_path) / file).write_text(text)
        with pytest.raises(Unreadable, match=words.replace("(", r"\(")):
            read_project(tmp_path)

    def test_no_file(self, tmp_path: Path) -> None:
        (write_tree(tmp_path) / "CHANGELOG.md").unlink()
        with pytest.raises(Unreadable, match=r"CHANGELOG\.md is missing"):
            read_project(tmp_path)


class Site(BaseHTTPRequestHandler):
    """Answers at ``/there``, and where it has moved from."""

    def do_GET(self) -> None:
        self.send_response({"/there": 200, "/moved": 302}.get(self.path, 404))
        self.send_header("Location", "/there")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestAddresses:
    def test_that_answer(self, site: str) -> None:
        assert problems_of_urls({"Source": f"{site}/there", "Issues": f"{site}/moved"}) == []

    def test_that_do_not(self, site: str) -> None:
        (problem,) = problems_of_urls({"Source": f"{site}/there", "Documentation": f"{site}/gone"})
        assert problem.startswith(f"Documentation in [project.urls], {site}/gone, answers 404: publish")

    def test_where_nobody_listens(self) -> None:
        with HTTPServer(("127.0.0.1", 0), Site) as server:
            url = f"http://127.0.0.1:{server.server_port}/"
        (problem,) = problems_of_urls({"Source": url})
        assert "does not answer" in problem

    def test_that_are_none(self) -> None:
        (problem,) = problems_of_urls({"Source": "file:///etc/passwd"})
        assert "is no web address" in problem


class TestCommand:
    def run(self, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, check_release.__file__, "--root", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def ready(self, tmp_path: Path, site: str) -> Path:
        changelog = READY.replace("2026-11-28", datetime.now(UTC).date().isoformat())
        return write_tree(tmp_path, changelog=changelog, urls=dict.fromkeys(URL_NAMES, f"{site}/there"))

    def test_a_good_tag(self, tmp_path: Path, site: str) -> None:
        done = self.run(self.ready(tmp_path, site), "v0.2.0")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "0.2.0: all is well, v0.2.0 may be published\n"

    def test_a_wrong_tag(self, tmp_path: Path, site: str) -> None:
        done = self.run(self.ready(tmp_path, site), "v0.2.1")
        assert (done.returncode, done.stdout) == (1, "")
        assert "the tag is 'v0.2.1'" in done.stderr

    def test_an_address_that_is_gone(self, tmp_path: Path, site: str) -> None:
        root = self.ready(tmp_path, site)
        about = root / "pyproject.toml"
        about.write_text(about.read_text().replace("/there", "/gone", 1))
        done = self.run(root, "v0.2.0")
        assert done.returncode == 1
        assert "answers 404" in done.stderr
        assert self.run(root).returncode == 0, "without a tag no address is asked"

    def test_notes(self, tmp_path: Path) -> None:
        root = write_tree(tmp_path)
        assert self.run(root, "v0.2.0", "--notes").stdout == "### Added\n\n- A thing.\n"
        none = self.run(root, "v0.9.0", "--notes")
        assert (none.returncode, none.stdout) == (1, "")
        assert "no section 0.9.0" in none.stderr
        assert self.run(root, "--notes").returncode == 2

    def test_no_source_tree(self, tmp_path: Path) -> None:
        done = self.run(tmp_path)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "is missing" in done.stderr
