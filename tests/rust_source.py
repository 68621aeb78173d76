"""Just enough of Rust's grammar to hold the tree's rules: blank what is not code, find items."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NOT_CODE: Final = re.compile(
    r"""
      //[^\n]*
    | /\*.*?\*/
    | r(?P<hashes>\#*)".*?"(?P=hashes)
    | "(?:\\.|[^"\\])*"
    | '(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^\\'])'
    """,
    re.VERBOSE | re.DOTALL,
)
_TEST_ITEM: Final = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)?\]")
_FUNCTION: Final = re.compile(r"\bfn\s+(?P<name>\w+)")
_CRATE_PATH: Final = re.compile(r"\bcrate::(?P<rest>\w+|\{)")
_SUPER_PATH: Final = re.compile(r"(?<![\w:])(?P<ups>(?:super::)+)(?P<rest>\w+|\{)")
_CLOSING: Final = {"{": "}", "(": ")", "[": "]"}


@dataclass(frozen=True)
class Function:
    """One function with a body; `lines` counts its signature and braces."""

    name: str
    line: int
    lines: int


@dataclass(frozen=True)
class Import:
    """A path into the crate's root: `name` is the module that it starts with."""

    name: str
    line: int


def code_of(path: Path) -> str:
    """Read a file with comments, literals and test items blanked; lines keep their numbers."""
    return _without_tests(_NOT_CODE.sub(_blank, path.read_text(encoding="utf-8")))


def functions(code: str) -> Iterator[Function]:
    """Find every function with a body."""
    for match in _FUNCTION.finditer(code):
        body = _next_at_depth_0(code, match.end(), "{;")
        if body is None or code[body] == ";":
            continue
        end = _closing(code, body)
        yield Function(
            match["name"], _line(code, match.start()), 1 + code.count("\n", match.start(), end)
        )


def crate_imports(code: str, depth: int) -> Iterator[Import]:
    """
    Find the top-level modules that a file names.

    Args:
        code: What `code_of` gave.
        depth: How many modules the file lies below the crate's root: 1 for `ingest.rs`
            and `digest/mod.rs`, 2 for `digest/open.rs`.
    """
    for match in _CRATE_PATH.finditer(code):
        yield from _heads(code, match)
    for match in _SUPER_PATH.finditer(code):
        # A nested module's own `super` points at this file, not at the root.
        nested = _module_depth(code, match.start())
        if match["ups"].count("super") == depth + nested:
            yield from _heads(code, match)


def _heads(code: str, match: re.Match[str]) -> Iterator[Import]:
    line = _line(code, match.start())
    if match["rest"] != "{":
        yield Import(match["rest"], line)
        return
    start = match.start("rest")
    group = code[start + 1 : _closing(code, start)]
    flat = group
    while flat != (flat := re.sub(r"\{[^{}]*\}", "", flat)):
        pass
    for item in flat.split(","):
        if head := re.match(r"\s*(\w+)", item):
            yield Import(head[1], line)


def _module_depth(code: str, at: int) -> int:
    return sum(
        opened.start() < at < _closing(code, opened.end() - 1)
        for opened in re.finditer(r"\bmod\s+\w+\s*\{", code)
    )


def _without_tests(code: str) -> str:
    while match := _TEST_ITEM.search(code):
        end = _next_at_depth_0(code, match.end(), "{;")
        if end is None:
            return code[: match.start()]
        if code[end] == "{":
            end = _closing(code, end)
        item = code[match.start() : end + 1]
        code = code[: match.start()] + _spaces(item) + code[end + 1 :]
    return code


def _next_at_depth_0(code: str, start: int, wanted: str) -> int | None:
    depth = 0
    for at in range(start, len(code)):
        if depth == 0 and code[at] in wanted:
            return at
        depth += (code[at] in "([") - (code[at] in ")]")
    return None


def _closing(code: str, opening: int) -> int:
    open_sign, close_sign = code[opening], _CLOSING[code[opening]]
    depth = 0
    for at in range(opening, len(code)):
        depth += (code[at] == open_sign) - (code[at] == close_sign)
        if depth == 0:
            return at
    return len(code) - 1


def _blank(match: re.Match[str]) -> str:
    return _spaces(match[0])


def _spaces(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _line(code: str, at: int) -> int:
    return 1 + code.count("\n", 0, at)
