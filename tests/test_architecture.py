"""The tree keeps the shape that DESIGN.md draws: layers, sizes, docstrings, a thin binding."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests import rust_source

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "python" / "spanmill"
CORE: Final = ROOT / "rust" / "spanmill-core" / "src"
BINDING: Final = ROOT / "rust" / "spanmill-py" / "src"

PYTHON_LAYERS: Final = {
    0: {"allocator", "errors", "model", "log", "v1", "_core"},
    1: {"engine", "receiver", "api", "slo", "sink", "client", "demo", "writer"},
    2: {"config", "__init__"},
    3: {"daemon"},
    4: {"cli", "__main__"},
}
"""Parts of `spanmill`; one imports parts of a lower layer, or of its own."""

SIBLINGS: Final = {1}
"""Layers of which no part imports another: each can be read, and taken out, alone."""

RUST_LAYERS: Final = {
    0: {"clock", "codec", "disk", "error", "signal"},
    1: {"config", "digest", "file", "folder", "pack", "secret", "stats", "value", "wire"},
    2: {"journal", "ledger", "overflow", "series", "skew", "sli", "wide", "window"},
    3: {"archive", "budget", "companion", "convention", "dedupe"},
    4: {"sequence", "view"},
    5: {"batch", "filing"},
    6: {"columns", "record"},
    7: {"state"},
    8: {"fingerprint", "ingest", "query", "retirement", "rollup"},
    9: {"checkpoint"},
    10: {"doctor", "recover", "upkeep"},
    11: {"threads"},
    12: {"lib"},
}
"""Modules of spanmill-core; one uses modules of a lower layer only."""

FILE_LINES_MAX: Final = 800
FUNCTION_LINES_MAX: Final = 100
BINDING_LINES_MAX: Final = 800
"""More than half of them are `spanmill.Digest`: a few lines for each of its 40 names."""

_ARITHMETIC: Final = re.compile(
    r"""
      [\w)\]}]\ [-*/%]\ [\w(&*-]                   # rustfmt puts spaces around a binary operator
    | [\w)\]}]\ \+\ (?![A-Z]\w*[a-z]|'|\?)[\w(&*-]  # `+` also joins bounds: `Send + Sync`
    | [-+*/%]=
    | \.(?:(?:wrapping|checked|saturating|overflowing)_(?:add|sub|mul|div|rem|neg|pow)
        |abs|ceil|floor|mul_add|pow|powf|powi|product|round|sqrt|sum|trunc)\(
    """,
    re.VERBOSE,
)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*roots: Path) -> list[Path]:
    """List our own Python files, without generated ones."""
    return sorted(
        path for root in roots for path in root.rglob("*.py") if path.parent != PACKAGE / "v1"
    )


def rust_files(*roots: Path) -> list[Path]:
    """List our own Rust files, without build output."""
    return sorted(
        path for root in roots for path in root.rglob("*.rs") if "target" not in path.parts
    )


def place(path: Path, line: int) -> str:
    """Name a place as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{line}"


def module_name(path: Path) -> str:
    """Name the module in full: `spanmill.sink.parquet`, and `spanmill.sink` for its `__init__`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Say whether `spanmill.…` names a module rather than something in one."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or any(path.with_suffix(it).is_file() for it in (".py", ".pyi"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Give each module of ours that a file imports, at any depth, with the line."""
    name = module_name(path)
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (up, node.module)))
            full = [f"{source}.{alias.name}" for alias in node.names]
            found = [it if is_module(it) else source for it in full]
        else:
            continue
        yield from ((it, node.lineno) for it in found if it.split(".")[0] == "spanmill")


def part_of(module: str) -> str:
    """Name the part a module belongs to: `sink` for `spanmill.sink.parquet`."""
    return [*module.split("."), "__init__"][1]


def layer_of(part: str, layers: dict[int, set[str]]) -> int | None:
    """Find a part's layer, None where the table does not have it."""
    return next((number for number, parts in layers.items() if part in parts), None)


def verdict(part: str, used: str, layers: dict[int, set[str]], siblings: set[int]) -> str | None:
    """Say which rule an import breaks; None where it breaks none."""
    if part == used:
        return None
    mine, theirs = layer_of(part, layers), layer_of(used, layers)
    if mine is None or theirs is None:
        return f"`{part if mine is None else used}` has no layer: give it one in the table above"
    if mine > theirs or (mine == theirs and mine not in siblings):
        return None
    if mine == theirs:
        return f"`{part}` and `{used}` are siblings in layer {mine}: what both need moves down"
    return f"`{part}` (layer {mine}) may not import `{used}` (layer {theirs}): imports go down"


python_verdict = partial(verdict, layers=PYTHON_LAYERS, siblings=SIBLINGS)
rust_verdict = partial(verdict, layers=RUST_LAYERS, siblings=set(RUST_LAYERS))


@pytest.mark.parametrize(
    ("rule", "part", "used"),
    [
        (python_verdict, "sink", "api"),
        (python_verdict, "model", "config"),
        (python_verdict, "demo", "daemon"),
        (python_verdict, "sink", "unheard_of"),
        (rust_verdict, "digest", "window"),
        (rust_verdict, "wire", "lib"),
        (rust_verdict, "wire", "unheard_of"),
    ],
)
def test_a_broken_layer_is_named(
    rule: Callable[[str, str], str | None], part: str, used: str
) -> None:
    """An import sideways, upwards or of a part without a layer is refused, and named."""
    assert f"`{used}`" in (rule(part, used) or "")


@pytest.mark.parametrize(
    ("rule", "part", "used"),
    [
        (python_verdict, "sink", "sink"),
        (python_verdict, "sink", "model"),
        (python_verdict, "model", "errors"),
        (python_verdict, "cli", "daemon"),
        (rust_verdict, "digest", "digest"),
        (rust_verdict, "ingest", "wire"),
    ],
)
def test_an_import_downwards_is_allowed(
    rule: Callable[[str, str], str | None], part: str, used: str
) -> None:
    """A part may use itself and what stands below it."""
    assert rule(part, used) is None


def test_python_imports_go_down() -> None:
    """
    A part of the package imports only parts of a lower layer, at module level and
    inside functions alike, and siblings never import each other.
    """
    broken = [
        f"{place(path, line)} imports {module}: {rule}"
        for path in python_files(PACKAGE)
        for module, line in imports(path)
        if (rule := python_verdict(part_of(module_name(path)), part_of(module)))
    ]

    assert [] == broken, "\n".join(broken)


def test_python_imports_have_no_cycle() -> None:
    """No module of the package imports itself, directly or through others."""
    graph = {
        module_name(path): {module for module, _ in imports(path)} - {module_name(path)}
        for path in python_files(PACKAGE)
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(" imports ".join(reversed(cycle.args[1])))


def test_package_inits_only_re_export() -> None:
    """An `__init__.py` defines no function and no class: a reader looks for them in modules."""
    defined = [
        f"{place(path, node.lineno)} defines {node.name}"
        for path in python_files(PACKAGE)
        if path.stem == "__init__"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]

    assert [] == defined, "\n".join(defined)


def rust_module(path: Path) -> tuple[str, int]:
    """Name a file's top-level module and how many modules it lies below the crate's root."""
    parts = path.relative_to(CORE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "mod" else parts
    return parts[0], 0 if parts == ("lib",) else len(parts)


def test_rust_modules_go_down() -> None:
    """
    A module of the core uses only modules of a lower layer. Items re-exported by
    `lib` are named by their own module, because `lib` stands above all.
    """
    broken = []
    for path in rust_files(CORE):
        module, depth = rust_module(path)
        if module == "lib":
            continue
        for used in rust_source.crate_imports(rust_source.code_of(path), depth):
            known = layer_of(used.name, RUST_LAYERS) is not None
            if rule := rust_verdict(module, used.name if known else "lib"):
                broken.append(f"{place(path, used.line)} uses crate::{used.name}: {rule}")

    assert [] == broken, "\n".join(broken)


def test_every_rust_module_has_a_layer() -> None:
    """A new module of the core says where it stands before it is used."""
    modules = {rust_module(path)[0] for path in rust_files(CORE)}

    assert set() == modules - set.union(*RUST_LAYERS.values())


def test_files_stay_short() -> None:
    """No source, test or bench file passes 800 lines: one sitting reads it."""
    roots = [ROOT / it for it in ("python", "rust", "tests", "bench")]
    long = [
        f"{place(path, lines)} has {lines} lines"
        for path in python_files(*roots) + rust_files(*roots)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]

    assert [] == long, "\n".join(long)


def python_functions(path: Path) -> Iterator[FunctionNode]:
    """Find every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def python_lines(node: FunctionNode) -> int:
    """Count a function's lines, its signature included, its docstring not."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return total
    docstring = node.body[0]
    return total - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def test_functions_stay_short() -> None:
    """No function passes 100 lines, its docstring not counted: one screen shows it."""
    long = [
        f"{place(path, node.lineno)} {node.name} has {python_lines(node)} lines"
        for path in python_files(ROOT / "python")
        for node in python_functions(path)
        if python_lines(node) > FUNCTION_LINES_MAX
    ] + [
        f"{place(path, function.line)} {function.name} has {function.lines} lines"
        for path in rust_files(ROOT / "rust")
        for function in rust_source.functions(rust_source.code_of(path))
        if function.lines > FUNCTION_LINES_MAX
    ]

    assert [] == long, "\n".join(long)


@pytest.mark.parametrize(
    "line",
    ["let n = a + 1;", "x -= y;", "f(a) * 2.0", "MINUTE / SECOND", "a.wrapping_add(b)", "v.sum()"],
)
def test_arithmetic_is_seen(line: str) -> None:
    """Operators and methods that compute are found in a line of Rust."""
    assert _ARITHMETIC.search(line)


@pytest.mark.parametrize(
    "line",
    ["fn f(x: &T) -> *mut U {", "T: Send + Sync,", "impl Fn() + 'a", "Some(x) => -1,", "*self.a"],
)
def test_signs_that_do_not_compute_are_let_through(line: str) -> None:
    """Arrows, borrows, bounds and negative literals are not arithmetic."""
    assert _ARITHMETIC.search(line) is None


def test_the_binding_stays_thin() -> None:
    """The binding converts, detaches and maps errors in at most 750 lines, and computes nothing."""
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in rust_files(BINDING))
    arithmetic = [
        f"{place(path, number)} {line.strip()}"
        for path in rust_files(BINDING)
        for number, line in enumerate(rust_source.code_of(path).splitlines(), 1)
        if _ARITHMETIC.search(line)
    ]

    assert BINDING_LINES_MAX >= lines
    assert [] == arithmetic, "\n".join(arithmetic)


def test_shipped_rust_never_unwraps() -> None:
    """`unwrap` lives in tests: elsewhere an `Err` goes up, or `expect` gives the reason."""
    unwraps = [
        place(path, number)
        for path in rust_files(CORE, BINDING)
        for number, line in enumerate(rust_source.code_of(path).splitlines(), 1)
        if ".unwrap()" in line
    ]

    assert [] == unwraps, "\n".join(unwraps)


def test_every_test_states_its_guarantee() -> None:
    """Each test function opens with a docstring: the guarantee that a reviewer reads."""
    silent = [
        f"{place(path, node.lineno)} {node.name}"
        for path in python_files(ROOT / "tests")
        for node in python_functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert [] == silent, "\n".join(silent)
