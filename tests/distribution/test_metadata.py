# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What an index shows of the project is complete, and its long description has no dead link."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

import airflow_provider_ingestjobs
from support.distributions import ROOT, Built, needs_builders

pytestmark = needs_builders

LINK = re.compile(
    r"""\]\(\s*<?([^)\s>]+)          # [text](target), and pictures
    | ^\ {0,3}\[[^\]]+\]:\s*(\S+)    # [name]: target
    | \b(?:href|src|srcset)=["']([^"']+)
    """,
    re.VERBOSE | re.MULTILINE,
)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Return what a page links to, but for what stands in its blocks of code."""
    return ["".join(groups) for groups in LINK.findall(FENCED.sub("", text))]


def description(built: Built) -> str:
    return str(built.metadata.get_payload())


def project_urls(built: Built) -> dict[str, str]:
    urls = [url.partition(", ") for url in built.metadata.get_all("Project-URL", [])]
    return {name: url for name, _, url in urls}


def test_it_is_complete(built: Built) -> None:
    metadata = built.metadata
    assert metadata["Name"] == "airflow-provider-ingestjobs"
    assert metadata["Version"] == airflow_provider_ingestjobs.__version__
    assert metadata["Summary"]
    assert metadata["Keywords"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Provides-Extra") == ["sandbox"]
    urls = project_urls(built)
    assert {"Documentation", "Source", "Changelog", "Issues"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())


def test_the_classifiers_name_the_versions_of_python_that_it_requires(built: Built) -> None:
    required = SpecifierSet(built.metadata["Requires-Python"])
    classifiers = built.metadata.get_all("Classifier", [])
    named = set(
        re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(classifiers), re.MULTILINE)
    )
    assert named == {f"3.{minor}" for minor in range(30) if required.contains(Version(f"3.{minor}.0"))}
    assert "Framework :: Apache Airflow :: Provider" in classifiers
    assert "Typing :: Typed" in classifiers


def test_what_builds_it_is_what_tests_it() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {*content["build-system"]["requires"]} <= {*content["dependency-groups"]["build"]}


def test_the_description_has_no_relative_link(built: Built) -> None:
    found = links(description(built))
    assert [link for link in found if not re.match("https?://|mailto:", link)] == []


def test_the_description_links_to_files_that_there_are(built: Built) -> None:
    owner = project_urls(built)["Source"].removeprefix("https://github.com/")
    version = f"v{built.metadata['Version']}"
    pages, raw = (
        f"https://github.com/{owner}/blob/{version}/",
        f"https://raw.githubusercontent.com/{owner}/{version}/",
    )
    relative = [link for link in links((ROOT / "README.md").read_text()) if ":" not in link]
    ours = [link for link in links(description(built)) if link.startswith((pages, raw))]
    # As many as the README has, each to a file, and pictures to what a browser shows as one.
    assert len(ours) == len(relative) > 0
    for link in ours:
        path = link.removeprefix(pages).removeprefix(raw).partition("#")[0]
        assert (ROOT / path).exists(), link
        assert link.startswith(raw) == (Path(path).suffix in {".png", ".svg", ".gif", ".jpg"}), link


def test_the_description_is_the_readme_but_for_its_links(built: Built) -> None:
    readme, found = (ROOT / "README.md").read_text(), description(built)
    assert FENCED.findall(found) == FENCED.findall(readme)
    assert LINK.sub("", FENCED.sub("", found)).split() == LINK.sub("", FENCED.sub("", readme)).split()
    assert "$HFPR" not in found
