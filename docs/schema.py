"""A JSON Schema as tables of keys: type, default, meaning."""

import json
from collections.abc import Iterator
from typing import Any, Final

from docs.table import table

Schema = dict[str, Any]

_SCALES: Final = {
    "duration": ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")),
    "size": ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")),
}
_BOUNDS: Final = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def sections(schema: Schema) -> Iterator[str]:
    """Write a table for each section, the outermost first."""
    yield from _sections(schema, schema, "")


def _sections(node: Schema, schema: Schema, prefix: str) -> Iterator[str]:
    rows = []
    below: list[tuple[str, Schema]] = []
    for key, value in node["properties"].items():
        path, found = _sections_under(value, schema, f"{prefix}{key}")
        below += [(path, section) for section in found]
        if not found or key in node.get("required", ()):
            rows.append(_row(key, value, node.get("required", ())))
    if rows:
        yield _heading(node, prefix) + table(("key", "type", "default", "meaning"), rows)
    for path, section in below:
        yield from _sections(section, schema, f"{path}.")


def _sections_under(value: Schema, schema: Schema, path: str) -> tuple[str, list[Schema]]:
    """Find the sections that stand under a key; a list's have `[]` in their path."""
    if "items" in value:
        return _sections_under(value["items"], schema, f"{path}[]")
    members = [value, *value.get("anyOf", ()), *value.get("oneOf", ())]
    named = [schema["$defs"][it["$ref"].rpartition("/")[2]] for it in members if "$ref" in it]
    return path, [it for it in named if "properties" in it]


def _heading(node: Schema, prefix: str) -> str:
    if not prefix:
        return ""
    kind = node["properties"].get("kind", {}).get("const")
    title = f"`{prefix.rstrip('.')}`" + (f" of kind `{kind}`" if kind else "")
    return f"### {title}\n\n{node.get('description', '')}\n\n"


def _row(key: str, value: Schema, required: tuple[str, ...]) -> tuple[str, ...]:
    default = "required" if key in required else _default(value)
    meaning = " ".join(value.get("description", "").split()).replace("|", "\\|")
    return f"`{key}`", _type(value), default, meaning


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    scale = _SCALES.get(_type(value))
    if not scale:
        return f"`{json.dumps(default)}`"
    size, unit = next((it for it in scale if default % it[0] == 0), scale[-1])
    return f"`{default / size:g}{unit}`"


def _type(value: Schema) -> str:
    if "enum" in value:
        return " or ".join(f"`{it}`" for it in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if members := value.get("anyOf") or value.get("oneOf"):
        return _either(members)
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    return _plain(value)


def _either(members: list[Schema]) -> str:
    """Name a choice; a number that may carry a unit goes by what it is."""
    for pattern in (it.get("pattern", "") for it in members):
        if "ms|s" in pattern:
            return "duration"
        if "KiB" in pattern:
            return "size"
    names = [_type(it) for it in members if it.get("type") != "null"]
    return " or ".join(dict.fromkeys(names))


def _plain(value: Schema) -> str:
    bounds = "".join(f" {sign} {value[key]}" for key, sign in _BOUNDS.items() if key in value)
    names = value.get("type", "any" if value.get("$ref", "").endswith("/JsonValue") else "section")
    if isinstance(names, list):
        return " or ".join(names)
    return {"string": value.get("format", "text"), "object": "mapping"}.get(names, names) + bounds
