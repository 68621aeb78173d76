"""Asks the daemon what the hour did to customers, and checks each answer against the truth."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from spanmill.demo.api import Answer, Api
from spanmill.demo.compare import RANK_PPM_MAX, Agreement, agree, merge_in_duckdb
from spanmill.demo.daemon import Daemon
from spanmill.demo.fleet import MODELS, PROMPTS, REGRESSED, REGRESSED_TIER, Traffic
from spanmill.demo.play import Played
from spanmill.errors import StartError
from spanmill.model import parse_rfc3339, rfc3339

MINUTE_S: Final = 60
SECOND_NS: Final = 1_000_000_000
_EXPORTED_WITHIN_S: Final = 30.0
_ONSET_WITHIN_S: Final = 300.0

SLOW_ANSWER_S: Final = 10.0
"""Threshold of the objective `answer-time` in config/objectives.yaml."""


@dataclass(frozen=True)
class Hour:
    """What was played, and when: `start_ns` is the Unix time of its first instant."""

    traffic: Traffic
    start_ns: int
    duration_s: float
    played: Played

    @property
    def shipped_ns(self) -> int:
        """When the new prompt version shipped."""
        return self.start_ns + int(PROMPTS[REGRESSED].ships * self.duration_s) * SECOND_NS


@dataclass(frozen=True)
class Window:
    """Whole minutes that are sealed: what daemon and Parquet both hold (Unix s)."""

    start_s: int
    end_s: int

    @property
    def params(self) -> dict[str, str]:
        """The same as parameters of a query."""
        return {"window": f"{self.end_s - self.start_s}s", "end": rfc3339(self.end_s * SECOND_NS)}


@dataclass(frozen=True)
class LakeFiles:
    """The Parquet files that hold the window."""

    files: int
    rows: int
    bytes: int
    example: str


@dataclass(frozen=True)
class Findings:
    """What the daemon said, and what of it was wrong."""

    window: Window
    latency: dict[str, list[Answer]]
    """Series by model, for each measure asked for."""
    budgets: list[Answer]
    ledger: Answer
    lake: LakeFiles
    agreement: list[Agreement]
    problems: list[str]


def find_out(daemon: Daemon, hour: Hour) -> Findings:
    """
    Ask the daemon for everything the demo shows.

    Raises:
        RequestFailed: The daemon refused a question.
        StartError: The Parquet files did not appear in time.
    """
    with Api(daemon.api) as api:
        window = _sealed(api, hour)
        lake = _wait_for_lake(daemon, window)
        latency = {
            measure: _series(api, window, measure, by="model")
            for measure in ("ttft", "duration", "tpot")
        }
        agreement = _agreement(api, daemon, window, hour)
        budgets = api.get("/slo")
        ledger = api.get("/ledger")
    problems = [
        *_ledger_problems(ledger, hour.played),
        *_budget_problems(budgets, hour),
        *_agreement_problems(agreement),
    ]
    return Findings(window, latency, budgets, ledger, lake, agreement, problems)


def slow_groups(budgets: list[Answer]) -> list[Answer]:
    """List the groups of the objective `answer-time`, most slow answers first."""
    groups = [one for one in budgets if one["name"] == "answer-time" and one["group"]]
    return sorted(groups, key=lambda one: int(one["bad"]), reverse=True)


def _series(api: Api, window: Window, measure: str, by: str | None) -> list[Answer]:
    params = {"measure": measure, "q": "0.5,0.95,0.99", "view": "requests", **window.params}
    answer = api.get("/query", params | ({"by": by} if by else {}))
    series: list[Answer] = answer["series"]
    return series


def _sealed(api: Api, hour: Hour) -> Window:
    answer = api.get("/query", {"measure": "ttft", "window": "10s"})
    watermark_s = parse_rfc3339(answer["watermark"]) // SECOND_NS
    start_s = hour.start_ns // SECOND_NS
    return Window(start_s - start_s % MINUTE_S, watermark_s - watermark_s % MINUTE_S)


def _wait_for_lake(daemon: Daemon, window: Window) -> LakeFiles:
    """Wait until the last sealed minute can be read."""
    give_up = time.monotonic() + _EXPORTED_WITHIN_S
    last = rfc3339((window.end_s - MINUTE_S) * SECOND_NS)
    while True:
        paths = sorted(daemon.lake.glob("rollup/*/*.parquet"))
        about = [pq.read_metadata(path) for path in paths]
        if any(one.metadata[b"last_window"].decode() >= last for one in about):
            rows = sum(one.num_rows for one in about)
            size = sum(path.stat().st_size for path in paths)
            return LakeFiles(len(paths), rows, size, str(paths[-1].relative_to(daemon.lake)))
        if time.monotonic() > give_up:
            raise StartError(
                f"no Parquet file under {daemon.lake} holds the minute {last} "
                f"after {_EXPORTED_WITHIN_S:g} s; found {len(paths)} files"
            )
        time.sleep(0.1)


def _agreement(api: Api, daemon: Daemon, window: Window, hour: Hour) -> list[Agreement]:
    """Compare p99 of first-token latency: of all models, then of each."""
    duckdb = merge_in_duckdb(daemon.lake, window.start_s, window.end_s)
    series = _series(api, window, "ttft", by="model")
    answers: dict[str | None, Answer] = {one["dims"]["model"]: one for one in series}
    answers[None], *_ = _series(api, window, "ttft", by=None)
    sealed = hour.traffic.end_s < window.end_s - hour.start_ns / SECOND_NS
    truth = hour.traffic.take(sealed & ~hour.traffic.failed)
    rows = [agree(None, truth.ttft_s, answers[None], duckdb[None])]
    for number, model in enumerate(MODELS):
        values = truth.ttft_s[truth.model == number]
        rows.append(agree(model.name, values, answers[model.name], duckdb[model.name]))
    return rows


def _ledger_problems(ledger: Answer, played: Played) -> list[str]:
    problems = []
    if not ledger["balanced"]:
        problems.append(f"the ledger does not balance: {ledger}")
    if ledger["received"] != played.spans:
        problems.append(f"sent {played.spans} spans, but the ledger received {ledger['received']}")
    if ledger["counted"] != ledger["received"]:
        problems.append(f"of {ledger['received']} spans only {ledger['counted']} were counted")
    return problems


def _budget_problems(budgets: list[Answer], hour: Hour) -> list[str]:
    problems = []
    burning = {one["name"] for one in budgets if one["burning_since"]}
    if burning != {"answer-time"}:
        problems.append(f"expected answer-time alone to burn its budget, found {sorted(burning)}")
    groups = slow_groups(budgets)
    slow = int(np.count_nonzero(hour.traffic.duration_s >= SLOW_ANSWER_S))
    if (bad := sum(one["bad"] for one in groups)) != slow:
        problems.append(f"{slow} answers were slow, but {bad} were counted bad")
    culprit = {"prompt_version": PROMPTS[REGRESSED].version, "plan_tier": REGRESSED_TIER}
    if not groups or groups[0]["group"] != culprit:
        return [*problems, f"expected most slow answers in {culprit}, found {groups[:1]}"]
    since = groups[0]["burning_since"]
    if since is None or abs(parse_rfc3339(since) - hour.shipped_ns) > _ONSET_WITHIN_S * SECOND_NS:
        problems.append(
            f"the prompt shipped at {rfc3339(hour.shipped_ns)}, but its budget burns since {since}"
        )
    return problems


def _agreement_problems(agreement: list[Agreement]) -> list[str]:
    problems = []
    for row in agreement:
        who = row.model or "all models"
        if not row.events == row.daemon_events == row.lake_events:
            problems.append(
                f"{who}: {row.events} first tokens were sent, the daemon has "
                f"{row.daemon_events} and the Parquet files {row.lake_events}"
            )
        if row.daemon_ppm > RANK_PPM_MAX:
            problems.append(f"{who}: the daemon's p99 is off by {row.daemon_ppm:.0f} ppm of rank")
    everything = agreement[0]
    # DuckDB compresses a merged digest harder than we do. Over one model's few events that
    # costs it up to 800 ppm, so only the whole fleet is held to the limit.
    if everything.duckdb_ppm > RANK_PPM_MAX:
        problems.append(f"DuckDB's p99 is off by {everything.duckdb_ppm:.0f} ppm of rank")
    return problems
