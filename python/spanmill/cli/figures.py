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


def percentile(rank: str) -> str:
    """Write a rank as people call it: `p99` for 0.99."""
    return f"p{float(rank) * 100:.6g}"


def clock(time_utc: str) -> str:
    """Write the time of day of an RFC 3339 time, with seconds where it has some: `14:05`."""
    return time_utc[11:16] if time_utc[17:19] == "00" else time_utc[11:19]


def stretch(start_utc: str, end_utc: str) -> str:
    """Write a stretch of time: `2026-11-21 13:00 to 14:00 UTC`."""
    same_day = start_utc[:10] == end_utc[:10]
    end = clock(end_utc) if same_day else f"{end_utc[:10]} {clock(end_utc)}"
    return f"{start_utc[:10]} {clock(start_utc)} to {end} UTC"
