# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Griffe's extension for the reference: docstrings are written for Sphinx, mkdocstrings reads Markdown."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")
#: Several errors of one reason.
RAISES = re.compile(r"(?<=:raises )[\w., ]+(?=:)")
DOCUMENTED = re.compile(r":param (\w+):")
UNPACKED = re.compile(r"Unpack\[(\w+)\]")
#: A paragraph that ends with ``::``, and the lines after it that are indented further than it.
LITERAL = re.compile(
    r"^(?P<margin> *)(?P<before>[^:\s\n](?:[^\n]*?[^:\n])?)?::\n\n"
    r"(?P<block>(?:(?P=margin) +\S[^\n]*(?:\n|\Z)|[ ]*\n)+)",
    re.MULTILINE,
)


class Markdown(griffe.Extension):
    """Turns roles into links and literal blocks into fenced ones; and names what hides in ``**kwargs``."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Turn all docstrings of the package."""
        self._turn(pkg)

    def _turn(self, obj: griffe.Object) -> None:
        if isinstance(obj, griffe.Attribute) and not obj.docstring and (text := _comment(obj)):
            obj.docstring = griffe.Docstring(text, parent=obj)
        if obj.docstring:
            obj.docstring.value = to_markdown(obj, obj.docstring.value)
            if isinstance(obj, griffe.Class) and isinstance(
                init := obj.members.get("__init__"), griffe.Function
            ):
                _name_arguments(obj, init, DOCUMENTED.findall(obj.docstring.value))
        for member in obj.members.values():
            if not isinstance(member, griffe.Alias):
                self._turn(member)


def _comment(attribute: griffe.Attribute) -> str:
    """Return the lines with ``#:`` before an attribute."""
    if attribute.lineno is None or not isinstance(attribute.filepath, Path):
        return ""
    lines = attribute.lines_collection[attribute.filepath][: attribute.lineno - 1]
    comment = takewhile(lambda line: line.startswith("#:"), (line.strip() for line in reversed(lines)))
    return "\n".join(line.removeprefix("#:").strip() for line in reversed(list(comment)))


def to_markdown(obj: griffe.Object, text: str) -> str:
    """
    Return a docstring as Markdown.

    :param obj: whose it is; names in it are looked up from there.
    :param text: the docstring.
    """
    text = RAISES.sub(lambda errors: errors[0].replace(" ", ""), text)
    return LITERAL.sub(_fence, ROLE.sub(lambda role: _link(obj, role[1]), text))


def _name_arguments(cls: griffe.Class, init: griffe.Function, documented: list[str]) -> None:
    """Give ``__init__`` those arguments by name that are documented and that a typed ``**kwargs`` takes."""
    unpacked = UNPACKED.search(" ".join(str(parameter.annotation) for parameter in init.parameters))
    if unpacked is None:
        return
    arguments = cls.modules_collection[init.resolve(unpacked[1])].all_members
    for name in documented:
        if name not in init.parameters and name in arguments:
            kind, annotation = griffe.ParameterKind.keyword_only, arguments[name].annotation
            *others, kwargs = init.parameters
            added = griffe.Parameter(name, annotation=annotation, kind=kind, default="...")
            init.parameters = griffe.Parameters(*others, added, kwargs)


def _link(obj: griffe.Object, name: str) -> str:
    first, dot, rest = name.partition(".")
    try:
        path = obj.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        path = name
    shown = name.rpartition(".")[2] if name.startswith(obj.package.name) else name
    # What the reference does not have stays a name.
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'


def _fence(literal: re.Match[str]) -> str:
    margin, block = literal["margin"], dedent(literal["block"]).strip("\n")
    language = "text" if "─" in block else "python"
    before = f"{margin}{literal['before']}:\n\n" if literal["before"] else ""
    return before + indent(f"```{language}\n{block}\n```\n\n", margin)
