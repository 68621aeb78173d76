"""The pages a person reads are true: commands parse, examples check, lists are current."""

import json
import re
import shlex
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from typer.testing import CliRunner

from docs import generate
from spanmill.cli.app import app
from spanmill.client import (
    Budget,
    CompareAnswer,
    DistinctAnswer,
    HeatmapAnswer,
    Ledger,
    QueryAnswer,
    RangeAnswer,
    TopAnswer,
)
from spanmill.client.answers import SeriesEntry

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

_FENCE: Final = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\((?!https?:)(?P<path>[^)#]+)?(?P<anchor>#[^)]*)?\)")
_END_OF_COMMAND: Final = re.compile(r"^[|&;<>()]+$")


def fences(page: Path, language: str) -> list[str]:
    """Give the bodies of a page's fenced blocks in one language."""
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [it["body"] for it in found if it["language"] == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Give every command that a page shows, as a shell would split it."""
    for page in PAGES:
        for body in fences(page, "console"):
            for line in body.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                words = list(lexer)
                end = next((i for i, it in enumerate(words) if _END_OF_COMMAND.match(it)), None)
                if words:
                    yield str(page.relative_to(ROOT)), words[:end]


SPANMILL: Final = [
    pytest.param(words[1:], id=f"{page}: {shlex.join(words)}")
    for page, words in commands()
    if words[0].endswith("spanmill")
]
MAKE: Final = [
    pytest.param(words[1], id=f"{page}: {shlex.join(words)}")
    for page, words in commands()
    if words[0] == "make"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda it: str(it.relative_to(ROOT)))
def test_generated_parts_are_current(page: Path) -> None:
    """What a page lists is what the product has; `make docs` writes it again."""
    text = page.read_text(encoding="utf-8")

    assert generate.render(text) == text


@pytest.mark.parametrize("words", SPANMILL)
def test_every_spanmill_command_parses(words: list[str]) -> None:
    """Each command of ours that a page shows exists, with these options."""
    answer = CliRunner().invoke(app, [*words, "--help"])

    assert 0 == answer.exit_code, answer.output


@pytest.mark.parametrize("target", MAKE)
def test_every_make_target_exists(target: str) -> None:
    """Each `make` command that a page shows names a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    "page", [it for it in PAGES if "# slos.yaml" in it.read_text("utf-8")], ids=lambda it: it.name
)
def test_example_files_are_good(page: Path, tmp_path: Path) -> None:
    """A config and objectives that a page shows pass `spanmill config check` as they stand."""
    config = tmp_path / "spanmill.yaml"
    config.write_text("slo: {files: [slos.yaml]}\n", encoding="utf-8")
    for body in fences(page, "yaml"):
        named = re.match(r"# (spanmill|slos)\.yaml\n", body)
        if named:
            (tmp_path / f"{named[1]}.yaml").write_text(body, encoding="utf-8")

    answer = CliRunner().invoke(app, ["config", "check", "-c", str(config)])

    assert 0 == answer.exit_code, answer.output


@pytest.mark.parametrize("page", PAGES, ids=lambda it: str(it.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of ours finds it."""
    links = _LINK.finditer(page.read_text(encoding="utf-8"))
    missing = [it[0] for it in links if it["path"] and not (page.parent / it["path"]).exists()]

    assert [] == missing


def answers() -> Iterator[tuple[str, object]]:
    """Give each answer that the API's page shows, with the endpoint whose section it stands in."""
    page = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", page, flags=re.MULTILINE):
        endpoint = re.match(r"GET /api/v1/(\w+)", section)
        for found in _FENCE.finditer(section):
            if endpoint and found["language"] == "json":
                yield endpoint[1], json.loads(found["body"])


ANSWERS: Final[dict[str, object]] = {
    "query": QueryAnswer,
    "query_range": RangeAnswer,
    "heatmap": HeatmapAnswer,
    "compare": CompareAnswer,
    "distinct": DistinctAnswer,
    "top": TopAnswer,
    "ledger": Ledger,
    "slo": list[Budget],
}
"""What the client promises of each answer that the page shows."""


def misfits(value: object, wanted: object, at: str) -> Iterator[str]:
    """Name every place where a value is not of the type that the client promises."""
    if get_origin(wanted) in (types.UnionType, Union):
        tried = [list(misfits(value, one, at)) for one in get_args(wanted)]
        # Where none fits, the first says what would: `None` stands last.
        yield from [] if [] in tried else tried[0]
    elif is_typeddict(wanted) and get_type_hints(wanted).keys() != keys(value):
        yield f"{at} has {sorted(keys(value))}, promised are {sorted(get_type_hints(wanted))}"
    elif not fits(value, get_origin(wanted) or wanted):
        yield f"{at} is {value!r}, promised is {wanted}"
    else:
        for part, hint, place in parts(value, wanted, at):
            yield from misfits(part, hint, place)


def keys(value: object) -> set[str]:
    """Give the keys of an object; none of anything else."""
    return set(value) if isinstance(value, dict) else set()


def fits(value: object, kind: Any) -> bool:  # noqa: ANN401  a type or its origin
    """Say whether JSON's value is of a kind; JSON does not tell 2.0 from 2."""
    if is_typeddict(kind):
        return isinstance(value, dict)
    if kind is float:
        return isinstance(value, float | int)
    return isinstance(value, list if kind is tuple else kind)


def parts(value: object, wanted: object, at: str) -> Iterator[tuple[object, object, str]]:
    """Give what a value is made of, with the type that each part should have and its place."""
    hints = get_args(wanted)
    if isinstance(value, dict):
        named = get_type_hints(wanted) if is_typeddict(wanted) else {}
        for key, part in value.items():
            yield part, named[key] if named else hints[1], f"{at}.{key}"
    elif isinstance(value, list):
        each = hints if get_origin(wanted) is tuple else hints * len(value)
        for place, (part, hint) in enumerate(zip(value, each, strict=True)):
            yield part, hint, f"{at}[{place}]"


def test_example_answers_are_as_promised() -> None:
    """Each answer on the API's page has the keys and types that the client promises, no others."""
    shown = dict(answers())

    assert ANSWERS.keys() == shown.keys()
    assert [] == [it for name, one in shown.items() for it in misfits(one, ANSWERS[name], name)]


def test_a_misfit_is_named() -> None:
    """A key too many, a key that lacks and a wrong type are each found where they are."""
    entry = {"id": 1, "dims": {"model": 2}, "count": None}

    assert ["e.dims.model is 2", "e.count is None"] == [
        it.partition(",")[0] for it in misfits(entry, SeriesEntry, "e")
    ]
    assert 1 == len(list(misfits(entry | {"more": 1}, SeriesEntry, "e")))


def test_every_reason_is_explained() -> None:
    """The reasons for which an event is rejected are those that the page lists."""
    source = (ROOT / "rust" / "spanmill-core" / "src" / "ledger.rs").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    listed = page.partition("## What is not counted")[2]

    assert re.findall(r'\(Rejection::\w+, "(\w+)"\)', source) == re.findall(
        r"^\| `(\w+)` \|", listed, re.MULTILINE
    )
