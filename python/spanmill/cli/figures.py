"""Figures as a person reads them."""


def quantity(value: float | None, unit: str) -> str:
    """Write a measure's value with a unit of fitting size: `812 ms`, `1.42 s`, `1,204`, `$0.12`."""
    if value is None:
        return "–"
    match unit:
        case "s" if abs(value) < 1:
            return f"{value * 1e3:.3g} ms"
        case "s" if abs(value) < 120:  # noqa: PLR2004  two minutes still read well in seconds
            return f"{value:.3g} s"
        case "s":
            return f"{value / 60:.3g} min"
        case "USD":
            return f"${value:,.4g}"
    return f"{value:,.0f}"


def share(value: float | None) -> str:
    """Write a share as a percentage; a dash where there is none."""
    return "–" if value is None else f"{value * 100:.4g} %"


def count(value: int) -> str:
    """Write a count with thousands apart."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """Write a duration with one unit: `30d`, `6h`, `5m`, `90s`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"


def grouped(dims: dict[str, str]) -> str:
    """Write dimension values: `model=x tenant=y`."""
    return " ".join(f"{dimension}={value}" for dimension, value in dims.items())
