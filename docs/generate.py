"""
Write the generated parts of docs/: what stands between two `generated` comments of a page.

    .venv/bin/python -m docs.generate

Each part comes from the one place that the product itself reads: the config's JSON Schema, the
conventions' tables, the registry of signals. `tests/test_docs.py` checks that pages are current.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from docs.schema import sections
from docs.table import table
from spanmill.api.metrics import CoreCollector
from spanmill.sink import ExportStatus
from spanmill.slo.files import ObjectiveFile

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


def layouts() -> str:
    """List the layouts of other engines: what has them, their bytes, what to know."""
    folder = CORE / "digest" / "foreign"
    listed = re.search(
        r"const LAYOUTS: .*?=\s*&\[(.*?)\];", (folder / "mod.rs").read_text("utf-8"), re.DOTALL
    )
    if listed is None:
        raise LookupError("foreign/mod.rs has no list LAYOUTS")
    modules = [it.lower() for it in re.findall(r"&(\w+)", listed[1])]
    rows = [
        (f"`to_{it}`, `from_{it}`", *_layout(folder / f"{it}.rs")) for it in ["duckdb", *modules]
    ]
    return "\n" + table(("methods", "for", "layout", "to know"), rows) + "\n"


def _layout(path: Path) -> list[str]:
    doc = re.search(r"((?:^///.*\n)+)(?:#\[.*\n)?pub struct", path.read_text("utf-8"), re.MULTILINE)
    if doc is None:
        raise LookupError(f"{path.name} has no doc")
    text = re.sub(r"^/// ?", "", doc[1], flags=re.MULTILINE)
    return [" ".join(it.split()) for it in text.strip().split("\n\n")]


def configuration() -> str:
    """List every key of the config file with its type, default and meaning."""
    command = [sys.executable, "-m", "spanmill", "config", "schema"]
    schema = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return "\n" + "\n".join(sections(schema)) + "\n"


def objectives() -> str:
    """List every key of an objective file with its type, default and meaning."""
    schema = ObjectiveFile.model_json_schema()
    return "\n" + "\n".join(sections(schema)) + "\n"


class _OneOfEach:
    """An engine in which every metric has a sample."""

    def stats(self) -> bytes:
        """Answer with every key that /metrics reads."""
        return json.dumps(
            {
                "watermark_s": 0.0,
                "requests": {"accepted": 0, "refused": {"malformed": 0}},
                "digest_late": 0,
                "series": {"requests": 0},
                "overflow": {"requests": {"tenant": 0}},
                "overflow_tenants": {"requests": {"acme": 0}},
                "slo_overflow": {"answered": 0},
                "series_retired": {"requests": 0},
                "companions": {"requests": {"bytes": 0, "late": 0, "skipped": 0, "shed": 0}},
                "clock_suspect": False,
                "open_buckets": 0,
                "sealed_buckets": 0,
                "memory_bytes": 0,
                "memory_limit_bytes": 0,
                "memory_parts": {"open": 0},
                "demoted": {"10s": {"buckets": 0, "bytes": 0}},
                "durability": "sync",
                "journal": {
                    "bytes": 0,
                    "records": 0,
                    "groups": [0] * 24,
                    "syncs": 0,
                    "sync_ns": 0,
                    "sync_us": [0] * 24,
                    "segments": 1,
                    "segment_bytes": 0,
                    "spares": 1,
                    "free_bytes": 0,
                    "full": False,
                    "failed": None,
                    "durable": 0,
                },
                "sealed_files": {"files": 0, "bytes": [0] * 5, "shed": 0, "backlog_bytes": 0},
                "checkpoint": {"count": 1, "failed": 0, "lsn": 0, "bytes": 0, "seconds": 0.0},
                "dictionaries": {"held": 0, "bytes": 0},
                "dedupe": {
                    "horizon_s": 900.0,
                    "entries": 0,
                    "bytes": 0,
                    "evicted_early": 0,
                    "producers": 0,
                    "producers_evicted": 0,
                },
                "ingest_bytes": 0,
            }
        ).encode()

    def ledger(self) -> bytes:
        """Answer with one source and one tenant."""
        counts = {
            "received": 0,
            "counted": 0,
            "duplicate": 0,
            "late": 0,
            "rejected": {"bad_id": 0},
            "sampled_out": 0,
            "balanced": True,
            "at_least_once": 0,
        }
        return json.dumps(
            counts | {"by": {"source": {"edge": counts}, "tenant": {"acme": counts}}}
        ).encode()

    def slos(self) -> bytes:
        """Answer with one objective."""
        budget = {"good": 0, "bad": 0, "budget_left": 1.0, "burn": {"1h": 0.0}}
        return json.dumps([{"name": "answered", "group": {}, "objective": 0.99} | budget]).encode()


def metrics() -> str:
    """List every metric of ours with its kind, labels and meaning."""
    rows = []
    for family in CoreCollector(_OneOfEach(), ExportStatus).collect():  # type: ignore[arg-type]
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        rows.append(
            (
                f"`{family.samples[0].name}`",
                "gauge" if family.type == "info" else family.type,
                ", ".join(f"`{label}`" for label in labels),
                family.documentation.replace("__", r"\_\_"),
            )
        )
    return "\n" + table(("metric", "type", "labels", "meaning"), rows) + "\n"


PARTS: Final[dict[str, Callable[[], str]]] = {
    "configuration": configuration,
    "conventions": conventions,
    "dimensions": dimensions,
    "layouts": layouts,
    "measures": measures,
    "metrics": metrics,
    "objectives": objectives,
}


if __name__ == "__main__":
    main()
