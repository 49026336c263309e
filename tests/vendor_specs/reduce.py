# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""An OpenAPI document reduced to facts: what may be sent and what is answered, without its author's prose.

From ``tests``, ``python -m vendor_specs.reduce DOCUMENT vendor_specs/NAME-openapi.json [PATH ...]`` reduces a
vendor's whole document, in JSON, to these paths, or else to those that the file has already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Says something to people, and nothing about what is valid.
PROSE = {
    "contact",
    "description",
    "example",
    "examples",
    "externalDocs",
    "license",
    "operationId",
    "summary",
    "tags",
    "termsOfService",
    "title",
    "xml",
}
#: In the place of an example: its fields, and the JSON type of each, or the fields of a field in turn.
SAMPLE, SAMPLES = "x-sample", "x-samples"
JSON_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def reduce(document: dict[str, Any], paths: list[str] | None = None) -> dict[str, Any]:
    """Return what a document says of these paths, as facts.

    :param document: the document.
    :param paths: the paths to keep; all by default.
    :raises KeyError: if the document lacks one of the paths.
    :raises ValueError: if the document has a key that is known neither as a fact nor as prose.
    """
    kept = document["paths"] if paths is None else {path: document["paths"][path] for path in paths}
    reduced: dict[str, Any] = _document({**document, "paths": kept}, "")
    used = _used_components(reduced)
    components = {
        kind: {name: one for name, one in named.items() if (kind, name) in used}
        for kind, named in reduced.get("components", {}).items()
    }
    return {**reduced, "components": {kind: named for kind, named in components.items() if named}}


def json_type(value: object) -> str:
    """Return JSON's name of a value's type.

    :param value: as `json.loads` returns it.
    """
    return JSON_TYPES[type(value)]


def fields_of(sample: dict[str, Any]) -> dict[str, Any]:
    """Return the types of a sample's fields; for a field that is an object, the types of its fields.

    :param sample: the sample.
    """
    return {
        name: {inner: json_type(one) for inner, one in value.items()}
        if isinstance(value, dict)
        else json_type(value)
        for name, value in sample.items()
    }


Reducer = Callable[[Any, str], Any]


def _fact(value: Any, where: str) -> Any:
    return value


def _list_of(reducer: Reducer) -> Reducer:
    return lambda values, where: [reducer(one, f"{where}[{place}]") for place, one in enumerate(values)]


def _named(reducer: Reducer) -> Reducer:
    """For an object whose keys are names: ``description`` is as good a name as any."""
    return lambda values, where: {name: reducer(one, f"{where}.{name}") for name, one in values.items()}


def _object(facts: dict[str, Reducer]) -> Reducer:
    def reducer(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is no object")
        reduced = {}
        for key, one in value.items():
            if key in facts:
                reduced[key] = facts[key](one, f"{where}.{key}")
            elif key not in PROSE and not key.startswith("x-"):
                raise ValueError(f"{where}.{key} is known neither as a fact nor as prose")
        return reduced

    return reducer


def _with_samples(reducer: Reducer) -> Reducer:
    def with_samples(value: Any, where: str) -> Any:
        reduced = reducer(value, where)
        if isinstance(example := value.get("example"), dict):
            reduced[SAMPLE] = fields_of(example)
        named = value.get("examples")
        found = {} if not isinstance(named, dict) else {name: one.get("value") for name, one in named.items()}
        if samples := {name: fields_of(one) for name, one in found.items() if isinstance(one, dict)}:
            reduced[SAMPLES] = samples
        return reduced

    return with_samples


def _schema(value: Any, where: str) -> Any:
    return value if isinstance(value, bool) else _schema_object(value, where)


_SCHEMAS = _list_of(_schema)
_schema_object = _with_samples(
    _object(
        {
            **dict.fromkeys(("$ref", "type", "format", "enum", "const", "default", "nullable"), _fact),
            **dict.fromkeys(("required", "pattern", "minLength", "maxLength", "uniqueItems"), _fact),
            **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _fact),
            **dict.fromkeys(("multipleOf", "minItems", "maxItems", "minProperties", "maxProperties"), _fact),
            **dict.fromkeys(("readOnly", "writeOnly", "deprecated", SAMPLE, SAMPLES), _fact),
            **dict.fromkeys(("properties", "patternProperties"), _named(_schema)),
            **dict.fromkeys(("items", "additionalProperties", "not"), _schema),
            **dict.fromkeys(("allOf", "anyOf", "oneOf"), _SCHEMAS),
            "discriminator": _object({"propertyName": _fact, "mapping": _fact}),
        }
    )
)
_CONTENT = _named(_with_samples(_object({"schema": _schema, SAMPLE: _fact, SAMPLES: _fact})))
_parameter = _object(
    {
        **dict.fromkeys(("$ref", "name", "in", "required", "deprecated", "allowEmptyValue"), _fact),
        **dict.fromkeys(("style", "explode", "allowReserved"), _fact),
        "schema": _schema,
        "content": _CONTENT,
    }
)
_body = _object({"$ref": _fact, "required": _fact, "content": _CONTENT})
_response = _object({"$ref": _fact, "headers": _named(_parameter), "content": _CONTENT})
_server = _object({"url": _fact, "variables": _named(_object({"default": _fact, "enum": _fact}))})
_operation = _object(
    {
        "parameters": _list_of(_parameter),
        "requestBody": _body,
        "responses": _named(_response),
        "deprecated": _fact,
        "security": _fact,
        "servers": _list_of(_server),
    }
)
_path = _object({"$ref": _fact, "parameters": _list_of(_parameter), **dict.fromkeys(METHODS, _operation)})
_scheme = _object(dict.fromkeys(("type", "scheme", "bearerFormat", "name", "in"), _fact))
_components = _object(
    {
        "schemas": _named(_schema),
        "responses": _named(_response),
        "parameters": _named(_parameter),
        "requestBodies": _named(_body),
        "headers": _named(_parameter),
        "securitySchemes": _named(_scheme),
    }
)
_document = _object(
    {
        "openapi": _fact,
        "info": _object({"version": _fact}),
        "servers": _list_of(_server),
        "security": _fact,
        "paths": _named(_path),
        "components": _components,
    }
)


def _used_components(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return kind and name of each component that the paths lead to."""
    components = document.get("components", {})
    used: set[tuple[str, str]] = set()
    waiting = [{key: value for key, value in document.items() if key != "components"}]
    while waiting:
        for component in set(_mentioned(waiting.pop())) - used:
            used.add(component)
            kind, name = component
            waiting.append(components[kind][name])
    return used


def _mentioned(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value.startswith("#/components/"):
        kind, name = value.split("/")[2:4]
        yield kind, name.replace("~1", "/").replace("~0", "~")
    elif isinstance(value, list):
        for one in value:
            yield from _mentioned(one)
    elif isinstance(value, dict):
        security = value.get("security")
        for alternative in security if isinstance(security, list) else []:
            yield from (("securitySchemes", name) for name in alternative)
        for one in value.values():
            yield from _mentioned(one)


def main(source: str, target: str, *paths: str) -> None:
    """Write what a document says of these paths.

    :param source: the document's file.
    :param target: the file to write.
    :param paths: the paths to keep; by default those that the target has.
    """
    file = Path(target)
    kept = list(paths) or list(json.loads(file.read_text())["paths"])
    reduced = reduce(json.loads(Path(source).read_text()), kept)
    file.write_text(json.dumps(reduced, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
