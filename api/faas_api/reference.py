"""The API's reference for people, `docs/api-reference.md`, made of its OpenAPI description.

`scripts/openapi` writes both; a test compares them. What the fields mean in all is `docs/api.md`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faas_api.openapi import document

Schema = Mapping[str, Any]

_HEAD = """# API reference

Made of [`api/openapi.json`](../api/openapi.json) by `scripts/openapi`; do not edit. What is behind the
routes, limits and errors: [api.md](api.md). Every answer with a status of 400 or more is an
[ErrorBody](#object-errorbody).
"""


def reference(description: Schema) -> str:
    """Markdown: operations by tag, then the objects that they take and answer."""
    parts = [_HEAD, *_operations(description), "## Objects\n"]
    for name, schema in sorted(description["components"]["schemas"].items()):
        parts.append("\n".join([f"### Object {name}\n", *_object(schema)]))
    return "\n".join(parts).rstrip() + "\n"


def _operations(description: Schema) -> Iterator[str]:
    found = [
        (operation["tags"][0], path, method, operation)
        for path, item in description["paths"].items()
        for method, operation in item.items()
    ]
    for tag in dict.fromkeys(tag for tag, *_ in found):
        yield f"## {tag.capitalize()}\n"
        for _, path, method, operation in (entry for entry in found if entry[0] == tag):
            yield "\n".join(_operation(path, method, operation))


def _operation(path: str, method: str, operation: Schema) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield operation["description"].strip() + "\n"
    scopes = [scope for need in operation.get("security", ()) for scope in next(iter(need.values()))]
    yield f"Needs a key with the scope `{scopes[0]}`.\n" if scopes else "Needs no key.\n"
    rows = [
        (f"`{one['name']}`", one["in"], _type(one["schema"]), one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    yield from _table(("parameter", "in", "type", "meaning"), rows)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body (`{kind}`): {_type(content['schema'])}\n"
    answers = [
        (status, _answered(answer), answer["description"])
        for status, answer in operation["responses"].items()
        if status != "default"
    ]
    yield from _table(("status", "answer", ""), answers)


def _answered(answer: Schema) -> str:
    shapes = [
        _type(content["schema"]) if "schema" in content else f"`{kind}`"
        for kind, content in answer.get("content", {}).items()
    ]
    return " or ".join(shapes)


def _object(schema: Schema) -> Iterator[str]:
    if text := schema.get("description"):
        yield f"{text.strip()}\n"
    needed = schema.get("required", ())
    rows = [
        (f"`{name}`", _type(field), _default(field, name in needed), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    yield from _table(("field", "type", "default", "meaning"), rows)
    if "enum" in schema:
        yield f"{_type(schema)}\n"


def _default(field: Schema, needed: bool) -> str:
    return "" if needed or "default" not in field else f"`{json.dumps(field['default'])}`"


def _type(schema: Schema) -> str:
    """A schema in a few words; objects of their own are linked."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#object-{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_type(schema['additionalProperties'])}"
    return f"{kind}{_range(schema)}"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return ""
    return f", {low:.15g} to {high:.15g}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    for row in (head, ("---",) * len(head), *rows):
        cells = (cell.replace("\n", " ").replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    print(reference(json.loads(document())), end="")
