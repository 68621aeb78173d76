"""The tables of the digest bench: equal bytes, verdicts, nothing hidden."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.digest import install, native, report, streams
from bench.digest.accuracy import EQUAL, Figure
from bench.digest.contender import ALL, Answer, Facts, Held, answer_within, largest
from bench.digest.native import OURS
from bench.digest.speed import Timing

OF_OURS = Figure("uniform", 1_000_000, 1, OURS, "Rust", EQUAL, 512, 1600, 1600, grid_ppm=100)
OF_PEER = replace(OF_OURS, contender="peer", language="Python", grid_ppm=250)


@pytest.mark.parametrize(
    ("ours", "peer", "word"), [(100, 250, "won"), (250, 100, "lost"), (100, 100.9, "tied")]
)
def test_a_verdict_says_who_is_nearer(ours: float, peer: float, word: str) -> None:
    """The lower grid maximum wins; within one rank of each other is a tie."""
    figures = [replace(OF_OURS, grid_ppm=ours), replace(OF_PEER, grid_ppm=peer)]

    assert [word] == [it.word for it in report.verdicts(figures)]


def test_a_verdict_gives_peers_their_best_batch_and_us_our_worst() -> None:
    """Whatever batch a peer likes best is compared with the one that we like least."""
    figures = [
        OF_OURS,
        replace(OF_OURS, batch=ALL, grid_ppm=180),
        OF_PEER,
        replace(OF_PEER, batch=ALL, grid_ppm=150, bytes=1592),
    ]

    (found,) = report.verdicts(figures)

    assert report.Verdict("uniform", 1_000_000, 180, 150, "peer", 1592, ALL) == found
    assert "lost" == found.word


def test_a_verdict_at_one_batch_takes_peers_that_know_no_batches() -> None:
    """A peer that only takes everything at once is compared with every batch of ours."""
    figures = [OF_OURS, OF_PEER, replace(OF_PEER, contender="whole", batch=ALL, grid_ppm=90)]

    (found,) = report.verdicts(figures, 512)

    assert "whole" == found.peer


def test_a_larger_peer_is_named_where_it_is_nearer() -> None:
    """More bytes than are compared win nothing, and are not kept quiet."""
    larger = replace(OF_PEER, contender="larger", bytes=1601, grid_ppm=40)

    (found,) = report.verdicts([OF_OURS, OF_PEER, larger])

    assert ("won", "peer", "larger, 1,601 B: 40") == (found.word, found.peer, found.larger)


def test_a_peer_that_fails_is_named_and_wins_nothing() -> None:
    """No figure is no verdict, but a line that says why."""
    failed = replace(OF_PEER, grid_ppm=float("nan"), problem="overflow")

    assert [] == report.verdicts([OF_OURS, failed])
    assert "peer on uniform, 1,000,000 values: overflow" in report.summary(
        [OF_OURS, failed], [], notes=[]
    )


def test_a_loss_is_printed_as_a_loss() -> None:
    """The summary counts a lost stream, marks its row and misses the target."""
    text = report.summary([OF_OURS, replace(OF_PEER, grid_ppm=50)], [], notes=["a note"])

    assert "| 0 of 1 streams | all | **missed** |" in text
    assert "0 won, 0 tied, 1 lost." in text
    assert "| uniform | 100 | 50 | peer, 512, 1,600 | 0.5 | **lost** |  |" in text
    assert text.endswith("- a note\n")


@pytest.mark.parametrize(("best", "verdict"), [(7.9, "met"), (8.1, "**missed**")])
def test_speeds_meet_or_miss_their_targets(best: float, verdict: str) -> None:
    """A speed is compared with what the design wants of it."""
    timing = Timing("ways", OURS, "Rust", "288", "ns/centroid", best, 5)

    text = report.summary([], [timing], notes=[])

    assert f"| merge, 288 sealed buckets, a centroid | {best} ns | ≤ 8 ns | {verdict} |" in text


@pytest.mark.parametrize(("limit", "place"), [(9, 0), (10, 0), (39, 2), (40, 3), (1000, 9)])
def test_the_largest_parameter_that_fits_is_found(limit: int, place: int) -> None:
    """The last size within the limit; the first where none is."""
    parameters = list(range(1, 11))

    assert place == largest(parameters, lambda parameter: int(parameter * 10), limit)


@dataclass(frozen=True)
class Growing:
    """A contender whose digests are larger on a whole stream than on a sample."""

    facts: Facts

    def answer(self, held: Held, parameter: float, _batch: int, _ranks: Sequence[float]) -> Answer:
        """Take a byte a value."""
        return Answer(int(parameter) * 100 + len(held.values), 0, np.zeros(1))


@pytest.mark.parametrize(("values", "bytes_"), [(50, 1550), (150, 1550), (5000, 5100)])
def test_equal_bytes_hold_on_the_whole_stream(tmp_path: Path, values: int, bytes_: int) -> None:
    """A parameter found on a sample goes down until the digest fits, or is the smallest."""
    held = Held.of(streams.named("uniform"), np.ones(values), None, tmp_path)
    contender = Growing(Facts("growing", "Python", "1", "size", range(1, 30), 10))

    _, answer = answer_within(contender, held, 20, ALL, [0.5])

    assert bytes_ == answer.bytes


def test_every_stream_is_drawn_alike_twice() -> None:
    """A seed fixes values and order; no two streams, and no two seeds, share a draw."""
    drawn = {it.name: it.values(999, 1) for it in streams.STREAMS}

    assert all((it.values(999, 1) == drawn[it.name]).all() for it in streams.STREAMS)
    assert all(len(values) == 999 for values in drawn.values())
    assert all(np.isfinite(values).all() for values in drawn.values())
    assert (streams.named("uniform").values(999, 2) != drawn["uniform"]).any()


def test_streams_beyond_the_axis_are_those_called_wide() -> None:
    """Ours runs on its standard axis exactly where the stream fits it."""

    def fits(values: streams.Floats) -> bool:
        size = np.abs(values[values != 0])
        return bool(((size >= 2.0**-64) & (size < 2.0**64)).all())

    off = [it.name for it in streams.STREAMS if not fits(it.values(20_000, 1))]

    assert [it.name for it in streams.STREAMS if it.wide] == off


def locked(path: Path) -> list[dict[str, Any]]:
    """List the packages of a Cargo.lock."""
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
    return found


def test_the_bench_measures_what_ships() -> None:
    """
    The peers' crate, which has a lock file of its own, resolves the core and all that it depends
    on as the workspace does. After a change of dependencies, `cargo metadata --manifest-path
    bench/peers/digest/Cargo.toml` writes it again.
    """
    ours = {(it["name"], it["version"]) for it in locked(native.CRATE.parents[2] / "Cargo.lock")}
    theirs = locked(native.LOCK)
    pending, needed = {"spanmill-core"}, set()
    while pending:
        needed |= pending
        lines = [
            line for it in theirs if it["name"] in pending for line in it.get("dependencies", ())
        ]
        pending = {line.split()[0] for line in lines} - needed

    assert set() == {(it["name"], it["version"]) for it in theirs if it["name"] in needed} - ours


def test_requirements_split_into_pins() -> None:
    """Each package keeps its own hashes, so that it can be installed without the others."""
    text = "# made by us\na==1 \\\n    --hash=x\nb==2 ; python_version < '4' \\\n    --hash=y\n"

    assert {
        "a": "a==1 \\\n    --hash=x\n",
        "b": "b==2 ; python_version < '4' \\\n    --hash=y\n",
    } == install.pins(text)
