"""A document knows where every key stands and lists everything that is wrong with it."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from spanmill.model import (
    ConfigPath,
    DimensionName,
    Document,
    Reading,
    Seconds,
    Section,
    Where,
    read_as,
)

READING = Reading(Path("/etc/spanmill"), {"ttft": "s"}, ["model", "tenant", "region"])


class Circle(Section):
    """A union's member."""

    kind: Literal["circle"]
    radius: float


class Square(Section):
    """The other member."""

    kind: Literal["square"]
    side: float


class Inner(Section):
    """A section in a section."""

    wait: Seconds = 1.0
    path: ConfigPath = Path("x")


class Outer(Section):
    """A document."""

    inner: Inner = Inner()
    shapes: tuple[Annotated[Circle | Square, Field(discriminator="kind")], ...] = ()
    where: Where = Field(default={})
    by: tuple[DimensionName, ...] = ()


def problems(text: str) -> list[str]:
    """Read a text as an `Outer` and give its problems."""
    document = Document.of_text(text, "f.yaml")
    if not document.problems:
        read_as(document, Outer, READING)
    return document.problems


def test_every_problem_at_once_where_it_stands() -> None:
    """All problems of a document are listed together, each with file, line and key path."""
    text = """\
inner:
  wait: soon
  waite: 5s
shapes:
  - {kind: circle, radius: big}
  - kind: hexagon
  - {kind: square, sid: 4}
by: [model, tennant]
"""
    assert [
        "f.yaml:2: inner.wait: 'soon' is not a duration such as 90, 90s, 5m or 30d",
        "f.yaml:3: inner.waite: unknown key; did you mean wait?",
        "f.yaml:5: shapes[0].radius: must be a valid number, unable to parse string as a number",
        "f.yaml:6: shapes[1]: 'hexagon' is not one of 'circle', 'square'",
        "f.yaml:7: shapes[2].side: required, but missing",
        "f.yaml:7: shapes[2].sid: unknown key; did you mean side?",
        "f.yaml:8: by[1]: no dimension 'tennant'; did you mean tenant?",
    ] == problems(text)


def test_a_name_like_no_other_lists_all() -> None:
    """Where no known name is near, all are listed."""
    assert ["f.yaml:1: zzz: unknown key; known: by, inner, shapes, where"] == problems("zzz: 1")


def test_keys_set_twice() -> None:
    """A key set twice is refused with both places: YAML would silently keep the last."""
    assert ["f.yaml:1: inner: set again at f.yaml:3; remove one"] == problems(
        "inner:\n  wait: 1s\ninner:\n  wait: 2s\n"
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("f.yaml:1: not valid YAML", "a: ["),
        ("f.yaml:1: not valid YAML", "a: !!python/object:os.system x"),
        ("f.yaml:1: a[0]: contains itself", "a: &x [*x]"),
        ("f.yaml:1: a key must be a single word", "? [a, b]\n: 1"),
    ],
)
def test_bad_yaml(problem: str, text: str) -> None:
    """YAML that cannot be a config is a problem with its line, never a crash."""
    found = problems(text)

    assert 1 == len(found)
    assert problem in found[0]


def test_words_stay_words() -> None:
    """`off`, `no` and numbers with leading zeros stay what was written, as in YAML 1.2."""
    document = Document.of_text("a: off\nb: no\nc: 012\nd: 1e3\ne: true\nf: ~", "f.yaml")

    assert {"a": "off", "b": "no", "c": "012", "d": 1000.0, "e": True, "f": None} == document.data


@pytest.mark.parametrize(
    ("problem", "content"),
    [
        ("must be a mapping of keys to values", b"- a\n- b\n"),
        ("not UTF-8 at byte 3", b"a: \xff\n"),
    ],
)
def test_bad_files(problem: str, content: bytes, tmp_path: Path) -> None:
    """A file that is no mapping, or no text, is one problem that names the file."""
    path = tmp_path / "f.yaml"
    path.write_bytes(content)

    assert [f"{path}: {problem}"] == Document.of_file(path).problems


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is one problem that names it."""
    path = tmp_path / "f.yaml"

    assert [f"{path}: cannot be read: No such file or directory"] == Document.of_file(path).problems


def test_empty_section() -> None:
    """A section whose keys are all commented out has its defaults."""
    document = Document.of_text("inner:\n", "f.yaml")

    assert Outer() == read_as(document, Outer, Reading(Path(), {}, []))


def test_relative_paths_start_at_the_file() -> None:
    """A relative path starts at the file's folder, an absolute one stays."""
    document = Document.of_text("inner: {path: lake}", "f.yaml")
    absolute = Document.of_text("inner: {path: /lake}", "f.yaml")
    read, read_absolute = (read_as(it, Outer, READING) for it in (document, absolute))

    assert read is not None
    assert read_absolute is not None
    assert Path("/etc/spanmill/lake") == read.inner.path
    assert Path("/lake") == read_absolute.inner.path


def test_where_takes_one_value_or_several() -> None:
    """A condition is one value or a list, and booleans and integers become their text."""
    document = Document.of_text("where: {model: a, tenant: [x, y], region: true}", "f.yaml")
    read = read_as(document, Outer, READING)

    assert read is not None
    assert {"model": ("a",), "tenant": ("x", "y"), "region": ("true",)} == read.where


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("f.yaml:1: where.modle: no dimension 'modle'; did you mean model?", "{modle: a}"),
        ("f.yaml:1: where.model: 1.1 loses digits as a number; put it in quotes", "{model: 1.10}"),
        (
            (
                "f.yaml:1: where.model: an empty list would match no event; "
                "leave the dimension out to match all"
            ),
            "{model: []}",
        ),
        (
            "f.yaml:1: where.model: {'a': 1} is neither a value nor a list of values",
            "{model: {a: 1}}",
        ),
    ],
)
def test_bad_conditions(problem: str, value: str) -> None:
    """A condition that would never match, or not what was meant, is refused."""
    assert [problem] == problems(f"where: {value}")
