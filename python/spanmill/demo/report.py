"""Prints what the demo found, for a person who sees spanmill for the first time."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spanmill.demo.api import Answer
from spanmill.demo.compare import MERGE_SQL, RANK_PPM_MAX, Agreement
from spanmill.demo.daemon import Daemon
from spanmill.demo.findings import Findings, Hour, slow_groups
from spanmill.model import parse_rfc3339, rfc3339

MIB: Final = 1024**2
_GROUPS_SHOWN: Final = 4


def print_report(console: Console, hour: Hour, found: Findings) -> None:
    """Print everything found, in the order in which an operator would ask."""
    _print_sent(console, hour)
    _print_percentiles(console, found)
    _print_budgets(console, found)
    _print_cause(console, hour, found)
    _print_ledger(console, hour, found)
    _print_lake(console, found)


def print_next(console: Console) -> None:
    """Say what to try next."""
    _print_steps(
        console,
        ("spanmill demo --keep", "leave the daemon running, and say how to watch it"),
        ("spanmill serve", "start your own; point an OTLP/gRPC exporter at 127.0.0.1:4317"),
        ("spanmill top", "watch its percentiles and budgets live"),
        ("make test", "see every guarantee checked"),
    )


def print_kept(console: Console, daemon: Daemon) -> None:
    """Say where the daemon that was left running is, and how to stop it."""
    console.print()
    console.print(
        f"The daemon still runs as process {daemon.process.pid}, in {daemon.folder}",
        highlight=False,
    )
    data_dir = daemon.lake.parent
    _print_steps(
        console,
        (f"spanmill top --api {daemon.api} --window 1h", "percentiles and budgets, live"),
        (f"spanmill export ls --data-dir {data_dir}", "its Parquet files"),
        (f"kill {daemon.process.pid}; rm -r {daemon.folder}", "stop it and remove its folder"),
    )


def print_problems(console: Console, problems: Iterable[str]) -> None:
    """Say which expectations failed."""
    console.print()
    for problem in problems:
        console.print(Text(f"✗ {problem}", "bold red"))


def _print_sent(console: Console, hour: Hour) -> None:
    played = hour.played
    console.print(
        f"Played {hour.duration_s / 60:.0f} minutes of traffic in {played.wall_s:.1f} s: "
        f"[bold]{played.spans:,}[/] spans in {played.requests:,} requests, "
        f"{played.bytes / MIB:.0f} MiB.",
        highlight=False,
    )


def _print_percentiles(console: Console, found: Findings) -> None:
    by_measure = {
        measure: {one["dims"]["model"]: one["quantiles"] for one in series}
        for measure, series in found.latency.items()
    }
    table = _table(
        "model",
        "answers",
        *(f"first\n{q}" for q in ("p50", "p95", "p99")),
        *(f"whole\n{q}" for q in ("p50", "p95", "p99")),
        "tokens/s\np50",
    )
    for one in sorted(found.latency["ttft"], key=lambda one: -int(one["count"])):
        model = one["dims"]["model"]
        first, answer = by_measure["ttft"][model], by_measure["duration"][model]
        table.add_row(
            model,
            f"{one['count']:,}",
            *(f"{first[q]:.2f}" for q in ("0.5", "0.95", "0.99")),
            *(f"{answer[q]:.1f}" for q in ("0.5", "0.95", "0.99")),
            f"{1 / by_measure['tpot'][model]['0.5']:.0f}",
        )
    _heading(console, "What customers feel", "seconds to the first token, and to the whole answer")
    console.print(table)


def _print_budgets(console: Console, found: Findings) -> None:
    table = _table("objective", "wanted", "bad", "of", "burn, 1 h", "burning since")
    for name in dict.fromkeys(one["name"] for one in found.budgets):
        rows = [one for one in found.budgets if one["name"] == name]
        whole = next((one for one in rows if not one["group"]), None)
        table.add_row(name, *(_budget_cells(whole) if whole else []))
        groups = [one for one in rows if one["group"]]
        for worst in sorted(groups, key=lambda one: int(one["bad"]))[-1:]:
            table.add_row(f"  {_group_name(worst)}", *_budget_cells(worst))
    _heading(console, "What was promised", "burn 1.0 spends the budget exactly at period end")
    console.print(table)


def _budget_cells(one: Answer) -> list[Text]:
    burn = one["burn"]["1h"]
    return [
        Text(f"{one['objective']:.1%}"),
        Text(f"{one['bad']:,}"),
        Text(f"{one['total']:,}"),
        Text("–" if burn is None else f"{burn:.2f}", "bold red" if burn and burn > 1 else ""),
        Text(_clock(one["burning_since"]), "bold red"),
    ]


def _print_cause(console: Console, hour: Hour, found: Findings) -> None:
    groups = slow_groups(found.budgets)
    bad = sum(one["bad"] for one in groups)
    total = sum(one["total"] for one in groups)
    if not bad:
        return
    table = _table("prompt version, plan", "of slow answers", "of all answers")
    for one in groups[:_GROUPS_SHOWN]:
        table.add_row(_group_name(one), f"{one['bad'] / bad:.1%}", f"{one['total'] / total:.1%}")
    _heading(console, "What the slow answers share", "groups of answer-time, worst first")
    console.print(table)
    worst = groups[0]
    console.print(
        f"→ [bold]{_group_name(worst)}[/]: {worst['bad'] / bad:.0%} of the slow answers, "
        f"{worst['total'] / total:.0%} of the traffic.\n"
        f"  {worst['group']['prompt_version']} shipped at {_clock(rfc3339(hour.shipped_ns))}.",
        highlight=False,
    )


def _group_name(one: Answer) -> str:
    return f"{one['group']['prompt_version']}, {one['group']['plan_tier']}"


def _print_ledger(console: Console, hour: Hour, found: Findings) -> None:
    ledger = found.ledger
    table = _table("", "events")
    table.add_row("received", f"{ledger['received']:,}")
    for name in ("counted", "duplicate", "late"):
        table.add_row(f"  {name}", f"{ledger[name]:,}")
    table.add_row("  rejected", f"{sum(ledger['rejected'].values()):,}")
    table.add_row("  sampled out", f"{ledger['sampled_out']:,}")
    _heading(console, "Every event accounted for", "")
    console.print(table)
    balance = "[bold green]balances[/]" if ledger["balanced"] else "[bold red]does NOT balance[/]"
    console.print(f"→ The ledger {balance}; {hour.played.spans:,} were sent.", highlight=False)


def _print_lake(console: Console, found: Findings) -> None:
    lake = found.lake
    _heading(console, "Everything left as Parquet", "")
    console.print(
        f"{lake.files} files, {lake.rows:,} rows, {lake.bytes / MIB:.1f} MiB, such as\n"
        f"[dim]lake/{lake.example}[/]",
        highlight=False,
    )
    console.print("DuckDB merges their digests without our code:", highlight=False)
    console.print(Text(MERGE_SQL.format(lake="lake", start_s="…", end_s="…"), "dim"))
    table = _table("p99 first token", "exact (s)", "spanmill", "off by", "DuckDB", "off by")
    for row in found.agreement:
        table.add_row(
            row.model or "all models",
            f"{row.exact:.4f}",
            f"{row.daemon:.4f}",
            _ppm(row.daemon_ppm),
            f"{row.duckdb:.4f}",
            _ppm(row.duckdb_ppm),
        )
    console.print(table)
    console.print(_verdict(found.agreement[0]), highlight=False)


def _print_steps(console: Console, *steps: tuple[str, str]) -> None:
    console.print()
    console.print(Text("Try next", "bold"))
    for command, effect in steps:
        # A command too long for the terminal must still be copied as one line.
        console.print(Text(f"  {command}", "cyan"), soft_wrap=True)
        console.print(Text(f"      {effect}", "dim"))


def _verdict(everything: Agreement) -> str:
    return (
        f"→ Both are right to within {RANK_PPM_MAX:,.0f} ppm of rank: of a million answers, no "
        f"more\n  lie between the true p99 and theirs."
        if everything.duckdb_ppm <= RANK_PPM_MAX
        else f"[bold red]→ Off by more than {RANK_PPM_MAX:,.0f} ppm of rank.[/]"
    )


def _ppm(off: float) -> str:
    return f"{off:.0f} ppm"


def _clock(time: str | None) -> str:
    if time is None:
        return ""
    minutes = parse_rfc3339(time) // 60_000_000_000
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d} UTC"


def _heading(console: Console, title: str, note: str) -> None:
    console.print()
    console.print(Text.assemble((title, "bold cyan"), (f"  {note}", "dim")))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table
