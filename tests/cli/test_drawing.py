"""Pictures made of characters show what the figures say, and nothing more."""

import pytest

from spanmill.cli.drawing import BLOCKS, intensities, sparkline, values_a_block


@pytest.mark.parametrize(
    ("blocks", "values"),
    [
        ("▁█", [1.0, 2.0]),
        ("▁▅█", [0.0, 5.0, 9.0]),
        ("▁ █", [1.0, None, 3.0]),
        ("▁▁▁", [7.0, 7.0, 7.0]),
        ("▁▂", [100.0, 101.5]),
        ("   ", [None, None, None]),
        ("", []),
        ("▁█", [-2.0, -1.0]),
        ("▁▁", [0.0, 0.0]),
    ],
)
def test_sparkline(blocks: str, values: list[float | None]) -> None:
    """
    The lowest value is the lowest block and the highest the highest; None is a gap; a line that
    hardly moves is flat.
    """
    assert blocks == sparkline(values, 80)


@pytest.mark.parametrize("width", [1, 7, 10, 33, 99, 100])
def test_sparkline_fits(width: int) -> None:
    """However narrow, a line keeps to its width and never loses its highest value."""
    values = [1.0] * 60 + [9.0] + [1.0] * 39

    drawn = sparkline(values, width)

    assert len(drawn) <= width
    assert len(drawn) == -(-100 // values_a_block(100, width))
    assert width == 1 or BLOCKS[-1] in drawn


def test_intensities() -> None:
    """Nothing is nothing, one event is seen beside a million, and the most is the strongest."""
    assert [[0, 1, 4], [1, 2, 4]] == intensities([[0, 1, 1_000_000], [62_500, 250_000, 999_999]], 4)
    assert [[0, 0]] == intensities([[0, 0]], 4)
