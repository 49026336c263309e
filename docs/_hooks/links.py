# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""MkDocs' hook for links: pages are written for the code host, and work on the site as well.

A link is read from where its file is in the repository. What is a page of the site is linked there, any other
file of the repository at the code host. A link to what does not exist stays as it is: MkDocs warns of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Files of the root that are pages of the site, and their names there: a README.md would be its home.
PAGES = {
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "README.md": "README-of-the-repository.md",
}
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
#: ``[text](target)``, ``![text](target)`` and ``[label]: target``.
LINK = re.compile(r"(?<=\]\()[^()\s]+|(?<=\]: )\S+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    from mkdocs.structure.files import File

    for name, uri in PAGES.items():
        if (ROOT / name).exists():
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn a page's links into the site's."""
    uri = page.file.src_uri
    of_root = {uri: name for name, uri in PAGES.items()}
    source = of_root.get(uri, f"docs/{uri}")
    if uri in of_root:
        page.edit_url = f"{config.repo_url}/edit/main/{source}"
    ends, parts = 0, []
    for fence in FENCE.finditer(markdown):
        parts += [_relinked(markdown[ends : fence.start()], source, uri, config.repo_url), fence[0]]
        ends = fence.end()
    return "".join([*parts, _relinked(markdown[ends:], source, uri, config.repo_url)])


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Keep the theme from asking the code host how many stars there are."""
    return output.replace(' data-md-component="source"', "")


def _relinked(text: str, source: str, uri: str, repo_url: str | None) -> str:
    return LINK.sub(lambda link: site_link(link[0], source, uri, f"{repo_url}".rstrip("/")), text)


def site_link(link: str, source: str, uri: str, repo_url: str) -> str:
    """
    Return what a link is on the site.

    :param link: as it is written.
    :param source: the file that has it, from the root of the repository.
    :param uri: the page that it becomes, from the root of the site's pages.
    :param repo_url: the repository at its code host.
    """
    path, hash_sign, anchor = link.partition("#")
    if not path or ":" in path or path.startswith("/"):
        return link
    target = os.path.normpath(Path(source).parent / path)
    if target in PAGES:
        target = f"docs/{PAGES[target]}"
    elif not target.startswith("docs/"):
        is_ours = not target.startswith("..") and (ROOT / target).exists()
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{repo_url}/{kind}/main/{target}{hash_sign}{anchor}" if is_ours else link
    return os.path.relpath(target, Path("docs", uri).parent) + hash_sign + anchor
