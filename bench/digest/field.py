"""Everyone who takes part, in the order of the tables; and who does not, with the reason."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bench.digest import peers
from bench.digest.contender import Contender
from bench.digest.in_process import Peer
from bench.digest.native import OURS, Native

INSTALLED: Final = Path(__file__).parent.parent.parent / ".venv" / ".peers"
"""Written by `bench.digest.install`: what could not be installed, and why."""


@dataclass(frozen=True)
class Field:
    """The contenders, those of Python and those of Rust."""

    native: Native
    python: list[Peer]
    absent: dict[str, str]
    """Why a package is missing, by name."""

    @classmethod
    def gathered(cls, binary: Path) -> Self:
        """Import every peer that is installed and start the binary of the others."""
        found, absent = python_peers()
        return cls(Native(binary), found, absent)

    def everyone(self) -> list[Contender]:
        """List all contenders; ours is the core's, of which Python's is the same."""
        rust = self.native.contenders()
        ours = [one for one in rust if one.facts.name == OURS]
        others = [one for one in rust if one.facts.name != OURS]
        theirs = [one for one in self.python if not one.facts.name.startswith(OURS)]
        return [*ours, *theirs, *others]


def python_peers() -> tuple[list[Peer], dict[str, str]]:
    """Import the peers, and say why the others are absent."""
    reasons = json.loads(INSTALLED.read_text("utf-8")) if INSTALLED.exists() else {}
    found: list[Peer] = []
    absent: dict[str, str] = {}
    for name in peers.MODULES:
        try:
            module = importlib.import_module(f"bench.digest.peers.{name}")
        except (ImportError, AttributeError) as error:
            absent[name] = reasons.get(name, str(error))
        else:
            found += module.PEERS
    return found, absent
