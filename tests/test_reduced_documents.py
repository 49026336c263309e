# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the vendors' documents in ``tests/vendor_specs`` are reduced to: all their facts, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.vendor_documents import SPECS
from vendor_specs.reduce import JSON_TYPES, SAMPLE, SAMPLES, main, reduce

FILES = sorted(SPECS.glob("*-openapi.json"))
#: Their keys are names, of which any may be a word such as `description`.
NAMES = {"properties", "patternProperties", "schemas", "parameters", "mapping", SAMPLE, SAMPLES}
FORBIDDEN = {
    *("title", "description", "summary", "example", "examples", "externalDocs", "tags", "operationId"),
    *("contact", "license", "termsOfService"),
}

#: Prose at every place that has some, beside names that look like prose and are none.
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {
        "title": "A vendor's API",
        "version": "1.0",
        "description": "Our own words.",
        "contact": {"email": "a@b.example"},
        "license": {"name": "All rights reserved"},
        "termsOfService": "https://b.example",
        "x-logo": {"url": "https://b.example/logo.svg"},
    },
    "servers": [
        {
            "url": "https://{zone}.b.example/v1",
            "variables": {"zone": {"default": "eu", "description": "Where."}},
        }
    ],
    "security": [{"key": []}],
    "tags": [{"name": "jobs", "description": "About jobs."}],
    "paths": {
        "/jobs": {
            "summary": "Jobs",
            "parameters": [
                {"name": "title", "in": "query", "description": "A title.", "schema": {"type": "string"}}
            ],
            "post": {
                "operationId": "startJob",
                "summary": "Start",
                "tags": ["jobs"],
                "x-codeSamples": ["curl"],
                "requestBody": {
                    "description": "What to start.",
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Start"},
                            "examples": {
                                "one": {"summary": "One", "value": {"title": "Monday", "size": {"rows": 0.5}}}
                            },
                        }
                    },
                },
                "responses": {
                    "201": {
                        "description": "Started.",
                        "headers": {
                            "Location": {"description": "Where it is.", "schema": {"type": "string"}}
                        },
                    },
                    "404": {"$ref": "#/components/responses/Missing"},
                },
            },
        },
        "/other": {"get": {"responses": {"200": {"description": "Other."}}}},
    },
    "components": {
        "responses": {"Missing": {"description": "There is none."}, "Unused": {"description": "Nobody's."}},
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "x-key", "description": "A key."},
            "unused": {"type": "http", "scheme": "basic"},
        },
        "schemas": {
            "Start": {
                "title": "A start",
                "description": "What starts a job.",
                "type": "object",
                "required": ["title", "kind"],
                "discriminator": {"propertyName": "kind", "mapping": {"sql": "#/components/schemas/Sql"}},
                "properties": {
                    "title": {"type": "string", "title": "Its title", "maxLength": 9, "example": "Monday"},
                    "description": {"type": "string", "nullable": True, "description": "Its description."},
                    "example": {"oneOf": [{"type": "number", "minimum": 1.0, "description": "A number."}]},
                    "kind": {"enum": ["sql", "batch"], "x-order": 1, "default": "sql"},
                    "tags": {"additionalProperties": {"type": "string", "description": "A tag."}},
                },
                "example": {
                    "title": "Monday",
                    "tags": {"a": "b", "c": {"d": 1}},
                    "parts": [1],
                    "end": None,
                    "on": True,
                },
            },
            "Sql": {"allOf": [{"$ref": "#/components/schemas/Start"}], "additionalProperties": False},
            "Unused": {"type": "string"},
        },
    },
}
REDUCED: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"version": "1.0"},
    "servers": [{"url": "https://{zone}.b.example/v1", "variables": {"zone": {"default": "eu"}}}],
    "security": [{"key": []}],
    "paths": {
        "/jobs": {
            "parameters": [{"name": "title", "in": "query", "schema": {"type": "string"}}],
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Start"},
                            "x-samples": {"one": {"title": "string", "size": {"rows": "number"}}},
                        }
                    },
                },
                "responses": {
                    "201": {"headers": {"Location": {"schema": {"type": "string"}}}},
                    "404": {"$ref": "#/components/responses/Missing"},
                },
            },
        },
    },
    "components": {
        "responses": {"Missing": {}},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-key"}},
        "schemas": {
            "Start": {
                "type": "object",
                "required": ["title", "kind"],
                "discriminator": {"propertyName": "kind", "mapping": {"sql": "#/components/schemas/Sql"}},
                "properties": {
                    "title": {"type": "string", "maxLength": 9},
                    "description": {"type": "string", "nullable": True},
                    "example": {"oneOf": [{"type": "number", "minimum": 1.0}]},
                    "kind": {"enum": ["sql", "batch"], "default": "sql"},
                    "tags": {"additionalProperties": {"type": "string"}},
                },
                "x-sample": {
                    "title": "string",
                    "tags": {"a": "string", "c": "object"},
                    "parts": "array",
                    "end": "null",
                    "on": "boolean",
                },
            },
            "Sql": {"allOf": [{"$ref": "#/components/schemas/Start"}], "additionalProperties": False},
        },
    },
}


def test_a_document_is_reduced_to_facts() -> None:
    before = json.dumps(DOCUMENT)
    reduced = reduce(DOCUMENT, ["/jobs"])
    # As text: 1.0 is not 1, and the order counts.
    assert json.dumps(reduced, indent=1).splitlines() == json.dumps(REDUCED, indent=1).splitlines()
    assert json.dumps(DOCUMENT) == before
    assert reduce(reduced) == reduced


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(KeyError, match="/none"):
        reduce(DOCUMENT, ["/none"])
    item = {
        "get": {"responses": {"200": {"content": {"text/csv": {"schema": {"contains": {"type": "null"}}}}}}}
    }
    with pytest.raises(ValueError, match=r"paths\./jobs\.get.*schema\.contains is known neither"):
        reduce({"paths": {"/jobs": item}})


def test_the_next_document_keeps_the_paths_of_the_last(tmp_path: Path) -> None:
    source, target = tmp_path / "source.json", tmp_path / "vendor-openapi.json"
    source.write_text(json.dumps(DOCUMENT))
    main(str(source), str(target), "/other")
    assert list(json.loads(target.read_text())["paths"]) == ["/other"]
    main(str(source), str(target))
    assert list(json.loads(target.read_text())["paths"]) == ["/other"]
    main(str(source), str(target), "/jobs")
    assert json.loads(target.read_text()) == REDUCED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestDocumentsOfVendors:
    def test_reducing_changes_nothing(self, path: Path) -> None:
        text = path.read_text()
        assert json.dumps(reduce(json.loads(text)), indent=1, ensure_ascii=False) + "\n" == text

    def test_no_prose_is_left(self, path: Path) -> None:
        document = json.loads(path.read_text())
        assert [where for where, key in keys(document) if key in FORBIDDEN] == []
        assert [
            where for where, key in keys(document) if key.startswith("x-") and key not in {SAMPLE, SAMPLES}
        ] == []
        # A text of the vendor's has more than a word.
        assert [text for text in texts(document) if len(text.split()) != 1] == []

    def test_samples_have_names_and_types_alone(self, path: Path) -> None:
        for sample in samples(json.loads(path.read_text())):
            assert {*texts(sample)} <= {*JSON_TYPES.values()}


def test_each_vendor_has_its_document() -> None:
    names = {path.name.partition("-")[0] for path in SPECS.glob("*.json")}
    assert names == {"amperity", "adverity", "polaris", "narrative"}
    assert len(FILES) == 3


def keys(value: Any, where: str = "", names: bool = False) -> Iterator[tuple[str, str]]:
    """Yield each key that is no name, and where it stands."""
    if isinstance(value, list):
        for one in value:
            yield from keys(one, where)
    elif isinstance(value, dict):
        for key, one in value.items():
            if not names:
                yield f"{where}/{key}", key
            yield from keys(one, f"{where}/{key}", names=not names and key in NAMES)


def texts(value: Any) -> Iterator[str]:
    """Yield each value that is a text."""
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)


def samples(value: Any) -> Iterator[Any]:
    """Yield what stands in the place of examples."""
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from [one] if key in {SAMPLE, SAMPLES} else samples(one)
    for one in value if isinstance(value, list) else ():
        yield from samples(one)
