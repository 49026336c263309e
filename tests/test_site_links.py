# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Links that work where the code is hosted work on the documentation site as well."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HOOK: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "_hooks" / "links.py"))
REPOSITORY = "https://git.example.com/us/ingestjobs"


def on_site(markdown: str, uri: str) -> str:
    page: Any = SimpleNamespace(file=SimpleNamespace(src_uri=uri), edit_url=None)
    config = SimpleNamespace(repo_url=f"{REPOSITORY}/")
    return str(HOOK["on_page_markdown"](markdown, page, config, None))


@pytest.mark.parametrize(
    ("uri", "link", "there"),
    [
        pytest.param("guides/page.md", "troubleshooting.md#a", "troubleshooting.md#a", id="beside it"),
        pytest.param("guides/page.md", "../images/jobs.png", "../images/jobs.png", id="elsewhere in docs"),
        pytest.param("guides/page.md", "#roles", "#roles", id="on the page"),
        pytest.param("guides/page.md", "https://example.com/a.md", "https://example.com/a.md", id="abroad"),
        pytest.param("guides/page.md", "../../CHANGELOG.md", "../CHANGELOG.md", id="a page from the root"),
        pytest.param(
            "guides/page.md", "../../README.md#install", "../README-of-the-repository.md#install", id="README"
        ),
        pytest.param("CHANGELOG.md", "docs/guides/page.md", "guides/page.md", id="from the root"),
        pytest.param("CHANGELOG.md", "README.md", "README-of-the-repository.md", id="from the root to it"),
        pytest.param(
            "guides/page.md",
            "../../tests/conftest.py#L1",
            f"{REPOSITORY}/blob/main/tests/conftest.py#L1",
            id="a file",
        ),
        pytest.param("CHANGELOG.md", "example_dags/", f"{REPOSITORY}/tree/main/example_dags", id="a folder"),
        pytest.param("guides/page.md", "../../no-such-file", "../../no-such-file", id="nothing"),
        pytest.param("guides/page.md", "../../../elsewhere", "../../../elsewhere", id="out of it"),
    ],
)
def test_link(uri: str, link: str, there: str) -> None:
    assert on_site(f"See [this *one*]({link}), or not.", uri) == f"See [this *one*]({there}), or not."
    assert on_site(f"[one]: {link}\n", uri) == f"[one]: {there}\n"


def test_code_stays_as_it_is() -> None:
    code = "```python\njobs[0](../../README.md)\n```\n"
    link = "[it](../../README.md)\n"
    assert (
        on_site(link + code + link, "guides/page.md").split(code)
        == ["[it](../README-of-the-repository.md)\n"] * 2
    )
