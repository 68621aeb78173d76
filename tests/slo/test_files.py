"""Objective files: promises in, every problem at once, and nothing half read."""

from pathlib import Path

import pytest

from spanmill.model import Reading
from spanmill.slo import Objective, load

READING = Reading(
    Path(), {"ttft": "s", "output_tokens": "{token}"}, ["model", "tenant", "cold_start"]
)

GOOD = """\
slos:
  - name: ttft-fast
    description: First token soon
    sli: {kind: latency, measure: ttft, below: 1.2s}
    where: {model: [a, b], cold_start: false}
    group_by: [tenant]
    objective: 0.99
    period: 30d
    alerts: [{burn: 14.4, over: [1h, 5m]}]
    layer: infrastructure
    runbook: https://runbooks.example/ttft
  - name: errors
    sli: {kind: errors}
    objective: 0.999
"""


def load_text(tmp_path: Path, text: str) -> tuple[tuple[Objective, ...], list[str]]:
    """Load one file; problems are given without its folder."""
    path = tmp_path / "slo.yaml"
    path.write_text(text, encoding="utf-8")
    objectives, problems = load([path], READING)
    return objectives, [problem.replace(f"{tmp_path}/", "") for problem in problems]


def test_a_good_file_reaches_the_core_in_full(tmp_path: Path) -> None:
    """Every key of an objective arrives in the core's form, defaults filled in."""
    objectives, problems = load_text(tmp_path, GOOD)

    assert [] == problems
    assert [
        {
            "name": "ttft-fast",
            "description": "First token soon",
            "sli": {"kind": "latency", "measure": "ttft", "below": 1.2},
            "where": [["model", ["a", "b"]], ["cold_start", ["false"]]],
            "group_by": ["tenant"],
            "objective": 0.99,
            "period_s": 2_592_000,
            "layer": "infrastructure",
            "runbook": "https://runbooks.example/ttft",
        },
        {
            "name": "errors",
            "description": "",
            "sli": {"kind": "errors"},
            "where": [],
            "group_by": [],
            "objective": 0.999,
            "period_s": 2_592_000,
            "layer": "",
            "runbook": "",
        },
    ] == [objective.to_core() for objective in objectives]


def test_alerts_are_kept(tmp_path: Path) -> None:
    """Alert rules are read and kept as written, until something evaluates them."""
    objectives, _ = load_text(tmp_path, GOOD)

    assert [{"burn": 14.4, "over": ["1h", "5m"]}] == objectives[0].alerts


def test_every_problem_at_once(tmp_path: Path) -> None:
    """All problems of a file are listed with place and key path, and none of it is used."""
    text = """\
slos:
  - name: bad name
    sli: {kind: latency, measure: tfft, below: 1.2s}
    objective: 99.9
    period: 100d
  - name: tokens
    sli: {kind: latency, measure: output_tokens, below: 5}
    objective: 0.9
    group_by: [modle]
    layer: infra
  - sli: {kind: availability}
    objectiv: 0.9
"""
    objectives, problems = load_text(tmp_path, text)

    assert () == objectives
    assert [
        "slo.yaml:2: slos[0].name: must match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'",
        "slo.yaml:3: slos[0].sli.measure: no measure 'tfft'; did you mean ttft?",
        (
            "slo.yaml:4: slos[0].objective: 99.9 is not between 0 and 1; "
            "write the share of good events, 0.99 for 99 %"
        ),
        "slo.yaml:5: slos[0].period: must be less than or equal to 7776000",
        (
            "slo.yaml:7: slos[1].sli.measure: output_tokens is counted in {token}; "
            "a latency needs a measure in seconds"
        ),
        "slo.yaml:9: slos[1].group_by[0]: no dimension 'modle'; did you mean model?",
        (
            "slo.yaml:10: slos[1].layer: must be 'prompt_content', 'retrieval', 'model_selection', "
            "'eval_set', 'cost', 'behavioural_quality' or 'infrastructure'"
        ),
        "slo.yaml:11: slos[2].name: required, but missing",
        "slo.yaml:11: slos[2].sli: 'availability' is not one of 'latency', 'errors'",
        "slo.yaml:11: slos[2].objective: required, but missing",
        "slo.yaml:12: slos[2].objectiv: unknown key; did you mean objective?",
    ] == problems


@pytest.mark.parametrize(
    ("place", "period"),
    [
        ("slo.yaml:5: slos[0].period", "period: {calendar: month, zone: Europe/Berlin}"),
        ("slo.yaml:5: slos[0].calendar", "calendar: month"),
    ],
)
def test_calendars_are_refused(place: str, period: str, tmp_path: Path) -> None:
    """A calendar period is refused with the reason: only rolling ones exist yet."""
    objectives, problems = load_text(
        tmp_path,
        f"slos:\n  - name: x\n    sli: {{kind: errors}}\n    objective: 0.9\n    {period}\n",
    )

    assert () == objectives
    assert 1 == len(problems)
    assert problems[0].startswith(f"{place}: only rolling periods such as")


def test_names_are_unique_over_all_files(tmp_path: Path) -> None:
    """Two objectives of one name are refused, with both places, also in different files."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    text = "slos:\n  - {name: x, sli: {kind: errors}, objective: 0.9}\n"
    first.write_text(text, encoding="utf-8")
    second.write_text(text, encoding="utf-8")

    _, problems = load([first, second], READING)

    assert [f"{second}:2: slos[0].name: 'x' is taken by {first}:2"] == problems


def test_a_bad_file_hides_no_other(tmp_path: Path) -> None:
    """A missing file is one problem; the files beside it are still checked."""
    missing, bad = tmp_path / "missing.yaml", tmp_path / "bad.yaml"
    bad.write_text("slos: 1\n", encoding="utf-8")

    _, problems = load([missing, bad], READING)

    assert [
        f"{missing}: cannot be read: No such file or directory",
        f"{bad}:1: slos: must be a list",
    ] == problems
