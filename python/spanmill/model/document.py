"""YAML documents that know the place of every key, and collect all their problems."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from spanmill.model.section import Reading, Section, did_you_mean

KeyPath = tuple[str | int, ...]

_CORE_SCHEMA: Final = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
)


class _Loader(yaml.SafeLoader):
    # YAML 1.2's core schema instead of 1.1: `durability: off` must stay a word and
    # `prompt_version: 012` must stay 012.
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own declaration


for _tag, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def key_text(path: KeyPath) -> str:
    """Write a path as a person would: `views[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass
class Document:
    """
    One YAML text: its value, the place (`file:line`) of every key, and what is wrong with it.

    `problems` grows with every check; a document is good while it is empty.
    """

    source: str
    data: Any = None
    places: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def of_text(cls, text: str, source: str) -> Self:
        """Read YAML; text that is none, and keys set twice, become problems."""
        document = cls(source)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.data = _Builder(loader, document).build(node, (), ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{source}:{mark.line + 1}" if mark else source
            reason = getattr(error, "problem", None) or str(error).splitlines()[0]
            document.problems.append(f"{place}: not valid YAML: {reason}")
        finally:
            loader.dispose()
        return document

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Read a file that holds one mapping; whatever stops that becomes a problem."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            return cls(str(path), {}, problems=[f"{path}: cannot be read: {error.strerror}"])
        except UnicodeDecodeError as error:
            return cls(str(path), {}, problems=[f"{path}: not UTF-8 at byte {error.start}"])
        document = cls.of_text(text, str(path))
        if document.data is None:
            document.data = {}
        if not isinstance(document.data, dict):
            document.problems.append(f"{path}: must be a mapping of keys to values")
            document.data = {}
        return document

    def place(self, path: KeyPath) -> str:
        """Say where a key stands, or else the closest section around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.source)

    def add_problem(self, path: KeyPath, message: str) -> None:
        """Note one problem as `place: key.path: message`."""
        parts = (self.place(path), key_text(path), message)
        self.problems.append(": ".join(part for part in parts if part))


@dataclass
class _Builder:
    """Turns YAML nodes into plain values and notes each key's place."""

    loader: _Loader
    document: Document

    def build(self, node: yaml.Node, path: KeyPath, around: tuple[yaml.Node, ...]) -> object:
        self.document.places.setdefault(path, self.at(node))
        if node in around:
            self.document.add_problem(path, "contains itself")
            return None
        inside = (*around, node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i), inside) for i, item in enumerate(node.value)]
        return self.loader.construct_object(node)

    def mapping(
        self, node: yaml.MappingNode, path: KeyPath, inside: tuple[yaml.Node, ...]
    ) -> dict[str, object]:
        built: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.problems.append(f"{self.at(key_node)}: a key must be a single word")
                continue
            key = str(key_node.value)
            inner = (*path, key)
            if key in built:
                twice = f"set again at {self.at(key_node)}; remove one"
                self.document.add_problem(inner, twice)
                continue
            self.document.places[inner] = self.at(key_node)
            built[key] = self.build(value_node, inner, inside)
        return built

    def at(self, node: yaml.Node) -> str:
        return f"{self.document.source}:{node.start_mark.line + 1}"


S = TypeVar("S", bound=Section)


def read_as(document: Document, model: type[S], reading: Reading) -> S | None:
    """Check a document against a section; None where that finds problems, all noted in it."""
    try:
        return model.model_validate(document.data, context=reading)
    except ValidationError as error:
        schema = model.model_json_schema()
        for one in error.errors():
            path = _path_in(document.data, one["loc"])
            document.add_problem(path, _message(one, path, schema))
        return None


_PLAIN: Final = {
    "missing": "required, but missing",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "tuple_type": "must be a list",
}
_SUBJECT: Final = re.compile(r"^(Input|String|Tuple|Value) should ")


def _message(error: ErrorDetails, path: KeyPath, schema: dict[str, Any]) -> str:
    """Say what is wrong in an operator's words; pydantic's own where they already are."""
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key; {did_you_mean(str(path[-1]), _known_keys(schema, path[:-1]))}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "union_tag_invalid":
            return f"{error['ctx']['tag']!r} is not one of {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"needs the key {error['ctx']['discriminator']}"
    return _PLAIN.get(error["type"]) or _SUBJECT.sub("must ", error["msg"])


def _path_in(data: Any, loc: tuple[str | int, ...]) -> KeyPath:  # noqa: ANN401  as YAML gives it
    """Drop what pydantic adds to a location (names of union members) but no file contains."""
    path: KeyPath = ()
    for depth, part in enumerate(loc):
        # A missing key is the last part, and in no file; "[key]" marks a key as the culprit.
        missing = depth == len(loc) - 1 and part != "[key]"
        inside = _holds(data, part)
        if inside:
            data = data[part]
        if inside or missing:
            path = (*path, part)
    return path


def _holds(data: object, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int)


def _known_keys(schema: dict[str, Any], path: KeyPath) -> set[str]:
    """List the keys a JSON Schema allows at a path."""
    branches = _branches(schema, schema)
    for part in path:
        inside = [
            branch.get("items") if isinstance(part, int) else branch.get("properties", {}).get(part)
            for branch in branches
        ]
        branches = [b for one in inside if one is not None for b in _branches(one, schema)]
    return {key for branch in branches for key in branch.get("properties", {})}


def _branches(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Resolve references and unions into the plain schemas a value may follow."""
    if "$ref" in node:
        return _branches(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    unions = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
    return [branch for one in unions for branch in _branches(one, schema)] or [node]
