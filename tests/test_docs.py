"""The pages a person reads are true: commands parse, examples run, lists are current."""

import doctest
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from docs import generate
from spanmill.cli.app import app
from spanmill.client import Budget, Ledger, QueryAnswer, QuerySeries

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


@pytest.mark.parametrize(
    "page", [it for it in PAGES if "```pycon" in it.read_text("utf-8")], ids=lambda it: it.name
)
def test_sessions_run_as_shown(page: Path) -> None:
    """The Python sessions of a page, typed in from top to bottom, answer as the page says."""
    session = "\n".join(fences(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0)
    said: list[str] = []

    doctest.DocTestRunner().run(test, out=said.append)

    assert [] == said, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda it: str(it.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of ours finds it."""
    links = _LINK.finditer(page.read_text(encoding="utf-8"))
    missing = [it[0] for it in links if it["path"] and not (page.parent / it["path"]).exists()]

    assert [] == missing


def test_example_answers_have_every_key() -> None:
    """The answers that the API's page shows have the keys that the client promises, no others."""
    query, ledger, slo = map(json.loads, fences(ROOT / "docs" / "http-api.md", "json"))

    assert QueryAnswer.__annotations__.keys() == query.keys()
    assert QuerySeries.__annotations__.keys() == query["series"][0].keys()
    assert Ledger.__required_keys__ == ledger.keys()
    assert Budget.__annotations__.keys() == slo[0].keys()


def test_every_reason_is_explained() -> None:
    """The reasons for which an event is rejected are those that the page lists."""
    source = (ROOT / "rust" / "spanmill-core" / "src" / "ledger.rs").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    listed = page.partition("## What is not counted")[2]

    assert re.findall(r'\(Rejection::\w+, "(\w+)"\)', source) == re.findall(
        r"^\| `(\w+)` \|", listed, re.MULTILINE
    )
