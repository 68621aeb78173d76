"""Opens real cores for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spanmill import _core
from spanmill.engine import EngineConfig, open_engine

ERRORS: Mapping[str, Any] = {
    "name": "errors",
    "description": "",
    "sli": {"kind": "errors"},
    "where": [],
    "group_by": [],
    "objective": 0.99,
    "period_s": 3600,
    "layer": "",
    "runbook": "",
}
"""An objective in the core's form."""


def open_core(
    data_dir: Path, *, objectives: Sequence[Mapping[str, Any]] = (), **sections: object
) -> _core.Engine:
    """Open a core with all defaults but these sections of its config."""
    config = EngineConfig.model_validate({"data_dir": data_dir, **sections})
    return open_engine(config, objectives)
