# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""OpenAPI 3.0 as JSON Schema, whose validators pass over what OpenAPI says in words of its own."""

from __future__ import annotations

import copy
import re
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

_BASE = "{}.base"
_PREFIX = "#/components/schemas/"
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

FORMATS = FormatChecker(["uuid"])


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _RFC_3339.fullmatch(value) is not None


def as_json_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an OpenAPI 3.0 document whose schemas a validator of JSON Schema takes at their word.

    ``nullable`` becomes a further type. A ``discriminator`` becomes one branch for each word of its mapping:
    what has the word must be valid against the schema that the mapping names, and no other word is valid.

    :param document: the document.
    """
    converted: dict[str, Any] = _convert(copy.deepcopy(document))
    schemas = converted["components"]["schemas"]
    for name in [name for name, schema in schemas.items() if "discriminator" in schema]:
        _resolve_discriminator(schemas, name)
    return converted


def forbid_undocumented(document: dict[str, Any], *names: str) -> None:
    """Let objects have no further fields than are documented, which a document rarely says.

    :param document: the document, as JSON Schema; it is changed.
    :param names: the schemas of these objects.
    """
    for name in names:
        document["components"]["schemas"][name]["unevaluatedProperties"] = False


def answer_validator(
    document: dict[str, Any], method: str, path: str, status: int
) -> Draft202012Validator | None:
    """Return what validates the body of an answer, or None if it has no body.

    :param document: the document, as JSON Schema.
    :param method: the HTTP method, in small letters.
    :param path: the path as the document has it.
    :param status: the answer's HTTP status.
    :raises KeyError: if the document has no such answer.
    """
    answer = document["paths"][path][method]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    if "content" not in answer:
        return None
    schema = answer["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": document["components"]}, format_checker=FORMATS)


def _convert(node: Any) -> Any:
    if isinstance(node, list):
        return [_convert(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        # OpenAPI 3.0 has nothing else beside a reference count.
        return {"$ref": node["$ref"]}
    node = {key: _convert(value) for key, value in node.items()}
    if node.get("nullable") is True and isinstance(node.get("type"), str) and "discriminator" not in node:
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    return node


def _resolve_discriminator(schemas: dict[str, Any], name: str) -> None:
    base = schemas[name]
    discriminator = base.pop("discriminator")
    word, mapping = discriminator["propertyName"], discriminator["mapping"]
    schemas[_BASE.format(name)] = base
    for target in set(mapping.values()):
        # The schemas that are mapped to build upon this one, and would come back here without end.
        part_of = schemas[target.removeprefix(_PREFIX)]["allOf"]
        part_of[part_of.index({"$ref": _PREFIX + name})] = {"$ref": _PREFIX + _BASE.format(name)}
    branches = [
        {
            "if": {"type": "object", "properties": {word: {"const": value}}, "required": [word]},
            "then": {"$ref": target},
        }
        for value, target in mapping.items()
    ]
    schemas[name] = {
        "type": ["object", "null"] if base.pop("nullable", False) else "object",
        "required": [word],
        "properties": {word: {"enum": list(mapping)}},
        "allOf": branches,
    }
