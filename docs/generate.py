"""
Write the generated parts of docs/: what stands between two `generated` comments of a page.

    .venv/bin/python docs/generate.py

Each part comes from the one place that the product itself reads: the config's JSON Schema, the
conventions' tables, the registry of signals. `tests/test_docs.py` checks that the pages are current.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from spanmill.slo.files import ObjectiveFile

Schema = dict[str, Any]

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
CORE: Final = ROOT / "rust" / "spanmill-core" / "src"

_PART: Final = re.compile(
    r"(?P<open><!-- generated: (?P<name>\w+) -->\n).*?(?P<close><!-- /generated -->)", re.DOTALL
)
_ATTRIBUTE: Final = re.compile(
    r'\b(?P<how>text|number|milliseconds)\("(?P<key>[^"]+)", \w+::(?P<signal>\w+)\)'
)
_SIGNAL: Final = re.compile(
    r'^\s+(?P<variant>\w+) "(?P<name>\w+)"(?: (?P<unit>\w+))?: "(?P<doc>[^"]+)";$', re.MULTILINE
)
_SCALES: Final = {
    "duration": ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")),
    "size": ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")),
}
_STRINGS: Final = {"path": "path"}
_LOWER: Final = {"minimum": "≥", "exclusiveMinimum": ">"}
_UPPER: Final = {"maximum": "≤", "exclusiveMaximum": "<"}
_UNITS: Final = {"Seconds": "s", "Tokens": "{token}", "Dollars": "USD"}


def main() -> None:
    """Write every page that has a generated part, and say which changed."""
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        new = render(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


def render(page: str) -> str:
    """Give a page with its generated parts current."""
    return _PART.sub(lambda part: part["open"] + PARTS[part["name"]]() + part["close"], page)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    """Write one Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def signals() -> dict[str, tuple[str, str, str]]:
    """Read the registry: variant to name, unit (empty for a dimension) and meaning."""
    source = (CORE / "signal.rs").read_text(encoding="utf-8")
    return {
        it["variant"]: (it["name"], _UNITS.get(it["unit"], ""), it["doc"])
        for it in _SIGNAL.finditer(source)
    }


def measures() -> str:
    """List measures with units."""
    rows = [(f"`{name}`", f"`{unit}`", doc) for name, unit, doc in signals().values() if unit]
    return "\n" + table(("measure", "unit", "meaning"), rows) + "\n"


def dimensions() -> str:
    """List dimensions."""
    rows = [(f"`{name}`", doc) for name, unit, doc in signals().values() if not unit]
    return "\n" + table(("dimension", "meaning"), rows) + "\n"


def conventions() -> str:
    """List what each convention reads, in order of precedence."""
    order = (CORE / "convention" / "mod.rs").read_text(encoding="utf-8")
    listed = re.search(r"const CONVENTIONS: .*?=\s*&\[(.*?)\];", order, re.DOTALL)
    if listed is None:
        raise LookupError("convention/mod.rs has no list CONVENTIONS")
    return "\n" + "\n".join(_convention(it) for it in re.findall(r"&(\w+)::", listed[1])) + "\n"


def _convention(module: str) -> str:
    source = (CORE / "convention" / f"{module}.rs").read_text(encoding="utf-8")
    name = re.search(r'fn name\(.*?"([^"]+)"', source, re.DOTALL)
    doc = re.search(r"((?:^///.*\n)+)pub\(super\) struct", source, re.MULTILINE)
    if name is None or doc is None:
        raise LookupError(f"convention/{module}.rs has no name or no doc")
    text = re.sub(r"^/// ?", "", doc[1], flags=re.MULTILINE)
    return f"### {name[1]}\n\n{text}\n" + table(("attribute", "fills"), list(_attributes(source)))


def _attributes(source: str) -> Iterator[tuple[str, str]]:
    registry = signals()
    for it in _ATTRIBUTE.finditer(source):
        name, unit, _ = registry[it["signal"]]
        read_as = "ms, read as s" if it["how"] == "milliseconds" else unit
        yield f"`{it['key']}`", f"`{name}` ({read_as})" if unit else f"`{name}`"


def configuration() -> str:
    """List every key of the config file with its type, default and meaning."""
    command = [sys.executable, "-m", "spanmill", "config", "schema"]
    schema = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return "\n" + "\n".join(_sections(schema, schema, "")) + "\n"


def objectives() -> str:
    """List every key of an objective file with its type, default and meaning."""
    schema = ObjectiveFile.model_json_schema()
    return "\n" + "\n".join(_sections(schema, schema, "")) + "\n"


def _sections(node: Schema, schema: Schema, prefix: str) -> Iterator[str]:
    rows = []
    below: list[tuple[str, Schema]] = []
    for key, value in node["properties"].items():
        sections, path = _sections_of(value, schema, f"{prefix}{key}")
        if sections:
            below += [(path, section) for section in sections]
        if not sections or "default" in value or len(sections) > 1:
            rows.append(_row(key, value, key in node.get("required", ())))
    if rows:
        yield _heading(node, prefix) + table(("key", "type", "default", "meaning"), rows)
    for path, section in below:
        yield from _sections(section, schema, f"{path}.")


def _heading(node: Schema, prefix: str) -> str:
    if not prefix:
        return ""
    kind = node["properties"].get("kind", {}).get("const")
    title = f"`{prefix.rstrip('.')}`" + (f" of kind `{kind}`" if kind else "")
    return f"### {title}\n\n{node.get('description', '')}\n\n"


def _sections_of(value: Schema, schema: Schema, path: str) -> tuple[list[Schema], str]:
    """Find the sections that stand under a key; a list's have `[]` in their path."""
    if "items" in value:
        return _sections_of(value["items"], schema, f"{path}[]")
    members = [value, *value.get("anyOf", []), *value.get("oneOf", [])]
    named = [schema["$defs"][it["$ref"].rpartition("/")[2]] for it in members if "$ref" in it]
    return [it for it in named if "properties" in it], path


def _row(key: str, value: Schema, required: bool) -> tuple[str, ...]:
    default = "required" if required else _default(value)
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
    members = value.get("anyOf") or value.get("oneOf")
    if members:
        names = [_type(it) for it in members if it.get("type") != "null"]
        written = [it["pattern"] for it in members if "pattern" in it]
        if len(members) == 2 and written:
            return "duration" if "ms|s" in written[0] else "size"
        return " or ".join(dict.fromkeys(names))
    match value.get("type"):
        case "array":
            return f"list of {_type(value['items'])}"
        case "object":
            return "mapping"
        case "string":
            return _STRINGS.get(value.get("format", ""), "text")
        case list() as several:
            return " or ".join(several)
        case str() as one:
            return one + _range(value)
    return "section" if "$ref" in value and "Json" not in value["$ref"] else "any"


def _range(value: Schema) -> str:
    low = [f"{sign} {value[key]}" for key, sign in _LOWER.items() if key in value]
    high = [f"{sign} {value[key]}" for key, sign in _UPPER.items() if key in value]
    return "".join(f" {it}" for it in low + high)


PARTS: Final[dict[str, Callable[[], str]]] = {
    "configuration": configuration,
    "conventions": conventions,
    "dimensions": dimensions,
    "measures": measures,
    "objectives": objectives,
}


if __name__ == "__main__":
    main()
