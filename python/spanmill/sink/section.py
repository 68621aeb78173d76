"""The `export` section of the config file."""

from typing import Annotated, Literal

from pydantic import Field

from spanmill.model import Seconds, Section


class ExportConfig(Section):
    """Which sealed minutes leave as files, and how they are written."""

    enabled: bool = True
    """Write sealed minutes to `data_dir/lake/rollup/`."""

    flush_after: Annotated[Seconds, Field(gt=0)] = 10.0
    """Wait between two passes. A minute can be read this long after it sealed, at worst."""

    minutes_per_file: Annotated[int, Field(ge=1, le=1440)] = 60
    """Most minutes in one file. Bounds memory when a pass has much to catch up with."""

    codec: Literal["zstd", "snappy", "none"] = "zstd"
    """How pages are compressed."""

    codec_level: Annotated[int, Field(ge=1, le=22)] = 1
    """Level of zstd; the others have none. 9 is 3 % smaller than 1, at 2.4 times the CPU."""
