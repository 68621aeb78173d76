"""Events become the arrays that `ingest.proto` describes, and nothing else."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from spanmill import _core
from spanmill.v1 import ingest_pb2
from spanmill.writer import table
from spanmill.writer.columns import KINDS, Columns, encode, join
from spanmill.writer.dictionary import ENTRIES_MAX, Dictionary
from tests import cores
from tests.writer import batches


def columns(events: int, **measures: list[float]) -> Columns:
    """Give events of one series that start a second apart."""
    return Columns(
        series=np.zeros(events, np.uint32),
        start_us=np.arange(events, dtype=np.int64) * 1_000_000 + 10**15,
        duration_us=np.full(events, 1_500_000),
        failed=np.zeros(events, np.bool_),
        measures={name: np.array(values, np.float64) for name, values in measures.items()},
    )


def test_the_golden_batch_holds() -> None:
    """
    The same events give the same bytes for ever, so daemons of this version read writers of
    any other that say schema_version 1.
    """
    assert batches.GOLDEN.read_bytes() == batches.golden()


def test_measures_have_the_cores_names() -> None:
    """Each measure of the core has a number in the protocol; what a row can have, a name."""
    measures = {one["name"] for one in json.loads(_core.signals())["measures"]}
    numbered = {name.removeprefix("MEASURE_").lower() for name in dict(ingest_pb2.Measure.items())}
    named = {name.removesuffix("_s").removesuffix("_usd") for name in KINDS}

    assert measures | {"unspecified"} == numbered
    assert measures - {"duration"} == named


def test_a_value_that_all_have_needs_no_bits() -> None:
    """A measure of all events takes 4 B each, no bitmap; of some, a bit each and 4 B of those."""
    batch = encode(columns(10, ttft_s=[0.5] * 10, input_tokens=[1.0, math.nan] * 5))
    ttft, tokens = batch.columns

    assert (b"", 40) == (ttft.present, len(ttft.fixed))
    assert (b"\x55\x01", 20) == (tokens.present, len(tokens.fixed))


@pytest.mark.parametrize(
    ("name", "values", "is_fixed"),
    [
        ("ttft_s", [0.1234564], True),
        ("ttft_s", [5_000.0], False),
        ("ttft_s", [-1.0], False),
        ("ttft_s", [math.inf], False),
        ("tpot_s", [0.018], True),
        ("tpot_s", [0.0180004], False),
        ("output_tokens", [12.0], True),
        ("output_tokens", [12.5], False),
        ("cost_usd", [0.25], True),
        ("cost_usd", [1.5e-7], False),
    ],
)
def test_what_fixed_point_would_change_goes_as_doubles(
    name: str, values: list[float], is_fixed: bool
) -> None:
    """
    Times are whole microseconds where they fit 32 bits; of the rest no bit is lost, and what
    is no measure at all reaches the daemon, which counts it as rejected.
    """
    (column,) = encode(columns(1, **{name: values})).columns

    assert is_fixed == bool(column.fixed)
    assert is_fixed != bool(column.doubles)


def test_long_times_take_eight_bytes() -> None:
    """A start or a duration past 71 minutes widens its column, and is exact."""
    long = columns(2)
    long.duration_us[1] = 5_000_000_000
    long.start_us[1] += 5_000_000_000
    batch = encode(long)

    assert [1_500_000, 5_000_000_000] == np.frombuffer(batch.duration_us, "<u8").tolist()
    assert [0, 5_001_000_000] == np.frombuffer(batch.start_delta_us, "<u8").tolist()


def test_parts_are_joined_with_what_they_lack_absent() -> None:
    """Joined events keep their order; a measure or id that one part lacks is absent there."""
    first, second = columns(2, ttft_s=[1.0, 2.0]), columns(1, input_tokens=[3.0])
    second.trace_id = b"x" * 16
    joined = join([first, second])

    assert np.array_equal([1.0, 2.0, np.nan], joined.measures["ttft_s"], equal_nan=True)
    assert np.array_equal([np.nan, np.nan, 3.0], joined.measures["input_tokens"], equal_nan=True)
    assert bytes(32) + b"x" * 16 == joined.trace_id


def test_a_dictionary_tells_attributes_apart_by_name_value_and_type() -> None:
    """The order of attributes makes no difference; a value's type does, as it does in OTLP."""
    dictionary = Dictionary({})

    assert 0 == dictionary.place({"a": "x", "b": 1})
    assert 0 == dictionary.place({"b": 1, "a": "x"})
    assert 1 == dictionary.place({"a": "x", "b": True})
    assert 2 == dictionary.place({"a": "x", "b": "1"})
    assert 3 == dictionary.place({"a": "x"})
    assert 4 == len(dictionary)


def test_epochs_grow_even_within_a_nanosecond() -> None:
    """A dictionary after another has a newer epoch, whatever the clock says."""
    first = Dictionary({})
    ahead = Dictionary({}, after=time.time_ns() + 10**12)

    assert Dictionary({}, after=first.epoch).epoch > first.epoch
    assert Dictionary({}, after=ahead.epoch).epoch > ahead.epoch


def test_arrow_and_numpy_tables_are_the_same_events() -> None:
    """A table reads the same whether it comes as arrays, from Arrow, or with times of Arrow."""
    plain = {
        "start": np.array([1.5e9, 1.5e9 + 0.25]),
        "duration_s": np.array([0.5, 1.0]),
        "ttft_s": np.array([np.nan, 0.25]),
        "failed": np.array([False, True]),
        "gen_ai.request.model": np.array(["atlas", "birch"]),
    }
    arrow = pa.table(
        {
            **{name: pa.array(values, from_pandas=True) for name, values in plain.items()},
            "start": pa.array([1_500_000_000_000_000, 1_500_000_000_250_000], pa.timestamp("us")),
        }
    )
    first, second = (
        encode(read.part(0, 2, Dictionary({}).place))
        for read in (table.read(plain), table.read(arrow))
    )

    assert first == second
    assert 1 == len(first.columns)


def test_missing_attributes_are_absent() -> None:
    """A null among a table's attributes is no value, and makes an entry of its own."""
    dictionary = Dictionary({})
    events = table.read(
        {"start": [1.0, 2.0, 3.0], "duration_s": [1, 1, 1], "a": ["x", None, "x"], "b": [1, 2, 1]}
    )
    part = events.part(0, 3, dictionary.place)

    assert part.series[0] == part.series[2] != part.series[1]
    assert [["a", "b"], ["b"]] == sorted(
        [attribute.key for attribute in series.attributes] for series in dictionary.since(0, 2)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start": None}, "no column 'start'"),
        ({"duration_s": [1.0]}, "duration_s has 1 values, start has 2"),
        ({"duration_s": [1.0, -1.0]}, "duration_s has 1 values that are no time in seconds"),
        ({"start": [1.0, math.nan]}, "start has 1 values that are no time"),
        ({"ttft_s": ["soon", "late"]}, "ttft_s has values that are no numbers"),
        ({"trace_id": [b"x", b"y"]}, "trace_id has 1 bytes, 16 are needed"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(change: dict[str, list[float]], said: str) -> None:
    """Each fault is named with its column and numbers."""
    good = {"start": [1.0, 2.0], "duration_s": [1.0, 1.0]}
    changed = {name: values for name, values in {**good, **change}.items() if values is not None}

    with pytest.raises(ValueError, match=said):
        table.read(changed)


def test_a_table_of_many_combinations_is_numbered_in_parts() -> None:
    """More combinations than a dictionary takes are spread over several."""
    n = ENTRIES_MAX + 10
    events = table.read(
        {"start": np.ones(n), "duration_s": np.ones(n), "a": np.arange(n).astype(str)}
    )
    first = Dictionary({})
    events.part(0, ENTRIES_MAX, first.place)
    events.forget_places()
    second = Dictionary({})
    rest = events.part(ENTRIES_MAX, n, second.place)

    assert (ENTRIES_MAX, 10) == (len(first), len(second))
    assert set(range(10)) == set(rest.series.tolist())


def test_the_core_reads_the_golden_batch(tmp_path: Path) -> None:
    """The core takes it whole, and asks for what a later batch would lack."""
    core = cores.open_core(tmp_path, durability="off")
    answer = batches.ack(core.ingest_columns(batches.GOLDEN.read_bytes()))
    core.close()

    assert (300, False) == (answer.seq, answer.duplicate)
