# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the documents in ``tests/vendor_specs`` say of a request; ``*-facts.json`` are our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

SPECS = Path(__file__).parent.parent / "vendor_specs"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class SentRequest:
    """One request to a vendor.

    :param vendor: the sandbox's name of the vendor.
    :param method: the HTTP method.
    :param path: the path as it was sent, percent-encoded.
    :param query: the query as it was sent.
    :param headers: the headers in lower case, but for those that hold credentials.
    :param body: the body.
    """

    vendor: str
    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return f"{self.vendor}: {self.method} {self.path}{'?' if self.query else ''}{self.query}"


class Documents:
    """The documents of all vendors.

    :param folder: has for each vendor its ``NAME-openapi.json``, our ``NAME-facts.json``, or both.
    """

    def __init__(self, folder: Path = SPECS) -> None:
        self._folder = folder
        self._paths: dict[str, list[_Path]] = {}

    def knows(self, vendor: str) -> bool:
        """Whether there is a document of this vendor.

        :param vendor: the sandbox's name of it.
        """
        return bool(self._paths_of(vendor))

    def troubles(self, request: SentRequest) -> list[str]:
        """Return what the vendor's documents do not allow about a request.

        :param request: the request, to a vendor that has a document.
        """
        return list(self._check(request))

    def _check(self, request: SentRequest) -> Iterator[str]:
        paths = [path for path in self._paths_of(request.vendor) if path.matches(request.path)]
        if not paths:
            yield f"no document of {request.vendor} has this path"
            return
        operations = [path.operations[request.method] for path in paths if request.method in path.operations]
        if not operations:
            methods = sorted({method for path in paths for method in path.operations})
            yield f"{paths[0]} has only {', '.join(methods)}"
            return
        # Our own facts come first: they are newer than what they complete.
        parameters: dict[tuple[str, str], _Parameter] = {}
        for operation in operations:
            parameters = {**operation.parameters, **parameters}
        where = ", ".join(f"{path}" for path in paths)
        for trouble in [
            *_check_path(paths[0], parameters, request.path),
            *_check_query(parameters, request.query),
            *_check_headers(parameters, dict(request.headers)),
            *_check_body(operations, request),
        ]:
            yield f"{trouble} ({where})"

    def _paths_of(self, vendor: str) -> list[_Path]:
        if vendor not in self._paths:
            names = (f"{vendor}-facts.json", f"{vendor}-openapi.json")
            self._paths[vendor] = [
                path for name in names if (self._folder / name).exists() for path in self._read(name)
            ]
        return self._paths[vendor]

    def _read(self, name: str) -> Iterator[_Path]:
        document = _Document(name, json.loads((self._folder / name).read_text()))
        for template, item in document.content["paths"].items():
            other, _, pointer = str(item.get("$ref", "")).partition("#")
            if not pointer:
                yield _Path(template, document, item)
                continue
            source = _Document(other, json.loads((self._folder / other).read_text()))
            yield _Path(template, source, source.at(pointer))


class _Document:
    """One OpenAPI document.

    :param name: its file's name.
    :param content: its content.
    """

    def __init__(self, name: str, content: dict[str, Any]) -> None:
        self.name = name
        self.content = _without_nullable(content)

    @property
    def prefix(self) -> str:
        """What every path begins with: the path of the first server's address."""
        servers: list[dict[str, str]] = self.content.get("servers") or [{"url": ""}]
        return urlsplit(servers[0]["url"]).path.rstrip("/")

    def at(self, pointer: str) -> Any:
        """Return what a JSON pointer leads to."""
        value: Any = self.content
        for part in pointer.strip("/").split("/"):
            value = value[unquote(part).replace("~1", "/").replace("~0", "~")]
        return value

    def resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what stands at the end of references."""
        while "$ref" in value:
            value = self.at(value["$ref"].removeprefix("#"))
        return value

    def validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        """Return a validator of a schema, which may refer to the document's components."""
        whole = {"allOf": [schema], "components": self.content.get("components", {})}
        return Draft202012Validator(whole, format_checker=_FORMATS)


class _Path:
    """A path, and what may be asked for there.

    :param template: the path, with parameters in braces.
    :param document: what it is described in.
    :param item: its description.
    """

    def __init__(self, template: str, document: _Document, item: Mapping[str, Any]) -> None:
        self._template = document.prefix + template
        self._document = document
        parts = re.split(r"\{([^}]+)\}", self._template)
        self.names = parts[1::2]
        self._pattern = re.compile("([^/]+)".join(re.escape(part) for part in parts[::2]))
        shared = item.get("parameters", [])
        self.operations = {
            method.upper(): _Operation(document, item[method], shared) for method in METHODS if method in item
        }

    def __str__(self) -> str:
        return f"{self._document.name}: {self._template}"

    def matches(self, path: str) -> bool:
        """Whether a request's path is one of these."""
        return self._pattern.fullmatch(path) is not None

    def values(self, path: str) -> dict[str, str]:
        """Return the parameters that a matching path has."""
        match = self._pattern.fullmatch(path)
        return dict(zip(self.names, map(unquote, match.groups() if match else ()), strict=True))


class _Operation:
    """One method of a path."""

    def __init__(self, document: _Document, operation: Mapping[str, Any], shared: list[Any]) -> None:
        given = [document.resolved(one) for one in [*shared, *operation.get("parameters", [])]]
        self.parameters = {
            (one["in"], _name_of(one["in"], one["name"])): _Parameter(document, one) for one in given
        }
        self.document = document
        self.body: Mapping[str, Any] = document.resolved(operation.get("requestBody", {}))

    @cached_property
    def bodies(self) -> dict[str, Draft202012Validator]:
        """A validator for each media type that a body may have."""
        content = self.body.get("content", {})
        return {kind: self.document.validator(content[kind]["schema"]) for kind in content}

    def body_schema(self, kind: str) -> Mapping[str, Any]:
        """Return the schema of a body."""
        return self.document.resolved(self.body["content"][kind]["schema"])


class _Parameter:
    """One parameter of a path, a query or the headers."""

    def __init__(self, document: _Document, parameter: Mapping[str, Any]) -> None:
        self.required = bool(parameter.get("required"))
        self._schema = document.resolved(parameter["schema"])
        self._items = document.resolved(self._schema.get("items", {}))
        self._validator = document.validator(self._schema)
        # Most requests differ in an id alone.
        self.trouble = lru_cache(maxsize=1000)(self._trouble)

    def _trouble(self, values: tuple[str, ...]) -> str:
        """Return what is wrong with the values that a request has of it; empty if nothing is."""
        if self._schema.get("type") == "array":
            return _first_error(self._validator, [_typed(value, self._items) for value in values])
        if len(values) > 1:
            return "it may not be repeated"
        return _first_error(self._validator, _typed(values[0], self._schema))


def _check_path(path: _Path, parameters: Mapping[tuple[str, str], _Parameter], sent: str) -> Iterator[str]:
    for name, value in path.values(sent).items():
        parameter = parameters.get(("path", name))
        if parameter and (trouble := parameter.trouble((value,))):
            yield f"{name} in the path: {trouble}"


def _check_query(parameters: Mapping[tuple[str, str], _Parameter], query: str) -> Iterator[str]:
    given: dict[str, tuple[str, ...]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        given[name] = (*given.get(name, ()), value)
    documented = {name: one for (where, name), one in parameters.items() if where == "query"}
    for name, values in given.items():
        if name not in documented:
            yield f"parameter {name} is not documented, only {', '.join(sorted(documented)) or 'none'}"
        elif trouble := documented[name].trouble(values):
            yield f"parameter {name}: {trouble}"
    for name, parameter in documented.items():
        if parameter.required and name not in given:
            yield f"parameter {name} is required"


def _check_headers(
    parameters: Mapping[tuple[str, str], _Parameter], headers: Mapping[str, str]
) -> Iterator[str]:
    for (where, name), parameter in parameters.items():
        if where != "header":
            continue
        if name not in headers:
            if parameter.required:
                yield f"header {name} is required"
        elif trouble := parameter.trouble((headers[name],)):
            yield f"header {name}: {trouble}"


def _check_body(operations: list[_Operation], request: SentRequest) -> Iterator[str]:
    operation = next((one for one in operations if one.body), operations[0])
    if not request.body:
        if operation.body.get("required"):
            yield "a body is required"
        return
    kind = dict(request.headers).get("content-type", "").partition(";")[0].strip().lower()
    if kind not in operation.bodies:
        yield f"a body of type {kind!r} is not documented, only {', '.join(operation.bodies) or 'none'}"
        return
    schema = operation.body_schema(kind)
    try:
        content = _content_of(kind, request.body, schema, operation.document)
    except ValueError as error:
        yield f"the body is no {kind}: {error}"
        return
    schema = _branch_of(schema, content, operation.document)
    validator = operation.document.validator(schema)
    if trouble := _first_error(validator, content):
        yield f"the body: {trouble}"
    names = _properties_of(schema, operation.document)
    if names and isinstance(content, dict):
        for unknown in sorted(content.keys() - names.keys()):
            yield f"the body's {unknown} is not documented, only {', '.join(sorted(names))}"


def _branch_of(schema: Mapping[str, Any], content: Any, document: _Document) -> Mapping[str, Any]:
    """Return the schema that a body's own word chooses, where a schema has others for such words."""
    chooser = schema.get("discriminator")
    word = content.get(chooser["propertyName"]) if chooser and isinstance(content, dict) else None
    reference = chooser["mapping"].get(word) if chooser and isinstance(word, str) else None
    return document.resolved({"$ref": reference}) if reference else schema


def _properties_of(schema: Mapping[str, Any], document: _Document) -> dict[str, Any]:
    """Return all fields that a schema names, those of its parts included."""
    names = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        names.update(_properties_of(document.resolved(part), document))
    return names


def _content_of(kind: str, body: bytes, schema: Mapping[str, Any], document: _Document) -> Any:
    if kind != FORM:
        return json.loads(body)
    pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    types = {name: document.resolved(one) for name, one in schema.get("properties", {}).items()}
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field is repeated")
    return {name: _typed(value, types.get(name, {})) for name, value in pairs}


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """Return a text as the type that a schema asks for, or as it is where it is no such thing."""
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _first_error(validator: Draft202012Validator, value: Any) -> str:
    error = next(validator.iter_errors(value), None)
    return "" if error is None else error.message[:300]


def _name_of(where: str, name: str) -> str:
    return name.lower() if where == "header" else name


def _without_nullable(value: Any) -> Any:
    """Return OpenAPI 3.0's ``nullable`` as JSON Schema has it."""
    if isinstance(value, list):
        return [_without_nullable(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _without_nullable(one) for key, one in value.items()}
    if plain.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


#: Ids come from users, so whether they are UUIDs is not the hooks' to say; times are made by the hooks.
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


@_FORMATS.checks("date", raises=ValueError)
def _is_day(value: object) -> bool:
    return not isinstance(value, str) or date.fromisoformat(value).isoformat() == value
