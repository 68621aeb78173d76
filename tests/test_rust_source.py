"""The reader of Rust behind test_architecture sees what it must, and nothing else."""

from pathlib import Path

import pytest

from tests import rust_source

SAMPLE = """\
//! crate::comment is no import.
use crate::wire::{Span, View};
use crate::{digest::{Digest, Key}, error::Error};

/// Longer than it looks: "{" and '{' are not braces.
pub fn measured<'a>(text: &'a str) -> impl Fn() + 'a {
    let brace = ('{', "{ \\" {", r#"{"#);
    move || drop(brace)
}

trait Declared {
    fn without_body(&self);
}

#[cfg(test)]
mod tests {
    use crate::daemon::Nothing;

    #[test]
    fn hidden() {
        measured("").unwrap();
    }
}
"""


@pytest.fixture
def code(tmp_path: Path) -> str:
    """Give the sample as the checks see it."""
    path = tmp_path / "sample.rs"
    path.write_text(SAMPLE, encoding="utf-8")
    return rust_source.code_of(path)


def test_lines_keep_their_numbers(code: str) -> None:
    """What is blanked keeps its line breaks, so that a report names the right line."""
    assert SAMPLE.count("\n") == code.count("\n")


def test_imports_of_the_crate_are_found(code: str) -> None:
    """Paths into the crate are found once each, also inside braces; comments and tests are not."""
    found = [(it.name, it.line) for it in rust_source.crate_imports(code, depth=1)]

    assert [("wire", 2), ("digest", 3), ("error", 3)] == found


@pytest.mark.parametrize(
    ("depth", "source", "expected"),
    [
        (1, "use super::wire::Span;", ["wire"]),
        (2, "use super::open::Open;", []),
        (2, "use super::super::wire::Span;", ["wire"]),
        (1, "mod inner { use super::local; }", []),
        (1, "mod inner { use super::super::wire::Span; }", ["wire"]),
    ],
)
def test_super_counts_only_where_it_reaches_the_root(
    depth: int, source: str, expected: list[str]
) -> None:
    """`super` names another module of the crate only where it climbs up to the root."""
    assert expected == [it.name for it in rust_source.crate_imports(source, depth)]


def test_functions_are_measured_with_signature_and_braces(code: str) -> None:
    """A function with a body is measured from `fn` to its brace; declarations and tests are not."""
    assert [rust_source.Function("measured", 6, 4)] == list(rust_source.functions(code))


def test_test_items_are_blanked(code: str) -> None:
    """What only tests see does not count as shipped code."""
    assert "unwrap" not in code
