# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""MkDocs' hook for the tables of connections and settings: from what Airflow is told of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

# They import nothing but the standard library.
from airflow_provider_ingestjobs.provider_info import CONFIG
from airflow_provider_ingestjobs.vendors import COMMON_EXTRAS, VENDORS, Extra

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the tables where the page asks for them."""
    markdown = markdown.replace("<!-- the connection types -->", connection_types())
    return markdown.replace("<!-- the settings -->", settings())


def connection_types() -> str:
    """Return a section for each vendor, and one for what all have."""
    parts = []
    for vendor in VENDORS:
        own = {key: extra for key, extra in vendor.all_extras.items() if COMMON_EXTRAS.get(key) != extra}
        facts = [
            ("Connection type", f"`{vendor.conn_type}`"),
            ("Default connection", f"`{vendor.default_conn_id}`"),
            ("Argument of hooks and tasks", f"`{vendor.conn_name_attr}`"),
            ("Host", f"`{vendor.host}`, if it names none" if vendor.host else "required"),
            ("Login", vendor.login),
            ("Password", vendor.password),
        ]
        parts += [f"### {vendor.name}", _table(("Field", "Value"), facts), extras(own) if own else ""]
    return "\n\n".join([*parts, "### Extras of every connection", extras(COMMON_EXTRAS)])


def extras(rows: Mapping[str, Extra]) -> str:
    """Return the table of a connection's extras."""
    head = ("Extra", "In the form", "Default", "What it does")
    return _table(
        head, [(f"`{key}`", row.label, _default(row), row.description) for key, row in rows.items()]
    )


def settings() -> str:
    """Return the table of the settings."""
    options: dict[str, dict[str, Any]] = CONFIG["ingestjobs"]["options"]
    head = ("Setting", "Environment variable", "Default", "What it does")
    lines = [
        (f"`{name}`", f"`AIRFLOW__INGESTJOBS__{name.upper()}`", _code(row["default"]), row["description"])
        for name, row in options.items()
    ]
    return _table(head, lines)


def _default(row: Extra) -> str:
    if row.required:
        return "required"
    others = " or ".join(f"`{word}`" for word in row.choices if word != row.default)
    return _code(row.default) + (f"; else {others}" if others else "")


def _code(value: object) -> str:
    return "" if value in (None, "") else f"`{value}`"


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = list(head)
    rows = [head, ["---"] * len(head), *([" ".join(cell.split()) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
