"""
The config file: YAML in, each part's section out, every problem at once.

A section's model stands beside the code that uses it; this module only puts them
together, reads the file and the objective files it names, and applies `--set`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError, model_validator

from spanmill import log
from spanmill.engine import EngineConfig, EngineLimits, known_names
from spanmill.errors import ConfigError
from spanmill.model import Address, Document, KeyPath, Reading, Section, key_text, read_as
from spanmill.receiver import ReceiverLimits
from spanmill.sink import ExportConfig
from spanmill.slo import Objective, SloConfig
from spanmill.slo import load as load_objectives


class ListenConfig(Section):
    """Where the daemon listens, each as `host:port`; port 0 lets the kernel choose."""

    otlp_grpc: Address = Address("127.0.0.1", 4317)
    """OTLP over gRPC."""

    api: Address = Address("127.0.0.1", 8320)
    """HTTP API, health and metrics."""


class LogConfig(Section):
    """What is logged to stderr."""

    level: log.Level = "info"
    """Least severe level shown."""

    format: log.Format = "auto"
    """`auto` is `human` on a terminal, else `json`."""


class Limits(EngineLimits, ReceiverLimits):
    """How much may be held at once."""

    @model_validator(mode="after")
    def _one_request_fits(self) -> Self:
        if self.inflight_bytes < self.request_bytes:
            raise ValueError(
                f"inflight_bytes ({self.inflight_bytes}) is below request_bytes "
                f"({self.request_bytes}): the largest request would never fit"
            )
        return self


class Config(EngineConfig):
    """A spanmill daemon. Every key is optional."""

    listen: ListenConfig = ListenConfig()
    """Where the daemon listens."""

    slo: SloConfig = SloConfig()
    """Where promises are written."""

    export: ExportConfig = ExportConfig()
    """What leaves as files."""

    limits: Limits = Limits()
    """How much may be held at once."""

    log: LogConfig = LogConfig()
    """What is logged."""


@dataclass(frozen=True)
class Loaded:
    """A config without problems and the objectives of the files that it names."""

    config: Config
    objectives: tuple[Objective, ...]


def load(path: Path | None = None, sets: Sequence[str] = ()) -> Loaded:
    """
    Read a config file and the objective files it names.

    Args:
        path: The file; all defaults where there is none.
        sets: `section.key=value`, each over the file; values are YAML.

    Raises:
        ConfigError: Lists every problem as `place: key.path: message`.
    """
    reading = known_names((path.parent if path else Path()).absolute())
    document = Document.of_file(path) if path else Document("defaults", {})
    for text in sets:
        _set(document, text)
    config = read_as(document, Config, reading)
    objectives, problems = load_objectives(_objective_files(document, reading), reading)
    if config is None or document.problems or problems:
        raise ConfigError(*document.problems, *problems)
    return Loaded(config, objectives)


def _objective_files(document: Document, reading: Reading) -> tuple[Path, ...]:
    """Find the files also where the rest of the config is bad: their problems show as well."""
    try:
        return SloConfig.model_validate(document.data.get("slo"), context=reading).files
    except ValidationError:
        return ()


def _set(document: Document, text: str) -> None:
    """Put one `--set` over the file's keys; its place in messages is the option itself."""
    key, equals, value_text = text.partition("=")
    path: KeyPath = tuple(key.split("."))
    place = f"--set {key}"
    if not equals or not all(path):
        document.problems.append(f"--set {text}: not of the form section.key=value")
        return
    value = Document.of_text(value_text, place)
    if value.problems:
        document.problems += value.problems
        return
    section: Any = document.data
    for depth, part in enumerate(path[:-1], start=1):
        if section.get(part) is None:
            section[part] = {}
            document.places[path[:depth]] = place
        section = section[part]
        if not isinstance(section, dict):
            document.problems.append(f"{place}: {key_text(path[:depth])} has no keys")
            return
    section[path[-1]] = value.data
    for stale in [it for it in document.places if it[: len(path)] == path]:
        del document.places[stale]
    document.places[path] = place


def as_yaml(config: Config) -> str:
    """Write a config in full, defaults included; reading it again gives the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema() -> str:
    """Write the JSON Schema of the config file, for editors."""
    schema = Config.model_json_schema()
    return json.dumps(
        {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema, indent=2
    )
